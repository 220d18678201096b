//! Which trials of the two sides belong together.

use std::collections::BTreeMap;

use crate::input::{EndpointData, Outcome, Role, RunData, TrialData};

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
        self.candidate.outcome != Outcome::Error && self.baseline.outcome != Outcome::Error
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

/// The two sides of a run that has both: the first endpoint of each role.
#[must_use]
pub fn sides(run: &RunData) -> Option<(&EndpointData, &EndpointData)> {
    let side = |role| run.endpoints.iter().find(|endpoint| endpoint.role == role);
    side(Role::Candidate).zip(side(Role::Baseline))
}

/// Pairs trials by suite, task and attempt; tasks in order of name.
///
/// Of trials recorded twice the first counts.
#[must_use]
pub fn paired_tasks<'a>(
    trials: &'a [TrialData],
    candidate: &str,
    baseline: &str,
) -> Vec<PairedTask<'a>> {
    type Sides<'a> = (Option<&'a TrialData>, Option<&'a TrialData>);
    let mut attempts: BTreeMap<(&str, &str, u32), Sides> = BTreeMap::new();
    for trial in trials {
        let slot = attempts
            .entry((&trial.suite, &trial.task, trial.attempt))
            .or_default();
        if trial.endpoint == candidate {
            slot.0.get_or_insert(trial);
        } else if trial.endpoint == baseline {
            slot.1.get_or_insert(trial);
        }
    }
    let mut tasks: Vec<PairedTask> = Vec::new();
    for ((suite, task, _), slot) in attempts {
        let (Some(candidate), Some(baseline)) = slot else {
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
