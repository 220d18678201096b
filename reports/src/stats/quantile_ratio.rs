//! Quantiles of values that cluster in tasks, and their ratios.

use timeslip_datasets::text::plural;

use super::Effect;
use super::bootstrap::bootstrap;
use super::degrees::degrees_of_freedom;
use super::effect::Spread;
use super::effect::resampled::Percentiles;
use super::effect::woodruff::Woodruff;

/// Log of the ratio of a quantile (`p` between 0 and 1, e.g. 0.95) of the first side's
/// values to that of the second's, each pooled over tasks, such as the TTFTs of all
/// exchanges. The interval draws whole tasks again, both sides together: values of one
/// task resemble each other. It takes plain percentiles of the resamples: a quantile of few
/// tasks jumps more between resamples than it varies, so they need no expansion. Tasks
/// without a value on both sides are left out.
///
/// # Errors
/// Values that are not finite or too few for an interval, or a quantile that is not
/// positive.
pub fn quantile_log_ratio(tasks: &[[Vec<f64>; 2]], p: f64) -> Result<Effect, String> {
    let paired: Vec<&[Vec<f64>; 2]> = tasks
        .iter()
        .filter(|[first, second]| !first.is_empty() && !second.is_empty())
        .collect();
    let first = Clustered::of(paired.iter().map(|task| task[0].as_slice()), p)?;
    let second = Clustered::of(paired.iter().map(|task| task[1].as_slice()), p)?;
    let mut times = vec![0; paired.len()];
    bootstrap(paired.len(), Percentiles::Plain, |drawn| {
        count(drawn, &mut times);
        let ratio = first.quantile(&times)? / second.quantile(&times)?;
        Some(ratio.ln())
    })
}

/// A quantile of one side's values, in their unit, with tasks as clusters: for a limit
/// such as p(95) < 250 ms. Tasks without values are left out.
///
/// The interval is that of the share of values below the quantile, its variance taken over
/// tasks (Woodruff, 1952; Korn and Graubard, 1998): percentiles of a bootstrap end far too
/// low where a few tasks hold all of the large values.
///
/// # Errors
/// Values that are not finite, or fewer tasks than an interval needs: in the worst case
/// all values of a task are alike, so there must be as many tasks as independent values.
pub fn quantile_effect(tasks: &[Vec<f64>], p: f64) -> Result<Effect, String> {
    let filled: Vec<&Vec<f64>> = tasks.iter().filter(|values| !values.is_empty()).collect();
    let n = filled.len();
    let clustered = Clustered::of(filled.iter().map(|values| values.as_slice()), p)?;
    let needed = needed(p);
    if (n as f64) < needed {
        return Err(format!(
            "n too small: {} {} no reliable interval for p{} ({needed} needed)",
            plural(n, "task"),
            have(n),
            percent(p)
        ));
    }
    let point = clustered.quantile(&vec![1; n]).ok_or("no values")?;
    Ok(Effect::new(
        point,
        n,
        Spread::Woodruff(clustered.share_below(point)),
    ))
}

/// How often each task was drawn.
fn count(drawn: &[usize], times: &mut [u32]) {
    times.fill(0);
    for task in drawn {
        times[*task] += 1;
    }
}

/// Values in order, once for all resamples: a resample only weighs them.
struct Clustered {
    /// Ascending, each with its task.
    values: Vec<(f64, u32)>,
    /// How many each task has.
    sizes: Vec<u64>,
    p: f64,
    /// So many values lie below the quantiles of nearly all resamples, which begin to count
    /// after them.
    skipped: usize,
    /// How many of those each task has.
    skipped_sizes: Vec<u64>,
}

/// A resample's quantile lies seldom so many standard deviations below the sample's.
const SELDOM: f64 = 4.0;

impl Clustered {
    fn of<'a>(tasks: impl Iterator<Item = &'a [f64]>, p: f64) -> Result<Self, String> {
        if !(p > 0.0 && p < 1.0) {
            return Err(format!("a quantile lies between 0 and 1, not at {p}"));
        }
        let (mut values, mut sizes) = (Vec::new(), Vec::new());
        for (task, of_task) in tasks.enumerate() {
            let task = u32::try_from(task).map_err(|_| "too many tasks".to_owned())?;
            sizes.push(of_task.len() as u64);
            values.extend(of_task.iter().map(|value| (*value, task)));
        }
        if let Some((value, _)) = values.iter().find(|(value, _)| !value.is_finite()) {
            return Err(format!("one of the values is {value}, not a number"));
        }
        let needed = needed(p);
        if (values.len() as f64) < needed {
            return Err(format!(
                "n too small: {} {} no 95 % interval for p{} ({needed} needed)",
                plural(values.len(), "value"),
                have(values.len()),
                percent(p)
            ));
        }
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // The share of values below a quantile varies most where all values of a task are alike.
        let deviation = (p * (1.0 - p) / sizes.len() as f64).sqrt();
        let skipped = ((p - SELDOM * deviation).max(0.0) * values.len() as f64) as usize;
        let mut skipped_sizes = vec![0; sizes.len()];
        for (_, task) in &values[..skipped] {
            skipped_sizes[*task as usize] += 1;
        }
        Ok(Clustered {
            values,
            sizes,
            p,
            skipped,
            skipped_sizes,
        })
    }

    /// How the share of values at most at `point` varies between tasks.
    fn share_below(&self, point: f64) -> Woodruff {
        let n = self.sizes.len() as f64;
        let values = self.values.len() as f64;
        // What each task has more above the point than its share.
        let mut excess: Vec<f64> = self
            .sizes
            .iter()
            .map(|size| -(1.0 - self.p) * *size as f64)
            .collect();
        for (_, task) in self.values.iter().filter(|(value, _)| *value > point) {
            excess[*task as usize] += 1.0;
        }
        let squares: f64 = excess.iter().map(|excess| excess * excess).sum();
        let variance = squares * n / (n - 1.0) / (values * values);
        Woodruff {
            ascending: self.values.iter().map(|(value, _)| *value).collect(),
            p: self.p,
            effective: (self.p * (1.0 - self.p) / variance).min(values),
            degrees: degrees_of_freedom(&excess),
        }
    }

    /// The type 7 quantile when each task's values count as often as the task was drawn.
    fn quantile(&self, times: &[u32]) -> Option<f64> {
        let drawn = weigh(&self.sizes, times);
        let last = drawn.checked_sub(1)?;
        let position = self.p * last as f64;
        let below = position as u64;
        let step = below.min(last.saturating_sub(1));
        let skipped = weigh(&self.skipped_sizes, times);
        let (low, high) = if skipped <= step {
            neighbours(&self.values[self.skipped..], times, step - skipped)?
        } else {
            neighbours(&self.values, times, step)?
        };
        Some(low + (high - low) * (position - step as f64))
    }
}

/// How many values there are when those of each task count as often as it was drawn.
fn weigh(sizes: &[u64], times: &[u32]) -> u64 {
    let drawn = sizes.iter().zip(times);
    drawn.map(|(size, times)| size * u64::from(*times)).sum()
}

/// The values at a rank, counted from 0, and at the next.
fn neighbours(values: &[(f64, u32)], times: &[u32], rank: u64) -> Option<(f64, f64)> {
    let (mut passed, mut at) = (0, None);
    for (value, task) in values {
        passed += u64::from(*times.get(*task as usize)?);
        if at.is_none() && passed > rank {
            at = Some(*value);
        }
        if passed > rank + 1 {
            return Some((at?, *value));
        }
    }
    None
}

/// 0.95 as 95, without the noise of floating point.
fn percent(p: f64) -> f64 {
    (p * 1e6).round() / 1e4
}

/// Values needed for an order-statistic interval of 95 %: both ends of the sample must lie
/// beyond the quantile with a chance of 97.5 %.
fn needed(p: f64) -> f64 {
    let tail = 0.025_f64.ln();
    (tail / p.max(1.0 - p).ln()).ceil()
}

fn have(n: usize) -> &'static str {
    if n == 1 { "has" } else { "have" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{quantile, sorted};
    use proptest::prelude::*;

    #[test]
    fn as_many_values_as_an_interval_needs() {
        assert_eq!(
            (needed(0.95), needed(0.99), needed(0.5)),
            (72.0, 368.0, 6.0)
        );
        let few = vec![vec![1.0, 2.0, 3.0]; 20];
        let many = vec![vec![1.0, 2.0, 3.0, 4.0]; 20];
        assert_eq!(
            quantile_effect(&few, 0.95).unwrap_err(),
            "n too small: 60 values have no 95 % interval for p95 (72 needed)"
        );
        assert_eq!(
            quantile_effect(&many, 0.95).unwrap_err(),
            "n too small: 20 tasks have no reliable interval for p95 (72 needed)"
        );
        let pairs: Vec<[Vec<f64>; 2]> = few.iter().map(|v| [v.clone(), v.clone()]).collect();
        assert!(
            quantile_log_ratio(&pairs, 0.95)
                .unwrap_err()
                .contains("n too small")
        );
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        assert!(quantile_effect(&[vec![f64::NAN; 20], vec![1.0; 9]], 0.5).is_err());
        for p in [0.0, 1.0, f64::NAN] {
            assert!(quantile_effect(&vec![vec![1.0]; 500], p).is_err());
        }
        let zeros = vec![[vec![0.0; 9], vec![1.0; 9]]; 9];
        assert!(quantile_log_ratio(&zeros, 0.5).is_err());
        assert!(quantile_log_ratio(&[], 0.5).is_err());
    }

    proptest! {
        #[test]
        fn a_weighed_quantile_is_that_of_repeated_values(
            tasks in prop::collection::vec(
                // Now and then one task is drawn so often that its values decide.
                (prop::collection::vec(-9.0..9.0_f64, 1..6),
                    prop_oneof![20 => 0_u32..4, 1 => 40_u32..90]), 30..40),
            p in 0.2..0.95_f64,
        ) {
            let clustered = Clustered::of(tasks.iter().map(|(values, _)| values.as_slice()), p).unwrap();
            let times: Vec<u32> = tasks.iter().map(|(_, times)| *times).collect();
            let repeated = sorted(tasks.iter().flat_map(|(values, times)| {
                std::iter::repeat_n(values, *times as usize).flatten().copied()
            }));
            prop_assume!(repeated.len() > 1);
            let expected = quantile(&repeated, p).unwrap();
            prop_assert!((clustered.quantile(&times).unwrap() - expected).abs() < 1e-12);
        }
    }
}
