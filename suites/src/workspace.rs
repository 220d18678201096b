//! The directory a trial works in.

use std::path::Path;

use crate::{Invocation, Limits, Result, Sandbox, Task};

/// A fresh copy of a task's starting state.
#[derive(Debug)]
pub struct Workspace {}

impl Workspace {
    /// Builds the starting state of `task` in the empty or absent directory `directory`.
    pub fn prepare(_task: &Task, _sandbox: &Sandbox, _directory: &Path) -> Result<Self> {
        todo!()
    }

    /// The working directory on the host, for [`crate::edit::apply`].
    pub fn root(&self) -> &Path {
        todo!()
    }

    /// A command of the agent: starts in the working directory and sees nothing
    /// but it, its own `/tmp` and the read-only system.
    pub fn invocation(&self, _command: &str, _limits: Limits) -> Invocation {
        todo!()
    }
}
