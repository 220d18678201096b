//! The resolved plan: everything a run will do, validated, printable, stored.

mod description;
mod endpoints;
mod order;
mod suites;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use timeslip_datasets::journal::TrialKey;
use timeslip_suites::{Suite, SuiteFile};

pub use endpoints::{AD_HOC, PlannedEndpoint, Simulation, endpoints};
pub use suites::suite_file;

use crate::config::{Config, EndpointTable};
use crate::error::Error;

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Suites, resolved.
    pub suites: Vec<SuiteFile>,
    /// Endpoints, the candidate first.
    pub endpoints: Vec<PlannedEndpoint>,
    /// Attempts of every task on every endpoint; a suite may have its own number.
    pub attempts: u32,
    /// Trials at once.
    pub concurrency: u32,
    /// Seed of order and simulation.
    pub seed: u64,
    /// Limits of a trial.
    pub limits: Limits,
    /// Limits of the trials of suites that have their own.
    #[serde(default)]
    pub suite_limits: BTreeMap<String, Limits>,
    /// Every trial, in the order they start.
    pub trials: Vec<TrialKey>,
    /// What kind of task each is, by suite and task.
    #[serde(default)]
    pub tags: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Plan {
    /// The limits of a suite's trials.
    #[must_use]
    pub fn limits_of(&self, suite: &str) -> Limits {
        self.suite_limits.get(suite).copied().unwrap_or(self.limits)
    }

    /// The longest that any trial may take, in seconds.
    #[must_use]
    pub fn longest_trial_seconds(&self) -> u64 {
        let suites = self.suites.iter().map(|suite| self.limits_of(&suite.name));
        let longest = suites.map(|limits| limits.trial_seconds).max();
        longest.unwrap_or(self.limits.trial_seconds)
    }
}

/// Limits of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Model calls.
    pub turns: u32,
    /// Wall-clock seconds.
    pub trial_seconds: u64,
    /// Seconds of one command.
    pub command_seconds: u64,
    /// Kibibytes of output the model sees.
    pub output_kib: usize,
    /// Mebibytes of memory of one command.
    pub memory_mb: u64,
    /// Milliseconds that 99 of 100 output events may lie unread in a valid run.
    #[serde(default = "default_client_lag_ms")]
    pub client_lag_ms: f64,
}

/// What holds for runs planned before there was a limit.
fn default_client_lag_ms() -> f64 {
    5.0
}

/// What the command line says on top of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Suites instead of the configured ones.
    pub suites: Vec<String>,
    /// Endpoints instead of the configured ones.
    pub endpoints: Vec<String>,
    /// Only these tasks.
    pub tasks: Vec<String>,
    /// An endpoint named on the command line, in front of the others.
    pub ad_hoc: Option<EndpointTable>,
    /// Attempts.
    pub attempts: Option<u32>,
    /// Model calls of a trial.
    pub turns: Option<u32>,
    /// Wall-clock seconds of a trial.
    pub trial_seconds: Option<u64>,
    /// Concurrency.
    pub concurrency: Option<u32>,
    /// Seed.
    pub seed: Option<u64>,
}

/// Resolves configuration and command line into a plan, and loads its suites.
///
/// # Errors
/// [`Error::Config`] or [`Error::Suite`], naming file and field.
pub fn resolve(
    config: &Config,
    overrides: &Overrides,
    scratch: &Path,
) -> Result<(Plan, Vec<Suite>), Error> {
    let required = |field: &str| Error::Config {
        place: format!("[{field}]"),
        problem: "has no value, not even in the defaults".into(),
    };
    let (run, limits) = (&config.run, &config.limits);
    let limits = Limits {
        turns: overrides
            .turns
            .or(limits.turns)
            .ok_or_else(|| required("limits.turns"))?,
        trial_seconds: overrides
            .trial_seconds
            .or(limits.trial_seconds)
            .ok_or_else(|| required("limits.trial_seconds"))?,
        command_seconds: limits
            .command_seconds
            .ok_or_else(|| required("limits.command_seconds"))?,
        output_kib: limits
            .output_kib
            .ok_or_else(|| required("limits.output_kib"))?,
        memory_mb: limits
            .memory_mb
            .ok_or_else(|| required("limits.memory_mb"))?,
        client_lag_ms: limits
            .client_lag_ms
            .ok_or_else(|| required("limits.client_lag_ms"))?,
    };
    if !(limits.client_lag_ms > 0.0 && limits.client_lag_ms <= 60_000.0) {
        return Err(Error::Config {
            place: "limits.client_lag_ms".into(),
            problem: format!("{} is not between 0 and 60000", limits.client_lag_ms),
        });
    }
    let attempts = overrides
        .attempts
        .or(run.attempts)
        .ok_or_else(|| required("run.attempts"))?;
    let concurrency = overrides
        .concurrency
        .or(run.concurrency)
        .ok_or_else(|| required("run.concurrency"))?;
    let seed = overrides
        .seed
        .or(run.seed)
        .ok_or_else(|| required("run.seed"))?;
    for (name, value, highest) in [
        ("run.attempts", attempts, 10_000),
        ("run.concurrency", concurrency, 4_096),
        ("limits.turns", limits.turns, 10_000),
    ] {
        if value > highest {
            return Err(Error::Config {
                place: name.into(),
                problem: format!("{value} is more than {highest}"),
            });
        }
    }
    for (name, value) in [
        ("run.attempts", u64::from(attempts)),
        ("run.concurrency", u64::from(concurrency)),
        ("limits.turns", u64::from(limits.turns)),
        ("limits.trial_seconds", limits.trial_seconds),
        ("limits.command_seconds", limits.command_seconds),
        ("limits.output_kib", limits.output_kib as u64),
        ("limits.memory_mb", limits.memory_mb),
    ] {
        if value == 0 {
            return Err(Error::Config {
                place: name.into(),
                problem: "must be at least 1".into(),
            });
        }
    }
    let endpoints = endpoints(config, overrides)?;
    let files = suites::suite_files(config, overrides)?;
    let loaded = files
        .iter()
        .map(|suite| suites::load(suite, &overrides.tasks, scratch))
        .collect::<Result<Vec<_>, _>>()?;
    let attempts_of = |suite: &str| {
        let set = files.iter().find(|file| file.name == suite);
        let set = set.and_then(|file| file.attempts);
        overrides.attempts.or(set).unwrap_or(attempts)
    };
    let tasks: Vec<(&str, &str, u32)> = suites::select_tasks(&loaded, &overrides.tasks)?
        .into_iter()
        .map(|(suite, task)| (suite, task, attempts_of(suite)))
        .collect();
    let names: Vec<&str> = endpoints
        .iter()
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    let trials = order::interleaved(&tasks, &names, seed);
    if trials.is_empty() {
        return Err(Error::Empty("the chosen suites hold no task".into()));
    }
    let tags = loaded
        .iter()
        .map(|suite| {
            let tasks = suite.tasks.iter();
            let tags = tasks.map(|task| (task.id.clone(), task.tags.clone()));
            (suite.name.clone(), tags.collect())
        })
        .collect();
    let suite_limits = suites::limits(limits, &files, overrides);
    let suites = std::iter::zip(files, &loaded)
        .filter(|(_, suite)| !suite.tasks.is_empty())
        .map(|(file, suite)| suites::settled(file, suite))
        .collect();
    let plan = Plan {
        suites,
        endpoints,
        attempts,
        concurrency,
        seed,
        limits,
        suite_limits,
        trials,
        tags,
    };
    Ok((plan, loaded))
}
