//! Intervals of a quantile by way of proportions (Woodruff, "Confidence Intervals for
//! Medians and Other Position Measures", 1952).

use statrs::distribution::{Beta, ContinuousCDF, Normal};

use super::student;

/// Clustered values and how sure their share below the quantile is: an interval of that
/// share leads to one of the quantile.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stats) struct Woodruff {
    /// All values.
    pub(in crate::stats) ascending: Vec<f64>,
    /// Which quantile.
    pub(in crate::stats) p: f64,
    /// Independent values whose share would vary as much.
    pub(in crate::stats) effective: f64,
    /// Degrees of freedom with which that is known.
    pub(in crate::stats) degrees: f64,
}

impl Woodruff {
    pub(in crate::stats) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let (low, high) = (self.low(tail)?, self.high(tail)?);
        (low < high).then_some((low, high))
    }

    pub(in crate::stats) fn p_above(&self, limit: f64) -> f64 {
        smallest_tail(|tail| self.low(tail).is_some_and(|low| low > limit))
    }

    pub(in crate::stats) fn p_below(&self, limit: f64) -> f64 {
        smallest_tail(|tail| self.high(tail).is_some_and(|high| high < limit))
    }

    /// From the exact binomial interval (Clopper and Pearson, 1934) of the effective
    /// number (Korn and Graubard, "Confidence Intervals for Proportions with Small Expected
    /// Number of Positive Counts", 1998). `None` where it reaches beyond the sample.
    fn low(&self, tail: f64) -> Option<f64> {
        let n = self.known(tail)?;
        let share = Beta::new(n * self.p, n * (1.0 - self.p) + 1.0).ok()?;
        self.reaching(share.inverse_cdf(tail))
            .filter(|_| (1.0 - self.p).powf(n) <= tail)
    }

    fn high(&self, tail: f64) -> Option<f64> {
        let n = self.known(tail)?;
        let share = Beta::new(n * self.p + 1.0, n * (1.0 - self.p)).ok()?;
        self.reaching(share.inverse_cdf(1.0 - tail))
            .filter(|_| self.p.powf(n) <= tail)
    }

    /// The effective number less what is not known of it: the normal distribution's
    /// distance to Student's.
    fn known(&self, tail: f64) -> Option<f64> {
        let z = Normal::standard().inverse_cdf(tail);
        let t = student(self.degrees)?.inverse_cdf(tail);
        Some(self.effective * (z / t).powi(2))
    }

    /// The smallest value that reaches a share of them.
    fn reaching(&self, share: f64) -> Option<f64> {
        let rank = (share * self.ascending.len() as f64).ceil().max(1.0) as usize;
        self.ascending.get(rank - 1).copied()
    }
}

/// By bisection over the exponent, as a gate asks for small tails. 1 where no
/// tail holds.
fn smallest_tail(holds: impl Fn(f64) -> bool) -> f64 {
    // At one half both z and t are zero.
    const LARGEST: f64 = 0.49;
    if !holds(LARGEST) {
        return 1.0;
    }
    let (mut impossible, mut possible) = (1e-12_f64.ln(), LARGEST.ln());
    for _ in 0..40 {
        let middle = f64::midpoint(impossible, possible);
        if holds(middle.exp()) {
            possible = middle;
        } else {
            impossible = middle;
        }
    }
    possible.exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn independent(n: u32, p: f64) -> Woodruff {
        Woodruff {
            ascending: (1..=n).map(f64::from).collect(),
            p,
            effective: f64::from(n),
            degrees: 1e6,
        }
    }

    #[test]
    fn a_median_lies_between_order_statistics() {
        // scipy.stats.binomtest(50, 100).proportion_ci() is 0.398 to 0.602.
        let interval = independent(100, 0.5).interval(0.025);
        assert_eq!(interval, Some((40.0, 61.0)));
    }

    #[test]
    fn no_sample_reaches_beyond_its_own_ends() {
        assert_eq!(independent(71, 0.95).interval(0.025), None);
        assert!(independent(75, 0.95).interval(0.025).is_some());
        // All 100 values below the limit: 0.95^100 at best.
        let p = independent(100, 0.95).p_below(1e9);
        assert!((p - 0.95_f64.powi(100)).abs() < 1e-4, "{p}");
    }

    #[test]
    fn a_p_value_is_where_the_interval_ends() {
        let quantile = independent(400, 0.9);
        let (low, high) = quantile.interval(0.01).unwrap();
        assert!(quantile.p_above(low - 0.5) <= 0.01 && quantile.p_above(low + 0.5) > 0.01);
        assert!(quantile.p_below(high + 0.5) <= 0.01 && quantile.p_below(high - 0.5) > 0.01);
        assert!((quantile.p_above(400.0) - 1.0).abs() < 1e-12);
    }
}
