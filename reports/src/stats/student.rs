//! Mean with a Student t interval.

use super::{Effect, Estimate};

/// Mean of independent values, one per task, with Student's t; `None` without values.
/// Values that do not vary leave no interval: a zero-width one would claim certainty.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Effect> {
    let n = values.len();
    let count = n as f64;
    let mean = values.iter().sum::<f64>() / count;
    if n < 2 {
        return (n == 1)
            .then(|| Effect::point_only(mean, n, "an interval needs at least two values"));
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
    // Rounding alone leaves a variance of about epsilon² on equal values.
    let error = if variance <= (mean.abs() * f64::EPSILON * 8.0).powi(2) {
        0.0
    } else {
        (variance / count).sqrt()
    };
    Some(Effect::student(mean, error, count - 1.0, n))
}

/// Mean of independent values with its 95 % t interval; `unit` is what a value stands
/// for, e.g. `"task"`.
///
/// Absent interval, with the reason, for fewer than two values or values that
/// do not vary.
#[must_use]
pub fn mean_interval(values: &[f64], unit: &str) -> Estimate {
    let Some(effect) = mean(values) else {
        return Estimate::absent(format!("no {unit}s to compare"));
    };
    let mut estimate = effect.estimate();
    if estimate.interval().is_none() {
        estimate.reason = Some(if effect.n < 2 {
            format!("an interval needs at least two {unit}s")
        } else {
            format!("every {unit} gave the same value, so an interval has no meaning")
        });
    }
    estimate
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.t.interval(.95, 4, loc=3, scale=sem([1, 2, 3, 4, 5]))
        let estimate = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0], "task");
        let (low, high) = estimate.interval().unwrap();
        assert!((low - 1.036_756_838_522).abs() < 1e-9 && (high - 4.963_243_161_477).abs() < 1e-9);
    }

    #[test]
    fn says_why_there_is_no_interval() {
        for values in [&[][..], &[2.0][..], &[2.0, 2.0, 2.0][..]] {
            let estimate = mean_interval(values, "task");
            assert!(estimate.interval().is_none() && estimate.reason.is_some());
        }
    }

    proptest! {
        #[test]
        fn interval_holds_the_mean(values in prop::collection::vec(-1e6..1e6_f64, 2..60)) {
            let estimate = mean_interval(&values, "task");
            if let Some((low, high)) = estimate.interval() {
                prop_assert!(low <= estimate.point.unwrap() && estimate.point.unwrap() <= high);
            }
        }
    }
}
