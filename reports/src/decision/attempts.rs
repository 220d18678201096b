//! The attempts of each task, reduced to what a decision needs of them.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::Outcome;

use crate::data::TrialData;
use crate::format::NS_PER_MS;

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attempt {
    pub(super) solved: bool,
    pub(super) ms: f64,
    pub(super) cost_usd: Option<f64>,
}

impl Attempt {
    pub(super) fn of(trial: &TrialData) -> Self {
        Attempt {
            solved: trial.outcome == Outcome::Resolved,
            ms: trial.wall_ns as f64 / NS_PER_MS,
            cost_usd: trial.cost_usd.filter(|cost| cost.is_finite()),
        }
    }
}

/// What a policy gives on one task, in expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Expected {
    /// Probability that it is solved.
    pub(super) solved: f64,
    pub(super) ms: f64,
    /// Absent when any attempt that may be made has no known cost.
    pub(super) cost_usd: Option<f64>,
}

/// The attempts of each task on one endpoint, tasks in order of suite and name. Of
/// trials recorded twice the first counts.
pub(super) fn of_endpoint(trials: &[TrialData], endpoint: &str) -> Vec<Vec<Attempt>> {
    let mut tasks: BTreeMap<(&str, &str), BTreeMap<u32, Attempt>> = BTreeMap::new();
    let own = trials.iter().filter(|trial| trial.endpoint == endpoint);
    for trial in own.filter(|trial| trial.judged()) {
        tasks
            .entry((&trial.suite, &trial.task))
            .or_default()
            .entry(trial.attempt)
            .or_insert_with(|| Attempt::of(trial));
    }
    tasks
        .into_values()
        .map(|attempts| attempts.into_values().collect())
        .collect()
}
