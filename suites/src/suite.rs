//! Suite files, and the tasks they select.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::harbor::HarborTask;
use timeslip_datasets::swebench::SweTask;

use crate::Result;

/// The task formats a suite can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A task repository of swebench 5.x.
    SweBench,
    /// A directory of Harbor / Terminal-Bench 2 tasks.
    Harbor,
}

/// A suite file: which tasks belong together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// The suite's name.
    pub name: String,
    /// The format of its tasks.
    pub format: Format,
    /// `bundled:<name>`, or a directory relative to the suite file.
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
    /// The directory `source` is relative to.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// A loaded suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The suite's name.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// Its tasks, by id.
    pub tasks: Vec<Task>,
}

/// One task of a suite.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique within the suite.
    pub id: String,
    /// The suite's name.
    pub suite: String,
    /// What the agent is told.
    pub instruction: String,
    /// How long the agent may take.
    pub agent_timeout: Duration,
    /// How long grading may take.
    pub verifier_timeout: Duration,
    /// Memory per process inside the sandbox.
    pub memory_mb: u64,
    /// The format-specific part.
    pub kind: TaskKind,
}

/// The format-specific part of a [`Task`].
#[derive(Clone, Debug)]
pub enum TaskKind {
    /// A bug in a repository.
    SweBench(Box<SweTask>),
    /// Terminal work.
    Harbor(Box<HarborTask>),
}

impl SuiteFile {
    /// The names of the suites that ship with timeslip.
    pub const SHIPPED: [&str; 2] = ["swe-mini", "terminal-mini"];

    /// A suite that ships with timeslip.
    pub fn shipped(_name: &str) -> Result<Self> {
        todo!()
    }

    /// Reads a suite file.
    pub fn read(_file: &Path) -> Result<Self> {
        todo!()
    }
}

impl Suite {
    /// Loads and checks every selected task. `scratch` is an existing directory
    /// that outlives the suite; bundled tasks and caches are put below it.
    pub fn load(_file: &SuiteFile, _scratch: &Path) -> Result<Self> {
        todo!()
    }
}

impl Task {
    /// Where the agent's commands start inside the sandbox.
    pub fn working_directory(&self) -> &str {
        todo!()
    }

    /// The recordings that come with the task, by file name; used only by
    /// simulated endpoints.
    pub fn recordings(&self) -> Result<Vec<Trajectory>> {
        todo!()
    }
}
