//! What lies between the instructions of a task: files, a set-up script and checks
//! before the agent begins, and what the rewards of all steps come to.

use std::path::Path;
use std::thread;
use std::time::Duration;

use timeslip_datasets::text::plural;

use crate::grade::{self, CombinedRewards, Rewards};
use crate::sandbox::Scratch;
use crate::task::{PatchAttempt, Step, StepAttempt, StepCheck};
use crate::workspace::copy;
use crate::{Error, Execution, Grade, Limits, Result, Sandbox, Task, Workspace};

/// The verdict on one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepGrade {
    /// The verdict, as if there were no other step.
    pub grade: Grade,
    /// Whether the next step, if there is one, is to be tried.
    pub go_on: bool,
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
    let Some(own) = task.steps.get(step) else {
        return Ok(());
    };
    let failed = |message: String| Error::Prepare {
        task: task.id.clone(),
        message,
    };
    let limits = |wall| Limits {
        wall,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.workspace.needs.memory_mb,
    };
    let run = |command: &str, wall: Duration| -> Result<Execution> {
        sandbox.run(&workspace.invocation(command, limits(wall)))
    };
    workspace.work_as(own.user.as_deref(), sandbox)?;
    if let Some(files) = &own.files {
        let directory = &files.directory;
        let refused = |refusal| failed(format!("{} {refusal}", directory.display()));
        if let Some((tree, _)) = workspace.mounted() {
            copy(directory, tree, workspace.below()).map_err(refused)?;
        } else {
            // What is in a container is put there from within.
            workspace.put(directory, workspace.working_directory(), sandbox)?;
        }
        if directory.join("setup.sh").is_file() {
            let command = format!("bash {}/setup.sh", workspace.working_directory());
            let execution = run(&command, files.time)?;
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
    for check in &own.checks {
        if !holds(check, |command| run(command, check.time))? {
            return Err(failed(format!(
                "the check {:?} failed {}",
                check.command,
                plural(check.tries as usize, "time")
            )));
        }
    }
    Ok(())
}

/// Prepares a task in a directory of its own, until the agent's first step may begin.
pub fn begin(task: &Task, sandbox: &Sandbox, directory: &Path) -> Result<Workspace> {
    let workspace = Workspace::prepare(&task.workspace, sandbox, directory)?;
    begin_step(task, 0, &workspace, sandbox)?;
    Ok(workspace)
}

/// Repeats a check until it succeeds, or fails for good.
fn holds(check: &StepCheck, run: impl Fn(&str) -> Result<Execution>) -> Result<bool> {
    for attempt in 1..=check.tries {
        if run(&check.command)?.succeeded() {
            return Ok(true);
        }
        if attempt < check.tries {
            thread::sleep(check.interval);
        }
    }
    Ok(false)
}

/// Grades what the agent left after a step, from 0. An error means that the machinery
/// failed, not the agent: where what was left has no verdict, the untouched task is
/// graded as well, and where that has one, it was the agent's doing and is not resolved.
pub fn grade_step(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<StepGrade> {
    let own = find(task, step)?;
    let graded = own.verifier.grade(&StepAttempt {
        task,
        step: own,
        workspace,
        sandbox,
    });
    let grade = attributed(graded, || {
        untouched_has_verdict(task, step, workspace.directory(), sandbox)
    })?;
    let reached = grade::reach(&grade.rewards, &own.least_rewards);
    Ok(StepGrade {
        go_on: !grade.verifier_failed && reached,
        grade,
    })
}

/// The grade, not resolved where there is no verdict for what was graded alone.
fn attributed(
    graded: Result<Grade>,
    untouched_has_verdict: impl FnOnce() -> bool,
) -> Result<Grade> {
    let missing = match &graded {
        Ok(grade) if grade.verifier_failed => grade.detail.clone(),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    match missing {
        Some(why) if untouched_has_verdict() => Ok(Grade {
            detail: Some(format!(
                "what was left has no verdict, though the untouched task has one: {why}"
            )),
            verifier_failed: false,
            ..graded.unwrap_or_default()
        }),
        _ => graded,
    }
}

/// Whether the verifier of a step comes to a verdict on what no agent has touched, tried
/// below the directory `place`.
fn untouched_has_verdict(task: &Task, step: usize, place: &Path, sandbox: &Sandbox) -> bool {
    let graded = || -> Result<Grade> {
        let place = Scratch::within(place, "untouched-")?;
        match grade_patch_of(task, step, None, sandbox, place.path()) {
            // It is no patch that solves this task.
            Err(Error::Unsupported { .. }) => {}
            graded => return graded,
        }
        let directory = place.path().join("trial");
        let untouched = begin(task, sandbox, &directory)?;
        for before in 1..=step {
            begin_step(task, before, &untouched, sandbox)?;
        }
        let own = find(task, step)?;
        own.verifier.grade(&StepAttempt {
            task,
            step: own,
            workspace: &untouched,
            sandbox,
        })
    };
    graded().is_ok_and(|grade| !grade.verifier_failed)
}

/// Grades what the agent left in `workspace` after the only step of a task. An error
/// means that the machinery failed, not the agent.
pub fn grade(task: &Task, workspace: &Workspace, sandbox: &Sandbox) -> Result<Grade> {
    Ok(combine(
        task,
        vec![grade_step(task, 0, workspace, sandbox)?],
    ))
}

/// Grades a patch from any source on a checkout of its own below the directory
/// `place`; without a patch, the untouched repository. Where a patch alone has no verdict,
/// it is not resolved, as in [`grade_step`].
///
/// # Errors
/// As [`grade()`], and [`Error::Unsupported`] for a task that is not solved by a patch.
pub fn grade_patch(
    task: &Task,
    patch: Option<&str>,
    sandbox: &Sandbox,
    place: &Path,
) -> Result<Grade> {
    let patch = patch.map(str::as_bytes);
    let graded = grade_patch_of(task, 0, patch, sandbox, place);
    match &graded {
        // An error is the machinery's: a patch cannot bring one about.
        Ok(_) if patch.is_some() => {
            attributed(graded, || untouched_has_verdict(task, 0, place, sandbox))
        }
        _ => graded,
    }
}

fn grade_patch_of(
    task: &Task,
    step: usize,
    patch: Option<&[u8]>,
    sandbox: &Sandbox,
    place: &Path,
) -> Result<Grade> {
    let step = find(task, step)?;
    step.verifier.grade_patch(&PatchAttempt {
        task,
        step,
        patch,
        place,
        sandbox,
    })
}

fn find(task: &Task, step: usize) -> Result<&Step> {
    task.steps.get(step).ok_or_else(|| Error::Prepare {
        task: task.id.clone(),
        message: format!("has no step {step}"),
    })
}

/// The verdict on the trial. `grades` are those of the steps that were tried; one that
/// ended before the last step is not resolved, whatever the rewards so far.
#[must_use]
pub fn combine(task: &Task, grades: Vec<StepGrade>) -> Grade {
    if task.steps.len() == 1 {
        return grades.into_iter().next_back().unwrap_or_default().grade;
    }
    let tried = grades.len();
    let rewards = combined_rewards(task.rewards, &grades);
    let mut failed = grades.iter().position(|step| step.grade.verifier_failed);
    let lost = |step: &StepGrade| !step.grade.resolved;
    failed = failed.or_else(|| grades.iter().position(lost));
    let all = tried == task.steps.len();
    let resolved = all && grade::solves(&rewards, task.grader.solved_at());
    let detail = (!resolved).then(|| describe(task, &grades, failed));
    Grade {
        resolved,
        reward: grade::single(&rewards),
        rewards,
        detail,
        verifier_failed: grades.iter().any(|step| step.grade.verifier_failed),
        ..Grade::default()
    }
}

fn describe(task: &Task, grades: &[StepGrade], failed: Option<usize>) -> String {
    let of = task.steps.len();
    let place = |index: usize| {
        let name = task.steps.get(index).map_or("", |step| &step.name);
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

fn combined_rewards(strategy: CombinedRewards, grades: &[StepGrade]) -> Rewards {
    if strategy == CombinedRewards::Final {
        return grades
            .last()
            .map(|step| step.grade.rewards.clone())
            .unwrap_or_default();
    }
    let judged: Vec<_> = grades
        .iter()
        .filter(|step| !step.grade.verifier_failed)
        .map(|step| &step.grade.rewards)
        .collect();
    let mut means = Rewards::new();
    for rewards in &judged {
        for (name, reward) in *rewards {
            *means.entry(name.clone()).or_insert(0.0) += reward / judged.len() as f64;
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rewards: &[(&str, f64)]) -> StepGrade {
        let mut step = StepGrade::default();
        let owned = |(name, reward): &(&str, f64)| ((*name).to_owned(), *reward);
        step.grade.rewards = rewards.iter().map(owned).collect();
        step
    }

    #[test]
    fn rewards_are_averaged_name_by_name_or_the_last_ones_count() {
        let steps = [
            step(&[("reward", 1.0), ("style", 0.5)]),
            step(&[("reward", 0.5)]),
        ];
        let mean = combined_rewards(CombinedRewards::Mean, &steps);
        assert_eq!((mean["reward"], mean["style"]), (0.75, 0.25));
        let last = combined_rewards(CombinedRewards::Final, &steps);
        assert_eq!(last, steps[1].grade.rewards);
        assert!(combined_rewards(CombinedRewards::Mean, &[]).is_empty());
    }
}
