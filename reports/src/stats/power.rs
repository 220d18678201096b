//! What a comparison of a given size can find, and the size that finds a given effect.
//! Tests here are one-sided: a gate asks whether something became worse.

use statrs::distribution::{ContinuousCDF, Normal};

use super::effect::student;

/// A one-sided test: its level and the chance of finding what is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneSidedTest {
    /// Chance of a false alarm, e.g. 0.01.
    pub alpha: f64,
    /// Chance of an alarm when the effect is there, e.g. 0.9.
    pub power: f64,
}

impl OneSidedTest {
    fn valid(self) -> Option<Self> {
        let inside = |p: f64| p > 0.0 && p < 1.0;
        (inside(self.alpha) && inside(self.power) && self.power > self.alpha).then_some(self)
    }

    /// Standard errors between no effect and one found with the power asked for.
    fn distance(self, degrees: f64) -> Option<f64> {
        let t = student(degrees)?;
        Some(t.inverse_cdf(1.0 - self.alpha) + t.inverse_cdf(self.power))
    }
}

/// The smallest effect beyond the limit that is found with the power asked for, in the
/// unit of the standard error: (t(1−α) + t(power)) standard errors, Student's t with so
/// many degrees of freedom. `None` for a level or an error that is none.
#[must_use]
pub fn detectable_effect(standard_error: f64, degrees: f64, test: OneSidedTest) -> Option<f64> {
    let distance = test.valid()?.distance(degrees)?;
    (standard_error > 0.0 && standard_error.is_finite()).then_some(distance * standard_error)
}

/// Pairs (tasks) needed to find an effect of that size beyond the limit, when per-task
/// differences have that standard deviation: ((z(1−α) + z(power)) · deviation ÷ effect)²,
/// the usual formula for large samples. For log-ratios of two sides that each vary by s
/// within a task, the deviation is √2·s. `None` for an effect or a deviation that is not
/// positive.
#[must_use]
pub fn pairs_needed(deviation: f64, effect: f64, test: OneSidedTest) -> Option<u64> {
    let test = test.valid()?;
    let normal = Normal::standard();
    let distance = normal.inverse_cdf(1.0 - test.alpha) + normal.inverse_cdf(test.power);
    let pairs = (distance * deviation / effect).powi(2);
    (deviation > 0.0 && effect > 0.0 && pairs.is_finite()).then(|| pairs.ceil().max(2.0) as u64)
}

/// The smallest difference of success rates that McNemar's test of so many pairs finds, of
/// which a share (`discordant`) succeed on one side only: the δ that solves
/// z(1−α)·√ψ + z(power)·√(ψ−δ²) = δ·√n for the discordant share ψ (Miettinen, "The Matched
/// Pairs Design in the Case of All-or-None Responses", 1968). `None` where even δ = ψ, all
/// discordant pairs on one side, would not be found.
#[must_use]
pub fn detectable_difference(pairs: u64, discordant: f64, test: OneSidedTest) -> Option<f64> {
    let test = test.valid()?;
    if !(discordant > 0.0 && discordant <= 1.0) {
        return None;
    }
    let normal = Normal::standard();
    let (alpha, power) = (
        normal.inverse_cdf(1.0 - test.alpha),
        normal.inverse_cdf(test.power),
    );
    let missing = |difference: f64| {
        alpha * discordant.sqrt() + power * (discordant - difference * difference).max(0.0).sqrt()
            - difference * (pairs as f64).sqrt()
    };
    let (mut low, mut high) = (0.0, discordant);
    if missing(high) > 0.0 {
        return None;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if missing(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::SQRT_2;

    const LATENCY: OneSidedTest = OneSidedTest {
        alpha: 0.01,
        power: 0.9,
    };
    const QUALITY: OneSidedTest = OneSidedTest {
        alpha: 0.05,
        power: 0.8,
    };

    #[test]
    fn pairs_for_five_and_ten_per_cent() {
        for (each_side, effect, pairs) in [
            (0.15, 1.05_f64, 247),
            (0.25, 1.05, 684),
            (0.15, 1.1, 65),
            (0.25, 1.1, 180),
        ] {
            let needed = pairs_needed(SQRT_2 * each_side, effect.ln(), LATENCY);
            assert_eq!(needed, Some(pairs), "{each_side} {effect}");
        }
    }

    #[test]
    fn what_is_needed_is_what_is_detectable() {
        let deviation = SQRT_2 * 0.15;
        let pairs = pairs_needed(deviation, 1.05_f64.ln(), LATENCY).unwrap() as f64;
        let error = deviation / pairs.sqrt();
        let effect = detectable_effect(error, pairs - 1.0, LATENCY).unwrap();
        assert!((effect.exp() - 1.05).abs() < 5e-4, "{effect}");
    }

    #[test]
    fn rates_at_twenty_per_cent_discordant() {
        for (pairs, points) in [(100, 0.11), (200, 0.078), (500, 0.05)] {
            let difference = detectable_difference(pairs, 0.2, QUALITY).unwrap();
            assert!((difference - points).abs() < 5e-4, "{pairs} {difference}");
        }
    }

    #[test]
    fn what_cannot_be_asked_has_no_answer() {
        assert_eq!(detectable_difference(5, 0.2, QUALITY), None);
        assert_eq!(detectable_difference(0, 0.2, QUALITY), None);
        assert_eq!(detectable_difference(50, f64::NAN, QUALITY), None);
        assert_eq!(pairs_needed(0.1, 0.0, LATENCY), None);
        assert_eq!(pairs_needed(0.0, 0.1, LATENCY), None);
        for alpha in [0.0, 1.0, f64::NAN] {
            let test = OneSidedTest { alpha, power: 0.9 };
            assert_eq!(pairs_needed(0.1, 0.1, test), None);
            assert_eq!(detectable_effect(0.1, 9.0, test), None);
        }
        assert_eq!(detectable_effect(0.0, 9.0, LATENCY), None);
        assert_eq!(detectable_effect(0.1, 0.0, LATENCY), None);
    }
}
