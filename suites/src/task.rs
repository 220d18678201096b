//! One task, ready to be tried: what its format says, in words that all formats share.

mod verifier;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::session::Session;

use crate::grade::CombinedRewards;
use crate::workspace::{CommandVariables, Start, WorkspaceSpec};
use crate::{Error, Result};

pub use verifier::{PatchAttempt, StepAttempt, Verifier, digest};

/// One task of a suite.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique within the suite.
    pub id: String,
    /// The suite's name.
    pub suite: String,
    /// What kind of task it is: the repository or the category, difficulty, keywords.
    pub tags: Vec<String>,
    /// What its workspaces are made of.
    pub workspace: WorkspaceSpec,
    /// What is asked for, one after another in the same workspace; at least one.
    pub steps: Vec<Step>,
    /// How the rewards of several steps become one.
    pub rewards: CombinedRewards,
    /// What the suite wants of grading.
    pub grader: GraderOptions,
}

/// One thing that is asked for.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name; empty where a task is a single step.
    pub name: String,
    /// What the agent is told.
    pub instruction: String,
    /// How long the agent may take.
    pub time: Duration,
    /// The user that the agent is meant to be, where the task says.
    pub user: Option<String>,
    /// What is put into the working directory before the agent begins.
    pub files: Option<StepFiles>,
    /// What has to hold before the agent begins.
    pub checks: Vec<StepCheck>,
    /// The author's solution, where there is one; never visible to the agent.
    pub solution: Option<Solution>,
    /// The directory with its recordings (`*.json`), where there is one; used only by
    /// simulated endpoints.
    pub recordings: Option<PathBuf>,
    /// What a developer does, act by act, where the step is a session of the real-time mode.
    pub session: Option<Arc<Session>>,
    /// How its result is judged.
    pub verifier: Arc<dyn Verifier>,
    /// How long judging may take.
    pub verifier_time: Duration,
    /// Rewards below which no further step is tried, by name.
    pub least_rewards: BTreeMap<String, f64>,
}

/// Files that a step brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFiles {
    /// Where they are on this machine. `setup.sh` among them is run.
    pub directory: PathBuf,
    /// How long that may take.
    pub time: Duration,
}

/// A command that is repeated until it exits with 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCheck {
    /// A line for the shell.
    pub command: String,
    /// Time between tries.
    pub interval: Duration,
    /// Longest time of one try.
    pub time: Duration,
    /// Tries that fail in a row before it is given up.
    pub tries: u32,
}

/// How a task's author solves a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Solution {
    /// A change of the repository in the working directory.
    Patch(String),
    /// A command in the working directory.
    Command {
        /// A line for the shell.
        command: String,
        /// What it sees beside the workspace.
        files: Option<SolutionFiles>,
        /// Its variables.
        variables: CommandVariables,
    },
}

/// Files of a solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SolutionFiles {
    /// A directory of this machine, or a file, which is then alone in a directory.
    pub host: PathBuf,
    /// Where the directory is inside.
    pub inside: String,
}

/// How results are graded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraderOptions {
    /// Seconds of a verifier, in the place of what the task says.
    pub timeout_seconds: Option<u64>,
    /// The reward from which on a task counts as solved, 1 unless said otherwise.
    pub solved_at: Option<f64>,
    /// Verifiers may write beside their tests, as some do that build them. What they run
    /// of the agent's may then do so, too.
    #[serde(default)]
    pub writable_tests: bool,
}

impl GraderOptions {
    /// The reward from which on a task counts as solved.
    #[must_use]
    pub fn solved_at(&self) -> f64 {
        self.solved_at.unwrap_or(1.0)
    }
}

impl Task {
    /// A task of a suite that begins as `start` says and is a single step.
    pub fn new(suite: &str, id: &str, start: impl Start + 'static, step: Step) -> Self {
        Self {
            id: id.to_owned(),
            suite: suite.to_owned(),
            tags: Vec::new(),
            workspace: WorkspaceSpec::new(id, start),
            steps: vec![step],
            rewards: CombinedRewards::default(),
            grader: GraderOptions::default(),
        }
    }

    /// The reference solution, where it is a patch.
    #[must_use]
    pub fn gold_patch(&self) -> Option<&str> {
        match self.steps.first()?.solution.as_ref()? {
            Solution::Patch(patch) => Some(patch),
            Solution::Command { .. } => None,
        }
    }

    /// The same task for grading alone: its checkouts have no history.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        self.workspace.history = false;
        self
    }
}

impl Step {
    /// A step that brings nothing and for which `time` is left to agent and verifier.
    pub fn new(instruction: String, time: Duration, verifier: impl Verifier + 'static) -> Self {
        Self {
            name: String::new(),
            instruction,
            time,
            user: None,
            files: None,
            checks: Vec::new(),
            solution: None,
            recordings: None,
            session: None,
            verifier: Arc::new(verifier),
            verifier_time: time,
            least_rewards: BTreeMap::new(),
        }
    }

    /// The recordings that come with it, by file name.
    pub fn recordings(&self) -> Result<Vec<Trajectory>> {
        let directory = self.recordings.as_deref().filter(|path| path.is_dir());
        let files = match directory {
            Some(directory) => json_files(directory)?,
            None => Vec::new(),
        };
        Ok(files
            .iter()
            .map(|file| Trajectory::read(file))
            .collect::<Result<_, _>>()?)
    }
}

fn json_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot_read = |error| Error::io("cannot be read", directory)(error);
    let mut files = Vec::new();
    for entry in directory.read_dir().map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
