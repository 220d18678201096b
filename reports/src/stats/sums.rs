//! Ratios of sums: tokens per second, mean milliseconds of a stage.

use super::Effect;
use super::degrees::degrees_of_freedom;
use super::effect::Spread;

/// Log of one ratio of sums over another: (Σ numerators ÷ Σ denominators of the first
/// side) ÷ (the same of the second), from each task's two (numerator, denominator). Zeros
/// in single tasks are fine.
///
/// The standard error is the jackknife's over tasks (Efron and Stein, 1981), with Student's
/// t and Satterthwaite's degrees of freedom, fewer where a few tasks make most of the
/// variance. Of linearised, jackknife and bootstrap intervals this one kept its 95 % best
/// in simulation, from 20 heavy-tailed tasks on.
///
/// # Errors
/// Fewer than two tasks, a value that is negative or not finite, or numerators or
/// denominators that add up to zero, with or without any single task.
pub fn sums_log_ratio(tasks: &[[(f64, f64); 2]]) -> Result<Effect, String> {
    let sides = [0, 1].map(|side| Sums::of(tasks.iter().map(|task| task[side])));
    let [first, second] = sides;
    let (first, second) = (first?, second?);
    let log = |first: &Sums, second: &Sums| (first.ratio() / second.ratio()).ln();
    let without: Vec<f64> = tasks
        .iter()
        .map(|[a, b]| log(&first.without(*a), &second.without(*b)))
        .collect();
    let point = log(&first, &second);
    let (error, degrees) = jackknife(point, &without)?;
    Ok(Effect::student(point, error, degrees, tasks.len()))
}

/// The ratio of sums of one side, Σ numerators ÷ Σ denominators, in their units. The
/// interval is of the same kind, of the logarithm: sums are skewed.
///
/// # Errors
/// As [`sums_log_ratio`], but the numerators may add up to zero: then there is a point
/// without an interval.
pub fn sums_effect(tasks: &[(f64, f64)]) -> Result<Effect, String> {
    let sums = Sums::of(tasks.iter().copied())?;
    let point = sums.ratio();
    if point <= 0.0 {
        let reason = "the numerators add up to zero, so an interval has no meaning";
        return Ok(Effect::point_only(point, tasks.len(), reason));
    }
    let without: Vec<f64> = tasks
        .iter()
        .map(|task| sums.without(*task).ratio().ln())
        .collect();
    let (error, degrees) = jackknife(point.ln(), &without)?;
    let spread = Spread::LogStudent { error, degrees };
    Ok(Effect::new(point, tasks.len(), spread))
}

struct Sums {
    numerator: f64,
    denominator: f64,
}

impl Sums {
    fn of(tasks: impl Iterator<Item = (f64, f64)>) -> Result<Self, String> {
        let mut sums = Sums {
            numerator: 0.0,
            denominator: 0.0,
        };
        for (numerator, denominator) in tasks {
            let usable = |value: f64| value.is_finite() && value >= 0.0;
            if !usable(numerator) || !usable(denominator) {
                return Err(format!(
                    "a task's sums are {numerator} and {denominator}: both must be zero or more"
                ));
            }
            sums.numerator += numerator;
            sums.denominator += denominator;
        }
        if sums.denominator > 0.0 {
            Ok(sums)
        } else {
            Err("the denominators add up to zero, so the ratio is undefined".to_owned())
        }
    }

    fn without(&self, (numerator, denominator): (f64, f64)) -> Self {
        Sums {
            numerator: (self.numerator - numerator).max(0.0),
            denominator: (self.denominator - denominator).max(0.0),
        }
    }

    fn ratio(&self) -> f64 {
        self.numerator / self.denominator
    }
}

/// Standard error and degrees of freedom, from the figure of all tasks and the figures
/// that leave out one each.
fn jackknife(point: f64, without: &[f64]) -> Result<(f64, f64), String> {
    let n = without.len();
    if n < 2 {
        return Err(format!("a comparison needs at least two tasks, not {n}"));
    }
    if !point.is_finite() {
        return Err("the numerators add up to zero, so the ratio has no logarithm".to_owned());
    }
    if without.iter().any(|value| !value.is_finite()) {
        return Err("all of a sum comes from one task, so its ratio has no error".to_owned());
    }
    let count = n as f64;
    let mean = without.iter().sum::<f64>() / count;
    let deviations: Vec<f64> = without.iter().map(|value| value - mean).collect();
    let squares: f64 = deviations
        .iter()
        .map(|deviation| deviation * deviation)
        .sum();
    let mut error = ((count - 1.0) / count * squares).sqrt();
    // Rounding alone leaves a little of it where every task has the same ratio.
    if error <= point.abs().max(1.0) * f64::EPSILON * count {
        error = 0.0;
    }
    Ok((error, degrees_of_freedom(&deviations)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_equal_denominators_it_is_the_mean() {
        let values: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i * 7 % 40)).collect();
        let tasks: Vec<(f64, f64)> = values.iter().map(|value| (*value, 1.0)).collect();
        let effect = sums_effect(&tasks).unwrap();
        let t = crate::stats::mean_interval(&values, "task")
            .interval()
            .unwrap();
        let (low, high) = effect.interval(0.95).unwrap();
        assert!((low - t.0).abs() < 0.2 && (high - t.1).abs() < 0.2);
        assert!((effect.point - 119.5).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let error = |tasks: &[[(f64, f64); 2]]| sums_log_ratio(tasks).unwrap_err();
        assert!(error(&[[(0.0, 1.0), (1.0, 1.0)]; 3]).contains("numerators"));
        assert!(error(&[[(1.0, 0.0), (1.0, 1.0)]; 3]).contains("denominators"));
        assert!(error(&[[(f64::NAN, 1.0), (1.0, 1.0)]; 3]).contains("NaN"));
        assert!(error(&[[(1.0, 1.0), (1.0, 1.0)]]).contains("two tasks"));
        let single = [[(1.0, 1.0), (1.0, 1.0)], [(0.0, 1.0), (1.0, 1.0)]];
        assert!(error(&single).contains("one task"));
        assert!(error(&[]).contains("zero"));
    }

    #[test]
    fn equal_ratios_claim_no_certainty() {
        let tasks: Vec<(f64, f64)> = (1..30)
            .map(|i| (f64::from(i) * 0.3, f64::from(i)))
            .collect();
        let estimate = sums_effect(&tasks).unwrap().estimate();
        assert!(
            estimate.interval().is_none() && estimate.reason.is_some(),
            "{estimate:?}"
        );
    }

    proptest! {
        #[test]
        fn swapping_sides_turns_the_ratio(
            tasks in prop::collection::vec(any::<[(u16, u8); 2]>(), 2..30),
        ) {
            let tasks: Vec<[(f64, f64); 2]> = tasks
                .iter()
                .map(|task| task.map(|(a, b)| (f64::from(a) + 1.0, f64::from(b) + 1.0)))
                .collect();
            let swapped: Vec<_> = tasks.iter().map(|[a, b]| [*b, *a]).collect();
            let (there, back) = (sums_log_ratio(&tasks).unwrap(), sums_log_ratio(&swapped).unwrap());
            prop_assert!((there.point + back.point).abs() < 1e-9);
            prop_assert!((there.p_above(0.1) - back.p_below(-0.1)).abs() < 1e-9);
        }
    }
}
