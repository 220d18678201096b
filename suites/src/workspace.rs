//! The directory a trial works in.

mod recipe;
mod repository;
mod rootfs;

use std::fs;
use std::path::{Path, PathBuf};

use crate::edit::{self, EditError, Edited};
use crate::sandbox::TMP;
use timeslip_datasets::swebench_pro::APP;

use crate::suite::TESTBED;
use crate::{Error, Invocation, Limits, Mount, Result, Sandbox, Task, TaskKind};

pub use recipe::Recipe;
pub use repository::Repository;

/// A fresh copy of a task's starting state, and what an agent made of it.
///
/// On the host it is one directory with the working tree and a `tmp` that lasts
/// from one command to the next; nothing else of it is visible inside.
#[derive(Debug)]
pub struct Workspace {
    directory: PathBuf,
    /// The host directory that appears at `mount`.
    tree: PathBuf,
    mount: String,
    /// The working directory on the host and inside, and relative to the mount.
    root: PathBuf,
    working_directory: String,
    below: String,
    tmp: PathBuf,
    environment: Vec<(String, String)>,
    /// What shows another system than the machine's own.
    system: Vec<Mount>,
}

impl Workspace {
    /// Builds the starting state of `task` in the empty or absent directory `directory`.
    pub fn prepare(task: &Task, sandbox: &Sandbox, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("cannot be created", directory))?;
        let (mount, working_directory) = match &task.kind {
            TaskKind::SweBench { .. } => (TESTBED, TESTBED),
            TaskKind::SweBenchPro { .. } => (APP, APP),
            TaskKind::Harbor { recipe, .. } => (recipe.mount(), recipe.working_directory()),
        };
        let tree = directory.join("tree");
        let below = working_directory
            .strip_prefix(mount)
            .unwrap_or_default()
            .trim_start_matches('/');
        let mut workspace = Self {
            directory: directory.to_path_buf(),
            root: tree.join(below),
            below: below.to_owned(),
            tree,
            mount: mount.to_owned(),
            working_directory: working_directory.to_owned(),
            tmp: directory.join("tmp"),
            environment: Vec::new(),
            system: match &task.rootfs {
                Some(root) => rootfs::mounts(root, sandbox)?,
                None => Vec::new(),
            },
        };
        for new in [&workspace.tree, &workspace.tmp] {
            fs::create_dir(new).map_err(Error::io("cannot be created", new))?;
        }
        match &task.kind {
            TaskKind::SweBench { task, repository } => {
                repository.check_out(&task.instance_id, &task.base_commit, &workspace.tree)?;
                workspace.environment = repository.environment(&task.version);
            }
            TaskKind::SweBenchPro { task, repository } => {
                repository.check_out(&task.instance_id, &task.base_commit, &workspace.tree)?;
            }
            TaskKind::Harbor { task, recipe } => {
                recipe.follow(&mut workspace, task, sandbox)?;
            }
        }
        Ok(workspace)
    }

    /// The working directory on the host. An agent can put a link in its place
    /// where it is below the task's top directory, so changes go through
    /// [`Workspace::edit`].
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The agent's `edit_file` tool: [`edit::apply`] with a path relative to the
    /// working directory, or absolute below it.
    pub fn edit(&self, path: &str, old: &str, new: &str) -> Result<Edited, EditError> {
        let relative = path
            .strip_prefix(&self.working_directory)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(path);
        // Joining an absolute path gives that path, which is then refused.
        let path = Path::new(&self.below).join(relative);
        edit::apply(&self.tree, &path.to_string_lossy(), old, new)
    }

    /// The working directory inside the sandbox.
    pub fn working_directory(&self) -> &str {
        &self.working_directory
    }

    /// A command of the agent: starts in the working directory and sees nothing
    /// but it, its own `/tmp` and the read-only system.
    pub fn invocation(&self, command: &str, limits: Limits) -> Invocation {
        Invocation {
            command: command.to_owned(),
            working_directory: self.working_directory.clone(),
            mounts: [
                self.system.clone(),
                vec![
                    mount(&self.tree, &self.mount, true),
                    mount(&self.tmp, TMP, true),
                ],
            ]
            .concat(),
            environment: self.environment.clone(),
            limits,
        }
    }

    /// Where everything of this trial is on the host.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The host directory behind `/tmp`.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }
}

pub(crate) fn mount(host: &Path, inside: &str, writable: bool) -> Mount {
    Mount {
        host: host.to_path_buf(),
        inside: inside.to_owned(),
        writable,
    }
}
