//! The order in which trials start.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use timeslip_datasets::run::journal::TrialKey;

/// Every trial of `tasks` (suite, task, attempts) on `endpoints`: pairs adjacent, in seeded
/// order and interleaved A B B A, so that drift of the machine or the network hits
/// both endpoints alike.
pub(super) fn interleaved(
    tasks: &[(&str, &str, u32)],
    endpoints: &[&str],
    seed: u64,
) -> Vec<TrialKey> {
    let most = tasks.iter().map(|(_, _, attempts)| *attempts).max();
    let mut cells: Vec<(&str, &str, u32)> = (1..=most.unwrap_or(0))
        .flat_map(|attempt| {
            let due = tasks
                .iter()
                .filter(move |(_, _, attempts)| attempt <= *attempts);
            due.map(move |(suite, task, _)| (*suite, *task, attempt))
        })
        .collect();
    shuffle(&mut cells, seed);
    let mut trials = Vec::with_capacity(cells.len() * endpoints.len());
    for (index, (suite, task, attempt)) in cells.into_iter().enumerate() {
        let key = |endpoint: &&str| TrialKey {
            suite: suite.to_owned(),
            task: task.to_owned(),
            endpoint: (*endpoint).to_owned(),
            attempt,
        };
        if index % 2 == 0 {
            trials.extend(endpoints.iter().map(key));
        } else {
            trials.extend(endpoints.iter().rev().map(key));
        }
    }
    trials
}

/// Fisher–Yates; the generator is portable, so a seed means the same order everywhere.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for last in (1..items.len()).rev() {
        // The modulo bias is below 2^-32 for any real number of tasks.
        let other = (random.next_u64() % (last as u64 + 1)) as usize;
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn every_trial_once_in_pairs_that_alternate(attempts in prop::collection::vec(1_u32..4, 0..12), seed: u64) {
            let names: Vec<String> = (0..attempts.len()).map(|number| format!("t{number}")).collect();
            let tasks: Vec<(&str, &str, u32)> = std::iter::zip(&names, &attempts)
                .map(|(name, attempts)| ("s", name.as_str(), *attempts))
                .collect();
            let trials = interleaved(&tasks, &["a", "b"], seed);
            prop_assert_eq!(trials.len(), 2 * attempts.iter().sum::<u32>() as usize);
            prop_assert_eq!(trials.iter().collect::<HashSet<_>>().len(), trials.len());
            for (index, pair) in trials.chunks(2).enumerate() {
                prop_assert_eq!((&pair[0].task, pair[0].attempt), (&pair[1].task, pair[1].attempt));
                let first = if index % 2 == 0 { "a" } else { "b" };
                prop_assert_eq!(pair[0].endpoint.as_str(), first);
                prop_assert_ne!(&pair[0].endpoint, &pair[1].endpoint);
            }
            prop_assert_eq!(interleaved(&tasks, &["a", "b"], seed), trials);
        }
    }
}
