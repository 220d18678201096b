//! The suite file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Format, Task};
use crate::{Error, Result};

/// A suite file: which tasks belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// The suite's name.
    pub name: String,
    /// The format of its tasks.
    pub format: Format,
    /// `bundled:<name>`, or a directory or file relative to the suite file.
    pub source: String,
    /// One sentence about it.
    #[serde(default)]
    pub description: String,
    /// Only these tasks, if given.
    #[serde(default)]
    pub include: Option<Vec<String>>,
    /// Not these tasks.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// A directory with clones of the repositories that the tasks are about, bare or
    /// not, called `<owner>__<name>` or `<owner>/<name>`, with or without `.git`;
    /// relative to the suite file.
    #[serde(default)]
    pub repositories: Option<String>,
    /// A root file system for its tasks: a directory or an archive, relative to the
    /// suite file. With `{task}` in it, each task's own, with the task's files in it.
    #[serde(default)]
    pub rootfs: Option<String>,
    /// The same as an image of a container engine.
    #[serde(default)]
    pub image: Option<String>,
    /// The directory `source`, `repositories` and `rootfs` are relative to.
    #[serde(skip)]
    pub directory: PathBuf,
}

const SWE_MINI: &str = include_str!("../../bundled/swe-mini.toml");
const TERMINAL_MINI: &str = include_str!("../../bundled/terminal-mini.toml");

/// A suite file is a dozen lines; this leaves room for a list of every task.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

impl SuiteFile {
    /// The names of the suites that ship with timeslip.
    pub const SHIPPED: [&str; 2] = ["swe-mini", "terminal-mini"];

    /// A suite that ships with timeslip.
    pub fn shipped(name: &str) -> Result<Self> {
        match name {
            "swe-mini" => Self::parse(SWE_MINI, name),
            "terminal-mini" => Self::parse(TERMINAL_MINI, name),
            _ => Err(Error::SuiteFile {
                file: name.to_owned(),
                message: format!(
                    "no such suite ships with timeslip; there are {}, and any suite file by its path",
                    Self::SHIPPED.join(", ")
                ),
            }),
        }
    }

    /// Reads a suite file.
    pub fn read(file: &Path) -> Result<Self> {
        let directory = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let size = file
            .metadata()
            .map_err(Error::io("cannot be read", file))?
            .len();
        let name = file.display().to_string();
        if size > LARGEST_FILE {
            return Err(Error::SuiteFile {
                file: name,
                message: "is too large for a suite file".to_owned(),
            });
        }
        let text = std::fs::read_to_string(file).map_err(Error::io("cannot be read", file))?;
        Ok(Self {
            directory,
            ..Self::parse(&text, &name)?
        })
    }

    fn parse(text: &str, file: &str) -> Result<Self> {
        let parsed: Self = toml::from_str(text).map_err(|error| Error::SuiteFile {
            file: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        parsed.check()?;
        Ok(parsed)
    }

    /// The name ends up in paths.
    pub(super) fn check(&self) -> Result<()> {
        if timeslip_datasets::is_plain_name(&self.name) {
            return Ok(());
        }
        Err(self.error("name is not plain; use letters, digits, '-', '_' and '.'".to_owned()))
    }

    /// Whether `include` and `exclude` leave the task of that id.
    pub(super) fn wants(&self, id: &str) -> bool {
        let is = |name: &String| name == id;
        let included = self.include.as_ref();
        included.is_none_or(|ids| ids.iter().any(is)) && !self.exclude.iter().any(is)
    }

    /// Where the repository `owner/name` was cloned to, if the suite has clones.
    pub(super) fn repository(&self, repo: &str) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.repositories else {
            return Ok(None);
        };
        let folder = self.directory.join(folder);
        let flat = repo.replace('/', "__");
        let names = [&flat, repo].map(|name| [name.to_owned(), format!("{name}.git")]);
        let mut places = names.iter().flatten().map(|name| folder.join(name));
        places.find(|place| place.is_dir()).map(Some).ok_or_else(|| {
            self.error(format!(
                "repositories: {} holds no clone of {repo}; make one with `git clone --mirror URL {}`",
                folder.display(),
                folder.join(format!("{flat}.git")).display()
            ))
        })
    }

    /// A name in `include` or `exclude` that selects nothing is an error: a typing
    /// mistake must not quietly change what is measured.
    pub(super) fn check_names<'a>(&self, known: impl Iterator<Item = &'a str>) -> Result<()> {
        let known: BTreeSet<&str> = known.collect();
        let included = self.include.iter().flatten();
        if let Some(unknown) = included
            .chain(&self.exclude)
            .find(|id| !known.contains(id.as_str()))
        {
            return Err(self.error(format!(
                "include or exclude names {unknown:?}, which is not a task of {}; there are {}",
                self.source,
                known.into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(())
    }

    /// Applies `include` and `exclude`.
    pub(super) fn select(&self, tasks: Vec<Task>) -> Result<Vec<Task>> {
        let selected: Vec<Task> = tasks
            .into_iter()
            .filter(|task| self.wants(&task.id))
            .collect();
        if selected.is_empty() {
            return Err(self.error("include and exclude leave no task".to_owned()));
        }
        Ok(selected)
    }

    fn error(&self, message: String) -> Error {
        Error::SuiteFile {
            file: self.name.clone(),
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_suites_are_well_formed() {
        for name in SuiteFile::SHIPPED {
            let file = SuiteFile::shipped(name).unwrap();
            assert_eq!(file.name, name);
            assert!(!file.description.is_empty());
        }
        insta::assert_snapshot!(SuiteFile::shipped("swe-maxi").unwrap_err(), @"swe-maxi: no such suite ships with timeslip; there are swe-mini, terminal-mini, and any suite file by its path");
    }

    #[test]
    fn errors_name_the_field() {
        let parse = |text: &str| SuiteFile::parse(text, "s.toml").unwrap_err().to_string();
        let valid = "name='a'\nformat='harbor'\nsource='x'\n";
        assert!(parse(&format!("{valid}inculde=[]")).contains("inculde"));
        assert!(parse("name='a'\nformat='docker'\nsource='x'").contains("format"));
        assert!(parse("name='a'").contains("format"));
        insta::assert_snapshot!(parse("name='../a'\nformat='harbor'\nsource='x'"), @"../a: name is not plain; use letters, digits, '-', '_' and '.'");
    }

    #[test]
    fn a_source_is_relative_to_its_file() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("s.toml");
        std::fs::write(&file, "name='a'\nformat='harbor'\nsource='x'\n").unwrap();
        assert_eq!(SuiteFile::read(&file).unwrap().directory, scratch.path());
        assert!(SuiteFile::read(&scratch.path().join("none")).is_err());
    }
}
