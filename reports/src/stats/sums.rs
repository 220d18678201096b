//! Ratios of sums: tokens per second, mean milliseconds of a stage.

use super::Effect;

/// Log of one ratio of sums over another: (Σ numerators ÷ Σ denominators of the first
/// side) ÷ (the same of the second), from each task's two (numerator, denominator). Zeros
/// in single tasks are fine.
///
/// The interval linearises the ratio: each task has its influence on the logarithm, and
/// tasks are independent.
///
/// # Errors
/// Fewer than two tasks, a value that is negative or not finite, or a sum of zero.
pub fn sums_log_ratio(tasks: &[[(f64, f64); 2]]) -> Result<Effect, String> {
    let side = |index: usize| -> Vec<(f64, f64)> { tasks.iter().map(|task| task[index]).collect() };
    let (first, second) = (Sums::of(&side(0))?, Sums::of(&side(1))?);
    let influences: Vec<f64> = tasks
        .iter()
        .map(|[a, b]| first.influence_on_log(*a) - second.influence_on_log(*b))
        .collect();
    linearised((first.ratio() / second.ratio()).ln(), &influences)
}

/// The ratio of sums of one side, Σ numerators ÷ Σ denominators, in their units.
///
/// # Errors
/// As [`sums_log_ratio`], but the numerators may add up to zero.
pub fn sums_effect(tasks: &[(f64, f64)]) -> Result<Effect, String> {
    let sums = Sums::of(tasks)?;
    let influences: Vec<f64> = tasks.iter().map(|task| sums.influence(*task)).collect();
    linearised(sums.ratio(), &influences)
}

struct Sums {
    numerator: f64,
    denominator: f64,
}

impl Sums {
    fn of(tasks: &[(f64, f64)]) -> Result<Self, String> {
        let usable = |value: f64| value.is_finite() && value >= 0.0;
        if let Some((a, b)) = tasks.iter().find(|(a, b)| !usable(*a) || !usable(*b)) {
            return Err(format!(
                "a task's sums are {a} and {b}: not both zero or more"
            ));
        }
        let sums = Sums {
            numerator: tasks.iter().map(|(numerator, _)| numerator).sum(),
            denominator: tasks.iter().map(|(_, denominator)| denominator).sum(),
        };
        if sums.denominator > 0.0 {
            Ok(sums)
        } else {
            Err("the denominators add up to zero, so the ratio is undefined".to_owned())
        }
    }

    fn ratio(&self) -> f64 {
        self.numerator / self.denominator
    }

    /// How much one task moves the ratio, to first order.
    fn influence(&self, (numerator, denominator): (f64, f64)) -> f64 {
        (numerator - self.ratio() * denominator) / self.denominator
    }

    fn influence_on_log(&self, (numerator, denominator): (f64, f64)) -> f64 {
        numerator / self.numerator - denominator / self.denominator
    }
}

fn linearised(point: f64, influences: &[f64]) -> Result<Effect, String> {
    let n = influences.len();
    if n < 2 {
        return Err(format!("a comparison needs at least two tasks, not {n}"));
    }
    if !point.is_finite() {
        return Err("the numerators add up to zero, so the ratio has no logarithm".to_owned());
    }
    let count = n as f64;
    // Influences have a mean of zero.
    let squares: f64 = influences
        .iter()
        .map(|influence| influence * influence)
        .sum();
    let error = (squares * count / (count - 1.0)).sqrt();
    Ok(Effect::student(point, error, count - 1.0, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_equal_denominators_it_is_the_mean() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        let tasks: Vec<(f64, f64)> = values.iter().map(|value| (*value, 1.0)).collect();
        let effect = sums_effect(&tasks).unwrap();
        let t = crate::stats::mean_interval(&values, "task")
            .interval()
            .unwrap();
        let (low, high) = effect.interval(0.95).unwrap();
        assert!((low - t.0).abs() < 1e-9 && (high - t.1).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let error = |tasks: &[[(f64, f64); 2]]| sums_log_ratio(tasks).unwrap_err();
        assert!(error(&[[(0.0, 1.0), (1.0, 1.0)]; 3]).contains("numerators"));
        assert!(error(&[[(1.0, 0.0), (1.0, 1.0)]; 3]).contains("denominators"));
        assert!(error(&[[(f64::NAN, 1.0), (1.0, 1.0)]; 3]).contains("NaN"));
        assert!(error(&[[(1.0, 1.0), (1.0, 1.0)]]).contains("two tasks"));
        assert!(error(&[]).contains("zero"));
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
