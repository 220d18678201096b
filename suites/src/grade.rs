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

mod harbor;
mod pytest_summary;
mod swe_bench;

use std::collections::BTreeMap;

use crate::steps::{StepGrade, combine};
use crate::{Result, Sandbox, Task, TaskKind, Workspace};

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
    /// The verifier came to no verdict (it timed out, was killed, or gave no
    /// result). Counts as unresolved, because an agent can bring it about; said
    /// apart, so that a broken verifier is not taken for a weak agent.
    pub verifier_failed: bool,
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
        TaskKind::SweBench { task: swe, .. } => Ok(StepGrade {
            grade: swe_bench::grade(task, swe, workspace, sandbox)?,
            ..StepGrade::default()
        }),
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
    let from = output.len().saturating_sub(SHOWN);
    let from = (from..output.len())
        .find(|index| output.is_char_boundary(*index))
        .unwrap_or(output.len());
    output[from..].trim()
}
