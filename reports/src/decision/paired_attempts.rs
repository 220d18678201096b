//! A task that was tried on both sides.

use super::attempts::{Attempt, Expected};
use super::retries::expect;
use crate::data::Role;
use crate::pairing::{Pair, PairedTask};

/// One task, tried on both sides.
pub(super) struct PairedAttempts<'a> {
    pub(super) tags: &'a [String],
    pub(super) candidate: Vec<Attempt>,
    pub(super) baseline: Vec<Attempt>,
}

impl<'a> PairedAttempts<'a> {
    pub(super) fn of(task: &PairedTask<'a>) -> Self {
        let side = |trial: fn(&Pair<'a>) -> Attempt| task.pairs.iter().map(trial).collect();
        PairedAttempts {
            tags: task.pairs.first().map_or(&[], |pair| &pair.candidate.tags),
            candidate: side(|pair| Attempt::of(pair.candidate)),
            baseline: side(|pair| Attempt::of(pair.baseline)),
        }
    }

    pub(super) fn side(&self, side: Role) -> &[Attempt] {
        match side {
            Role::Candidate => &self.candidate,
            Role::Baseline => &self.baseline,
        }
    }

    pub(super) fn once(&self, side: Role) -> Expected {
        expect(self.side(side), 1).unwrap_or_default()
    }

    /// Any attempt of the first side, then, where it failed, any of the second: attempts
    /// at one task do not know of each other.
    pub(super) fn fallback(&self, first: Role, second: Role) -> Expected {
        let (first, second) = (self.once(first), self.once(second));
        let failed = 1.0 - first.solved;
        Expected {
            solved: first.solved + failed * second.solved,
            ms: first.ms + failed * second.ms,
            cost_usd: first
                .cost_usd
                .zip(second.cost_usd)
                .map(|(first, second)| first + failed * second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt((solved, ms): (bool, f64)) -> Attempt {
        Attempt {
            solved,
            ms,
            cost_usd: Some(ms / 100.0),
        }
    }

    #[test]
    fn a_failure_costs_both_times() {
        let task = tried((false, 10.0), (true, 50.0));
        let both = task.fallback(Role::Candidate, Role::Baseline);
        assert_eq!(
            (both.solved, both.ms, both.cost_usd),
            (1.0, 60.0, Some(0.6))
        );
        let task = tried((true, 10.0), (true, 50.0));
        let first = task.fallback(Role::Candidate, Role::Baseline);
        assert_eq!((first.solved, first.ms), (1.0, 10.0));
    }

    fn tried(candidate: (bool, f64), baseline: (bool, f64)) -> PairedAttempts<'static> {
        PairedAttempts {
            tags: &[],
            candidate: vec![attempt(candidate)],
            baseline: vec![attempt(baseline)],
        }
    }

    proptest! {
        #[test]
        fn the_first_then_the_second_solves_what_either_solves(
            candidate in prop::collection::vec((any::<bool>(), 1.0..1e6_f64), 1..5),
            baseline in prop::collection::vec((any::<bool>(), 1.0..1e6_f64), 1..5),
        ) {
            let task = PairedAttempts {
                tags: &[],
                candidate: candidate.into_iter().map(attempt).collect(),
                baseline: baseline.into_iter().map(attempt).collect(),
            };
            let both = task.fallback(Role::Candidate, Role::Baseline);
            let (first, second) = (task.once(Role::Candidate), task.once(Role::Baseline));
            prop_assert!(both.solved >= first.solved.max(second.solved) - 1e-12);
            prop_assert!(both.solved <= 1.0 + 1e-12);
            prop_assert!(both.ms >= first.ms && both.ms <= first.ms + second.ms);
        }
    }
}
