//! Percentiles in which a failure is later than anything: failing fast never looks fast.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantile::{MIN_FOR_P95, sorted};

/// Times in which each failure counts as infinitely late. A percentile is by nearest rank,
/// the value of rank ⌈p · n⌉ of all n, as nothing lies between a time and infinity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAdjusted {
    /// How many values, failures included.
    pub n: usize,
    /// How many of them are failures.
    pub failures: usize,
    /// Median; `null` where it is infinite: more than half of the values are failures. Also
    /// `null` with no values.
    pub p50: Option<f64>,
    /// 95th percentile; `null` where it is infinite. Also `null` with fewer than 21 values.
    pub p95: Option<f64>,
}

impl ErrorAdjusted {
    /// Of times in any order and a number of failures.
    #[must_use]
    pub fn of(times: impl IntoIterator<Item = f64>, failures: usize) -> Self {
        let ascending = sorted(times);
        let n = ascending.len() + failures;
        let at = |percent: usize| {
            let rank = n.saturating_mul(percent).div_ceil(100);
            ascending.get(rank.checked_sub(1)?).copied()
        };
        ErrorAdjusted {
            n,
            failures,
            p50: at(50),
            p95: at(95).filter(|_| n >= MIN_FOR_P95),
        }
    }

    /// The median, infinite among failures; `None` with no values.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.p50.or((self.n > 0).then_some(f64::INFINITY))
    }

    /// The 95th percentile, likewise; `None` with too few values.
    #[must_use]
    pub fn tail(&self) -> Option<f64> {
        let enough = self.n >= MIN_FOR_P95;
        self.p95.or(enough.then_some(f64::INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn failures_are_later_than_every_time() {
        let times = || (1..=38).map(f64::from);
        let of = |failures| ErrorAdjusted::of(times(), failures);
        let shown = |it: &ErrorAdjusted| (it.n, it.median(), it.tail());
        assert_eq!(shown(&of(0)), (38, Some(19.0), Some(37.0)));
        assert_eq!(shown(&of(2)), (40, Some(20.0), Some(38.0)));
        assert_eq!(shown(&of(3)), (41, Some(21.0), Some(f64::INFINITY)));
        assert_eq!(of(3).p95, None);
        assert_eq!(shown(&of(38)), (76, Some(38.0), Some(f64::INFINITY)));
        assert_eq!(of(39).median(), Some(f64::INFINITY));
        let few = ErrorAdjusted::of([1.0], 2);
        assert_eq!(shown(&few), (3, Some(f64::INFINITY), None));
        assert_eq!(shown(&ErrorAdjusted::of([], 0)), (0, None, None));
    }

    proptest! {
        #[test]
        fn a_failure_in_place_of_a_time_never_makes_it_faster(
            times in prop::collection::vec(0.0..1e12_f64, 1..99),
            failures in 0..99_usize,
        ) {
            let before = ErrorAdjusted::of(times.clone(), failures);
            let after = ErrorAdjusted::of(times[1..].iter().copied(), failures + 1);
            prop_assert!(after.median() >= before.median());
            prop_assert!(after.tail() >= before.tail());
        }
    }
}
