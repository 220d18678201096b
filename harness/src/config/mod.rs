//! Configuration as people write it: the shipped defaults, a TOML file over them,
//! the command line over both.

mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use raw::{EndpointTable, LimitsTable, RunTable, SuiteTable};

use crate::error::Error;

/// The commented defaults.
pub const DEFAULT: &str = include_str!("default.toml");

/// File read from the current directory when no other is named.
const FILE_NAME: &str = "timeslip.toml";

/// The merged configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to run.
    pub run: RunTable,
    /// Limits of a trial.
    pub limits: LimitsTable,
    /// Endpoints by name, each with the file that defined it.
    pub endpoints: BTreeMap<String, (PathBuf, EndpointTable)>,
    /// Suites by name, each with the file that defined it.
    pub suites: BTreeMap<String, (PathBuf, SuiteTable)>,
}

impl Config {
    /// Reads the defaults, then `file`, or `timeslip.toml` when it is there.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and field.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let mut config = Config {
            run: RunTable::default(),
            limits: LimitsTable::default(),
            endpoints: BTreeMap::new(),
            suites: BTreeMap::new(),
        };
        config.overlay(Path::new("default.toml"), DEFAULT)?;
        let found = match file {
            Some(file) => Some(file.to_owned()),
            None => Some(PathBuf::from(FILE_NAME)).filter(|path| path.exists()),
        };
        if let Some(path) = found {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Error::config(&path, format!("cannot read: {error}")))?;
            config.overlay(&path, &text)?;
        }
        Ok(config)
    }

    fn overlay(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let file: raw::File = toml::from_str(text)
            .map_err(|error| Error::config(path, error.to_string().trim_end().to_owned()))?;
        self.run.overlay(file.run);
        self.limits.overlay(file.limits);
        let owned = |(name, table)| (name, (path.to_owned(), table));
        self.endpoints.extend(file.endpoint.into_iter().map(owned));
        self.suites.extend(
            file.suite
                .into_iter()
                .map(|(name, table)| (name, (path.to_owned(), table))),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete() {
        let config = Config::load(Some(Path::new("/dev/null"))).unwrap();
        assert!(config.run.is_complete() && config.limits.is_complete());
        assert_eq!(config.run.endpoints.unwrap(), ["spark-sim", "gpu-sim"]);
    }

    #[test]
    fn a_file_overrides_field_by_field_and_typos_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(
            &path,
            "[run]\nattempts = 3\n[endpoint.a]\nsimulate = \"gpu-sim\"\n",
        )
        .unwrap();
        let config = Config::load(Some(&path)).unwrap();
        assert_eq!(
            (config.run.attempts, config.run.concurrency),
            (Some(3), Some(4))
        );
        assert!(config.endpoints.contains_key("a") && config.endpoints.contains_key("spark-sim"));

        std::fs::write(&path, "[run]\nattemps = 3\n").unwrap();
        let error = Config::load(Some(&path)).unwrap_err().to_string();
        assert!(
            error.contains("t.toml") && error.contains("line 2") && error.contains("attemps"),
            "{error}"
        );
    }
}
