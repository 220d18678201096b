//! Warnings about data that do not hold together.
//!
//! An incomplete run and errors have fields of their own and are not repeated here.

use std::collections::BTreeSet;

use crate::data::{RunData, TrialData};
use crate::format::{one_line, plural};

/// What a reader must know before believing the figures.
pub(super) fn warnings(run: &RunData) -> Vec<String> {
    let mut warnings = Vec::new();
    for endpoint in &run.endpoints {
        let own = run.trials.iter().filter(|t| t.endpoint == endpoint.name);
        let exchanges = || own.clone().flat_map(|trial| &trial.exchanges);
        let held_back = exchanges().filter(|exchange| !exchange.streamed).count();
        if held_back > 0 {
            warnings.push(format!(
                "Not streamed: {held_back} of the {} of {} came in a few bursts; they have a time to first token and a whole time, but no output rate and no gaps.",
                plural(exchanges().count(), "answer"),
                endpoint.name
            ));
        }
    }
    let unbalanced = count(run, |trial| stage_sum(trial) != trial.wall_ns);
    if unbalanced > 0 {
        warnings.push(format!(
            "In {} the stages do not sum to the wall time: the attribution of these trials is wrong.",
            plural(unbalanced, "trial")
        ));
    }
    let names: BTreeSet<&str> = run.endpoints.iter().map(|e| e.name.as_str()).collect();
    let foreign = count(run, |trial| !names.contains(trial.endpoint.as_str()));
    if foreign > 0 {
        warnings.push(format!(
            "{} of an endpoint that the run does not have: listed, but in no figure.",
            plural(foreign, "trial")
        ));
    }
    let distinct: BTreeSet<_> = run
        .trials
        .iter()
        .map(|t| (&t.suite, &t.task, &t.endpoint, t.attempt))
        .collect();
    let repeated = run.trials.len() - distinct.len();
    if repeated > 0 {
        warnings.push(format!(
            "{} recorded more than once: pairs use the first record.",
            plural(repeated, "trial")
        ));
    }
    warnings.extend(same_endpoints(run));
    warnings.extend(salted_alone(run));
    warnings
}

/// What differs between two that are really one endpoint is no merit of either.
fn same_endpoints(run: &RunData) -> impl Iterator<Item = String> {
    let endpoints = run.endpoints.iter().enumerate();
    endpoints.filter_map(|(index, endpoint)| {
        let mut before = run.endpoints.iter().take(index);
        let first = before.find(|other| other.is_same_as(endpoint))?;
        Some(format!(
            "{} and {} are really the same endpoint: what differs between them is time, load and chance, and no claim is decided by it.",
            one_line(&first.name),
            one_line(&endpoint.name)
        ))
    })
}

/// A cache that knows the prompts of one side only is a difference between the sides.
fn salted_alone(run: &RunData) -> Option<String> {
    let known = run.endpoints.iter().filter_map(|endpoint| {
        let identity = endpoint.identity.as_ref()?;
        Some((identity.options.salt, one_line(&endpoint.name)))
    });
    let (salted, others): (Vec<_>, Vec<_>) = known.partition(|(salt, _)| *salt);
    let names = |side: Vec<(bool, String)>| {
        let names: Vec<String> = side.into_iter().map(|(_, name)| name).collect();
        names.join(", ")
    };
    (!salted.is_empty() && !others.is_empty()).then(|| {
        format!(
            "The prompts of {} are salted, those of {} are not: what prompt caches know of them is a difference of its own.",
            names(salted),
            names(others)
        )
    })
}

fn count(run: &RunData, holds: impl Fn(&TrialData) -> bool) -> usize {
    run.trials.iter().filter(|trial| holds(trial)).count()
}

fn stage_sum(trial: &TrialData) -> u64 {
    trial
        .stages
        .iter()
        .fold(0, |sum: u64, value| sum.saturating_add(value.ns))
}
