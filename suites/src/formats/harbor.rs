//! A directory of Harbor / Terminal-Bench 2 tasks, or a registry of them.

use std::path::{Path, PathBuf};

use timeslip_datasets::harbor::{self, HarborTask};

use super::variables;
use super::{Format, LoadedTask, TaskSource};
use crate::grade::CombinedRewards;
use crate::starts::{DockerfileSource, DockerfileStart};
use crate::task::{Solution, SolutionFiles, Step, StepCheck, StepFiles};
use crate::verifiers::{RewardTold, Separate, TestScript};
use crate::workspace::{CommandVariables, Needs, NetworkNeed, WorkspaceSpec};
use crate::{Error, GraderOptions, Image, Result, Task};

/// Task directories with a `task.toml`.
pub(super) struct Harbor;

impl Format for Harbor {
    fn name(&self) -> &'static str {
        "harbor"
    }

    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>> {
        let directories = harbor::list(source.path)?;
        Ok(tasks(source, directories, harbor::read_task))
    }
}

/// The tasks in `directories`, called like them.
pub(super) fn tasks(
    source: &TaskSource<'_>,
    directories: Vec<PathBuf>,
    read: fn(&Path) -> timeslip_datasets::Result<HarborTask>,
) -> Vec<LoadedTask> {
    let candidate = |directory: PathBuf| {
        let id = directory.file_name().unwrap_or_default();
        let task = read(&directory)
            .map_err(Error::from)
            .and_then(|task| translated(source, task));
        (id.to_string_lossy().into_owned(), task)
    };
    directories.into_iter().map(candidate).collect()
}

fn translated(source: &TaskSource<'_>, mut task: HarborTask) -> Result<Task> {
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
    if task.steps.is_empty() {
        return Err(unsupported("has no step".to_owned()));
    }
    variables::resolve(&mut task, source.pass_env)?;
    let mut steps: Vec<Step> = task.steps.iter().map(|own| step(&task, own)).collect();
    if let (Some(first), Some(check)) = (steps.first_mut(), &task.environment.healthcheck) {
        first.checks.insert(0, translated_check(check));
    }
    let mut tags = vec![task.category.clone(), task.difficulty.clone()];
    tags.extend(task.tags.iter().cloned());
    tags.retain(|tag| !tag.is_empty());
    Ok(Task {
        id: task.name.clone(),
        suite: source.suite.to_owned(),
        tags,
        workspace: WorkspaceSpec {
            needs: needs_of(&task),
            ..WorkspaceSpec::new(&task.name, start(&task))
        },
        steps,
        rewards: match task.strategy {
            harbor::RewardStrategy::Mean => CombinedRewards::Mean,
            harbor::RewardStrategy::Final => CombinedRewards::Final,
        },
        grader: GraderOptions::default(),
    })
}

fn start(task: &HarborTask) -> DockerfileStart {
    let own = &task.environment;
    DockerfileStart {
        task: task.name.clone(),
        source: DockerfileSource {
            file: own.dockerfile.clone(),
            context: own.context.clone(),
            workdir: own.workdir.clone(),
            time: own.build_timeout,
        },
        image: own.docker_image.clone(),
        variables: owned(&own.env),
    }
}

fn needs_of(task: &HarborTask) -> Needs {
    let own = &task.environment;
    let names_user = |step: &harbor::Step| {
        // A verifier with an image of its own is in a container of that.
        let verifier = step.verifier.user.as_ref();
        let verifier = verifier.filter(|_| step.verifier.image.is_none());
        step.agent_user.is_some() || verifier.is_some()
    };
    let has_image = |step: &harbor::Step| step.verifier.image.is_some();
    let first = task.steps.first();
    let upkeep = first.map(|first| first.verifier.timeout);
    Needs {
        memory_mb: own.memory_mb,
        disk_mb: own.storage_mb,
        // A share of one is rounded up, as are those beyond.
        cpus: Some(own.cpus.ceil().max(1.0) as u32),
        network: match own.network {
            harbor::Network::Unsaid => NetworkNeed::Unsaid,
            harbor::Network::None => NetworkNeed::None,
            harbor::Network::Allowlist => NetworkNeed::NamedHosts,
            harbor::Network::Public => NetworkNeed::Public,
        },
        users: task.steps.iter().any(names_user),
        images: task.steps.iter().any(has_image),
        logs: true,
        upkeep: upkeep.unwrap_or(Needs::default().upkeep),
    }
}

fn step(task: &HarborTask, own: &harbor::Step) -> Step {
    let within = match own.name.as_str() {
        "" => task.directory.clone(),
        name => task.directory.join("steps").join(name),
    };
    let build_time = task.environment.build_timeout;
    let files = own.workdir.as_ref().map(|directory| StepFiles {
        directory: directory.clone(),
        time: build_time,
    });
    let solution = own.solution.as_ref();
    Step {
        name: own.name.clone(),
        user: own.agent_user.clone(),
        files,
        checks: own.healthcheck.iter().map(translated_check).collect(),
        solution: solution.map(|solution| translated_solution(solution, &task.solution_env)),
        recordings: Some(within.join("trajectories")),
        verifier_time: own.verifier.timeout,
        least_rewards: own.min_reward.clone(),
        ..Step::new(
            own.instruction.clone(),
            own.agent_timeout,
            verifier(&own.verifier),
        )
    }
}

fn translated_check(check: &harbor::Healthcheck) -> StepCheck {
    StepCheck {
        command: check.command.clone(),
        interval: check.interval,
        time: check.timeout,
        tries: check.retries,
    }
}

fn translated_solution(solution: &harbor::Solution, variables: &harbor::Variables) -> Solution {
    let (command, files) = match solution {
        harbor::Solution::Directory(directory) => (
            "bash /solution/solve.sh".to_owned(),
            Some((directory, "/solution")),
        ),
        harbor::Solution::Script(script) => {
            let name = script.file_name().unwrap_or_default().to_string_lossy();
            (format!("bash /oracle/{name}"), Some((script, "/oracle")))
        }
        harbor::Solution::Commands(commands) => (commands.clone(), None),
    };
    Solution::Command {
        command,
        files: files.map(|(host, inside)| SolutionFiles {
            host: host.clone(),
            inside: inside.to_owned(),
        }),
        variables: owned(variables),
    }
}

fn verifier(own: &harbor::Verifier) -> TestScript {
    let image = own.image.as_ref().map(|image| match image {
        harbor::VerifierImage::Published(name) => Image::Reference(name.clone()),
        harbor::VerifierImage::Built(context) => Image::Build {
            context: context.clone(),
            dockerfile: "Dockerfile".to_owned(),
        },
    });
    TestScript {
        tests: own.tests.clone(),
        script: own.script.clone(),
        told: match own.verdict {
            harbor::VerdictSource::RewardFile => RewardTold::InRewardFile,
            harbor::VerdictSource::PytestSummary => RewardTold::ByPytestSummary,
        },
        variables: owned(&own.env),
        user: own.user.clone(),
        separate: own.separate.then(|| Separate {
            image,
            artifacts: own.artifacts.clone(),
        }),
    }
}

fn owned(variables: &harbor::Variables) -> CommandVariables {
    variables.clone().into_iter().collect()
}
