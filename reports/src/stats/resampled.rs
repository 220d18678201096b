//! Intervals and p-values from the estimates of resamples.

use statrs::distribution::{ContinuousCDF, Normal};

use super::effect::student;
use super::quantile;

/// Estimates from resampled clusters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resampled {
    ascending: Vec<f64>,
    /// How many clusters each resample drew.
    clusters: usize,
}

impl Resampled {
    /// From estimates in any order.
    pub(super) fn new(mut estimates: Vec<f64>, clusters: usize) -> Self {
        estimates.sort_unstable_by(f64::total_cmp);
        Resampled {
            ascending: estimates,
            clusters,
        }
    }

    pub(super) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let share = self.expanded(tail)?;
        let low = quantile(&self.ascending, share)?;
        let high = quantile(&self.ascending, 1.0 - share)?;
        (low < high).then_some((low, high))
    }

    pub(super) fn p_above(&self, limit: f64) -> Option<f64> {
        self.contracted(self.share_below(limit))
    }

    pub(super) fn p_below(&self, limit: f64) -> Option<f64> {
        self.contracted(1.0 - self.share_below(limit))
    }

    /// The share at which `limit` is the quantile of the resamples.
    fn share_below(&self, limit: f64) -> f64 {
        let (last, above) = (
            self.ascending.len() - 1,
            self.ascending.partition_point(|value| *value <= limit),
        );
        if above == 0 {
            return 0.0;
        }
        let Some(next) = self.ascending.get(above) else {
            return 1.0;
        };
        let low = self.ascending[above - 1];
        ((above - 1) as f64 + (limit - low) / (next - low)) / last as f64
    }

    /// The tail at which percentiles of resamples have the width of a t interval of `n`
    /// units: plain ones are too narrow by √((n−1)/n) and by normal for t (Hesterberg,
    /// "What Teachers Should Know About the Bootstrap", 2015, expanded percentiles).
    fn expanded(&self, tail: f64) -> Option<f64> {
        let t = student(self.clusters as f64 - 1.0)?.inverse_cdf(tail);
        Some(Normal::standard().cdf(self.inflation() * t))
    }

    /// The other way round: the level of which a share of resamples is the tail. As in a
    /// permutation test, never less than one resample of them all.
    fn contracted(&self, share: f64) -> Option<f64> {
        let least = 1.0 / (self.ascending.len() + 1) as f64;
        let z = Normal::standard().inverse_cdf(share.clamp(least, 1.0 - least));
        Some(student(self.clusters as f64 - 1.0)?.cdf(z / self.inflation()))
    }

    fn inflation(&self) -> f64 {
        let n = self.clusters as f64;
        (n / (n - 1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampled() -> Resampled {
        Resampled::new((0..1000).rev().map(f64::from).collect(), 12)
    }

    #[test]
    fn a_p_value_is_where_the_interval_ends() {
        let resampled = resampled();
        for tail in [0.3, 0.1, 0.025, 0.01] {
            let (low, high) = resampled.interval(tail).unwrap();
            assert!((resampled.p_above(low).unwrap() - tail).abs() < 1e-6);
            assert!((resampled.p_below(high).unwrap() - tail).abs() < 1e-6);
        }
    }

    #[test]
    fn a_limit_beyond_every_resample_is_not_certain() {
        let resampled = resampled();
        for p in [resampled.p_above(-5.0), resampled.p_below(2000.0)] {
            let p = p.unwrap();
            assert!(p > 1e-3 && p < 1e-2, "{p}");
        }
        assert!(resampled.p_above(2000.0).unwrap() > 0.99);
        assert_eq!(Resampled::new(vec![1.0; 9], 5).interval(0.025), None);
    }
}
