//! The order in which trials start.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use timeslip_datasets::journal::TrialKey;

/// Every trial of `tasks` (suite and task) on `endpoints`: pairs adjacent, in seeded
/// order and interleaved A B B A, so that drift of the machine or the network hits
/// both endpoints alike.
pub(super) fn interleaved(
    tasks: &[(&str, &str)],
    endpoints: &[&str],
    attempts: u32,
    seed: u64,
) -> Vec<TrialKey> {
    let mut cells: Vec<(&str, &str, u32)> = (1..=attempts)
        .flat_map(|attempt| {
            tasks
                .iter()
                .map(move |(suite, task)| (*suite, *task, attempt))
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
        fn every_trial_once_in_pairs_that_alternate(count in 0_usize..12, attempts in 1_u32..4, seed: u64) {
            let names: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
            let tasks: Vec<(&str, &str)> = names.iter().map(|name| ("s", name.as_str())).collect();
            let trials = interleaved(&tasks, &["a", "b"], attempts, seed);
            prop_assert_eq!(trials.len(), count * 2 * attempts as usize);
            prop_assert_eq!(trials.iter().collect::<HashSet<_>>().len(), trials.len());
            for (index, pair) in trials.chunks(2).enumerate() {
                prop_assert_eq!((&pair[0].task, pair[0].attempt), (&pair[1].task, pair[1].attempt));
                let first = if index % 2 == 0 { "a" } else { "b" };
                prop_assert_eq!(pair[0].endpoint.as_str(), first);
                prop_assert_ne!(&pair[0].endpoint, &pair[1].endpoint);
            }
            prop_assert_eq!(interleaved(&tasks, &["a", "b"], attempts, seed), trials);
        }
    }
}
