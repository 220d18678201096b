//! What the trials of one task begin with, where that is a whole root file system.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Environment, Workspace};
use crate::sandbox::Snapshot;
use crate::{Image, Result, Sandbox, Task};

/// The state that all agents of a task begin in, made once.
#[derive(Debug)]
pub(super) struct Start {
    /// What their root file systems are made of.
    pub(super) snapshot: Snapshot,
    /// Where that is, if it is on this machine; removed after it.
    pub(super) _place: TempDir,
    /// The commit that is checked out, where it is a repository.
    pub(super) commit: Option<String>,
    /// Variables of every command.
    pub(super) environment: Vec<(String, String)>,
    /// What lies in `/tmp`.
    pub(super) tmp: Option<PathBuf>,
}

impl Start {
    /// A workspace in a root file system made from `image` in which one is made, and
    /// where that is.
    pub(super) fn draft(
        task: &Task,
        image: &Image,
        sandbox: &Sandbox,
    ) -> Result<(TempDir, Workspace)> {
        let place = Sandbox::scratch()?;
        let whole = Environment {
            image: image.clone(),
            whole: true,
        };
        let directory = place.path().join("draft");
        let draft = Workspace::within(task, sandbox, &directory, Some(whole))?;
        Ok((place, draft))
    }
}
