//! The Wilcoxon signed-rank test and the interval and estimate that belong to it
//! (Hodges and Lehmann, "Estimates of Location Based on Rank Tests", 1963).

use statrs::distribution::{ContinuousCDF, Normal};

use super::Effect;
use super::Spread;
use crate::stats::walsh::Walsh;
use crate::stats::{CONFIDENCE, sorted};

/// Up to this many values without ties the null distribution is counted out.
const EXACT: usize = 50;

/// The typical value of one figure per task, such as the log-ratio of its times: the
/// Hodges–Lehmann pseudo-median, the median of all pairwise means, with the interval and
/// the p-values of the signed-rank test. Outliers weigh no more than their rank.
///
/// Exact for up to 50 values without ties, else by the normal approximation with
/// corrections for continuity and ties. Takes O(n log n), so that any number of tasks is
/// affordable. `unit` is what a value stands for, for the words, e.g. `"task"`.
///
/// # Errors
/// No values, or one that is not finite. Values that are all equal, or too few for an
/// interval, have a point whose [`Effect::estimate`] says why it stands alone.
pub fn signed_rank(values: &[f64], unit: &str) -> Result<Effect, String> {
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!("the value of one {unit} is {value}, not a number"));
    }
    let ascending = sorted(values.iter().copied());
    let n = ascending.len();
    let point = Walsh(&ascending)
        .median()
        .ok_or_else(|| format!("no {unit}s to compare"))?;
    let unknown = if n < 2 {
        Some(format!("an interval needs at least two {unit}s"))
    } else if ascending.first() == ascending.last() {
        Some(format!(
            "every {unit} gave the same value, so an interval has no meaning"
        ))
    } else {
        None
    };
    let spread = match unknown {
        Some(reason) => Spread::Unknown(reason),
        None => Spread::SignedRank(SignedRank {
            ascending,
            unit: unit.to_owned(),
        }),
    };
    Ok(Effect::new(point, n, spread))
}

/// The test against any centre of symmetry.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stats) struct SignedRank {
    ascending: Vec<f64>,
    unit: String,
}

impl SignedRank {
    /// Between two Walsh averages that the test does not reject at this tail.
    pub(in crate::stats) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let walsh = Walsh(&self.ascending);
        let null = Null::of(self.ascending.len(), &ties(&self.ascending), 0);
        // The largest sum of ranks so small that it is this improbable; rejecting it
        // rejects as many averages at each end.
        let rejected = null.largest_within(tail)?;
        let low = walsh.ranked(rejected + 1)?;
        let high = walsh.ranked(walsh.len() - rejected)?;
        (low < high).then_some((low, high))
    }

    pub(in crate::stats) fn p_above(&self, limit: f64) -> Option<f64> {
        self.p(|value| value - limit)
    }

    pub(in crate::stats) fn p_below(&self, limit: f64) -> Option<f64> {
        self.p(|value| limit - value)
    }

    /// How probable so large a sum of the positive distances' ranks is when negative
    /// ones are as likely. Distances of zero keep their ranks, half on each side (Pratt,
    /// "Remarks on Zeros and Ties in the Wilcoxon Signed Rank Procedures", 1959).
    fn p(&self, distance: impl Fn(f64) -> f64) -> Option<f64> {
        let mut distances: Vec<f64> = self.ascending.iter().map(|v| distance(*v)).collect();
        distances.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let sizes: Vec<f64> = distances.iter().map(|distance| distance.abs()).collect();
        let zeros = sizes.partition_point(|size| *size <= 0.0);
        let groups = ties(&sizes[zeros..]);
        let mut negative = zero_sum(zeros);
        let mut ranked = zeros;
        for group in sizes[zeros..].chunk_by(|a, b| a == b) {
            let rank = ranked as f64 + (group.len() as f64 + 1.0) / 2.0;
            let members = &distances[ranked..ranked + group.len()];
            negative += rank * members.iter().filter(|d| **d < 0.0).count() as f64;
            ranked += group.len();
        }
        // By symmetry: as few negative ones.
        let p = Null::of(sizes.len(), &groups, zeros).at_most(negative);
        p.is_finite().then_some(p)
    }

    pub(in crate::stats) fn no_interval(&self) -> String {
        let unit = &self.unit;
        // Two-sided, the most extreme order of n signs has a chance of 2^(1−n).
        let least = (1.0 - (1.0 - CONFIDENCE).log2()).ceil();
        if (self.ascending.len() as f64) < least {
            format!("a signed-rank interval needs at least {least} {unit}s")
        } else {
            format!("too many {unit}s gave the same value for an interval")
        }
    }
}

/// Half the sum of the ranks of so many zeros.
fn zero_sum(zeros: usize) -> f64 {
    let zeros = zeros as f64;
    zeros * (zeros + 1.0) / 4.0
}

/// Sizes of the groups of equal values, where they are not single.
fn ties(ordered: &[f64]) -> Vec<usize> {
    ordered
        .chunk_by(|a, b| a == b)
        .map(<[f64]>::len)
        .filter(|size| *size > 1)
        .collect()
}

/// Distribution of the sum of ranks on one side when every sign is as likely.
enum Null {
    /// Probability of at most 0, 1, 2, …
    Exact(Vec<f64>),
    Normal {
        mean: f64,
        deviation: f64,
    },
}

impl Null {
    fn of(n: usize, ties: &[usize], zeros: usize) -> Self {
        if n <= EXACT && ties.is_empty() && zeros == 0 {
            return Null::Exact(counted(n));
        }
        let count = n as f64;
        let squares = |n: f64| n * (n + 1.0) * (2.0 * n + 1.0) / 24.0;
        // Zeros have no sign that could vary; equal sizes share the mean of their ranks.
        let tied: f64 = ties
            .iter()
            .map(|size| (*size as f64).powi(3) - *size as f64)
            .sum();
        let variance = squares(count) - squares(zeros as f64) - tied / 48.0;
        Null::Normal {
            mean: count * (count + 1.0) / 4.0,
            deviation: variance.max(0.0).sqrt(),
        }
    }

    fn at_most(&self, sum: f64) -> f64 {
        match self {
            Null::Exact(cumulative) => {
                let index = (sum.max(0.0) as usize).min(cumulative.len() - 1);
                cumulative[index]
            }
            Null::Normal { mean, deviation } => {
                Normal::standard().cdf((sum + 0.5 - mean) / deviation)
            }
        }
    }

    /// The largest sum that is at most so probable.
    fn largest_within(&self, tail: f64) -> Option<u64> {
        match self {
            Null::Exact(cumulative) => {
                let within = cumulative.partition_point(|p| *p <= tail);
                (within as u64).checked_sub(1)
            }
            Null::Normal { mean, deviation } => {
                let sum = mean + deviation * Normal::standard().inverse_cdf(tail) - 0.5;
                (sum >= 0.0).then_some(sum as u64)
            }
        }
    }
}

/// P(sum ≤ 0), P(sum ≤ 1), …, counted over all 2^n signs.
fn counted(n: usize) -> Vec<f64> {
    let largest = n * (n + 1) / 2;
    let mut probability = vec![0.0; largest + 1];
    probability[0] = 1.0;
    let mut reached = 0;
    for rank in 1..=n {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= rank {
                probability[sum - rank]
            } else {
                0.0
            };
            probability[sum] = 0.5 * (probability[sum] + with);
        }
    }
    let mut total = 0.0;
    for value in &mut probability {
        total += *value;
        *value = total;
    }
    probability
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_sample_by_hand() {
        // Of six values only the all-positive order has a tail of 1/64 ≤ 2.5 %.
        let effect = signed_rank(&[1.0, 2.0, 3.0, 5.0, 8.0, 13.0], "task").unwrap();
        assert_eq!(effect.interval(0.95), Some((1.0, 13.0)));
        assert!((effect.p_above(0.0) - 1.0 / 64.0).abs() < 1e-15);
        assert!((effect.p_below(0.0) - 1.0).abs() < 1e-15);
        // The eleventh of 21 Walsh averages: 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4, 4.5, 5, …
        assert!((effect.point - 5.0).abs() < 1e-15);
    }

    #[test]
    fn what_has_no_interval_says_why() {
        let reason = |values: &[f64]| {
            let estimate = signed_rank(values, "task").unwrap().estimate();
            assert!(estimate.point.is_some() && estimate.interval().is_none());
            estimate.reason.unwrap()
        };
        assert!(reason(&[1.0]).contains("at least two tasks"));
        assert!(reason(&[1.0, 2.0, 3.0]).contains("at least 6 tasks"));
        assert!(reason(&[0.5; 30]).contains("every task gave the same value"));
        let mut mostly = vec![0.0; 30];
        mostly.push(1.0);
        assert!(reason(&mostly).contains("too many tasks"));
        assert!(signed_rank(&[], "task").unwrap_err().contains("no tasks"));
        assert!(signed_rank(&[1.0, f64::NAN], "task").is_err());
    }

    #[test]
    fn thousands_of_tasks_are_affordable() {
        let values: Vec<f64> = (0..5000).map(|i| f64::from((i * 7919) % 5003)).collect();
        let started = std::time::Instant::now();
        let effect = signed_rank(&values, "task").unwrap();
        let (low, high) = effect.interval(0.95).unwrap();
        assert!(low < effect.point && effect.point < high);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn the_exact_distribution_is_close_to_the_normal_one(tail in 0.001..0.5_f64) {
            let exact = Null::Exact(counted(EXACT));
            let normal = Null::of(EXACT, &[], 0);
            prop_assert!(matches!(normal, Null::Exact(_)));
            let normal = Null::of(EXACT, &[2], 0);
            let sum = exact.largest_within(tail).unwrap() as f64;
            prop_assert!((exact.at_most(sum) - normal.at_most(sum)).abs() < 0.002);
        }

        #[test]
        fn an_interval_is_what_the_test_does_not_reject(
            values in prop::collection::vec(-1.0..1.0_f64, 7..90), tail in 0.02..0.4_f64,
        ) {
            let effect = signed_rank(&values, "task").unwrap();
            let (low, high) = effect.interval(1.0 - 2.0 * tail).unwrap();
            prop_assert!(effect.p_above(low - 1e-9) <= tail + 1e-9);
            prop_assert!(effect.p_above(low + 1e-9) > tail);
            prop_assert!(effect.p_below(high + 1e-9) <= tail + 1e-9);
            prop_assert!(effect.p_below(high - 1e-9) > tail);
        }

        #[test]
        fn turning_the_values_turns_everything(
            values in prop::collection::vec((-8..8).prop_map(f64::from), 2..70), limit in -8..8,
        ) {
            let limit = f64::from(limit);
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            let (there, back) = (signed_rank(&values, "t").unwrap(), signed_rank(&turned, "t").unwrap());
            prop_assert!((there.point + back.point).abs() < 1e-12);
            prop_assert!((there.p_above(limit) - back.p_below(-limit)).abs() < 1e-12);
            let turned = back.interval(0.95).map(|(low, high)| (-high, -low));
            prop_assert_eq!(there.interval(0.95), turned);
        }
    }
}
