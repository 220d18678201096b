//! One task, ready to be tried.

use std::path::PathBuf;
use std::time::Duration;

use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::harbor::HarborTask;
use timeslip_datasets::swebench::SweTask;
use timeslip_datasets::swebench_pro::ProTask;

use super::file::{GraderOptions, SuiteFile};
use super::variables;
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
    /// What the suite wants of grading.
    pub grader: GraderOptions,
    /// A directory of programs that stand in for those that need a network.
    pub shims: Option<PathBuf>,
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
        /// Where its code comes from, unless it is in an image.
        repository: Option<Repository>,
    },
    /// A change of a repository, larger than one of SWE-bench.
    SweBenchPro {
        /// The task as its dataset has it.
        task: Box<ProTask>,
        /// Where its code comes from, unless it is in an image.
        repository: Option<Repository>,
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
        repository: Option<Repository>,
        directory: PathBuf,
    ) -> Self {
        Self {
            id: task.instance_id.clone(),
            suite: suite.to_owned(),
            instruction: swe_bench_instruction(&task),
            agent_timeout: SWE_BENCH_TIMEOUT,
            verifier_timeout: SWE_BENCH_TIMEOUT,
            grader: GraderOptions::default(),
            shims: None,
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
        repository: Option<Repository>,
        directory: PathBuf,
    ) -> Self {
        Self {
            id: task.instance_id.clone(),
            suite: suite.to_owned(),
            instruction: swe_bench_pro_instruction(&task),
            agent_timeout: SWE_BENCH_PRO_TIMEOUT,
            verifier_timeout: SWE_BENCH_PRO_TIMEOUT,
            grader: GraderOptions::default(),
            shims: None,
            memory_mb: SWE_BENCH_MEMORY_MB,
            environment: None,
            directory,
            kind: TaskKind::SweBenchPro {
                repository,
                task: Box::new(task),
            },
        }
    }

    /// `passed` names the variables of the host that the task may see.
    pub(super) fn from_harbor(
        suite: &str,
        mut task: HarborTask,
        passed: &[String],
    ) -> Result<Self> {
        let unsupported = |message: String| Error::Unsupported {
            task: task.name.clone(),
            message,
        };
        let needs = &task.environment.needs;
        if !needs.is_empty() {
            return Err(unsupported(format!(
                "needs what no sandbox here has: {}",
                needs.join("; ")
            )));
        }
        let Some(first) = task.steps.first() else {
            return Err(unsupported("has no step".to_owned()));
        };
        let (id, instruction) = (task.name.clone(), first.instruction.clone());
        let timeouts = (first.agent_timeout, first.verifier.timeout);
        variables::resolve(&mut task, passed)?;
        Ok(Self {
            id,
            suite: suite.to_owned(),
            instruction,
            agent_timeout: timeouts.0,
            verifier_timeout: timeouts.1,
            grader: GraderOptions::default(),
            shims: None,
            memory_mb: task.environment.memory_mb,
            environment: None,
            directory: task.directory.clone(),
            kind: TaskKind::Harbor {
                task: Box::new(task),
            },
        })
    }

    /// The commit that the work starts from, where it is on a repository.
    pub(crate) fn base_commit(&self) -> Option<&str> {
        match &self.kind {
            TaskKind::SweBench { task, .. } => Some(&task.base_commit),
            TaskKind::SweBenchPro { task, .. } => Some(&task.base_commit),
            TaskKind::Harbor { .. } => None,
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
                if let Some(repository) = repository {
                    repository.shallow();
                }
            }
            TaskKind::Harbor { .. } => {}
        }
        self
    }

    /// The task as a suite wants it.
    pub(super) fn adapted(mut self, file: &SuiteFile) -> Result<Self> {
        let (rootfs, image) = (file.rootfs.as_deref(), file.image.as_deref());
        self.environment = Environment::named(rootfs, image, &file.directory, &self.id)?;
        self.instruction = file.prompted(&self.instruction);
        self.grader = file.grader.clone().unwrap_or_default();
        self.shims = file.shims.as_ref().map(|shims| file.directory.join(shims));
        if let Some(seconds) = self.grader.timeout_seconds {
            self.verifier_timeout = Duration::from_secs(seconds);
        }
        if let TaskKind::Harbor { task, .. } = &mut self.kind {
            for step in &mut task.steps {
                step.instruction = file.prompted(&step.instruction);
                if let Some(seconds) = self.grader.timeout_seconds {
                    step.verifier.timeout = Duration::from_secs(seconds);
                }
            }
        }
        Ok(self)
    }

    /// How many instructions are given one after another; at least one.
    #[must_use]
    pub fn steps(&self) -> usize {
        match &self.kind {
            TaskKind::Harbor { task, .. } => task.steps.len(),
            TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => 1,
        }
    }

    /// What the agent is told in a step, from 0, and how long it may take; `None`
    /// after the last.
    #[must_use]
    pub fn assignment(&self, step: usize) -> Option<(&str, Duration)> {
        match &self.kind {
            TaskKind::Harbor { task, .. } => task
                .steps
                .get(step)
                .map(|step| (step.instruction.as_str(), step.agent_timeout)),
            TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => {
                (step == 0).then_some((self.instruction.as_str(), self.agent_timeout))
            }
        }
    }

    /// Variables of every command of the task.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        match &self.kind {
            TaskKind::Harbor { task, .. } => task.environment.env.clone().into_iter().collect(),
            TaskKind::SweBench { .. } => Vec::new(),
            TaskKind::SweBenchPro { task, .. } => task.environment.clone(),
        }
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

    /// The recordings that come with a step (`trajectories/*.json`), by file name; used
    /// only by simulated endpoints.
    pub fn recordings(&self, step: usize) -> Result<Vec<Trajectory>> {
        let own = match &self.kind {
            TaskKind::Harbor { task, .. } => task.steps.get(step).map(|step| step.name.as_str()),
            TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => None,
        };
        let directory = match own {
            None | Some("") => self.directory.join("trajectories"),
            Some(name) => self.directory.join("steps").join(name).join("trajectories"),
        };
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
