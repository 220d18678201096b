//! What k attempts at a task would give: pass@k and pass^k.

use timeslip_datasets::text::plural;

use super::{Effect, mean};

/// Share of tasks of which at least one of `k` attempts succeeds: the mean over tasks of
/// 1 − C(n−c, k)/C(n, k) for c successes out of n attempts (Chen et al., "Evaluating Large
/// Language Models Trained on Code", 2021), with a t interval over tasks. Each task is
/// (successes, attempts).
///
/// # Errors
/// No tasks, `k` of zero, a task with fewer than `k` attempts or with more successes than
/// attempts.
pub fn pass_at_k(tasks: &[(u64, u64)], k: u64) -> Result<Effect, String> {
    over_tasks(tasks, k, |successes, attempts| {
        1.0 - none_drawn(successes, attempts, k)
    })
}

/// Share of tasks of which all of `k` attempts succeed: the mean over tasks of
/// C(c, k)/C(n, k) (Yao et al., "τ-bench", 2024), with a t interval over tasks.
///
/// # Errors
/// As [`pass_at_k`].
pub fn pass_hat_k(tasks: &[(u64, u64)], k: u64) -> Result<Effect, String> {
    over_tasks(tasks, k, |successes, attempts| {
        none_drawn(attempts - successes, attempts, k)
    })
}

fn over_tasks(
    tasks: &[(u64, u64)],
    k: u64,
    estimate: impl Fn(u64, u64) -> f64,
) -> Result<Effect, String> {
    if k == 0 {
        return Err("k must be at least 1".to_owned());
    }
    let values = tasks
        .iter()
        .enumerate()
        .map(|(index, (successes, attempts))| {
            let place = || format!("task {} of {}", index + 1, tasks.len());
            if successes > attempts {
                Err(format!(
                    "{} has {} in {}",
                    place(),
                    counted(*successes, "success"),
                    counted(*attempts, "attempt")
                ))
            } else if *attempts < k {
                Err(format!(
                    "{} has {}, fewer than k = {k}",
                    place(),
                    counted(*attempts, "attempt")
                ))
            } else {
                Ok(estimate(*successes, *attempts))
            }
        })
        .collect::<Result<Vec<f64>, String>>()?;
    mean(&values).ok_or_else(|| "no tasks".to_owned())
}

/// The chance that `k` of `n` drawn without replacement avoid all `marked` ones, as the
/// product of its steps: binomials themselves would overflow.
fn none_drawn(marked: u64, n: u64, k: u64) -> f64 {
    if n - marked < k {
        return 0.0;
    }
    // Both products are the same number: the shorter one is taken.
    let (factors, among) = (k.min(marked), k.max(marked));
    (0..factors)
        .map(|step| 1.0 - among as f64 / (n - step) as f64)
        .product()
}

fn counted(n: u64, noun: &str) -> String {
    plural(usize::try_from(n).unwrap_or(usize::MAX), noun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // 1 − C(3, 2)/C(5, 2) = 0.7 and C(2, 2)/C(5, 2) = 0.1
        let tasks = [(2, 5)];
        assert!((pass_at_k(&tasks, 2).unwrap().point - 0.7).abs() < 1e-15);
        assert!((pass_hat_k(&tasks, 2).unwrap().point - 0.1).abs() < 1e-15);
        let tasks = [(0, 5), (5, 5)];
        assert!((pass_at_k(&tasks, 3).unwrap().point - 0.5).abs() < 1e-15);
        assert!((pass_hat_k(&tasks, 3).unwrap().point - 0.5).abs() < 1e-15);
    }

    #[test]
    fn too_few_attempts_are_an_error() {
        let error = pass_at_k(&[(1, 5), (1, 2)], 3).unwrap_err();
        assert_eq!(error, "task 2 of 2 has 2 attempts, fewer than k = 3");
        assert!(
            pass_hat_k(&[(3, 2)], 1)
                .unwrap_err()
                .contains("3 successes")
        );
        assert!(pass_at_k(&[], 1).is_err() && pass_at_k(&[(1, 1)], 0).is_err());
    }

    #[test]
    fn large_counts_neither_overflow_nor_take_long() {
        let effect = pass_at_k(&[(1, u64::MAX), (u64::MAX / 2, u64::MAX)], 1).unwrap();
        assert!((effect.point - 0.25).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn between_one_attempt_and_all(
            tasks in prop::collection::vec((0_u64..20, 0_u64..20), 1..20), k in 1_u64..8,
        ) {
            let tasks: Vec<(u64, u64)> =
                tasks.iter().map(|(c, failures)| (*c, c + failures + 8)).collect();
            let single = pass_at_k(&tasks, 1).unwrap().point;
            let (any, all) = (pass_at_k(&tasks, k).unwrap().point, pass_hat_k(&tasks, k).unwrap().point);
            prop_assert!(all <= single + 1e-12 && single <= any + 1e-12);
            prop_assert!((pass_hat_k(&tasks, 1).unwrap().point - single).abs() < 1e-12);
            let failed: Vec<(u64, u64)> = tasks.iter().map(|(c, n)| (n - c, *n)).collect();
            prop_assert!((pass_at_k(&failed, k).unwrap().point - (1.0 - all)).abs() < 1e-12);
        }
    }
}
