//! The plan as people read it.

use std::collections::{BTreeMap, BTreeSet};

use timeslip_datasets::run::plan::Plan;
use timeslip_datasets::text::plural;

/// The plan as people read it.
#[must_use]
pub fn describe(plan: &Plan) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    for (index, endpoint) in plan.endpoints.iter().enumerate() {
        let role = if plan.is_baseline(index) {
            "baseline"
        } else {
            "candidate"
        };
        let place = match (&endpoint.simulate, &endpoint.base_url) {
            (Some(simulation), _) => format!("simulated, profile {}", simulation.profile),
            (None, url) => url.clone().unwrap_or_default(),
        };
        let agent = match &endpoint.agent {
            Some(agent) => format!("{} {}, ", agent.name, agent.version),
            None => String::new(),
        };
        line(format_args!(
            "{role:<10} {}: {agent}{} over {}, model {} ({place})",
            endpoint.name, endpoint.protocol, endpoint.transport, endpoint.model
        ));
    }
    for suite in &plan.suites {
        let tasks: BTreeSet<&str> = plan
            .trials
            .iter()
            .filter(|trial| trial.suite == suite.name())
            .map(|trial| trial.task.as_str())
            .collect();
        line(format_args!(
            "suite      {}: {}, from {}",
            suite.name(),
            plural(tasks.len(), "task"),
            suite.source()
        ));
    }
    line(format_args!("limits     {}", plan.limits.describe()));
    for (suite, own) in &plan.suite_limits {
        line(format_args!("           {suite}: {}", own.describe()));
    }
    line(format_args!(
        "trials     {} ({}, {} at once, seed {}), in this order:",
        plan.trials.len(),
        attempts_shown(plan),
        plan.concurrency,
        plan.seed
    ));
    for trial in &plan.trials {
        line(format_args!("             {trial}"));
    }
    text
}

/// `3 attempts`, or `1 to 3 attempts` where suites differ.
fn attempts_shown(plan: &Plan) -> String {
    let mut most: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for trial in &plan.trials {
        let attempts = most.entry((&trial.suite, &trial.task)).or_default();
        *attempts = trial.attempt.max(*attempts);
    }
    match (most.values().min(), most.values().max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most} attempts"),
        (Some(all), _) => plural(*all as usize, "attempt"),
        (None, _) => plural(plan.attempts as usize, "attempt"),
    }
}
