//! Paired comparisons, with tasks as clusters.
//!
//! Attempts are averaged within their task first, so that a task with many
//! attempts counts once and the interval's unit is the task.

use super::{Effect, Estimate, mean, mean_interval};

/// How many times sooner the second of each pair was than the first: the
/// geometric mean over tasks of the per-task geometric mean of `first/second`.
///
/// Above 1 the second is sooner. Pairs with a time that is not positive are
/// left out: their ratio is undefined.
#[must_use]
pub fn time_ratio(per_task: &[Vec<(f64, f64)>]) -> Estimate {
    mean_interval(&log_ratios(per_task), "task").map(f64::exp)
}

/// The logarithm of [`time_ratio`], for tests; `None` where there is nothing to compare.
#[must_use]
pub fn log_time_ratio(per_task: &[Vec<(f64, f64)>]) -> Option<Effect> {
    mean(&log_ratios(per_task))
}

fn log_ratios(per_task: &[Vec<(f64, f64)>]) -> Vec<f64> {
    task_means(per_task, |(first, second)| {
        (*first > 0.0 && *second > 0.0).then(|| (first / second).ln())
    })
}

/// The mean of each task's defined values; tasks without any are left out.
pub(super) fn task_means<T>(per_task: &[Vec<T>], value: impl Fn(&T) -> Option<f64>) -> Vec<f64> {
    per_task
        .iter()
        .filter_map(|attempts| {
            let values: Vec<f64> = attempts
                .iter()
                .filter_map(&value)
                .filter(|v| v.is_finite())
                .collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attempts_count_within_their_task() {
        let tasks = vec![vec![(8.0, 2.0), (2.0, 2.0)], vec![(2.0, 1.0)]];
        let estimate = time_ratio(&tasks);
        assert!((estimate.point.unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(estimate.n, 2);
    }

    #[test]
    fn undefined_pairs_are_left_out() {
        let estimate = time_ratio(&[vec![(0.0, 1.0)], vec![(1.0, 0.0)]]);
        assert_eq!((estimate.point, estimate.n), (None, 0));
        assert!(estimate.reason.is_some());
    }

    /// A small deterministic generator: uniform values in 0..1.
    fn uniforms(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn interval_covers_the_truth_about_95_times_in_100() {
        let mut uniform = uniforms(7);
        let runs = 2000;
        let covered = (0..runs)
            .filter(|_| {
                let tasks: Vec<Vec<(f64, f64)>> = (0..24)
                    .map(|_| {
                        // Irwin–Hall noise on the log scale around a true ratio of 3.
                        let task: f64 = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                        (0..2)
                            .map(|_| {
                                (
                                    (3.0_f64.ln() + 0.2 * task + 0.1 * (uniform() - 0.5)).exp(),
                                    1.0,
                                )
                            })
                            .collect()
                    })
                    .collect();
                time_ratio(&tasks).may_be(3.0)
            })
            .count();
        let coverage = covered as f64 / f64::from(runs);
        assert!((0.935..=0.965).contains(&coverage), "coverage {coverage}");
    }

    proptest! {
        #[test]
        fn swapping_sides_inverts_the_ratio(
            tasks in prop::collection::vec(
                prop::collection::vec((1.0..1e9_f64, 1.0..1e9_f64), 1..4), 2..30),
        ) {
            let swapped: Vec<Vec<(f64, f64)>> = tasks
                .iter()
                .map(|attempts| attempts.iter().map(|(a, b)| (*b, *a)).collect())
                .collect();
            let (there, back) = (time_ratio(&tasks), time_ratio(&swapped));
            prop_assert!((there.point.unwrap() * back.point.unwrap() - 1.0).abs() < 1e-6);
            if let (Some((low, _)), Some((_, high))) = (there.interval(), back.interval()) {
                prop_assert!((low * high - 1.0).abs() < 1e-6);
            }
        }

        #[test]
        fn scaling_both_sides_changes_nothing(
            tasks in prop::collection::vec(
                prop::collection::vec((1.0..1e6_f64, 1.0..1e6_f64), 1..4), 1..20),
            factor in 0.001..1000.0_f64,
        ) {
            let scaled: Vec<Vec<(f64, f64)>> = tasks
                .iter()
                .map(|attempts| attempts.iter().map(|(a, b)| (a * factor, b * factor)).collect())
                .collect();
            let (a, b) = (time_ratio(&tasks).point.unwrap(), time_ratio(&scaled).point.unwrap());
            prop_assert!((a / b - 1.0).abs() < 1e-9);
        }
    }
}
