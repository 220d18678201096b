//! Intervals and p-values from the estimates of resamples.

use statrs::distribution::{ContinuousCDF, Normal};

use super::student;
use crate::stats::quantile;

/// Which percentiles of the resamples are the ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::stats) enum Percentiles {
    /// Those of the interval's own tails.
    Plain,
    /// Farther out, so that the interval of a mean of so many clusters is as wide as
    /// Student's: plain ones are too narrow by √((n−1)/n) and by normal for t (Hesterberg,
    /// "What Teachers Should Know About the Bootstrap", 2015).
    Expanded(usize),
}

/// Estimates from resampled clusters.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stats) struct Resampled {
    ascending: Vec<f64>,
    percentiles: Percentiles,
}

impl Resampled {
    /// From estimates in any order.
    pub(in crate::stats) fn new(mut estimates: Vec<f64>, percentiles: Percentiles) -> Self {
        estimates.sort_unstable_by(f64::total_cmp);
        Resampled {
            ascending: estimates,
            percentiles,
        }
    }

    pub(in crate::stats) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let share = self.share(tail)?;
        // Farther out than the outermost resample nothing is known.
        if share * (self.ascending.len() as f64 + 1.0) < 1.0 {
            return None;
        }
        let low = quantile(&self.ascending, share)?;
        let high = quantile(&self.ascending, 1.0 - share)?;
        (low < high).then_some((low, high))
    }

    pub(in crate::stats) fn p_above(&self, limit: f64) -> Option<f64> {
        self.tail(self.share_below(limit))
    }

    pub(in crate::stats) fn p_below(&self, limit: f64) -> Option<f64> {
        self.tail(1.0 - self.share_below(limit))
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

    /// The share of resamples below the lower end of the interval with that tail.
    fn share(&self, tail: f64) -> Option<f64> {
        match self.percentiles {
            Percentiles::Plain => Some(tail),
            Percentiles::Expanded(n) => {
                let t = student(n as f64 - 1.0)?.inverse_cdf(tail);
                Some(Normal::standard().cdf(inflation(n) * t))
            }
        }
    }

    /// The other way round: the tail of the interval that ends where so many resamples
    /// lie below. As in a permutation test, never less than one resample of them all.
    fn tail(&self, share: f64) -> Option<f64> {
        let least = 1.0 / (self.ascending.len() + 1) as f64;
        let share = share.clamp(least, 1.0 - least);
        match self.percentiles {
            Percentiles::Plain => Some(share),
            Percentiles::Expanded(n) => {
                let z = Normal::standard().inverse_cdf(share);
                Some(student(n as f64 - 1.0)?.cdf(z / inflation(n)))
            }
        }
    }
}

fn inflation(clusters: usize) -> f64 {
    let n = clusters as f64;
    (n / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampled() -> Resampled {
        Resampled::new(
            (0..1000).rev().map(f64::from).collect(),
            Percentiles::Expanded(12),
        )
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
        assert_eq!(
            Resampled::new(vec![1.0; 9], Percentiles::Plain).interval(0.025),
            None
        );
    }
}
