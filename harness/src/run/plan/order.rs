//! The order in which trials start.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use timeslip_datasets::run::journal::TrialKey;

/// Every trial of `tasks` (suite, task, attempts) on `endpoints`: the trials of one attempt
/// adjacent, attempts in seeded order, and the endpoints of each in an order that
/// [`balanced`] gives, so that drift of the machine or the network hits all of them alike.
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
        let order = balanced(endpoints.len(), index).into_iter();
        trials.extend(order.map(|place| TrialKey {
            suite: suite.to_owned(),
            task: task.to_owned(),
            endpoint: endpoints[place].to_owned(),
            attempt,
        }));
    }
    trials
}

/// The order of `count` endpoints in the block of that index: A B, B A for two.
///
/// Blocks come in twos, an order and its reverse, so that after each two every endpoint
/// has had the same mean place. The orders are those of a Williams design
/// (Williams 1949, Aust. J. Sci. Res. A 2:149): after `count` blocks, twice as many where
/// it is odd, every endpoint has been in every place, and after every other one, equally
/// often.
fn balanced(count: usize, block: usize) -> Vec<usize> {
    // An even number's reversed orders are orders of the same square.
    let shifts = if count.is_multiple_of(2) {
        count / 2
    } else {
        count
    };
    let shift = block / 2 % shifts.max(1);
    // 0, 1, n − 1, 2, n − 2 …: no two neighbours are as far apart as two others.
    let zigzag = (0..count).map(|place| match place % 2 {
        0 => (count - place / 2) % count,
        _ => place / 2 + 1,
    });
    let order = zigzag.map(|endpoint| (endpoint + shift) % count);
    match block % 2 {
        0 => order.collect(),
        _ => order.rev().collect(),
    }
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
    use std::collections::{BTreeMap, HashSet};

    #[test]
    fn two_endpoints_alternate_and_three_take_turns() {
        let blocks = |count| {
            (0..6)
                .map(|block| balanced(count, block))
                .collect::<Vec<_>>()
        };
        assert_eq!(blocks(1), [[0]; 6]);
        assert_eq!(blocks(2), [[0, 1], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]);
        let three = [
            [0, 1, 2],
            [2, 1, 0],
            [1, 2, 0],
            [0, 2, 1],
            [2, 0, 1],
            [1, 0, 2],
        ];
        assert_eq!(blocks(3), three);
    }

    #[test]
    fn every_endpoint_is_in_every_place_and_after_every_other_equally_often() {
        for count in 1..=8 {
            let whole = if count % 2 == 0 { count } else { 2 * count };
            let (mut places, mut followers) = (BTreeMap::new(), BTreeMap::new());
            let mut sums = vec![0; count];
            for block in 0..whole {
                let order = balanced(count, block);
                for (place, endpoint) in order.iter().enumerate() {
                    *places.entry((place, *endpoint)).or_insert(0) += 1;
                    sums[*endpoint] += place;
                }
                for pair in order.windows(2) {
                    *followers.entry((pair[0], pair[1])).or_insert(0) += 1;
                }
                if block % 2 == 1 {
                    assert!(sums.iter().all(|sum| *sum == sums[0]), "{count}: {sums:?}");
                }
            }
            assert_eq!(places.len(), count * count);
            assert!(places.values().all(|times| *times == whole / count));
            assert_eq!(followers.len(), count * (count - 1));
            assert!(followers.values().all(|times| *times == whole / count));
        }
    }

    proptest! {
        #[test]
        fn every_trial_once_and_the_trials_of_an_attempt_adjacent(
            attempts in prop::collection::vec(1_u32..4, 0..12), count in 1_usize..7, seed: u64,
        ) {
            let names: Vec<String> = (0..attempts.len()).map(|number| format!("t{number}")).collect();
            let tasks: Vec<(&str, &str, u32)> = std::iter::zip(&names, &attempts)
                .map(|(name, attempts)| ("s", name.as_str(), *attempts))
                .collect();
            let endpoints = &["a", "b", "c", "d", "e", "f"][..count];
            let trials = interleaved(&tasks, endpoints, seed);
            prop_assert_eq!(trials.len(), count * attempts.iter().sum::<u32>() as usize);
            prop_assert_eq!(trials.iter().collect::<HashSet<_>>().len(), trials.len());
            for block in trials.chunks(count) {
                let same = |trial: &TrialKey| (&trial.task, trial.attempt) == (&block[0].task, block[0].attempt);
                prop_assert!(block.iter().all(same));
            }
            prop_assert_eq!(interleaved(&tasks, endpoints, seed), trials);
        }

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
