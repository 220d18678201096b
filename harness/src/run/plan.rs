//! Resolving configuration and command line into the plan of a run.

mod arms;
mod description;
mod endpoints;
mod order;
mod suites;

use std::path::Path;

use timeslip_datasets::options::{LimitsTable, TrialLimits};
use timeslip_datasets::run::plan::{Plan, PlannedSuite};
use timeslip_suites::Suite;

pub use arms::arm;
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
    /// Agents instead of the configured ones.
    pub agents: Vec<String>,
    /// The endpoint that the others are held against.
    pub baseline: Option<String>,
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
    let endpoints = arms::arms(config, overrides)?;
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
        arrivals: run.arrivals.unwrap_or_default(),
        seed,
        limits,
        suite_limits,
        trials,
        tags,
    };
    Ok((plan, loaded))
}
