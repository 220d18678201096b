//! Harbor / Terminal-Bench 2 task directories, and what a task of terminal work is.

mod registry;
mod settings;
mod sizes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Error, Result, files, is_plain_name};

use settings::Settings;

/// One task of terminal work.
#[derive(Clone, Debug, PartialEq)]
pub struct HarborTask {
    /// The name of the task's directory.
    pub name: String,
    /// The task's directory.
    pub directory: PathBuf,
    /// A person's estimate of the effort; may be empty.
    pub difficulty: String,
    /// The field the task is from; may be empty.
    pub category: String,
    /// Free keywords.
    pub tags: Vec<String>,
    /// Where the work happens.
    pub environment: Environment,
    /// What is asked for, one after another in the same environment; at least one.
    pub steps: Vec<Step>,
    /// How the rewards of several steps become one.
    pub strategy: RewardStrategy,
    /// Variables for the reference solution.
    pub solution_env: Variables,
}

/// Variables as the task writes them: a value may be `${NAME}` or `${NAME:-default}`,
/// which stand for a variable of the host.
pub type Variables = BTreeMap<String, String>;

/// Where a task's work happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// The build context.
    pub context: PathBuf,
    /// What it is built from; need not exist when there is an image.
    pub dockerfile: PathBuf,
    /// A published image that stands in for the Dockerfile.
    pub docker_image: Option<String>,
    /// How long building may take.
    pub build_timeout: Duration,
    /// Processors it is made for.
    pub cpus: f64,
    /// Memory it is made for, in megabytes.
    pub memory_mb: u64,
    /// Disk space it is made for, in megabytes.
    pub storage_mb: u64,
    /// What it is meant to reach in any of its phases.
    pub network: Network,
    /// Where commands start, in the place of the Dockerfile's `WORKDIR`.
    pub workdir: Option<String>,
    /// Variables of every command.
    pub env: Variables,
    /// What has to hold before the agent begins.
    pub healthcheck: Option<Healthcheck>,
    /// What it needs that only containers or special machines have; empty for most.
    pub needs: Vec<String>,
}

/// What a task wants of the network, the most demanding last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// It does not say.
    #[default]
    Unsaid,
    /// Nothing.
    None,
    /// Named hosts.
    Allowlist,
    /// Everything.
    Public,
}

/// A command that is repeated until it exits with 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthcheck {
    /// A line for the shell.
    pub command: String,
    /// Time between tries.
    pub interval: Duration,
    /// Longest time of one try.
    pub timeout: Duration,
    /// Tries that fail in a row before it is given up.
    pub retries: u32,
}

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name; empty where a task is a single step.
    pub name: String,
    /// What the agent is told.
    pub instruction: String,
    /// How long the agent may take.
    pub agent_timeout: Duration,
    /// The user that the agent is meant to be, where the task says.
    pub agent_user: Option<String>,
    /// Files that are put into the working directory before the agent begins;
    /// `setup.sh` among them is run there.
    pub workdir: Option<PathBuf>,
    /// What has to hold before the agent begins.
    pub healthcheck: Option<Healthcheck>,
    /// How its result is judged.
    pub verifier: Verifier,
    /// Rewards below which no further step is tried, by name.
    pub min_reward: BTreeMap<String, f64>,
    /// The author's solution, where there is one.
    pub solution: Option<Solution>,
}

/// How a result is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Verifier {
    /// Directories and files that together are `/tests`; a later one wins.
    pub tests: Vec<PathBuf>,
    /// The script in `/tests` that is run.
    pub script: String,
    /// How the script tells its verdict.
    pub verdict: VerdictSource,
    /// How long it may take.
    pub timeout: Duration,
    /// Its variables.
    pub env: Variables,
    /// The user that it is meant to be, where the task says.
    pub user: Option<String>,
    /// It runs in a fresh copy of the environment that got nothing but `artifacts`.
    pub separate: bool,
    /// Where it runs in the place of such a copy; `/tests` is part of that.
    pub image: Option<VerifierImage>,
    /// Absolute paths inside that are the result.
    pub artifacts: Vec<String>,
}

/// An environment of a verifier's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifierImage {
    /// A published one.
    Published(String),
    /// What is built from the Dockerfile in a directory.
    Built(PathBuf),
}

/// How a test script tells its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictSource {
    /// `/logs/verifier/reward.json`, else `reward.txt`; the exit code says nothing.
    RewardFile,
    /// The short summary that pytest prints at its end.
    PytestSummary,
}

/// How the rewards of several steps become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RewardStrategy {
    /// The mean over the steps that were tried, name by name; a missing name is 0.
    #[default]
    Mean,
    /// Those of the last step that was tried.
    Final,
}

/// An author's solution.
#[derive(Clone, Debug, PartialEq)]
pub enum Solution {
    /// A directory with `solve.sh`, which is `/solution` inside.
    Directory(PathBuf),
    /// A script, which is `/oracle/solution.sh` inside.
    Script(PathBuf),
    /// Lines for one shell.
    Commands(String),
}

/// The task directories of a source, by name: a folder of tasks or of such folders, or
/// a registry, a JSON file of datasets with local paths, of which `FILE#NAME` or
/// `FILE#NAME@VERSION` picks one.
pub fn list(source: &Path) -> Result<Vec<PathBuf>> {
    match registry::split(source) {
        Some((file, dataset)) => registry::tasks(&file, dataset.as_deref()),
        None => files::task_directories(source, "task.toml"),
    }
}

/// Reads one task directory.
pub fn read_task(directory: &Path) -> Result<HarborTask> {
    let name = plain_task_name(directory)?;
    let file = files::member(directory, "task.toml")?;
    let settings = Settings::read(&file)?;
    let environment = settings.environment(directory, &file)?;
    Ok(HarborTask {
        name,
        directory: directory.to_path_buf(),
        steps: settings.steps(directory, &file)?,
        strategy: settings.strategy(),
        solution_env: settings.solution.env,
        difficulty: settings.metadata.difficulty.0,
        category: settings.metadata.category.0,
        tags: [settings.metadata.tags.0, settings.task.keywords.0].concat(),
        environment,
    })
}

/// The name of a task's directory.
pub(crate) fn plain_task_name(directory: &Path) -> Result<String> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    if is_plain_name(&name) {
        return Ok(name.into_owned());
    }
    Err(Error::invalid(
        directory,
        "is not named plainly; use letters, digits, '-', '_' and '.'",
    ))
}

/// An instruction without the lines in front of it that only mark the file as part of
/// a benchmark: comments with the word "canary".
pub(crate) fn without_canary(text: &str) -> &str {
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        let line = line.trim();
        let comment = line.starts_with('#') || line.starts_with("<!--");
        if !comment || !line.to_ascii_lowercase().contains("canary") {
            break;
        }
        rest = after.trim_start_matches(['\n', '\r']);
    }
    rest
}

/// The longest timeout that is believed, and what holds where a task sets none: a week.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A number of seconds as a task writes it.
pub(crate) fn seconds(value: f64, key: &str, file: &Path) -> Result<Duration> {
    if !(value > 0.0 && value <= LONGEST.as_secs_f64()) {
        return Err(Error::invalid(
            file,
            format!("{key} is {value}; it has to be a positive number of seconds, at most a week"),
        ));
    }
    Ok(Duration::from_secs_f64(value))
}

#[cfg(test)]
mod tests;
