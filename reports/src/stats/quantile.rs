//! Sample quantiles and the small summary shown for a set of durations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Below this many values a type 7 p95 lies between the two largest: it is the
/// maximum under another name and is withheld.
pub(super) const MIN_FOR_P95: usize = 21;

/// Below this many values no 95 % order-statistic interval for p95 exists.
const MIN_FOR_P95_INTERVAL: usize = 72;

/// Values sorted ascending, without the ones that are not finite.
#[must_use]
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Quantile of ascending values by linear interpolation (Hyndman and Fan's
/// type 7, the default of R and NumPy); `None` when there are none.
#[must_use]
pub fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let low = *ascending.get(below)?;
    let high = *ascending.get((below + 1).min(last))?;
    Some(low + (high - low) * (position - position.floor()))
}

/// What is said about a set of values: how many, and where they lie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// How many values.
    pub n: usize,
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile; absent when there are too few values for one.
    pub p95: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// What limits these figures, when something does.
    pub note: Option<String>,
}

impl Distribution {
    /// Summarises values in any order.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let ascending = sorted(values);
        let n = ascending.len();
        let note = if n == 0 {
            Some("no values".to_owned())
        } else if n < MIN_FOR_P95 {
            Some(format!(
                "n = {n} is too small for p95 ({MIN_FOR_P95} values needed)"
            ))
        } else if n < MIN_FOR_P95_INTERVAL {
            Some(format!(
                "p95 of n = {n} has no 95 % interval ({MIN_FOR_P95_INTERVAL} values needed)"
            ))
        } else {
            None
        };
        Distribution {
            n,
            p50: quantile(&ascending, 0.5),
            p95: quantile(&ascending, 0.95).filter(|_| n >= MIN_FOR_P95),
            mean: (n > 0).then(|| ascending.iter().sum::<f64>() / n as f64),
            note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_numpy() {
        let values = sorted([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]);
        assert_eq!(quantile(&values, 0.5), Some(3.5));
        assert!((quantile(&values, 0.95).unwrap() - 7.95).abs() < 1e-12);
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(9.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn small_samples_have_no_p95() {
        let few = Distribution::of((0..20).map(f64::from));
        assert_eq!((few.n, few.p50, few.p95), (20, Some(9.5), None));
        assert!(few.note.unwrap().contains("n = 20 is too small"));
        let enough = Distribution::of((0..72).map(f64::from));
        assert!(enough.p95.is_some() && enough.note.is_none());
    }

    proptest! {
        #[test]
        fn lies_within_the_sample_and_rises_with_p(
            values in prop::collection::vec(-1e12..1e12_f64, 1..200),
            p in 0.0..1.0_f64, q in 0.0..1.0_f64,
        ) {
            let values = sorted(values);
            let (p, q) = if p < q { (p, q) } else { (q, p) };
            let (a, b) = (quantile(&values, p).unwrap(), quantile(&values, q).unwrap());
            prop_assert!(a <= b + 1e-3);
            prop_assert!(a >= values[0] - 1e-3 && b <= values[values.len() - 1] + 1e-3);
        }
    }
}
