//! Decides whether a task was solved.

use crate::{Result, Sandbox, Task, Workspace};

/// The verdict on one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    /// The task was solved.
    pub resolved: bool,
    /// The verifier's own number, where it gives one (Harbor).
    pub reward: Option<f64>,
    /// The hidden tests that did not do what they should.
    pub failed_tests: Vec<String>,
    /// Why it is not resolved, for a person.
    pub detail: Option<String>,
    /// The agent's change, where the format has one (SWE-bench).
    pub patch: Option<String>,
    /// The verifier came to no verdict (it timed out, or gave no result);
    /// `resolved` is then false.
    pub verifier_failed: bool,
}

/// Grades what the agent left in `workspace`. An error means that the machinery
/// failed, not the agent.
pub fn grade(_task: &Task, _workspace: &Workspace, _sandbox: &Sandbox) -> Result<Grade> {
    todo!()
}
