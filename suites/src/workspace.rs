//! The directory a trial works in.

mod container;
mod environment;
mod mounts;
mod prepare;
mod spec;
mod start;
mod template;
mod user;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use timeslip_datasets::run::journal::Warmth;

use crate::path_guard::{self, PathRefusal};
use crate::sandbox::{DiskQuota, FileContent, Layer, Root, RootFiles, SYSTEM_PATH, TMP};
use crate::{Error, Invocation, Limits, Mount, Quota, Result};

pub(crate) use container::quoted;
pub use environment::{ImageHolds, TaskEnvironment};
pub(crate) use mounts::{copy, mount, open_to_all};
pub use spec::{Needs, NetworkNeed, WorkspaceSpec};
pub use start::{CommandVariables, Draft, Ground, MadeRoot, Start, WorkspaceLayout};
pub use template::Templates;
use template::{RootTemplate, Template};
use user::ContainerUser;

/// A fresh copy of a task's starting state, and what an agent made of it.
///
/// On the host it is one directory with the working tree and a `tmp` that lasts
/// from one command to the next; nothing else of it is visible inside. The tree is
/// laid over a starting state that is made once for all trials of a task.
#[derive(Debug)]
pub struct Workspace {
    spec: WorkspaceSpec,
    directory: PathBuf,
    /// The task's own directory, unless it is part of the root file system.
    tree: Option<MountedTree>,
    /// The working directory inside.
    working_directory: String,
    tmp: PathBuf,
    environment: CommandVariables,
    /// The host directory behind `/logs`, for tasks that take it for granted.
    logs: Option<PathBuf>,
    quota: Quota,
    /// What all of its commands may write.
    disk: Option<DiskQuota>,
    root: Option<Root>,
    warmth: Warmth,
    /// What the root is made of, where that is not as it was published.
    root_template: Option<Arc<RootTemplate>>,
    user: Mutex<ContainerUser>,
}

/// A host directory that appears inside.
#[derive(Debug)]
struct MountedTree {
    path: PathBuf,
    inside: String,
    /// What it is made of, where it was not made for this workspace alone.
    layer: Option<(Layer, Arc<Template>)>,
}

/// Where terminal tasks leave what is neither their work nor a verdict.
pub(crate) const LOGS: &str = "/logs";
/// Below it: what is handed on to the verifier.
pub(crate) const ARTIFACTS: &str = "artifacts";

/// Where the shims of a suite appear inside.
const SHIMS: &str = "/shims";

impl Workspace {
    /// Reads the regular file of at most `limit` bytes at a path relative to the working
    /// directory, or absolute below it. An agent can put links in the place of
    /// directories; none is followed.
    pub fn read(&self, path: &str, limit: u64) -> Result<FileContent, PathRefusal> {
        let path = self.guarded(path)?;
        match &self.tree {
            None => self.root_files()?.read(&path, limit),
            Some(tree) => tree.read(&path, limit),
        }
    }

    /// Writes a file at such a path, with its directories, in the place of `old`, what
    /// [`Workspace::read`] gave, if it was there.
    pub fn write(
        &self,
        path: &str,
        old: Option<&FileContent>,
        content: &[u8],
    ) -> Result<(), PathRefusal> {
        let path = self.guarded(path)?;
        let owner = self.user().owner;
        match &self.tree {
            None => self.root_files()?.write(&path, old, owner, content),
            Some(tree) => tree.write(&path, content),
        }
    }

    /// Where a path leads, relative to the top of the files; it cannot leave the working
    /// directory.
    fn guarded(&self, path: &str) -> Result<PathBuf, PathRefusal> {
        let relative = path
            .strip_prefix(&self.working_directory)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(path);
        path_guard::stays_inside(Path::new(relative))?;
        Ok(self.below().join(relative))
    }

    fn root_files(&self) -> Result<&dyn RootFiles, PathRefusal> {
        let root = self.root.as_ref().ok_or(PathRefusal::Missing)?;
        Ok(root.files())
    }

    /// Whether the state it was made from was there, or was made meanwhile.
    pub fn warmth(&self) -> Warmth {
        self.warmth
    }

    /// The commit that changes of a repository are told from: `base`, unless the image it
    /// is in has changes of its own.
    pub(crate) fn starts_at<'a>(&'a self, base: &'a str) -> &'a str {
        let template = self.root_template.as_ref();
        template
            .and_then(|template| template.commit.as_deref())
            .unwrap_or(base)
    }

    /// The working directory inside the sandbox.
    pub fn working_directory(&self) -> &str {
        &self.working_directory
    }

    /// A command of the agent: starts in the working directory and sees nothing
    /// but it, its own `/tmp` and the system.
    pub fn invocation(&self, command: &str, limits: Limits) -> Invocation {
        let tree = self.tree.iter();
        let mut mounts: Vec<Mount> = tree
            .map(|tree| mount(&tree.path, &tree.inside, true))
            .collect();
        mounts.push(mount(&self.tmp, TMP, true));
        let mut invocation = Invocation {
            command: command.to_owned(),
            working_directory: self.working_directory.clone(),
            mounts,
            environment: self.environment.clone(),
            limits,
            quota: self.quota,
            disk: self.disk.clone(),
            root: self.root.clone(),
            user: None,
            cancel: None,
            observed: false,
        };
        invocation = self.by(self.user().name(), invocation);
        if let Some(logs) = &self.logs {
            invocation.mounts.push(mount(logs, LOGS, true));
        }
        if let Some(shims) = &self.spec.shims {
            invocation.mounts.push(mount(shims, SHIMS, false));
            let own = self.environment.iter().rfind(|(name, _)| name == "PATH");
            let own = own.map(|(_, path)| path.as_str());
            let image = || {
                self.root
                    .as_ref()
                    .and_then(|root| root.files().search_path())
            };
            let path = own.or_else(image).unwrap_or(SYSTEM_PATH);
            let path = format!("{SHIMS}:{path}");
            invocation.environment.push(("PATH".to_owned(), path));
        }
        invocation
    }

    /// An empty directory of this machine that belongs to the trial: what a command writes
    /// into it counts, where it is mounted, and it goes with the workspace. It is there for
    /// one that was made earlier under the same name, with what it holds.
    pub fn own_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).map_err(Error::io("cannot be created", &path))?;
        Ok(path)
    }

    /// The host directory that the task's own directory is, unless that is part of the
    /// root file system.
    pub(crate) fn tree(&self) -> Option<&Path> {
        self.tree.as_ref().map(|tree| tree.path.as_path())
    }

    /// Where everything of this trial is on the host.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The host directory behind the task's own top-level directory, or behind the whole
    /// root file system, and what it is inside; `None` where files are in a container.
    pub(crate) fn mounted(&self) -> Option<(&Path, &str)> {
        match &self.tree {
            Some(tree) => Some((&tree.path, &tree.inside)),
            None => Some((self.root.as_ref()?.path()?, "/")),
        }
    }

    /// The working directory relative to [`Workspace::mounted`].
    pub(crate) fn below(&self) -> &Path {
        let inside = self.tree.as_ref().map_or("/", |tree| tree.inside.as_str());
        let below = self.working_directory.strip_prefix(inside);
        Path::new(below.unwrap_or_default().trim_start_matches('/'))
    }

    /// The directories of its tree as it began and as it is, where both are on this machine.
    pub(crate) fn before_and_after(&self) -> Option<(PathBuf, &Path)> {
        let tree = self.tree.as_ref()?;
        let (_, template) = tree.layer.as_ref()?;
        Some((template.tree(), &tree.path))
    }

    /// The host directory of what the agent hands to the verifier in `/logs`, unless it
    /// put something else in its place.
    pub(crate) fn artifacts(&self) -> Option<PathBuf> {
        let artifacts = self.logs.as_ref()?.join(ARTIFACTS);
        let kind = fs::symlink_metadata(&artifacts).ok()?;
        kind.is_dir().then_some(artifacts)
    }

    /// The host directory behind `/tmp`.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// What it is made of.
    pub(crate) fn spec(&self) -> &WorkspaceSpec {
        &self.spec
    }

    /// The variables that every command is given.
    pub(crate) fn variables(&mut self) -> &mut CommandVariables {
        &mut self.environment
    }

    /// Where the files of its root file system are on this machine, if they are.
    pub(crate) fn root_path(&self) -> Option<&Path> {
        self.root.as_ref().and_then(Root::path)
    }
}

impl MountedTree {
    fn read(&self, path: &Path, limit: u64) -> Result<FileContent, PathRefusal> {
        FileContent::read(&self.path, path, limit)
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), PathRefusal> {
        path_guard::write(&self.path, path, content)
    }
}
