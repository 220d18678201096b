//! The plan as people read it.

use std::collections::{BTreeMap, BTreeSet};

use timeslip_datasets::run::plan::Plan;

/// The plan as people read it.
#[must_use]
pub fn describe(plan: &Plan) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{words}");
    };
    for (role, endpoint) in std::iter::zip(["candidate", "baseline"], &plan.endpoints) {
        let place = match (&endpoint.simulate, &endpoint.base_url) {
            (Some(simulation), _) => format!("simulated, profile {}", simulation.profile),
            (None, url) => url.clone().unwrap_or_default(),
        };
        line(format_args!(
            "{role:<10} {}: {} over {}, model {} ({place})",
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
            "suite      {}: {} tasks, from {}",
            suite.name(),
            tasks.len(),
            suite.source()
        ));
    }
    line(format_args!("limits     {}", plan.limits.describe()));
    for (suite, own) in &plan.suite_limits {
        line(format_args!("           {suite}: {}", own.describe()));
    }
    line(format_args!(
        "trials     {} ({} attempts, {} at once, seed {}), in this order:",
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

/// `3`, or `1 to 3` where suites differ.
fn attempts_shown(plan: &Plan) -> String {
    let mut most: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for trial in &plan.trials {
        let attempts = most.entry((&trial.suite, &trial.task)).or_default();
        *attempts = trial.attempt.max(*attempts);
    }
    match (most.values().min(), most.values().max()) {
        (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
        (Some(all), _) => all.to_string(),
        (None, _) => plan.attempts.to_string(),
    }
}
