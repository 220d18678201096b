//! The plan as people read it.

use std::collections::BTreeSet;

use super::{Limits, Plan};

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
                endpoint.name,
                endpoint.protocol,
                endpoint.transport.name(),
                endpoint.model
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
        let Limits {
            turns,
            trial_seconds,
            command_seconds,
            output_kib,
            memory_mb,
            client_lag_ms,
        } = self.limits;
        line(format_args!(
            "limits     {turns} turns, {trial_seconds} s a trial, {command_seconds} s a command, {output_kib} KiB of output, {memory_mb} MiB, events unread for {client_lag_ms} ms"
        ));
        line(format_args!(
            "trials     {} ({} attempts, {} at once, seed {}), in this order:",
            self.trials.len(),
            self.attempts,
            self.concurrency,
            self.seed
        ));
        for trial in &self.trials {
            line(format_args!("             {trial}"));
        }
        text
    }
}
