//! An estimated effect that answers at any level of confidence.

pub(super) mod resampled;
pub(super) mod signed_rank;
pub(super) mod tango;
pub(super) mod wilson;
pub(super) mod woodruff;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{CONFIDENCE, Estimate};
use resampled::Resampled;
use signed_rank::SignedRank;
use tango::Tango;
use wilson::Wilson;
use woodruff::Woodruff;

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

/// Where the intervals and the p-values of an effect come from. Each kind gives both
/// from one test, so that they never contradict each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Spread {
    /// Standard error and degrees of freedom.
    Student { error: f64, degrees: f64 },
    /// Those of the estimate's logarithm.
    LogStudent { error: f64, degrees: f64 },
    /// Estimates from resampled clusters.
    Resampled(Resampled),
    /// The signed-rank test of single values.
    SignedRank(SignedRank),
    /// The score test of paired proportions.
    Tango(Tango),
    /// The score test of one proportion.
    Wilson(Wilson),
    /// The share of values below a quantile.
    Woodruff(Woodruff),
    /// None, and why.
    Unknown(String),
}

impl Effect {
    pub(super) fn new(point: f64, n: usize, spread: Spread) -> Self {
        Effect { point, n, spread }
    }

    /// An estimate whose error follows Student's t.
    #[must_use]
    pub fn student(point: f64, error: f64, degrees: f64, n: usize) -> Self {
        Effect::new(point, n, Spread::Student { error, degrees })
    }

    /// An estimate without an interval, and why there is none.
    #[must_use]
    pub fn point_only(point: f64, n: usize, reason: impl Into<String>) -> Self {
        Effect::new(point, n, Spread::Unknown(reason.into()))
    }

    /// The two-sided interval at a level of confidence, e.g. 0.95; `None` where none
    /// exists.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let tail = (1.0 - confidence) / 2.0;
        if !(tail > 0.0 && tail < 0.5) {
            return None;
        }
        match &self.spread {
            Spread::Student { error, degrees } => {
                let half = positive(*error)? * student(*degrees)?.inverse_cdf(1.0 - tail);
                Some((self.point - half, self.point + half))
            }
            Spread::LogStudent { error, degrees } => {
                let half = positive(*error)? * student(*degrees)?.inverse_cdf(1.0 - tail);
                Some((self.point * (-half).exp(), self.point * half.exp()))
            }
            Spread::Resampled(resampled) => resampled.interval(tail),
            Spread::SignedRank(test) => test.interval(tail),
            Spread::Tango(test) => test.interval(tail),
            Spread::Wilson(test) => test.interval(tail),
            Spread::Woodruff(share) => share.interval(tail),
            Spread::Unknown(_) => None,
        }
    }

    /// How probable an estimate as high as this one is when the true effect is at most
    /// `limit`: the one-sided level at which the interval begins to lie above it.
    /// 1 where there is no interval.
    #[must_use]
    pub fn p_above(&self, limit: f64) -> f64 {
        let p = match &self.spread {
            Spread::Student { error, degrees } => {
                student_tail(self.point - limit, *error, *degrees)
            }
            Spread::LogStudent { error, degrees } => {
                let distance = self.point.ln() - limit.max(0.0).ln();
                student_tail(distance, *error, *degrees)
            }
            Spread::Resampled(resampled) => resampled.p_above(limit),
            Spread::SignedRank(test) => test.p_above(limit),
            Spread::Tango(test) => test.p_above(limit),
            Spread::Wilson(test) => test.p_above(limit),
            Spread::Woodruff(share) => Some(share.p_above(limit)),
            Spread::Unknown(_) => None,
        };
        p.unwrap_or(1.0)
    }

    /// Likewise when the true effect is at least `limit`.
    #[must_use]
    pub fn p_below(&self, limit: f64) -> f64 {
        let p = match &self.spread {
            Spread::Student { error, degrees } => {
                student_tail(limit - self.point, *error, *degrees)
            }
            Spread::LogStudent { error, degrees } => {
                let distance = limit.max(0.0).ln() - self.point.ln();
                student_tail(distance, *error, *degrees)
            }
            Spread::Resampled(resampled) => resampled.p_below(limit),
            Spread::SignedRank(test) => test.p_below(limit),
            Spread::Tango(test) => test.p_below(limit),
            Spread::Wilson(test) => test.p_below(limit),
            Spread::Woodruff(share) => Some(share.p_below(limit)),
            Spread::Unknown(_) => None,
        };
        p.unwrap_or(1.0)
    }

    /// How probable an estimate as far from `limit` as this one is, on either side, when
    /// that is the true effect. 1 where there is no interval.
    #[must_use]
    pub fn p_two_sided(&self, limit: f64) -> f64 {
        (2.0 * self.p_above(limit).min(self.p_below(limit))).min(1.0)
    }

    /// The standard error, for what a repetition could find: exact for Student's t, else
    /// what a normal distribution with the same 95 % interval has.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        if let Spread::Student { error, .. } = &self.spread {
            return positive(*error);
        }
        let (low, high) = self.interval(CONFIDENCE)?;
        Some((high - low) / (2.0 * Normal::standard().inverse_cdf(0.5 + CONFIDENCE / 2.0)))
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
            None => Estimate::point_only(self.point, self.n, self.no_interval()),
        }
    }

    fn no_interval(&self) -> String {
        match &self.spread {
            Spread::Unknown(reason) => reason.clone(),
            Spread::Student { error, .. } | Spread::LogStudent { error, .. }
                if positive(*error).is_none() =>
            {
                "every task gave the same value, so an interval has no meaning".to_owned()
            }
            Spread::SignedRank(test) => test.no_interval(),
            _ => "too few tasks for an interval".to_owned(),
        }
    }
}

pub(super) fn student(degrees: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, degrees).ok()
}

/// A zero error would claim certainty.
fn positive(error: f64) -> Option<f64> {
    (error > 0.0 && error.is_finite()).then_some(error)
}

fn student_tail(distance: f64, error: f64, degrees: f64) -> Option<f64> {
    let errors = distance / positive(error)?;
    if errors.is_nan() {
        return None;
    }
    // Beyond that the square, which the distribution takes, would be infinite.
    Some(student(degrees)?.sf(errors.clamp(-1e100, 1e100)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_value_is_where_the_interval_ends() {
        // scipy.stats.t.sf(2, 9)
        let effect = Effect::student(2.0, 1.0, 9.0, 10);
        assert!((effect.p_above(0.0) - 0.038_276_411_798_653).abs() < 1e-9);
        assert!((effect.p_below(4.0) - 0.038_276_411_798_653).abs() < 1e-9);
        assert!((effect.p_above(2.0) - 0.5).abs() < 1e-12);
        let (low, high) = effect.interval(0.9).unwrap();
        assert!((effect.p_above(low) - 0.05).abs() < 1e-9);
        assert!((effect.p_below(high) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn no_error_is_no_certainty() {
        let effect = Effect::student(2.0, 0.0, 9.0, 10);
        assert_eq!((effect.interval(0.95), effect.p_above(0.0)), (None, 1.0));
        assert!(effect.estimate().reason.unwrap().contains("same value"));
        assert_eq!(effect.standard_error(), None);
        let unknown = Effect::point_only(1.0, 3, "too few");
        assert_eq!(unknown.estimate().reason.as_deref(), Some("too few"));
        assert_eq!((unknown.p_above(0.0), unknown.p_below(0.0)), (1.0, 1.0));
    }

    #[test]
    fn a_logarithm_keeps_the_interval_positive() {
        let (error, degrees) = (1.0, 9.0);
        let effect = Effect::new(2.0, 10, Spread::LogStudent { error, degrees });
        let (low, high) = effect.interval(0.9).unwrap();
        assert!((low * high - 4.0).abs() < 1e-9 && low > 0.0);
        assert!((effect.p_above(low) - 0.05).abs() < 1e-9);
        assert!((effect.p_below(high) - 0.05).abs() < 1e-9);
        assert!(effect.p_above(-1.0) < 1e-12 && effect.p_below(0.0) > 0.999);
    }

    #[test]
    fn a_level_that_is_none_has_no_interval() {
        let effect = Effect::student(2.0, 1.0, 9.0, 10);
        for level in [f64::NAN, -1.0, 0.0, 1.0, 2.0] {
            assert_eq!(effect.interval(level), None, "{level}");
        }
        assert_eq!(Effect::student(f64::NAN, 1.0, 9.0, 10).p_above(0.0), 1.0);
    }
}
