//! How the result of a step is judged.

use std::fmt;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Step, Task};
use crate::{Error, Grade, Result, Sandbox, Workspace};

/// Decides whether a step was solved.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Everything a verdict depends on beside what is judged and where: two verifiers
    /// with the same identity come to the same verdict.
    fn identity(&self) -> String;

    /// Judges what the agent left in a workspace. An error means that the machinery
    /// failed, not the agent.
    ///
    /// # Errors
    /// Whatever kept it from a verdict that no agent can have brought about.
    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade>;

    /// Judges a patch from any source, in a workspace of its own.
    ///
    /// # Errors
    /// As [`Verifier::grade`], and [`Error::Unsupported`] where a task is not solved by
    /// a patch.
    fn grade_patch(&self, attempt: &PatchAttempt<'_>) -> Result<Grade> {
        Err(Error::Unsupported {
            task: attempt.task.id.clone(),
            message: "is not solved by a patch, so no prediction can be graded".to_owned(),
        })
    }
}

/// What an agent left after a step.
#[derive(Clone, Copy, Debug)]
pub struct StepAttempt<'a> {
    /// The task.
    pub task: &'a Task,
    /// The step of it.
    pub step: &'a Step,
    /// Where the agent worked.
    pub workspace: &'a Workspace,
    /// What runs commands.
    pub sandbox: &'a Sandbox,
}

/// A patch for the repository of a step.
#[derive(Clone, Copy, Debug)]
pub struct PatchAttempt<'a> {
    /// The task.
    pub task: &'a Task,
    /// The step of it.
    pub step: &'a Step,
    /// The patch; without one the untouched repository is judged.
    pub patch: Option<&'a [u8]>,
    /// An existing directory for what is made on the way.
    pub place: &'a Path,
    /// What runs commands.
    pub sandbox: &'a Sandbox,
}

/// A short name for several parts taken together: nothing that can be in one part looks
/// like the border to the next.
#[must_use]
pub fn digest<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}
