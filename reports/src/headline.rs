//! What a run must have before it may say how much sooner tasks finish.
//!
//! `run`, the page, the summary and the gate ask here and nowhere else.

use timeslip_datasets::run::journal::Outcome;

use crate::data::{EndpointData, Objection, RunData, TrialData};
use crate::format::{one_line, percent, plural};
use crate::pairing::{Sides, sides};

/// The largest share of a side's trials that may end in an error. Trials that fail are not
/// a random choice of tasks, so that what is left does not speak for the suite.
pub const MAX_ERROR_SHARE: f64 = 0.10;

/// Why a run in which trials failed must not be relied on: an objection for each endpoint
/// with more errors than [`MAX_ERROR_SHARE`] allows.
#[must_use]
pub fn too_many_errors(endpoints: &[EndpointData], trials: &[TrialData]) -> Vec<Objection> {
    let objection = |endpoint: &EndpointData| {
        let own = || {
            trials
                .iter()
                .filter(|trial| trial.endpoint == endpoint.name)
        };
        let failed = own().filter(|trial| trial.failed()).count();
        (failed as f64 > MAX_ERROR_SHARE * own().count() as f64).then(|| Objection {
            endpoint: Some(endpoint.name.clone()),
            why: format!(
                "{failed} of {} on {} ended in an error, more than {}: what is left does not speak for the suite",
                plural(own().count(), "trial"),
                one_line(&endpoint.name),
                percent(MAX_ERROR_SHARE)
            ),
        })
    };
    endpoints.iter().filter_map(objection).collect()
}

/// Why two sides may not be quoted as so many times sooner or later; empty where they may.
#[must_use]
pub fn lacks(run: &RunData, sides: Sides) -> Vec<String> {
    let mut lacks = run.objections(&sides.names());
    lacks.extend(nothing_resolved(run, sides));
    lacks
}

/// Why none of the ratios of a run, or not all, may be quoted; empty where all may.
#[must_use]
pub fn all_lacks(run: &RunData) -> Vec<String> {
    let mut lacks: Vec<String> = run.invalid.iter().map(|why| why.why.clone()).collect();
    let further = sides(run)
        .into_iter()
        .filter_map(|pair| nothing_resolved(run, pair));
    lacks.extend(further);
    lacks.dedup();
    lacks
}

/// Why two sides cannot be compared in speed though trials of both finished: one of them,
/// or neither, resolved a task, and giving up may be quick.
#[must_use]
pub fn nothing_resolved(run: &RunData, sides: Sides) -> Option<String> {
    let Sides {
        candidate,
        baseline,
    } = sides;
    let finished = |side: &EndpointData| {
        let own = run
            .trials
            .iter()
            .filter(|trial| trial.endpoint == side.name);
        let judged: Vec<&TrialData> = own.filter(|trial| trial.judged()).collect();
        let resolved = |trial: &&&TrialData| trial.outcome == Outcome::Resolved;
        (judged.iter().filter(resolved).count(), judged.len())
    };
    let none_of = |side: &EndpointData, of| {
        format!(
            "{} resolved none of its {}",
            one_line(&side.name),
            plural(of, "trial")
        )
    };
    let subject = match (finished(candidate), finished(baseline)) {
        ((0, one @ 1..), (0, other @ 1..)) => format!(
            "Neither {} nor {} resolved any of its trials ({one} and {other})",
            one_line(&candidate.name),
            one_line(&baseline.name),
        ),
        ((0, of @ 1..), _) => none_of(candidate, of),
        (_, (0, of @ 1..)) => none_of(baseline, of),
        _ => return None,
    };
    Some(format!(
        "{subject}: how long they took says nothing of how much sooner tasks get done."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ClientCost, Role};

    fn endpoint(name: &str, role: Role) -> EndpointData {
        EndpointData {
            name: name.to_owned(),
            role,
            model: String::new(),
            protocol: String::new(),
            transport: String::new(),
            simulated: false,
            identity: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn one_error_in_ten_is_allowed_and_no_more() {
        let endpoints = [
            endpoint("a", Role::Candidate),
            endpoint("b", Role::Baseline),
        ];
        let trial = |endpoint: &str, outcome| TrialData {
            suite: String::new(),
            task: String::new(),
            tags: Vec::new(),
            endpoint: endpoint.to_owned(),
            attempt: 1,
            outcome,
            ended_by: None,
            detail: None,
            wall_ns: 0,
            setup_ns: 0,
            warm: None,
            grading_ns: 0,
            stages: Vec::new(),
            spans: Vec::new(),
            exchanges: Vec::new(),
            unusual: Default::default(),
            tool_sum_ns: 0,
            tool_calls: 0,
            calls_by_kind: None,
            changes: None,
            solution_changes: None,
            client: ClientCost::default(),
            acts: Vec::new(),
            cost_usd: None,
        };
        let mut trials = vec![trial("a", Outcome::Resolved); 9];
        trials.extend(vec![trial("b", Outcome::Resolved); 8]);
        trials.push(trial("a", Outcome::Error));
        trials.push(trial("b", Outcome::Error));
        assert_eq!(
            too_many_errors(&endpoints, &trials),
            [Objection {
                endpoint: Some("b".to_owned()),
                why: "1 of 9 trials on b ended in an error, more than 10 %: what is left does not speak for the suite".to_owned()
            }]
        );
        assert_eq!(too_many_errors(&endpoints, &[]), []);
    }
}
