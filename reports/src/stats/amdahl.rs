//! Amdahl's law (1967): what a task gains when one part of it becomes faster.

use super::paired::task_means;
use super::{Estimate, mean_interval};

/// How many times sooner tasks would finish if a part of each were `times` as fast: the
/// geometric mean over tasks of `wall / (wall − part · (1 − 1/times))`, with a t interval
/// on the logarithms.
///
/// Each pair is (wall, part) of one attempt. Attempts that would take no time at all have
/// no finite gain and are left out.
#[must_use]
pub fn part_faster(per_task: &[Vec<(f64, f64)>], times: f64) -> Estimate {
    let saved = 1.0 - 1.0 / times;
    let logs = task_means(per_task, |(wall, part)| {
        let rest = wall - part * saved;
        (*wall > 0.0 && (0.0..=*wall).contains(part) && rest > 0.0).then(|| (wall / rest).ln())
    });
    // On the logarithm the interval may reach to the side where nothing can be.
    let side = |log: f64| {
        if saved < 0.0 {
            log.min(0.0)
        } else {
            log.max(0.0)
        }
    };
    mean_interval(&logs, "task").map(|log| side(log).exp())
}

/// The ceiling on what a faster part can give: [`part_faster`] with a part that takes no
/// time.
#[must_use]
pub fn amdahl_limit(per_task: &[Vec<(f64, f64)>]) -> Estimate {
    part_faster(per_task, f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_decode_gives_two() {
        let limit = amdahl_limit(&[vec![(10.0, 5.0)], vec![(2.0, 1.0), (4.0, 2.0)]]);
        assert!((limit.point.unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(amdahl_limit(&[vec![(3.0, 3.0)], vec![]]).point, None);
    }

    #[test]
    fn a_part_twice_as_fast_saves_half_of_it_and_a_slower_one_costs() {
        let tasks = [vec![(10.0, 4.0)], vec![(10.0, 4.0)]];
        assert!((part_faster(&tasks, 2.0).point.unwrap() - 10.0 / 8.0).abs() < 1e-12);
        assert!((part_faster(&tasks, 0.5).point.unwrap() - 10.0 / 14.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn never_below_one_and_never_above_the_limit(
            tasks in prop::collection::vec(
                prop::collection::vec((0.0..1e12_f64, 0.0..1e12_f64), 0..4), 0..30),
            times in 1.0..1e3_f64,
        ) {
            let (faster, limit) = (part_faster(&tasks, times), amdahl_limit(&tasks));
            if let (Some(faster), Some(limit)) = (faster.point, limit.point) {
                prop_assert!(faster >= 1.0 && limit >= 1.0);
                // Attempts that are nothing but the part have no finite limit.
                if tasks.iter().flatten().all(|(wall, part)| part < wall) {
                    prop_assert!(faster <= limit * (1.0 + 1e-9));
                }
            }
            if let Some((low, _)) = limit.interval() {
                prop_assert!(low >= 1.0);
            }
        }
    }
}
