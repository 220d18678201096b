//! The suites of a plan, which of their tasks are run, and within which limits.

use std::collections::BTreeMap;
use std::path::Path;

use timeslip_datasets::options::{LimitsTable, TrialLimits};
use timeslip_suites::{Suite, SuiteFile};

use super::Overrides;
use crate::error::Error;
use crate::run::config::Config;

/// A suite by name or path: configured, shipped, or in a file.
///
/// # Errors
/// [`Error::Config`] when there is none, [`Error::Suite`] when it is not understood.
pub fn suite_file(config: &Config, name: &str) -> Result<SuiteFile, Error> {
    if let Some(suite) = config.suites.get(name) {
        return Ok(suite.clone());
    }
    if SuiteFile::SHIPPED.contains(&name) {
        return Ok(SuiteFile::shipped(name)?);
    }
    if name.ends_with(".toml") {
        return Ok(SuiteFile::read(Path::new(name))?);
    }
    let known = SuiteFile::SHIPPED
        .iter()
        .copied()
        .chain(config.suites.keys().map(String::as_str));
    Err(Error::Config {
        place: format!("suite '{name}'"),
        problem: format!(
            "is not known; known are {}. Add [suite.{name}] to timeslip.toml, or give the path of a suite file",
            known.collect::<Vec<_>>().join(", ")
        ),
    })
}

/// The suite files that configuration and command line name.
pub(super) fn suite_files(config: &Config, overrides: &Overrides) -> Result<Vec<SuiteFile>, Error> {
    let configured = config.run.suites.clone().unwrap_or_default();
    let names = if overrides.suites.is_empty() {
        configured
    } else {
        overrides.suites.clone()
    };
    let mut files: Vec<SuiteFile> = Vec::new();
    for name in &names {
        // The plan is stored and may be resumed from elsewhere.
        let file = suite_file(config, name)?.absolute();
        if files.iter().any(|other| other.name == file.name) {
            return Err(Error::Config {
                place: format!("suite '{}'", file.name),
                problem: "is named twice".into(),
            });
        }
        files.push(file);
    }
    Ok(files)
}

/// What a run of a suite may take: `general`, then what the suite sets, then what the
/// command line says. Only suites that differ from `general` are listed.
pub(super) fn limits(
    general: TrialLimits,
    suites: &[SuiteFile],
    overrides: &Overrides,
) -> BTreeMap<String, TrialLimits> {
    let own = |suite: &SuiteFile| {
        let set = &suite.limits;
        let set = LimitsTable {
            turns: set.turns,
            trial_seconds: set.trial_seconds,
            command_seconds: set.command_seconds,
            output_kib: set.output_kib,
            memory_mb: set.memory_mb,
            disk_mb: set.disk_mb,
            ..LimitsTable::default()
        };
        general.with(&set).with(&overrides.limits)
    };
    let each = suites.iter().map(|suite| (suite.name.clone(), own(suite)));
    each.filter(|(_, limits)| *limits != general).collect()
}

/// A suite that names exactly the tasks that were loaded: tasks and lists may have
/// changed before the run is resumed.
pub(super) fn settled(mut file: SuiteFile, suite: &Suite) -> SuiteFile {
    let ids = suite.tasks.iter().map(|task| task.id.clone());
    file.include = Some(ids.collect());
    file.exclude = Vec::new();
    file.tags = Vec::new();
    file.sample = None;
    file.quarantine = None;
    file
}

/// Loads a suite of which only the named tasks are wanted; all when none is named. What
/// cannot be used is an error only where it is wanted.
pub(super) fn load(file: &SuiteFile, wanted: &[String], scratch: &Path) -> Result<Suite, Error> {
    if wanted.is_empty() {
        return Ok(Suite::load(file, scratch)?);
    }
    let (suite, problems) = Suite::open(file, scratch)?;
    let named = |task: &str| {
        let key = (file.name.as_str(), task);
        wanted.iter().any(|name| fits(key, name))
    };
    match problems.into_iter().find(|(task, _)| named(task)) {
        Some((_, problem)) => Err(problem.into()),
        None => Ok(suite),
    }
}

/// Whether a task is the one named as `TASK` or `SUITE/TASK`.
fn fits((suite, task): (&str, &str), wanted: &str) -> bool {
    wanted == task
        || wanted
            .split_once('/')
            .is_some_and(|pair| pair == (suite, task))
}

/// The named tasks, `TASK` or `SUITE/TASK`; all when none is named.
pub(super) fn select_tasks<'a>(
    suites: &'a [Suite],
    wanted: &[String],
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let all: Vec<(&str, &str)> = suites
        .iter()
        .flat_map(|suite| {
            suite
                .tasks
                .iter()
                .map(|task| (suite.name.as_str(), task.id.as_str()))
        })
        .collect();
    for name in wanted {
        if !all.iter().any(|task| fits(*task, name)) {
            return Err(Error::Config {
                place: format!("--task {name}"),
                problem: "no chosen suite has this task; `timeslip run --dry-run` lists them"
                    .into(),
            });
        }
    }
    let chosen =
        |task: &(&str, &str)| wanted.is_empty() || wanted.iter().any(|name| fits(*task, name));
    Ok(all.into_iter().filter(chosen).collect())
}
