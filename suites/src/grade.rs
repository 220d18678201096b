//! Decides whether a task was solved.
//!
//! # What a verdict is worth
//! The agent never sees the hidden tests, and nothing it started is alive while
//! they run. But they run its code, in the same sandbox: a program that was
//! written to deceive can print result lines (SWE-bench) or write a reward file
//! (Harbor), as it can upstream. What is closed here: a SWE-bench change is
//! graded as a patch on a fresh checkout, so planted configuration, hooks and
//! build products are gone; a forged end marker only adds to what is read; a
//! verifier that was killed gives no verdict.

mod change;
mod harbor;
mod infrastructure;
mod pytest_summary;
mod runner_summary;
mod separate;
mod swe_bench;
mod swe_bench_pro;

use std::collections::BTreeMap;
use std::path::Path;

use timeslip_datasets::swebench::InstanceReport;

use crate::steps::{StepGrade, combine};
use crate::{Error, Result, Sandbox, Task, TaskKind, Workspace};

pub use infrastructure::Infrastructure;

/// The verdict on one trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grade {
    /// The task was solved.
    pub resolved: bool,
    /// The verifier's own number, where it gives one (Harbor).
    pub reward: Option<f64>,
    /// The hidden tests that did not do what they should (SWE-bench).
    pub failed_tests: Vec<String>,
    /// Why it is not resolved, for a person.
    pub detail: Option<String>,
    /// The agent's change, where the format has one (SWE-bench).
    pub patch: Option<String>,
    /// What could be done with the change (SWE-bench).
    pub change: Change,
    /// What upstream's `report.json` says, where the tests ran to their end
    /// (SWE-bench).
    pub report: Option<Box<InstanceReport>>,
    /// What an unresolved task's log shows of a broken environment (SWE-bench).
    pub infrastructure: Option<Infrastructure>,
    /// What the tests printed, or why there are none (SWE-bench).
    pub log: String,
    /// The verifier came to no verdict (it timed out, was killed, or gave no
    /// result). Counts as unresolved, because an agent can bring it about; said
    /// apart, so that a broken verifier is not taken for a weak agent.
    pub verifier_failed: bool,
}

/// What could be done with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// The format has none, or none could be read.
    #[default]
    None,
    /// It changes nothing.
    Empty,
    /// It does not apply to the repository.
    DoesNotApply,
    /// It was applied.
    Applied,
}

/// Grades `patch`, whoever made it, on a checkout of its own below the directory
/// `place`; without a patch, the untouched repository.
///
/// # Errors
/// As [`grade`], and [`Error::Unsupported`] for a format whose tasks are not solved
/// by patches.
pub fn grade_patch(
    task: &Task,
    patch: Option<&str>,
    sandbox: &Sandbox,
    place: &Path,
) -> Result<Grade> {
    match &task.kind {
        TaskKind::SweBench { task: swe, .. } => {
            swe_bench::grade_patch(task, swe, patch.map(str::as_bytes), place, sandbox)
        }
        TaskKind::SweBenchPro {
            task: pro,
            repository,
        } => swe_bench_pro::grade_patch(
            task,
            pro,
            repository.as_ref(),
            patch.map(str::as_bytes),
            place,
            sandbox,
        ),
        TaskKind::Harbor { .. } => Err(Error::Unsupported {
            task: task.id.clone(),
            message: "is not solved by a patch, so no prediction can be graded".to_owned(),
        }),
    }
}

/// Grades what the agent left in `workspace` after the only step of a task. An error
/// means that the machinery failed, not the agent.
pub fn grade(task: &Task, workspace: &Workspace, sandbox: &Sandbox) -> Result<Grade> {
    Ok(combine(task, vec![step(task, 0, workspace, sandbox)?]))
}

/// Grades one step.
pub(crate) fn step(
    task: &Task,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<StepGrade> {
    match &task.kind {
        TaskKind::SweBench { task: swe, .. } => {
            swe_bench::grade(task, swe, workspace, sandbox).map(StepGrade::only)
        }
        TaskKind::SweBenchPro {
            task: pro,
            repository,
        } => change::graded(task, &pro.base_commit, workspace, sandbox, |patch| {
            let place = workspace.directory();
            let repository = repository.as_ref();
            swe_bench_pro::grade_patch(task, pro, repository, Some(patch), place, sandbox)
        })
        .map(StepGrade::only),
        TaskKind::Harbor { task: harbor, .. } => {
            harbor::grade(task, harbor, step, workspace, sandbox)
        }
    }
}

/// Whether rewards count as solved: the one named `reward` decides, else all do.
pub(crate) fn solves(rewards: &BTreeMap<String, f64>, from: f64) -> bool {
    match rewards.get(REWARD) {
        Some(reward) => *reward >= from,
        None => !rewards.is_empty() && rewards.values().all(|reward| *reward >= from),
    }
}

/// The rewards as one number: the one named `reward`, else their mean.
pub(crate) fn single(rewards: &BTreeMap<String, f64>) -> Option<f64> {
    rewards.get(REWARD).copied().or_else(|| {
        let sum: f64 = rewards.values().sum();
        (!rewards.is_empty()).then_some(sum / rewards.len() as f64)
    })
}

/// What a verifier with a single number calls it.
const REWARD: &str = "reward";

impl Grade {
    fn unresolved(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    fn nothing_changed() -> Self {
        Self {
            change: Change::Empty,
            ..Self::unresolved("nothing was changed")
        }
    }

    fn with_log(self, log: String) -> Self {
        Self { log, ..self }
    }

    fn no_verdict(detail: impl Into<String>) -> Self {
        Self {
            verifier_failed: true,
            ..Self::unresolved(detail)
        }
    }
}

/// The end of a verifier's output, for a person.
fn last_lines(output: &str) -> &str {
    const SHOWN: usize = 2000;
    tail(output, SHOWN)
}

/// The last so many bytes of a text, without blanks around them.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    text[from..].trim()
}
