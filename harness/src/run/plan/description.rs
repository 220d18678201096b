//! The plan as people read it.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;

impl Plan {
    /// The plan as people read it.
    #[must_use]
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{words}");
        };
        for (role, endpoint) in std::iter::zip(["candidate", "baseline"], &self.endpoints) {
            let place = match (&endpoint.simulate, &endpoint.base_url) {
                (Some(simulation), _) => format!("simulated, profile {}", simulation.profile),
                (None, url) => url.clone().unwrap_or_default(),
            };
            line(format_args!(
                "{role:<10} {}: {} over {}, model {} ({place})",
                endpoint.name, endpoint.protocol, endpoint.transport, endpoint.model
            ));
        }
        for suite in &self.suites {
            let tasks: BTreeSet<&str> = self
                .trials
                .iter()
                .filter(|trial| trial.suite == suite.name)
                .map(|trial| trial.task.as_str())
                .collect();
            line(format_args!(
                "suite      {}: {} tasks, from {}",
                suite.name,
                tasks.len(),
                suite.source
            ));
        }
        line(format_args!("limits     {}", self.limits.describe()));
        for (suite, own) in &self.suite_limits {
            line(format_args!("           {suite}: {}", own.describe()));
        }
        line(format_args!(
            "trials     {} ({} attempts, {} at once, seed {}), in this order:",
            self.trials.len(),
            self.attempts_shown(),
            self.concurrency,
            self.seed
        ));
        for trial in &self.trials {
            line(format_args!("             {trial}"));
        }
        text
    }

    /// `3`, or `1 to 3` where suites differ.
    fn attempts_shown(&self) -> String {
        let mut most: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for trial in &self.trials {
            let attempts = most.entry((&trial.suite, &trial.task)).or_default();
            *attempts = trial.attempt.max(*attempts);
        }
        match (most.values().min(), most.values().max()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            (Some(all), _) => all.to_string(),
            (None, _) => self.attempts.to_string(),
        }
    }
}
