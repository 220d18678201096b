//! One task, ready to be tried.

use std::path::PathBuf;
use std::time::Duration;

use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::harbor::HarborTask;
use timeslip_datasets::swebench::SweTask;
use timeslip_datasets::swebench_pro::ProTask;

use crate::workspace::{Environment, Repository};
use crate::{Error, Result};

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
    /// The root file system its suite names for it.
    pub environment: Option<Environment>,
    /// Where the task's own files are; never visible to the agent.
    directory: PathBuf,
}

/// The format-specific part of a [`Task`].
#[derive(Clone, Debug)]
pub enum TaskKind {
    /// A bug in a repository.
    SweBench {
        /// The task as its dataset has it.
        task: Box<SweTask>,
        /// Where its code comes from.
        repository: Repository,
    },
    /// A change of a repository, larger than one of SWE-bench.
    SweBenchPro {
        /// The task as its dataset has it.
        task: Box<ProTask>,
        /// Where its code comes from.
        repository: Repository,
    },
    /// Terminal work.
    Harbor {
        /// The task as its dataset has it.
        task: Box<HarborTask>,
    },
}

// SWE-bench tasks do not say; upstream gives an evaluation half an hour.
const SWE_BENCH_TIMEOUT: Duration = Duration::from_secs(1800);
/// Upstream's bound of an evaluation.
const SWE_BENCH_PRO_TIMEOUT: Duration = Duration::from_secs(3600);
const SWE_BENCH_MEMORY_MB: u64 = 4096;

pub(crate) use timeslip_datasets::swebench::TESTBED;

impl Task {
    pub(super) fn from_swe_bench(
        suite: &str,
        task: SweTask,
        repository: Repository,
        directory: PathBuf,
    ) -> Self {
        Self {
            id: task.instance_id.clone(),
            suite: suite.to_owned(),
            instruction: swe_bench_instruction(&task),
            agent_timeout: SWE_BENCH_TIMEOUT,
            verifier_timeout: SWE_BENCH_TIMEOUT,
            memory_mb: SWE_BENCH_MEMORY_MB,
            environment: None,
            directory,
            kind: TaskKind::SweBench {
                repository,
                task: Box::new(task),
            },
        }
    }

    pub(super) fn from_swe_bench_pro(
        suite: &str,
        task: ProTask,
        repository: Repository,
        directory: PathBuf,
    ) -> Self {
        Self {
            id: task.instance_id.clone(),
            suite: suite.to_owned(),
            instruction: swe_bench_pro_instruction(&task),
            agent_timeout: SWE_BENCH_PRO_TIMEOUT,
            verifier_timeout: SWE_BENCH_PRO_TIMEOUT,
            memory_mb: SWE_BENCH_MEMORY_MB,
            environment: None,
            directory,
            kind: TaskKind::SweBenchPro {
                repository,
                task: Box::new(task),
            },
        }
    }

    pub(super) fn from_harbor(suite: &str, task: HarborTask) -> Self {
        Self {
            id: task.name.clone(),
            suite: suite.to_owned(),
            instruction: task.instruction.clone(),
            agent_timeout: task.agent_timeout,
            verifier_timeout: task.verifier_timeout,
            memory_mb: task.memory_mb,
            environment: None,
            directory: task.directory.clone(),
            kind: TaskKind::Harbor {
                task: Box::new(task),
            },
        }
    }

    /// The reference solution, where it is a patch.
    #[must_use]
    pub fn gold_patch(&self) -> Option<&str> {
        match &self.kind {
            TaskKind::SweBench { task, .. } => Some(&task.patch),
            TaskKind::SweBenchPro { task, .. } => Some(&task.patch),
            TaskKind::Harbor { .. } => None,
        }
    }

    /// Everything a verdict on a patch depends on beside the patch, as text.
    #[must_use]
    pub fn grading(&self) -> String {
        match &self.kind {
            TaskKind::SweBench { task, .. } => format!("{task:?}"),
            TaskKind::SweBenchPro { task, .. } => format!("{task:?}"),
            TaskKind::Harbor { task, .. } => format!("{task:?}"),
        }
    }

    /// The same task for grading alone: its checkouts have no history.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        match &mut self.kind {
            TaskKind::SweBench { repository, .. } | TaskKind::SweBenchPro { repository, .. } => {
                repository.shallow();
            }
            TaskKind::Harbor { .. } => {}
        }
        self
    }

    /// What kind of task it is: the repository or the category, difficulty, keywords.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut tags = match &self.kind {
            TaskKind::SweBench { task, .. } => vec![task.repo.clone(), task.difficulty.clone()],
            TaskKind::SweBenchPro { task, .. } => vec![task.repo.clone(), task.language.clone()],
            TaskKind::Harbor { task, .. } => {
                let mut tags = vec![task.category.clone(), task.difficulty.clone()];
                tags.extend(task.tags.iter().cloned());
                tags
            }
        };
        tags.retain(|tag| !tag.is_empty());
        tags
    }

    /// The recordings that come with the task (`trajectories/*.json`), by file
    /// name; used only by simulated endpoints.
    pub fn recordings(&self) -> Result<Vec<Trajectory>> {
        let directory = self.directory.join("trajectories");
        if !directory.is_dir() {
            return Ok(Vec::new());
        }
        let cannot_read = |error| Error::io("cannot be read", &directory)(error);
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
        Ok(files
            .iter()
            .map(|file| Trajectory::read(file))
            .collect::<Result<_, _>>()?)
    }
}

fn swe_bench_instruction(task: &SweTask) -> String {
    format!(
        "The repository {} is checked out in the working directory. \
         Change its source so that the issue below is resolved; \
         hidden tests will decide.\n\n{}\n",
        task.repo,
        task.problem_statement.trim()
    )
}

fn swe_bench_pro_instruction(task: &ProTask) -> String {
    let mut text = format!(
        "The repository {} is checked out in the working directory. \
         Change its source so that the issue below is resolved; \
         hidden tests will decide.\n\n{}\n",
        task.repo,
        task.problem_statement.trim()
    );
    for (heading, part) in [
        ("Requirements", &task.requirements),
        ("New interfaces", &task.interface),
    ] {
        if !part.trim().is_empty() {
            text.push_str(&format!("\n{heading}:\n{}\n", part.trim()));
        }
    }
    text
}
