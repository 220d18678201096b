//! Tango's score test of paired proportions (Tango, "Equivalence Test and Confidence
//! Interval for the Difference in Proportions for the Paired-Sample Design", 1998).

use statrs::distribution::{ContinuousCDF, Normal};

/// Pairs of which only one side succeeded, out of all. Not necessarily whole: repeated
/// attempts count as fewer independent pairs than they are.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stats) struct Tango {
    /// Pairs in which the first side succeeded alone.
    pub(in crate::stats) first_only: f64,
    /// Pairs in which the second side did.
    pub(in crate::stats) second_only: f64,
    /// All pairs.
    pub(in crate::stats) pairs: f64,
}

impl Tango {
    pub(in crate::stats) fn difference(&self) -> f64 {
        (self.first_only - self.second_only) / self.pairs
    }

    /// The differences that the test does not reject at this tail. It exists without any
    /// discordant pair, too: then it is symmetric about zero.
    pub(in crate::stats) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let z = Normal::standard().inverse_cdf(1.0 - tail);
        let low = self.where_score_is(z, -1.0, self.difference());
        let high = self.where_score_is(-z, self.difference(), 1.0);
        (low < high).then_some((low, high))
    }

    pub(in crate::stats) fn p_above(&self, limit: f64) -> Option<f64> {
        let p = Normal::standard().sf(self.score(limit));
        p.is_finite().then_some(p)
    }

    pub(in crate::stats) fn p_below(&self, limit: f64) -> Option<f64> {
        let p = Normal::standard().cdf(self.score(limit));
        p.is_finite().then_some(p)
    }

    /// How many standard errors the observed difference lies above a true one. The
    /// standard error is the one under that difference, with the share of pairs for the
    /// second side alone at its maximum of likelihood.
    fn score(&self, difference: f64) -> f64 {
        let distance = self.first_only - self.second_only - self.pairs * difference;
        let a = 2.0 * self.pairs;
        let b = a * difference
            - (self.first_only + self.second_only)
            - (self.first_only - self.second_only) * difference;
        let c = -self.second_only * difference * (1.0 - difference);
        let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
        let second_only = (root - b) / (2.0 * a);
        let variance = self.pairs * (2.0 * second_only + difference * (1.0 - difference));
        if distance.abs() <= f64::EPSILON * self.pairs {
            0.0
        } else {
            // At the ends of −1 to 1 nothing varies: infinitely far.
            distance / variance.max(0.0).sqrt()
        }
    }

    /// By bisection: the score falls as the difference rises.
    fn where_score_is(&self, score: f64, mut low: f64, mut high: f64) -> f64 {
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.score(middle) > score {
                low = middle;
            } else {
                high = middle;
            }
        }
        f64::midpoint(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tango(first_only: u32, second_only: u32, pairs: u32) -> Tango {
        Tango {
            first_only: f64::from(first_only),
            second_only: f64::from(second_only),
            pairs: f64::from(pairs),
        }
    }

    #[test]
    fn without_discordant_pairs_the_interval_is_that_of_no_event() {
        let (low, high) = tango(0, 0, 50).interval(0.025).unwrap();
        let squared = 1.959_963_984_540_054_f64.powi(2);
        assert!((high - squared / (50.0 + squared)).abs() < 1e-9, "{high}");
        assert!((low + high).abs() < 1e-12);
    }

    #[test]
    fn at_zero_it_is_the_test_of_mcnemar() {
        // (12 − 4)/√16 = 2 standard errors.
        let p = tango(12, 4, 40).p_above(0.0).unwrap();
        assert!((p - 0.022_750_131_948_179).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn an_interval_is_what_the_test_does_not_reject(
            first in 0_u32..40, second in 0_u32..40, both in 0_u32..100, tail in 1e-4..0.4_f64,
        ) {
            let test = tango(first, second, (first + second + both).max(1));
            let (low, high) = test.interval(tail).unwrap();
            let difference = test.difference();
            prop_assert!(-1.0 <= low && low <= difference + 1e-9, "{low} {difference}");
            prop_assert!(difference - 1e-9 <= high && high <= 1.0);
            if low > -0.999 {
                prop_assert!((test.p_above(low).unwrap() - tail).abs() < 1e-6);
            }
            if high < 0.999 {
                prop_assert!((test.p_below(high).unwrap() - tail).abs() < 1e-6);
            }
        }
    }
}
