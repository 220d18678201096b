//! The directory a trial works in.

mod built;
mod caveats;
mod container;
mod environment;
mod published;
mod recipe;
mod repository;
mod start;
mod template;
mod worker;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use timeslip_datasets::harbor::VerifierImage;
use timeslip_datasets::journal::Warmth;
use timeslip_datasets::swebench_pro::APP;

use crate::edit::{self, EditError, Edited};
use crate::sandbox::{self, Layer, Root, SYSTEM_PATH, TMP};
use crate::suite::TESTBED;
use crate::{
    Backend, Error, Image, Invocation, Limits, Mount, Quota, Result, Sandbox, Task, TaskKind,
};

pub(crate) use container::quoted;
pub use environment::Environment;
pub(crate) use recipe::copy;
use recipe::{Reach, Recipe};
pub use repository::Repository;
use start::Start;
use template::Template;
pub(crate) use template::Templates;
use worker::Worker;

/// A fresh copy of a task's starting state, and what an agent made of it.
///
/// On the host it is one directory with the working tree and a `tmp` that lasts
/// from one command to the next; nothing else of it is visible inside. The tree is
/// laid over a starting state that is made once for all trials of a task.
#[derive(Debug)]
pub struct Workspace {
    directory: PathBuf,
    /// The task's own directory, unless it is part of the root file system.
    tree: Option<Tree>,
    /// The working directory inside.
    working_directory: String,
    tmp: PathBuf,
    environment: Vec<(String, String)>,
    /// Programs that stand in for those that need a network.
    shims: Option<PathBuf>,
    /// The host directory behind `/logs`, which terminal tasks take for granted.
    logs: Option<PathBuf>,
    quota: Quota,
    root: Option<Root>,
    warmth: Warmth,
    /// What the root is made of, where that is not as it was published.
    start: Option<Arc<Start>>,
    worker: Mutex<Worker>,
}

/// A host directory that appears inside.
#[derive(Debug)]
struct Tree {
    path: PathBuf,
    inside: String,
    /// What it is made of, where it was not made for this workspace alone.
    _layer: Option<(Layer, Arc<Template>)>,
}

/// Where terminal tasks leave what is neither their work nor a verdict.
pub(crate) const LOGS: &str = "/logs";
/// Below it: what is handed on to the verifier.
pub(crate) const ARTIFACTS: &str = "artifacts";

/// Where the shims of a suite appear inside.
const SHIMS: &str = "/shims";

impl Workspace {
    /// Builds the starting state of `task` in the empty or absent directory `directory`,
    /// for an agent: of a repository, nothing later than its base commit is in it.
    pub fn prepare(task: &Task, sandbox: &Sandbox, directory: &Path) -> Result<Self> {
        let mut environment = Environment::of(task, sandbox.backend())?;
        let start = match &mut environment {
            Some(found) => Self::whole_start(task, found, sandbox)?,
            None => None,
        };
        let mut workspace = Self::within(task, sandbox, directory, environment)?;
        if let Some((start, warmth)) = start {
            workspace.set_first(&start.environment);
            if let Some(tmp) = &start.tmp {
                sandbox::copy(tmp, &workspace.tmp)?;
            }
            // Made for it is what either part of it was made for.
            workspace.warmth = workspace.warmth.min(warmth);
            workspace.start = Some(start);
        }
        Ok(workspace)
    }

    /// What `task` begins with where that is a root file system of its own; `environment`
    /// is then made from it.
    fn whole_start(
        task: &Task,
        environment: &mut Environment,
        sandbox: &Sandbox,
    ) -> Result<Option<(Arc<Start>, Warmth)>> {
        let image = &environment.image;
        let starts = sandbox.templates();
        let made = match (&task.kind, task.base_commit()) {
            (_, Some(base)) if environment.whole => {
                starts.image(task, image, || published::start(task, base, image, sandbox))?
            }
            (TaskKind::Harbor { task: harbor, .. }, _)
                if !environment.whole && sandbox.backend() == Backend::Bubblewrap =>
            {
                starts.image(task, image, || built::start(task, harbor, image, sandbox))?
            }
            _ => return Ok(None),
        };
        *environment = Environment {
            image: made.0.snapshot.image.clone(),
            whole: true,
        };
        Ok(Some(made))
    }

    /// Adds variables of every command, which the task's own override.
    fn set_first(&mut self, variables: &[(String, String)]) {
        self.environment.splice(0..0, variables.iter().cloned());
    }

    /// The same for a verifier: a repository in an image is as it was published.
    pub(crate) fn for_verifier(task: &Task, sandbox: &Sandbox, directory: &Path) -> Result<Self> {
        let environment = Environment::of(task, sandbox.backend())?;
        let whole = environment.as_ref().is_some_and(|found| found.whole);
        let workspace = Self::within(task, sandbox, directory, environment)?;
        if whole {
            published::reset(task, &workspace, sandbox)?;
        }
        Ok(workspace)
    }

    /// The environment of its own that a verifier has.
    pub(crate) fn in_verifier_image(
        task: &Task,
        image: &VerifierImage,
        sandbox: &Sandbox,
        directory: &Path,
    ) -> Result<Self> {
        let environment = Environment {
            image: match image {
                VerifierImage::Published(name) => Image::Reference(name.clone()),
                VerifierImage::Built(context) => Image::Build {
                    context: context.clone(),
                    dockerfile: "Dockerfile".to_owned(),
                },
            },
            whole: true,
        };
        let workspace = Self::within(task, sandbox, directory, Some(environment))?;
        let own = workspace.root.as_ref().and_then(Root::working_directory);
        Ok(Self {
            working_directory: own.unwrap_or("/").to_owned(),
            environment: Vec::new(),
            ..workspace
        })
    }

    /// A workspace in an environment as that is.
    fn within(
        task: &Task,
        sandbox: &Sandbox,
        directory: &Path,
        environment: Option<Environment>,
    ) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("cannot be created", directory))?;
        let root = environment
            .as_ref()
            .map(|environment| sandbox.root(&environment.image, &directory.join("root")))
            .transpose()?;
        let tmp = match root.as_ref().and_then(Root::tmp) {
            Some(tmp) => tmp,
            None => {
                let tmp = directory.join("tmp");
                fs::create_dir(&tmp).map_err(Error::io("cannot be created", &tmp))?;
                tmp
            }
        };
        let whole = environment
            .as_ref()
            .is_some_and(|environment| environment.whole);
        let image_directory = root.as_ref().and_then(Root::working_directory);
        let (recipe, working_directory) = match (&task.kind, image_directory) {
            (TaskKind::SweBench { .. }, _) => (None, TESTBED.to_owned()),
            (TaskKind::SweBenchPro { .. }, _) => (None, APP.to_owned()),
            (TaskKind::Harbor { task, .. }, Some(directory)) if whole => {
                let own = task.environment.workdir.as_deref();
                (None, own.unwrap_or(directory).to_owned())
            }
            (TaskKind::Harbor { task, .. }, _) => {
                let recipe = Recipe::of(task, Reach::of(environment.as_ref(), sandbox.backend()))?;
                let directory = recipe.working_directory().to_owned();
                (Some(recipe), directory)
            }
        };
        let mut variables = task.variables();
        if whole && let TaskKind::SweBench { .. } = &task.kind {
            variables.extend(repository::offline());
        }
        let mut workspace = Self {
            directory: directory.to_path_buf(),
            tree: None,
            working_directory,
            tmp,
            environment: variables,
            shims: task.shims.clone(),
            logs: logs(task, root.as_ref(), directory)?,
            quota: quota(task),
            warmth: root.as_ref().map_or(Warmth::Cold, Root::warmth),
            root,
            start: None,
            worker: Mutex::default(),
        };
        if !whole {
            let inside = match &task.kind {
                TaskKind::SweBench { .. } => TESTBED,
                TaskKind::SweBenchPro { .. } => APP,
                TaskKind::Harbor { .. } => recipe.as_ref().map_or(TESTBED, Recipe::mount),
            };
            let no_clone = || Error::Unsupported {
                task: task.id.clone(),
                message: "its code is in an image alone".to_owned(),
            };
            let (template, warmth) =
                sandbox
                    .templates()
                    .tree(task, |tree, tmp| match &task.kind {
                        TaskKind::SweBench { task, repository } => {
                            let repository = repository.as_ref().ok_or_else(no_clone)?;
                            repository.check_out(&task.instance_id, &task.base_commit, tree)?;
                            Ok(repository.environment(&task.version))
                        }
                        TaskKind::SweBenchPro { task, repository } => {
                            let repository = repository.as_ref().ok_or_else(no_clone)?;
                            repository.check_out(&task.instance_id, &task.base_commit, tree)?;
                            Ok(Vec::new())
                        }
                        TaskKind::Harbor { task: harbor, .. } => {
                            // What is built outside the tree is nobody's.
                            let beside = tree.parent().unwrap_or(tree);
                            let place = beside.join("root");
                            let root = environment
                                .as_ref()
                                .map(|environment| sandbox.root(&environment.image, &place))
                                .transpose()?;
                            let mut draft = Self {
                                logs: logs(task, None, beside)?,
                                ..workspace.draft(inside, tree, tmp, root)
                            };
                            if let Some(recipe) = &recipe {
                                recipe.follow(&mut draft, tree, harbor, sandbox)?;
                            }
                            Ok(draft.environment)
                        }
                    })?;
            let layer = template.lay_out(&directory.join("tree"), &workspace.tmp)?;
            workspace.set_first(&template.environment);
            workspace.warmth = warmth;
            workspace.tree = Some(Tree {
                path: layer.path().to_path_buf(),
                inside: inside.to_owned(),
                _layer: Some((layer, template)),
            });
        }
        // Its bounds are changed where a command's are others.
        let first = workspace.invocation(
            "",
            Limits {
                wall: task.agent_timeout,
                output_bytes: 0,
                memory_mb: task.memory_mb,
            },
        );
        sandbox.ready(&first, whole)?;
        Ok(workspace)
    }

    /// A workspace in which a starting state like this one's is made.
    fn draft(&self, inside: &str, tree: &Path, tmp: &Path, root: Option<Root>) -> Self {
        Self {
            directory: self.directory.clone(),
            tree: Some(Tree {
                path: tree.to_path_buf(),
                inside: inside.to_owned(),
                _layer: None,
            }),
            working_directory: self.working_directory.clone(),
            tmp: tmp.to_path_buf(),
            environment: Vec::new(),
            shims: self.shims.clone(),
            logs: None,
            quota: self.quota,
            root,
            warmth: self.warmth,
            start: None,
            worker: Mutex::default(),
        }
    }

    /// Checks what can be known of `task` before its first trial. An image that all
    /// tasks of a suite begin with is made available on the way; one of a task's own
    /// can be large, and is when the task is prepared.
    pub fn check(task: &Task, sandbox: &Sandbox) -> Result<()> {
        let environment = Environment::of(task, sandbox.backend())?;
        let whole = environment
            .as_ref()
            .is_some_and(|environment| environment.whole);
        match environment {
            Some(environment) if !whole => sandbox.check_image(&environment.image)?,
            None if sandbox.backend() == Backend::Docker => {
                return Err(Error::Unsupported {
                    task: task.id.clone(),
                    message: "names no image; give its suite an `image` or a `rootfs`, or use another --sandbox; what has a published image is tried there if its suite names no `repositories`".to_owned(),
                });
            }
            _ => {}
        }
        Self::check_recipe(task, sandbox.backend())
    }

    /// Checks what a task is prepared from: that its code is to be had, and its Dockerfile
    /// where a backend follows that. Nothing is made available for it.
    pub fn check_recipe(task: &Task, backend: Backend) -> Result<()> {
        let environment = Environment::of(task, backend)?;
        let whole = environment.as_ref().is_some_and(|found| found.whole);
        match &task.kind {
            TaskKind::Harbor { task, .. } if !whole || backend != Backend::Docker => {
                Recipe::of(task, Reach::of(environment.as_ref(), backend)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The agent's `edit_file` tool: [`edit::apply`] with a path relative to the
    /// working directory, or absolute below it. An agent can put links in the place
    /// of directories; none is followed.
    pub fn edit(&self, path: &str, old: &str, new: &str) -> Result<Edited, EditError> {
        let relative = path
            .strip_prefix(&self.working_directory)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(path);
        // Joining an absolute path gives that path, which is then refused.
        let path = self.below().join(relative);
        let path = path.to_string_lossy();
        match (&self.tree, &self.root) {
            (None, Some(root)) => root.edit(&path, old, new, self.worker().owner),
            (Some(tree), _) => edit::apply(&tree.path, &path, old, new),
            (None, None) => edit::apply(&self.directory, &path, old, new),
        }
    }

    /// Whether the state it was made from was there, or was made meanwhile.
    pub fn warmth(&self) -> Warmth {
        self.warmth
    }

    /// The commit that changes of a repository are told from: `base`, unless the image it
    /// is in has changes of its own.
    pub(crate) fn starts_at<'a>(&'a self, base: &'a str) -> &'a str {
        let start = self.start.as_ref();
        start
            .and_then(|start| start.commit.as_deref())
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
            root: self.root.clone(),
            user: None,
        };
        invocation = self.by(self.worker().user(), invocation);
        if let Some(logs) = &self.logs {
            invocation.mounts.push(mount(logs, LOGS, true));
        }
        if let Some(shims) = &self.shims {
            invocation.mounts.push(mount(shims, SHIMS, false));
            let own = self.environment.iter().rfind(|(name, _)| name == "PATH");
            let own = own.map(|(_, path)| path.as_str());
            let image = || self.root.as_ref().and_then(Root::search_path);
            let path = own.or_else(image).unwrap_or(SYSTEM_PATH);
            let path = format!("{SHIMS}:{path}");
            invocation.environment.push(("PATH".to_owned(), path));
        }
        invocation
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
}

/// What a task says of the machine it is made for.
fn quota(task: &Task) -> Quota {
    Quota {
        cpus: match &task.kind {
            TaskKind::SweBench { .. } | TaskKind::SweBenchPro { .. } => None,
            // A share of one is rounded up, as are those beyond.
            TaskKind::Harbor { task, .. } => Some(task.environment.cpus.ceil().max(1.0) as u32),
        },
        ..Quota::default()
    }
}

/// Makes the host directory behind `/logs` of a task that takes it for granted: that of
/// its container, or one below `directory`.
fn logs(task: &Task, root: Option<&Root>, directory: &Path) -> Result<Option<PathBuf>> {
    let TaskKind::Harbor { .. } = &task.kind else {
        return Ok(None);
    };
    let logs = root
        .and_then(Root::logs)
        .unwrap_or_else(|| directory.join(LOGS.trim_start_matches('/')));
    let artifacts = logs.join(ARTIFACTS);
    fs::create_dir_all(&artifacts).map_err(Error::io("cannot be created", &artifacts))?;
    if root.is_some_and(|root| root.path().is_none()) {
        open_to_all(&artifacts)?;
    }
    Ok(Some(logs))
}

/// Lets every user of a container write to a directory that it shares with this machine;
/// here it is in one that nobody else can enter.
pub(crate) fn open_to_all(directory: &Path) -> Result<()> {
    let all = PermissionsExt::from_mode(0o777);
    fs::set_permissions(directory, all).map_err(Error::io("cannot be changed", directory))
}

pub(crate) fn mount(host: &Path, inside: &str, writable: bool) -> Mount {
    Mount {
        host: host.to_path_buf(),
        inside: inside.to_owned(),
        writable,
    }
}
