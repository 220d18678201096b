//! What lies between the instructions of a task: files, a set-up script and checks
//! before the agent begins, and what the rewards of all steps come to.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use timeslip_datasets::harbor::{HarborTask, Healthcheck, RewardStrategy};

use crate::grade::{self, Grade};
use crate::workspace::copy;
use crate::{Error, Execution, Limits, Result, Sandbox, Task, TaskKind, Workspace};

/// The verdict on one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepGrade {
    /// The verdict, as if there were no other step.
    pub grade: Grade,
    /// The verifier's numbers, by name; empty where it gave none.
    pub rewards: BTreeMap<String, f64>,
    /// Whether the next step, if there is one, is to be tried.
    pub go_on: bool,
}

impl StepGrade {
    /// The verdict on a task that has no other step.
    pub(crate) fn only(grade: Grade) -> Self {
        Self {
            grade,
            ..Self::default()
        }
    }
}

/// What a failing script is quoted with.
const OUTPUT_BYTES: usize = 4096;

/// Gets the workspace ready for a step, from 0: puts its files into the working
/// directory, runs its `setup.sh`, waits for its checks.
///
/// # Errors
/// [`Error::Prepare`] when the script or a check fails. After the first step that may be
/// the agent's doing; the trial then ends with the steps before.
pub fn begin_step(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<()> {
    let TaskKind::Harbor { task: harbor, .. } = &task.kind else {
        return Ok(());
    };
    let Some(own) = harbor.steps.get(step) else {
        return Ok(());
    };
    let failed = |message: String| Error::Prepare {
        task: task.id.clone(),
        message,
    };
    let limits = |wall| Limits {
        wall,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    let run = |command: &str, wall: Duration| -> Result<Execution> {
        sandbox.run(&workspace.invocation(command, limits(wall)))
    };
    workspace.work_as(own.agent_user.as_deref(), task, sandbox)?;
    if let Some(files) = &own.workdir {
        let refused = |refusal| failed(format!("{} {refusal}", files.display()));
        if let Some((tree, _)) = workspace.mounted() {
            copy(files, tree, workspace.below()).map_err(refused)?;
        } else {
            // What is in a container is put there from within.
            workspace.put(task, files, workspace.working_directory(), sandbox)?;
        }
        if files.join("setup.sh").is_file() {
            let command = format!("bash {}/setup.sh", workspace.working_directory());
            let execution = run(&command, harbor.environment.build_timeout)?;
            if !execution.succeeded() {
                return Err(failed(format!(
                    "setup.sh of step {} ended with {:?}: {}",
                    own.name,
                    execution.exit,
                    execution.text().trim_end()
                )));
            }
        }
    }
    let whole = harbor.environment.healthcheck.as_ref();
    for check in [whole.filter(|_| step == 0), own.healthcheck.as_ref()] {
        let Some(check) = check else { continue };
        if !holds(check, |command| run(command, check.timeout))? {
            return Err(failed(format!(
                "the check {:?} failed {} times",
                check.command, check.retries
            )));
        }
    }
    Ok(())
}

/// Repeats a check until it succeeds, or fails for good.
fn holds(check: &Healthcheck, run: impl Fn(&str) -> Result<Execution>) -> Result<bool> {
    for attempt in 1..=check.retries {
        if run(&check.command)?.succeeded() {
            return Ok(true);
        }
        if attempt < check.retries {
            thread::sleep(check.interval);
        }
    }
    Ok(false)
}

/// Grades what the agent left after a step, from 0. An error means that the machinery
/// failed, not the agent.
pub fn grade_step(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<StepGrade> {
    grade::step(task, step, workspace, sandbox)
}

/// The verdict on the trial. `grades` are those of the steps that were tried; one that
/// ended before the last step is not resolved, whatever the rewards so far.
#[must_use]
pub fn combine(task: &Task, grades: Vec<StepGrade>) -> Grade {
    let TaskKind::Harbor { task: harbor, .. } = &task.kind else {
        return grades.into_iter().next_back().unwrap_or_default().grade;
    };
    if harbor.steps.len() == 1 {
        return grades.into_iter().next_back().unwrap_or_default().grade;
    }
    let tried = grades.len();
    let rewards = combined_rewards(harbor.strategy, &grades);
    let mut failed = grades.iter().position(|step| step.grade.verifier_failed);
    let lost = |step: &StepGrade| !step.grade.resolved;
    failed = failed.or_else(|| grades.iter().position(lost));
    let all = tried == harbor.steps.len();
    let resolved = all && grade::solves(&rewards, task.grader.solved_at());
    let detail = (!resolved).then(|| describe(harbor, &grades, failed));
    Grade {
        resolved,
        reward: grade::single(&rewards),
        detail,
        verifier_failed: grades.iter().any(|step| step.grade.verifier_failed),
        ..Grade::default()
    }
}

fn describe(harbor: &HarborTask, grades: &[StepGrade], failed: Option<usize>) -> String {
    let of = harbor.steps.len();
    let place = |index: usize| {
        let name = harbor.steps.get(index).map_or("", |step| &step.name);
        format!("step {} of {of} ({name})", index + 1)
    };
    match failed.and_then(|index| Some((index, grades.get(index)?))) {
        Some((index, step)) => format!(
            "{}: {}",
            place(index),
            step.grade.detail.as_deref().unwrap_or("not solved")
        ),
        None => format!("ended before {}", place(grades.len())),
    }
}

fn combined_rewards(strategy: RewardStrategy, grades: &[StepGrade]) -> BTreeMap<String, f64> {
    if strategy == RewardStrategy::Final {
        return grades
            .last()
            .map(|step| step.rewards.clone())
            .unwrap_or_default();
    }
    let judged: Vec<_> = grades
        .iter()
        .filter(|step| !step.grade.verifier_failed)
        .map(|step| &step.rewards)
        .collect();
    let mut means = BTreeMap::new();
    for rewards in &judged {
        for (name, reward) in *rewards {
            *means.entry(name.clone()).or_insert(0.0) += reward / judged.len() as f64;
        }
    }
    means
}

/// Whether rewards reach what the next step asks of them.
pub(crate) fn reaches(rewards: &BTreeMap<String, f64>, least: &BTreeMap<String, f64>) -> bool {
    least.iter().all(|(name, least)| {
        let reward = rewards.get(name);
        reward.is_some_and(|reward| reward >= least)
    })
}

/// Puts the tests of a step together in the empty directory `into`.
pub(crate) fn lay_out_tests(
    sources: &[std::path::PathBuf],
    into: &Path,
) -> Result<(), (String, crate::beneath::Refusal)> {
    for source in sources {
        let to = match source.file_name() {
            Some(name) if source.is_file() => Path::new(name),
            _ => Path::new(""),
        };
        copy(source, into, to).map_err(|refusal| (source.display().to_string(), refusal))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rewards: &[(&str, f64)]) -> StepGrade {
        StepGrade {
            rewards: rewards
                .iter()
                .map(|(name, reward)| ((*name).to_owned(), *reward))
                .collect(),
            ..StepGrade::default()
        }
    }

    #[test]
    fn rewards_are_averaged_name_by_name_or_the_last_ones_count() {
        let steps = [
            step(&[("reward", 1.0), ("style", 0.5)]),
            step(&[("reward", 0.5)]),
        ];
        let mean = combined_rewards(RewardStrategy::Mean, &steps);
        assert_eq!((mean["reward"], mean["style"]), (0.75, 0.25));
        let last = combined_rewards(RewardStrategy::Final, &steps);
        assert_eq!(last, steps[1].rewards);
        assert!(combined_rewards(RewardStrategy::Mean, &[]).is_empty());
    }

    #[test]
    fn the_next_step_asks_for_every_named_reward() {
        let least = step(&[("reward", 0.5)]).rewards;
        assert!(reaches(
            &step(&[("reward", 0.5), ("x", 0.0)]).rewards,
            &least
        ));
        assert!(!reaches(&step(&[("reward", 0.4)]).rewards, &least));
        assert!(!reaches(&step(&[("x", 1.0)]).rewards, &least));
        assert!(reaches(&BTreeMap::new(), &BTreeMap::new()));
    }
}
