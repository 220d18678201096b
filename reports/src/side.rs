//! One side of a comparison: an endpoint in a run. Two sides may be of different runs.

use crate::data::{EndpointData, Objection, Role, RunData, TrialData};
use crate::format::one_line;

/// One endpoint of one run.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The run.
    pub run: &'a RunData,
    /// The endpoint's name.
    pub endpoint: &'a str,
}

impl<'a> Side<'a> {
    /// The endpoint; `None` when the run has none of this name.
    #[must_use]
    pub fn endpoint_data(self) -> Option<&'a EndpointData> {
        let mut endpoints = self.run.endpoints.iter();
        endpoints.find(|endpoint| endpoint.name == self.endpoint)
    }

    /// Its finished trials, of one suite or of all.
    pub fn trials(self, suite: Option<&'a str>) -> impl Iterator<Item = &'a TrialData> {
        self.run.trials.iter().filter(move |trial| {
            trial.endpoint == self.endpoint && suite.is_none_or(|suite| trial.suite == suite)
        })
    }

    /// Whether it is an embedded endpoint.
    #[must_use]
    pub fn simulated(self) -> bool {
        self.endpoint_data()
            .is_some_and(|endpoint| endpoint.simulated)
    }
}

/// Both sides as one run, so that everything that is computed from a run can be computed
/// from them. Of one run only its other endpoints are gone; of two runs the warnings say
/// what interleaving would have prevented.
#[must_use]
pub fn side_by_side(candidate: Side, baseline: Side) -> RunData {
    let same_run = std::ptr::eq(candidate.run, baseline.run);
    let mut names = [candidate, baseline].map(|side| side.endpoint.to_owned());
    if names[0] == names[1] {
        names = [candidate, baseline].map(|side| format!("{}@{}", side.endpoint, side.run.run_id));
    }
    // Runs of two machines may have begun in the same second.
    if names[0] == names[1] {
        names[1].push_str(" (baseline)");
    }
    let sides = [(candidate, Role::Candidate), (baseline, Role::Baseline)];
    let mut merged = candidate.run.without_trials();
    for ((side, role), name) in sides.into_iter().zip(&names) {
        merged
            .endpoints
            .extend(side.endpoint_data().map(|endpoint| EndpointData {
                name: name.clone(),
                role,
                ..endpoint.clone()
            }));
        merged
            .trials
            .extend(side.trials(None).map(|trial| TrialData {
                endpoint: name.clone(),
                ..trial.clone()
            }));
    }
    merged.invalid = objections(candidate, &names[0], None);
    let other = (!same_run).then(|| one_line(&baseline.run.run_id));
    let added = objections(baseline, &names[1], other.as_deref());
    let told: Vec<Objection> = added
        .into_iter()
        .filter(|objection| !merged.invalid.contains(objection))
        .collect();
    merged.invalid.extend(told);
    let missing = |run: &RunData| run.planned_trials.saturating_sub(run.trials.len());
    merged.planned_trials = merged.trials.len() + missing(candidate.run);
    let Some(other) = other else {
        return merged;
    };
    merged.planned_trials += missing(baseline.run);
    merged.warnings.push(format!(
        "The two sides are of different runs ({} and {other}): what changed between them in machine, network and load is part of every difference.",
        one_line(&candidate.run.run_id),
    ));
    let changed = candidate.run.environment.iter().filter(|(name, value)| {
        let mut others = baseline.run.environment.iter();
        others.any(|(other, was)| other == name && was != value)
    });
    merged.warnings.extend(changed.map(|(name, value)| {
        format!(
            "{}: {} here, another in {other}.",
            one_line(name),
            one_line(value)
        )
    }));
    let warnings = baseline.run.warnings.iter();
    merged
        .warnings
        .extend(warnings.map(|text| format!("{other}: {text}")));
    merged
}

/// What is said against a side, under its new name and, of another run, with that run's.
fn objections(side: Side, name: &str, run: Option<&str>) -> Vec<Objection> {
    let all = side.run.invalid.iter();
    let meant = all.filter(|objection| {
        let one = objection.endpoint.as_deref();
        one.is_none_or(|one| one == side.endpoint)
    });
    meant
        .map(|objection| Objection {
            endpoint: objection.endpoint.as_ref().map(|_| name.to_owned()),
            why: match run {
                Some(run) => format!("{run}: {}", objection.why),
                None => objection.why.clone(),
            },
        })
        .collect()
}
