//! An estimated effect that answers at any level of confidence.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{CONFIDENCE, Estimate, quantile};

/// An effect with what is needed to ask how sure it is: a report asks for its 95 %
/// interval, a gate for the chance of what it saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The estimate itself.
    pub point: f64,
    /// Independent units behind it: tasks.
    pub n: usize,
    spread: Spread,
}

#[derive(Clone, Debug, PartialEq)]
enum Spread {
    /// Standard error and degrees of freedom.
    Student { error: f64, degrees: f64 },
    /// Estimates from resampled clusters, ascending.
    Resamples(Vec<f64>),
}

impl Effect {
    /// An estimate whose error follows Student's t.
    #[must_use]
    pub fn student(point: f64, error: f64, degrees: f64, n: usize) -> Self {
        let spread = Spread::Student { error, degrees };
        Effect { point, n, spread }
    }

    /// An estimate with the estimates of its resamples, in ascending order.
    #[must_use]
    pub(super) fn resampled(point: f64, ascending: Vec<f64>, n: usize) -> Self {
        let spread = Spread::Resamples(ascending);
        Effect { point, n, spread }
    }

    /// The two-sided interval at a level of confidence, e.g. 0.95; `None` where none
    /// exists.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let tail = (1.0 - confidence) / 2.0;
        match &self.spread {
            Spread::Student { error, degrees } => {
                let half = error * student(*degrees)?.inverse_cdf(1.0 - tail);
                Some((self.point - half, self.point + half))
            }
            Spread::Resamples(ascending) => {
                let tail = expanded(tail, self.n)?;
                Some((quantile(ascending, tail)?, quantile(ascending, 1.0 - tail)?))
            }
        }
    }

    /// How probable an estimate as high as this one is when the true effect is at most
    /// `limit`: the smallest one-sided level at which the interval lies above it.
    #[must_use]
    pub fn p_above(&self, limit: f64) -> f64 {
        self.p_one_sided(|(low, _)| low > limit)
    }

    /// Likewise when the true effect is at least `limit`.
    #[must_use]
    pub fn p_below(&self, limit: f64) -> f64 {
        self.p_one_sided(|(_, high)| high < limit)
    }

    fn p_one_sided(&self, beyond: impl Fn((f64, f64)) -> bool) -> f64 {
        let holds = |p: f64| self.interval(1.0 - 2.0 * p).is_some_and(&beyond);
        if !holds(0.5 - 1e-9) {
            return 1.0;
        }
        // Bisection over the exponent: a gate asks for small values.
        let (mut impossible, mut possible) = (1e-12_f64.ln(), (0.5_f64 - 1e-9).ln());
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

    /// The estimate with its 95 % interval.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        match self.interval(CONFIDENCE) {
            Some((low, high)) => Estimate {
                point: Some(self.point),
                low: Some(low),
                high: Some(high),
                n: self.n,
                reason: None,
            },
            None => Estimate::point_only(self.point, self.n, "too few tasks for an interval"),
        }
    }
}

fn student(degrees: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, degrees).ok()
}

/// The tail at which percentiles of resamples have the width of a t interval of `n`
/// units: plain ones are too narrow by √((n−1)/n) and by normal for t (Hesterberg,
/// "What Teachers Should Know About the Bootstrap", 2015, expanded percentiles).
fn expanded(tail: f64, n: usize) -> Option<f64> {
    let n = n as f64;
    let t = student(n - 1.0)?.inverse_cdf(tail);
    Some(Normal::standard().cdf((n / (n - 1.0)).sqrt() * t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_value_is_where_the_interval_ends() {
        // scipy.stats.t.sf(2, 9)
        let effect = Effect::student(2.0, 1.0, 9.0, 10);
        assert!((effect.p_above(0.0) - 0.038_276_411_798_653).abs() < 1e-6);
        assert!((effect.p_below(4.0) - 0.038_276_411_798_653).abs() < 1e-6);
        assert!((effect.p_above(3.0) - 1.0).abs() < 1e-9);
    }
}
