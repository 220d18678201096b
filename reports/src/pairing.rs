//! Which trials of the two sides belong together.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::Outcome;

use crate::data::{EndpointData, Role, RunData, TrialData};

/// One attempt of one task on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The candidate's trial.
    pub candidate: &'a TrialData,
    /// The baseline's trial.
    pub baseline: &'a TrialData,
}

impl<'a> Pair<'a> {
    /// Both trials, candidate first.
    #[must_use]
    pub fn trials(&self) -> [&'a TrialData; 2] {
        [self.candidate, self.baseline]
    }

    /// Whether both trials ran to an end whose time means something.
    #[must_use]
    pub fn timed(&self) -> bool {
        !self.candidate.failed() && !self.baseline.failed()
    }

    /// Whether both trials were resolved.
    #[must_use]
    pub fn both_resolved(&self) -> bool {
        self.candidate.outcome == Outcome::Resolved && self.baseline.outcome == Outcome::Resolved
    }
}

/// One task's pairs, in order of attempt.
#[derive(Clone, Debug)]
pub struct PairedTask<'a> {
    /// Suite name.
    pub suite: &'a str,
    /// Task id within the suite.
    pub task: &'a str,
    /// Attempts finished on both sides.
    pub pairs: Vec<Pair<'a>>,
}

/// The two endpoints of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// The one that is considered.
    pub candidate: &'a EndpointData,
    /// The one that it is held against.
    pub baseline: &'a EndpointData,
}

impl<'a> Sides<'a> {
    /// Both names, the candidate's first.
    #[must_use]
    pub fn names(self) -> [&'a str; 2] {
        [&self.candidate.name, &self.baseline.name]
    }
}

/// Every candidate of a run beside the baseline, in order; empty where the run has one side
/// only. A comparison takes the trials of its two sides and no others: what happens to one
/// candidate changes nothing for the rest.
#[must_use]
pub fn sides(run: &RunData) -> Vec<Sides<'_>> {
    let of = |role| run.endpoints.iter().filter(move |one| one.role == role);
    let Some(baseline) = of(Role::Baseline).next() else {
        return Vec::new();
    };
    let pair = |candidate| Sides {
        candidate,
        baseline,
    };
    of(Role::Candidate).map(pair).collect()
}

/// Pairs the trials of two endpoints of a run.
#[must_use]
pub fn paired_tasks<'a>(
    trials: &'a [TrialData],
    candidate: &str,
    baseline: &str,
) -> Vec<PairedTask<'a>> {
    let of = |name: &str| {
        let own: Vec<&TrialData> = trials
            .iter()
            .filter(|trial| trial.endpoint == name)
            .collect();
        own.into_iter()
    };
    pair(of(candidate), of(baseline))
}

/// Pairs trials by suite, task and attempt; tasks in order of name.
///
/// Of trials recorded twice the first counts.
#[must_use]
pub fn pair<'a>(
    candidate: impl Iterator<Item = &'a TrialData>,
    baseline: impl Iterator<Item = &'a TrialData>,
) -> Vec<PairedTask<'a>> {
    type Sides<'a> = [Option<&'a TrialData>; 2];
    let mut attempts: BTreeMap<(&str, &str, u32), Sides> = BTreeMap::new();
    let both = candidate
        .map(|trial| (0, trial))
        .chain(baseline.map(|trial| (1, trial)));
    for (side, trial) in both {
        let key = (trial.suite.as_str(), trial.task.as_str(), trial.attempt);
        attempts.entry(key).or_default()[side].get_or_insert(trial);
    }
    let mut tasks: Vec<PairedTask> = Vec::new();
    for ((suite, task, _), slot) in attempts {
        let [Some(candidate), Some(baseline)] = slot else {
            continue;
        };
        let pair = Pair {
            candidate,
            baseline,
        };
        match tasks.last_mut() {
            Some(last) if last.suite == suite && last.task == task => last.pairs.push(pair),
            _ => tasks.push(PairedTask {
                suite,
                task,
                pairs: vec![pair],
            }),
        }
    }
    tasks
}
