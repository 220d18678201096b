//! Builds the starting state of a workspace: for an agent, or for a verifier.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use timeslip_datasets::run::journal::Warmth;

use super::mounts::open_to_all;
use super::start::{Draft, Ground, WorkspaceLayout};
use super::template::{RootTemplate, Template, TemplateKey};
use super::{ARTIFACTS, LOGS, MountedTree, TaskEnvironment, Workspace, WorkspaceSpec};
use crate::sandbox::{self, Capabilities, DiskQuota, Root, TMP};
use crate::{Error, Image, Limits, Quota, Result, Sandbox};

/// What a workspace begins on.
struct Base {
    root: Option<Root>,
    warmth: Warmth,
    tmp: PathBuf,
}

impl Workspace {
    /// Builds the starting state of a task in the empty or absent directory `directory`,
    /// for an agent: of a repository, nothing later than its base commit is in it.
    pub fn prepare(spec: &WorkspaceSpec, sandbox: &Sandbox, directory: &Path) -> Result<Self> {
        let mut environment = spec.environment(&sandbox.capabilities())?;
        let made = match &environment {
            Some(found) if spec.start.wants_root(found, &sandbox.capabilities()) => {
                Some(made_root(spec, &found.image, sandbox)?)
            }
            _ => None,
        };
        if let Some((template, _)) = &made {
            environment = Some(TaskEnvironment::whole(template.snapshot.image.clone()));
        }
        let mut workspace = Self::within(spec, sandbox, directory, environment)?;
        if let Some((template, warmth)) = made {
            workspace.set_first(&template.environment);
            if let Some(tmp) = &template.tmp {
                sandbox::copy(tmp, &workspace.tmp)?;
            }
            // It was there only if both parts of it were.
            workspace.warmth = workspace.warmth.min(warmth);
            workspace.root_template = Some(template);
        }
        workspace.bound_disk();
        Ok(workspace)
    }

    /// The same for a verifier: a repository in an image is as it was published.
    pub(crate) fn for_verifier(
        spec: &WorkspaceSpec,
        sandbox: &Sandbox,
        directory: &Path,
    ) -> Result<Self> {
        let environment = spec.environment(&sandbox.capabilities())?;
        let whole = environment.as_ref().is_some_and(TaskEnvironment::is_whole);
        let mut workspace = Self::within(spec, sandbox, directory, environment)?;
        if whole {
            spec.start.reset(&workspace, sandbox)?;
        }
        workspace.bound_disk();
        Ok(workspace)
    }

    /// The environment of its own that a verifier has.
    pub(crate) fn in_image(
        spec: &WorkspaceSpec,
        image: &Image,
        sandbox: &Sandbox,
        directory: &Path,
    ) -> Result<Self> {
        let environment = TaskEnvironment::whole(image.clone());
        let workspace = Self::within(spec, sandbox, directory, Some(environment))?;
        let root = workspace.root.as_ref();
        let own = root.and_then(|root| root.files().working_directory());
        let mut workspace = Self {
            working_directory: own.unwrap_or("/").to_owned(),
            environment: Vec::new(),
            ..workspace
        };
        workspace.bound_disk();
        Ok(workspace)
    }

    /// What is written from now on counts.
    fn bound_disk(&mut self) {
        let quota = DiskQuota::new(&self.directory, self.spec.needs.disk_mb);
        self.disk = Some(quota);
    }

    /// Checks what can be known of a task before its first trial. An image that all
    /// tasks of a suite begin with is made available on the way; one of a task's own
    /// can be large, and is when the task is prepared.
    pub fn check(spec: &WorkspaceSpec, sandbox: &Sandbox) -> Result<()> {
        let capabilities = sandbox.capabilities();
        match spec.environment(&capabilities)? {
            Some(environment) if !environment.is_whole() => sandbox.fetch(&environment.image)?,
            None if !capabilities.machine_system => {
                return Err(spec.unsupported("names no image; give its suite an `image` or a `rootfs`, or use another --sandbox; what has a published image is tried there if its suite names no `repositories`"));
            }
            _ => {}
        }
        Self::check_start(spec, &capabilities)
    }

    /// Checks what a task is prepared from: that its code is to be had, and its Dockerfile
    /// where that is followed. Nothing is made available for it.
    pub fn check_start(spec: &WorkspaceSpec, capabilities: &Capabilities) -> Result<()> {
        let environment = spec.environment(capabilities)?;
        spec.start.check(environment.as_ref(), capabilities)
    }

    /// A workspace in an environment, without making that ready first.
    fn within(
        spec: &WorkspaceSpec,
        sandbox: &Sandbox,
        directory: &Path,
        environment: Option<TaskEnvironment>,
    ) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("cannot be created", directory))?;
        let base = Base::new(environment.as_ref(), sandbox, directory)?;
        let root = base.root.as_ref();
        let capabilities = sandbox.capabilities();
        let ground = Ground {
            environment: environment.as_ref(),
            working_directory: root.and_then(|root| root.files().working_directory()),
            capabilities: &capabilities,
        };
        let whole = ground.is_whole();
        let layout = spec.start.layout(&ground)?;
        let mut workspace = Self {
            spec: spec.clone(),
            directory: directory.to_path_buf(),
            tree: None,
            working_directory: layout.working_directory.clone(),
            environment: spec.start.variables(&ground),
            logs: logs(spec, root, directory)?,
            quota: Quota {
                cpus: spec.needs.cpus,
                ..Quota::default()
            },
            disk: None,
            tmp: base.tmp,
            warmth: base.warmth,
            root: base.root,
            root_template: None,
            user: Mutex::default(),
        };
        if !whole {
            workspace.lay_out(&layout, environment.as_ref(), sandbox)?;
        }
        // The container of a command with other bounds is changed before it runs.
        let limits = Limits {
            wall: Duration::ZERO,
            output_bytes: 0,
            memory_mb: spec.needs.memory_mb,
        };
        sandbox.ready(&workspace.invocation("", limits), whole)?;
        Ok(workspace)
    }

    /// Lays the task's own directory over the starting state that is made once.
    fn lay_out(
        &mut self,
        layout: &WorkspaceLayout,
        environment: Option<&TaskEnvironment>,
        sandbox: &Sandbox,
    ) -> Result<()> {
        let image = environment.map(|environment| environment.image.clone());
        let (this, spec) = (&*self, &self.spec);
        let key = key(spec, image, sandbox);
        let (template, warmth) = spec.templates.trees.of(key, || {
            Template::new(|tree, tmp| {
                spec.start.fill(&Draft {
                    tree,
                    sandbox,
                    history: spec.history,
                    mount: &layout.mount,
                    tmp,
                    environment,
                    like: this,
                })
            })
        })?;
        let layer = template.lay_out(&self.directory.join("tree"), &self.tmp)?;
        self.set_first(&template.environment);
        self.warmth = warmth;
        self.tree = Some(MountedTree {
            path: layer.path().to_path_buf(),
            inside: layout.mount.clone(),
            layer: Some((layer, template)),
        });
        Ok(())
    }

    /// Adds variables of every command, which the task's own override.
    fn set_first(&mut self, variables: &[(String, String)]) {
        self.environment.splice(0..0, variables.iter().cloned());
    }

    /// A workspace in which a starting state like this one's is made.
    pub(super) fn draft(
        &self,
        draft: &Draft<'_>,
        root: Option<Root>,
        beside: &Path,
    ) -> Result<Self> {
        Ok(Self {
            spec: self.spec.clone(),
            directory: self.directory.clone(),
            tree: Some(MountedTree {
                path: draft.tree.to_path_buf(),
                inside: draft.mount.to_owned(),
                layer: None,
            }),
            working_directory: self.working_directory.clone(),
            tmp: draft.tmp.to_path_buf(),
            environment: Vec::new(),
            logs: logs(&self.spec, None, beside)?,
            quota: self.quota,
            disk: None,
            root,
            warmth: self.warmth,
            root_template: None,
            user: Mutex::default(),
        })
    }
}

impl Base {
    fn new(
        environment: Option<&TaskEnvironment>,
        sandbox: &Sandbox,
        directory: &Path,
    ) -> Result<Self> {
        let (root, warmth) = match environment {
            Some(environment) => {
                let (root, warmth) = sandbox.root(&environment.image, &directory.join("root"))?;
                (Some(root), warmth)
            }
            None => (None, Warmth::Cold),
        };
        let tmp = match own_mount(root.as_ref(), TMP)? {
            Some(tmp) => tmp,
            None => {
                let tmp = directory.join("tmp");
                fs::create_dir(&tmp).map_err(Error::io("cannot be created", &tmp))?;
                tmp
            }
        };
        Ok(Self { root, warmth, tmp })
    }
}

/// The directory of this machine that a root file system brings to be mounted at `inside`.
fn own_mount(root: Option<&Root>, inside: &str) -> Result<Option<PathBuf>> {
    let own = root.and_then(|root| root.files().own_mount(inside));
    own.transpose()
        .map_err(Error::io("cannot be created", Path::new(inside)))
}

/// What agents begin with where that is a root file system made ready out of `image`.
fn made_root(
    spec: &WorkspaceSpec,
    image: &Image,
    sandbox: &Sandbox,
) -> Result<(Arc<RootTemplate>, Warmth)> {
    let key = key(spec, Some(image.clone()), sandbox);
    spec.templates.roots.of(key, || {
        let place = Sandbox::scratch()?;
        let whole = TaskEnvironment::whole(image.clone());
        let directory = place.path().join("draft");
        let mut draft = Workspace::within(spec, sandbox, &directory, Some(whole))?;
        let made = spec.start.make_root(&mut draft, sandbox)?;
        let root = draft.root.as_ref().ok_or_else(|| {
            spec.failed("its environment has no root file system of its own".to_owned())
        })?;
        Ok(RootTemplate {
            snapshot: sandbox.snapshot(root)?,
            commit: made.commit,
            environment: made.variables,
            tmp: made.with_tmp.then(|| draft.tmp.clone()),
            _place: place,
        })
    })
}

fn key(spec: &WorkspaceSpec, image: Option<Image>, sandbox: &Sandbox) -> TemplateKey {
    TemplateKey {
        start: spec.start.identity(),
        history: spec.history,
        image,
        backend: sandbox.backend().name(),
    }
}

/// Makes the host directory behind `/logs` for a task that takes it for granted: that of
/// its container, or one below `directory`.
fn logs(spec: &WorkspaceSpec, root: Option<&Root>, directory: &Path) -> Result<Option<PathBuf>> {
    if !spec.needs.logs {
        return Ok(None);
    }
    let own = own_mount(root, LOGS)?;
    let logs = own.unwrap_or_else(|| directory.join(LOGS.trim_start_matches('/')));
    let artifacts = logs.join(ARTIFACTS);
    fs::create_dir_all(&artifacts).map_err(Error::io("cannot be created", &artifacts))?;
    if root.is_some_and(|root| root.path().is_none()) {
        open_to_all(&artifacts)?;
    }
    Ok(Some(logs))
}
