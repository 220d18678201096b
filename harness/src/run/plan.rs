//! Resolving configuration and command line into the plan of a run.

mod description;
mod endpoints;
mod order;
mod suites;

use std::path::Path;

use timeslip_datasets::run::plan::{Plan, PlannedSuite, TrialLimits};
use timeslip_suites::Suite;

pub use description::describe;
pub use endpoints::{AD_HOC, endpoints};
pub use suites::suite_file;

use crate::error::Error;
use crate::run::config::{Config, EndpointTable};

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
    let limits = TrialLimits {
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
            let tags = tasks.map(|task| (task.id.clone(), task.tags()));
            (suite.name.clone(), tags.collect())
        })
        .collect();
    let suite_limits = suites::limits(limits, &files, overrides);
    let suites = std::iter::zip(files, &loaded)
        .filter(|(_, suite)| !suite.tasks.is_empty())
        .map(|(file, suite)| {
            let file = suites::settled(file, suite);
            PlannedSuite::of(&file).map_err(|error| Error::Config {
                place: format!("suite '{}'", file.name),
                problem: format!("cannot be planned: {error}"),
            })
        })
        .collect::<Result<_, _>>()?;
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
