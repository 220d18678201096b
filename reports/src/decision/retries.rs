//! "Try until solved, up to k times", from attempts that were recorded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempts::{Attempt, Expected};
use super::figures::PolicyFigures;

/// The policy of one endpoint with some number of attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetryPolicy {
    /// Most attempts made at a task.
    pub up_to: u32,
    /// Tasks with at least so many recorded attempts: the ones it is computed from.
    pub tasks: usize,
    /// What it gives.
    #[serde(flatten)]
    pub figures: PolicyFigures,
}

/// Every policy that the attempts allow, fewest attempts first.
pub(super) fn policies(tasks: &[Vec<Attempt>]) -> Vec<RetryPolicy> {
    let most = tasks.iter().map(Vec::len).max().unwrap_or(0);
    (1..=most)
        .map(|up_to| {
            let able: Vec<&Vec<Attempt>> =
                tasks.iter().filter(|task| task.len() >= up_to).collect();
            let expected: Vec<Expected> =
                able.iter().filter_map(|task| expect(task, up_to)).collect();
            let trials = able.iter().map(|task| task.len()).sum();
            RetryPolicy {
                up_to: u32::try_from(up_to).unwrap_or(u32::MAX),
                tasks: able.len(),
                figures: PolicyFigures::of(&expected, trials),
            }
        })
        .collect()
}

/// What trying one task up to `up_to` times gives: the mean over all orders of its
/// attempts, in closed form. `None` with fewer attempts than that.
///
/// Attempt i comes at place j of a random order with probability 1/n and is made when
/// the j − 1 before it failed: C(f, j−1)/C(n−1, j−1) for f failures among the others.
/// The share solved that follows is pass@k as Chen et al. (2021) estimate it.
pub(super) fn expect(attempts: &[Attempt], up_to: usize) -> Option<Expected> {
    let n = attempts.len();
    if up_to == 0 || n < up_to {
        return None;
    }
    let failures = attempts.iter().filter(|attempt| !attempt.solved).count();
    let made_if_solves = chance_of_being_made(n, failures, up_to);
    let made_if_fails = chance_of_being_made(n, failures.saturating_sub(1), up_to);
    let chance = |attempt: &Attempt| {
        if attempt.solved {
            made_if_solves
        } else {
            made_if_fails
        }
    };
    let solves = attempts.iter().filter(|attempt| attempt.solved);
    let costs = attempts
        .iter()
        .map(|attempt| Some(chance(attempt) * attempt.cost_usd?));
    Some(Expected {
        // Not `sum`: of nothing that is −0.
        solved: solves.map(chance).fold(0.0, |a, b| a + b).min(1.0),
        ms: attempts.iter().map(|a| chance(a) * a.ms).sum(),
        cost_usd: costs.sum(),
    })
}

/// Chance that an attempt with some failures among the n − 1 others is made.
fn chance_of_being_made(n: usize, failures: usize, up_to: usize) -> f64 {
    let mut all_before_failed = 1.0;
    let mut sum = 0.0;
    for before in 0..up_to {
        sum += all_before_failed;
        let others = n - 1 - before;
        if others == 0 || failures <= before {
            break;
        }
        all_before_failed *= (failures - before) as f64 / others as f64;
    }
    sum / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every order of the indices 0..n.
    fn orders(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        orders(n - 1)
            .into_iter()
            .flat_map(|order| {
                (0..n).map(move |place| {
                    let mut order = order.clone();
                    order.insert(place, n - 1);
                    order
                })
            })
            .collect()
    }

    fn brute_force(attempts: &[Attempt], up_to: usize) -> Expected {
        let orders = orders(attempts.len());
        let mut total = Expected {
            cost_usd: Some(0.0),
            ..Expected::default()
        };
        for order in &orders {
            for index in order.iter().take(up_to) {
                let attempt = attempts[*index];
                total.ms += attempt.ms;
                total.cost_usd = total.cost_usd.zip(attempt.cost_usd).map(|(a, b)| a + b);
                if attempt.solved {
                    total.solved += 1.0;
                    break;
                }
            }
        }
        let count = orders.len() as f64;
        Expected {
            solved: total.solved / count,
            ms: total.ms / count,
            cost_usd: total.cost_usd.map(|cost| cost / count),
        }
    }

    #[test]
    fn one_attempt_is_the_mean() {
        let attempts = [(true, 10.0), (false, 30.0)].map(|(solved, ms)| Attempt {
            solved,
            ms,
            cost_usd: None,
        });
        let once = expect(&attempts, 1).unwrap();
        assert_eq!((once.solved, once.ms, once.cost_usd), (0.5, 20.0, None));
        // Half of the time the first one solves it, else both are made.
        let twice = expect(&attempts, 2).unwrap();
        assert_eq!((twice.solved, twice.ms), (1.0, 25.0));
        assert_eq!(expect(&attempts, 3), None);
    }

    proptest! {
        #[test]
        fn equals_the_mean_over_all_orders(
            attempts in prop::collection::vec((any::<bool>(), 1.0..1e6_f64, 0.0..10.0_f64), 1..7),
            up_to in 1..7_usize,
        ) {
            let attempts: Vec<Attempt> = attempts
                .into_iter()
                .map(|(solved, ms, cost)| Attempt { solved, ms, cost_usd: Some(cost) })
                .collect();
            prop_assume!(up_to <= attempts.len());
            let (fast, slow) = (expect(&attempts, up_to).unwrap(), brute_force(&attempts, up_to));
            prop_assert!((fast.solved - slow.solved).abs() < 1e-9);
            prop_assert!((fast.ms - slow.ms).abs() < 1e-6 * (1.0 + slow.ms));
            prop_assert!((fast.cost_usd.unwrap() - slow.cost_usd.unwrap()).abs() < 1e-9);
        }
    }
}
