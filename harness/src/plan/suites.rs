//! The suites of a plan, and which of their tasks are run.

use std::path::{Path, PathBuf};

use timeslip_suites::{Format, Suite, SuiteFile};

use super::Overrides;
use crate::config::Config;
use crate::error::Error;

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
        let file = suite_file(config, name)?;
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

/// The suite that a name stands for: one of the configuration, one that ships with
/// timeslip, or a file. Its paths are absolute.
///
/// # Errors
/// [`Error::Config`] when nothing has this name, [`Error::Suite`] when the file is wrong.
pub fn suite_file(config: &Config, name: &str) -> Result<SuiteFile, Error> {
    let mut file = if let Some((path, table)) = config.suites.get(name) {
        let format = Format::named(&table.format)
            .map_err(|problem| Error::config(path, format!("suite.{name}.format: {problem}")))?;
        SuiteFile {
            name: name.to_owned(),
            format,
            source: table.source.clone(),
            description: String::new(),
            include: table.include.clone(),
            exclude: table.exclude.clone().unwrap_or_default(),
            repositories: table.repositories.clone(),
            rootfs: table.rootfs.clone(),
            image: table.image.clone(),
            directory: path.parent().map(Path::to_owned).unwrap_or_default(),
        }
    } else if SuiteFile::SHIPPED.contains(&name) {
        SuiteFile::shipped(name)?
    } else if name.ends_with(".toml") {
        SuiteFile::read(Path::new(name))?
    } else {
        let known = SuiteFile::SHIPPED
            .iter()
            .copied()
            .chain(config.suites.keys().map(String::as_str));
        return Err(Error::Config {
            place: format!("suite '{name}'"),
            problem: format!(
                "is not known; known are {}. Add [suite.{name}] to timeslip.toml, or give the path of a suite file",
                known.collect::<Vec<_>>().join(", ")
            ),
        });
    };
    // The plan is stored and may be resumed from elsewhere.
    let absolute = |path: &str| {
        let path = file.directory.join(path);
        let absolute = std::path::absolute(&path).unwrap_or(path);
        absolute.display().to_string()
    };
    file.repositories = file.repositories.as_deref().map(absolute);
    file.rootfs = file.rootfs.as_deref().map(absolute);
    if !file.source.starts_with("bundled:") {
        file.source = absolute(&file.source);
    }
    file.directory = PathBuf::new();
    Ok(file)
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
    let matches = |(suite, task): (&str, &str), wanted: &str| {
        wanted == task
            || wanted
                .split_once('/')
                .is_some_and(|pair| pair == (suite, task))
    };
    for name in wanted {
        if !all.iter().any(|task| matches(*task, name)) {
            return Err(Error::Config {
                place: format!("--task {name}"),
                problem: "no chosen suite has this task; `timeslip run --dry-run` lists them"
                    .into(),
            });
        }
    }
    let chosen =
        |task: &(&str, &str)| wanted.is_empty() || wanted.iter().any(|name| matches(*task, name));
    Ok(all.into_iter().filter(chosen).collect())
}
