//! Harbor / Terminal-Bench 2 task directories.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::{Error, Result, files, is_plain_name};

/// One Harbor task.
#[derive(Clone, Debug, PartialEq)]
pub struct HarborTask {
    /// The name of the task's directory.
    pub name: String,
    /// The task's directory.
    pub directory: PathBuf,
    /// What the agent is told.
    pub instruction: String,
    /// A person's estimate of the effort; may be empty.
    pub difficulty: String,
    /// The field the task is from; may be empty.
    pub category: String,
    /// Free keywords.
    pub tags: Vec<String>,
    /// How long the agent may take.
    pub agent_timeout: Duration,
    /// How long the verifier may take.
    pub verifier_timeout: Duration,
    /// How long building the environment may take.
    pub build_timeout: Duration,
    /// Processors the environment is made for.
    pub cpus: u32,
    /// Memory the environment is made for.
    pub memory_mb: u64,
    /// Disk space the environment is made for.
    pub storage_mb: u64,
    /// A published image that stands in for the Dockerfile.
    pub docker_image: Option<String>,
    /// `environment/`, the build context.
    pub environment: PathBuf,
    /// `tests/`, which holds `test.sh`.
    pub tests: PathBuf,
    /// `solution/`, where the author left one.
    pub solution: Option<PathBuf>,
}

impl HarborTask {
    /// The file the environment is built from; it need not exist when the task
    /// names a [`docker_image`](Self::docker_image).
    pub fn dockerfile(&self) -> PathBuf {
        self.environment.join("Dockerfile")
    }
}

#[derive(Deserialize)]
struct TaskToml {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    verifier: Phase,
    #[serde(default)]
    agent: Phase,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    steps: Vec<toml::Table>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    difficulty: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Phase {
    timeout_sec: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Environment {
    build_timeout_sec: Option<f64>,
    docker_image: Option<String>,
    cpus: Option<u32>,
    memory_mb: Option<u64>,
    memory: Option<String>,
    storage_mb: Option<u64>,
    storage: Option<String>,
}

// Harbor's own defaults.
const TIMEOUT_SECONDS: f64 = 600.0;
const CPUS: u32 = 1;
const MEMORY_MB: u64 = 2048;
const STORAGE_MB: u64 = 10240;

/// The longest timeout that is believed: a week.
const LONGEST_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// Reads every task directory inside `directory`, by name.
pub fn read_dataset(directory: &Path) -> Result<Vec<HarborTask>> {
    if !directory.is_dir() {
        return Err(Error::Missing {
            file: directory.to_path_buf(),
            remedy: "it should hold one directory per Harbor task".to_owned(),
        });
    }
    let tasks = files::subdirectories(directory)?
        .iter()
        .map(|task| read_task(task))
        .collect::<Result<Vec<_>>>()?;
    if tasks.is_empty() {
        return Err(Error::invalid(directory, "holds no task directory"));
    }
    Ok(tasks)
}

/// Reads one task directory.
pub fn read_task(directory: &Path) -> Result<HarborTask> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    if !is_plain_name(&name) {
        return Err(Error::invalid(
            directory,
            "is not named plainly; use letters, digits, '-', '_' and '.'",
        ));
    }
    let file = files::member(directory, "task.toml")?;
    let settings: TaskToml = files::read_toml(&file, "it describes the task")?;
    if !settings.steps.is_empty() {
        return Err(Error::invalid(
            &file,
            "has [[steps]]; tasks of several steps are not supported",
        ));
    }
    let tests = files::member(directory, "tests")?;
    if !tests.join("test.sh").is_file() {
        return Err(Error::Missing {
            file: tests.join("test.sh"),
            remedy: "without it nothing grades the task".to_owned(),
        });
    }
    let environment = settings.environment;
    let timeout = |value: Option<f64>, key: &str| seconds(value, key, &file);
    Ok(HarborTask {
        name: name.into_owned(),
        instruction: files::read_text(
            &files::member(directory, "instruction.md")?,
            "it is what the agent is told",
        )?,
        difficulty: settings.metadata.difficulty,
        category: settings.metadata.category,
        tags: settings.metadata.tags,
        agent_timeout: timeout(settings.agent.timeout_sec, "agent.timeout_sec")?,
        verifier_timeout: timeout(settings.verifier.timeout_sec, "verifier.timeout_sec")?,
        build_timeout: timeout(
            environment.build_timeout_sec,
            "environment.build_timeout_sec",
        )?,
        cpus: environment.cpus.unwrap_or(CPUS),
        memory_mb: megabytes(
            environment.memory_mb,
            environment.memory.as_deref(),
            MEMORY_MB,
            "environment.memory",
            &file,
        )?,
        storage_mb: megabytes(
            environment.storage_mb,
            environment.storage.as_deref(),
            STORAGE_MB,
            "environment.storage",
            &file,
        )?,
        docker_image: environment.docker_image,
        environment: files::member(directory, "environment")?,
        solution: Some(files::member(directory, "solution")?).filter(|solution| solution.is_dir()),
        tests,
        directory: directory.to_path_buf(),
    })
}

fn seconds(value: Option<f64>, key: &str, file: &Path) -> Result<Duration> {
    let value = value.unwrap_or(TIMEOUT_SECONDS);
    if !(value > 0.0 && value <= LONGEST_SECONDS) {
        return Err(Error::invalid(
            file,
            format!("{key} is {value}; it has to be a positive number of seconds, at most a week"),
        ));
    }
    Ok(Duration::from_secs_f64(value))
}

/// The current integer key, else the older `"2G"` spelling, else the default.
fn megabytes(
    current: Option<u64>,
    legacy: Option<&str>,
    default: u64,
    key: &str,
    file: &Path,
) -> Result<u64> {
    let size = match (current, legacy) {
        (Some(size), _) => Some(size),
        (None, Some(text)) => parse_size(text),
        (None, None) => Some(default),
    };
    size.filter(|size| *size > 0).ok_or_else(|| {
        Error::invalid(
            file,
            format!(
                "{key} {:?} is not a size; write {key}_mb = 2048, or \"2G\" as older tasks do",
                legacy.unwrap_or("0")
            ),
        )
    })
}

/// `"2G"`, `"512M"` or `"1048576K"` in whole megabytes.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let (number, per_megabyte): (&str, f64) = if let Some(number) = text.strip_suffix('G') {
        (number, 1024.0)
    } else if let Some(number) = text.strip_suffix('M') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('K') {
        (number, 1.0 / 1024.0)
    } else {
        return None;
    };
    let size = number.trim().parse::<f64>().ok()? * per_megabyte;
    (size.is_finite() && (0.0..=1e12).contains(&size)).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn task(toml: &str) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let task = scratch.path().join("hello");
        fs::create_dir_all(task.join("tests")).unwrap();
        fs::create_dir_all(task.join("environment")).unwrap();
        fs::write(task.join("task.toml"), toml).unwrap();
        fs::write(task.join("instruction.md"), "Say hello.\n").unwrap();
        fs::write(task.join("tests/test.sh"), "true\n").unwrap();
        scratch
    }

    fn read(toml: &str) -> Result<HarborTask, String> {
        let scratch = task(toml);
        read_task(&scratch.path().join("hello")).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", scratch.path().display()), "")
        })
    }

    #[test]
    fn everything_has_a_default() {
        let task = read("").unwrap();
        assert_eq!(task.name, "hello");
        assert_eq!(task.agent_timeout, Duration::from_secs(600));
        assert_eq!(task.memory_mb, 2048);
        assert_eq!(task.solution, None);
    }

    #[test]
    fn legacy_sizes_are_understood() {
        let task = read("version = '1.0'\n[environment]\nmemory = '2G'\nstorage = '512M'").unwrap();
        assert_eq!((task.memory_mb, task.storage_mb), (2048, 512));
        let both = read("[environment]\nmemory = 'x'\nmemory_mb = 7").unwrap();
        assert_eq!(both.memory_mb, 7);
    }

    #[test]
    fn errors_name_file_and_field() {
        insta::assert_snapshot!(read("[environment]\nmemory = 'lots'").unwrap_err(), @r#"hello/task.toml: environment.memory "lots" is not a size; write environment.memory_mb = 2048, or "2G" as older tasks do"#);
        insta::assert_snapshot!(read("[agent]\ntimeout_sec = -1").unwrap_err(), @"hello/task.toml: agent.timeout_sec is -1; it has to be a positive number of seconds, at most a week");
        insta::assert_snapshot!(read("[agent]\ntimeout_sec = 'x'").unwrap_err(), @r#"hello/task.toml:2: invalid type: string "x", expected f64"#);
        insta::assert_snapshot!(read("[[steps]]\nname = 'a'").unwrap_err(), @"hello/task.toml: has [[steps]]; tasks of several steps are not supported");
    }

    #[test]
    fn a_task_without_tests_is_an_error() {
        let scratch = task("");
        fs::remove_file(scratch.path().join("hello/tests/test.sh")).unwrap();
        let error = read_dataset(scratch.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("hello/tests/test.sh: is missing; without it nothing grades the task"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn sizes_never_panic(text in ".{0,12}") {
            let _ = parse_size(&text);
        }
    }
}
