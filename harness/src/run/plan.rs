//! The resolved plan: everything a run will do, validated, printable, stored.

mod description;
mod endpoints;
mod order;
mod suites;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use timeslip_datasets::journal::TrialKey;
use timeslip_datasets::options::{LimitsTable, TrialLimits};
use timeslip_suites::{Suite, SuiteFile};

pub use endpoints::{AD_HOC, PlannedEndpoint, Simulation, endpoints};
pub use suites::suite_file;

use crate::error::Error;
use crate::run::config::{Config, EndpointTable};

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
    pub limits: TrialLimits,
    /// Limits of the trials of suites that have their own.
    #[serde(default)]
    pub suite_limits: BTreeMap<String, TrialLimits>,
    /// Every trial, in the order they start.
    pub trials: Vec<TrialKey>,
    /// What kind of task each is, by suite and task.
    #[serde(default)]
    pub tags: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Plan {
    /// The limits of a suite's trials.
    #[must_use]
    pub fn limits_of(&self, suite: &str) -> TrialLimits {
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
    /// What a trial may take.
    pub limits: LimitsTable,
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
    let run = &config.run;
    let general = TrialLimits::default().with(&config.limits);
    let limits = general.with(&overrides.limits);
    limits.check().map_err(|(field, problem)| Error::Config {
        place: format!("limits.{field}"),
        problem,
    })?;
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
    ] {
        if value > highest {
            return Err(Error::Config {
                place: name.into(),
                problem: format!("{value} is more than {highest}"),
            });
        }
    }
    for (name, value) in [("run.attempts", attempts), ("run.concurrency", concurrency)] {
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
