//! Configuration as people write it: the shipped defaults, a TOML file over them,
//! the command line over both.

pub mod credentials;
mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use raw::{EndpointTable, RunTable};
use timeslip_datasets::options::LimitsTable;
use timeslip_suites::SuiteFile;

use crate::error::Error;
use crate::read;

/// The commented defaults.
pub const DEFAULT: &str = include_str!("config/default.toml");

/// The ready-made endpoints.
const PRESETS: &str = include_str!("config/presets.toml");

/// File read from the current directory when no other is named.
const FILE_NAME: &str = "timeslip.toml";

/// The ready-made endpoints by name.
///
/// # Errors
/// [`Error::Config`] when the shipped file is broken.
pub fn presets() -> Result<BTreeMap<String, EndpointTable>, Error> {
    let file: raw::File = toml::from_str(PRESETS)
        .map_err(|error| Error::config(Path::new("presets.toml"), error.to_string()))?;
    Ok(file.endpoint)
}

/// The merged configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to run.
    pub run: RunTable,
    /// Limits of a trial.
    pub limits: LimitsTable,
    /// Endpoints by name, each with the file that defined it.
    pub endpoints: BTreeMap<String, (PathBuf, EndpointTable)>,
    /// Suites by name.
    pub suites: BTreeMap<String, SuiteFile>,
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
            let text = read::text(&path)?;
            config.overlay(&path, &text)?;
        }
        Ok(config)
    }

    /// The endpoint of a name: a configured one, or else a preset; `NAME:MODEL` is
    /// either with another model. With it comes the file that defined it, and the name
    /// to call it by.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none, or its preset does not exist.
    pub fn endpoint(&self, name: &str) -> Result<(String, PathBuf, EndpointTable), Error> {
        let presets = presets()?;
        let find = |name: &str| {
            let shipped = || Some((PathBuf::from("presets.toml"), presets.get(name)?.clone()));
            self.endpoints.get(name).cloned().or_else(shipped)
        };
        let with_model = || {
            let (base, model) = name.split_once(':')?;
            let (path, mut table) = find(base)?;
            let other = table.model.replace(model.to_owned());
            table.price = table.price.filter(|_| other == table.model);
            // It becomes part of file names.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let name = name.replace(|c| !plain(c), "-");
            Some((name, path, table))
        };
        let found = find(name)
            .map(|(path, table)| (name.to_owned(), path, table))
            .or_else(with_model);
        let Some((name, path, table)) = found else {
            let known: Vec<&str> = self.endpoints.keys().map(String::as_str).collect();
            return Err(Error::Config {
                place: format!("endpoint '{name}'"),
                problem: format!(
                    "is neither configured nor a preset; configured are {}, and `timeslip presets` lists the presets. Add [endpoint.{name}] to timeslip.toml, or use --base-url",
                    known.join(", ")
                ),
            });
        };
        let Some(preset) = &table.preset else {
            return Ok((name, path, table));
        };
        let Some(base) = presets.get(preset) else {
            return Err(Error::Config {
                place: format!("{}: endpoint.{name}.preset", path.display()),
                problem: format!("'{preset}' does not exist; `timeslip presets` lists them"),
            });
        };
        let table = table.clone().over(base);
        Ok((name, path, table))
    }

    fn overlay(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let file: raw::File =
            toml::from_str(text).map_err(|error| Error::config(path, explain(&error, text)))?;
        self.run.overlay(file.run);
        self.limits.overlay(file.limits);
        let owned = |(name, table)| (name, (path.to_owned(), table));
        self.endpoints.extend(file.endpoint.into_iter().map(owned));
        for (name, suite) in file.suite {
            let suite = suite.in_table(&name, path, text)?;
            self.suites.insert(name, suite);
        }
        Ok(())
    }
}

/// What is wrong with a file, with the line where it is; a line that may hold a key is told
/// by its number alone.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let number = before.map_or(0, |before| before.matches('\n').count());
    let shown = text.lines().nth(number).unwrap_or_default();
    match credentials::in_line(shown) {
        true => format!(
            "line {}: {}; a key is never written here, only the name of its environment variable",
            number + 1,
            error.message()
        ),
        false => error.to_string().trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::options::TrialLimits;

    #[test]
    fn the_defaults_are_complete() {
        let config = Config::load(Some(Path::new("/dev/null"))).unwrap();
        assert!(config.run.is_complete());
        // What the file says and what holds without it are the same.
        let built_in = TrialLimits::default();
        let silent = TrialLimits {
            turns: 0,
            trial_seconds: 0,
            command_seconds: 0,
            output_kib: 0,
            memory_mb: 0,
            disk_mb: 0,
            client_lag_ms: 0.0,
        };
        assert_eq!(silent.with(&config.limits), built_in);
        assert_eq!(config.run.endpoints.unwrap(), ["spark-sim", "gpu-sim"]);
    }

    #[test]
    fn every_preset_can_be_planned() {
        for (name, preset) in presets().unwrap() {
            let protocol =
                timeslip_wire::protocols::by_name(&preset.protocol.clone().unwrap()).unwrap();
            let url = preset.base_url.clone().unwrap();
            let target = timeslip_wire::connection::Target::parse(&url).unwrap();
            // Keys do not travel in the clear, and servers of one's own need none.
            assert_eq!(target.tls, preset.api_key_env.is_some(), "{name}");
            let transport = preset.transport.as_deref();
            let transport = transport.map(|name| timeslip_wire::transports::by_name(name).unwrap());
            assert!(transport.is_none_or(|one| one.carries(protocol)), "{name}");
        }
    }

    #[test]
    fn endpoints_are_found_by_name_by_preset_and_with_another_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let mine = "[endpoint.mine]\npreset = \"fireworks\"\nmodel = \"m\"\nbody = { a = 1 }\n";
        let text = format!("{mine}[endpoint.lost]\npreset = \"nobody\"\n");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Some(&path)).unwrap();

        let (_, _, mine) = config.endpoint("mine").unwrap();
        assert_eq!(mine.model.as_deref(), Some("m"));
        assert_eq!(mine.api_key_env.as_deref(), Some("FIREWORKS_API_KEY"));
        assert!(mine.body["a"] == 1 && mine.body["perf_metrics_in_response"] == true);

        let (name, _, groq) = config.endpoint("groq").unwrap();
        assert!(name == "groq" && groq.price.is_some());
        let (name, _, groq) = config.endpoint("groq:qwen/qwen3:32b").unwrap();
        assert_eq!(name, "groq-qwen-qwen3-32b");
        assert_eq!(groq.model.as_deref(), Some("qwen/qwen3:32b"));
        assert_eq!(groq.price, None, "another model, another price");

        for (name, expected) in [("lost", "'nobody' does not exist"), ("x:y", "nor a preset")] {
            let error = config.endpoint(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
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
