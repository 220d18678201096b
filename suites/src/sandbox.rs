//! Runs an untrusted shell command within bounds, and times it.
//!
//! A small launcher inside the sandbox marks when the command itself begins and
//! ends, so that what the sandbox costs and what the command costs are told apart.
//!
//! Bounded are the time of a command with everything it started, the output that is
//! kept, the size of each file and what a trial writes in all; and by a control group, memory, processes and
//! processor time of everything it started, taken together. Where no control group
//! can be made, the address space of each process is bounded instead, and
//! [`Sandbox::warnings`] says so.

mod backend;
mod bubblewrap;
mod capture;
mod cgroup;
mod cleanup;
mod descendants;
mod disk;
mod docker;
mod execution;
mod image;
mod invocation;
mod layer;
mod observation;
mod owner;
mod process;
mod root;
mod rootfs;
mod scratch;
mod supervise;

use std::path::Path;
use std::sync::Arc;

use timeslip_datasets::run::journal::Warmth;

use crate::Result;
use owner::Owner;

pub use backend::{Backend, Capabilities, DockerfileReach, Isolation, Ports};
pub use cleanup::clean_up;
pub use disk::DiskQuota;
pub use execution::{Exceeded, Execution, Exit, Observed, ProcessLife};
pub use image::Image;
pub use invocation::{Cancel, Invocation, Limits, Mount, Quota};
pub(crate) use layer::{Layer, copy};
pub use owner::Leftovers;
pub use root::{FileContent, Keep, Root, RootFiles, Snapshot};
pub use scratch::Scratch;

/// Every kind of sandbox, the one to prefer first.
pub static BACKENDS: &[&dyn Backend] =
    &[&bubblewrap::Bubblewrap, &docker::Docker, &process::Process];

/// The variables every command gets; nothing of the host's environment is passed on.
const ENVIRONMENT: [(&str, &str); 3] = [("PATH", SYSTEM_PATH), ("HOME", TMP), ("LANG", "C.UTF-8")];

/// Where programs are looked for.
pub(crate) const SYSTEM_PATH: &str = timeslip_datasets::dockerfile::USUAL_PATH;

/// The number that is root in every container.
pub(crate) const ROOT: &str = "0";

/// What the machine is called inside.
const HOSTNAME: &str = "sandbox";

/// The scratch directory inside.
pub(crate) const TMP: &str = "/tmp";

/// Which kind of sandbox this machine offers, and why that one.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The most preferred one that works.
    pub backend: &'static dyn Backend,
    /// One sentence for the user.
    pub why: String,
}

/// The most preferred kind of sandbox that works here; `None` if none does.
pub fn detect() -> Option<Detection> {
    let mut failed = Vec::new();
    for &backend in BACKENDS {
        match backend.check() {
            Ok(found) => {
                let why: Vec<String> = std::iter::once(found).chain(failed).collect();
                return Some(Detection {
                    backend,
                    why: why.join("; "),
                });
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    None
}

/// The kind of sandbox of a name.
pub fn by_name(name: &str) -> Option<&'static dyn Backend> {
    let mut backends = BACKENDS.iter().copied();
    backends.find(|backend| backend.name() == name)
}

/// Runs commands with one [`Backend`].
#[derive(Clone, Debug)]
pub struct Sandbox {
    backend: &'static dyn Backend,
    isolation: Arc<dyn Isolation>,
    /// What containers are labelled with.
    run: String,
}

impl Sandbox {
    /// A sandbox of the given kind; an error if its program is missing. The first one
    /// of a process removes what crashed ones have left behind.
    pub fn new(backend: &'static dyn Backend) -> Result<Self> {
        cleanup::at_start();
        Ok(Self {
            backend,
            isolation: Arc::from(backend.open()?),
            run: String::new(),
        })
    }

    /// A directory for workspaces. Should this process crash, the next one removes it.
    pub fn scratch() -> Result<Scratch> {
        Owner::current().scratch()
    }

    /// The same, for a run: its containers are labelled with the name.
    #[must_use]
    pub fn for_run(self, run: &str) -> Self {
        Self {
            run: run.to_owned(),
            ..self
        }
    }

    /// Whether what tasks begin as is shared by overlay mounts; otherwise every trial
    /// gets a copy, which takes longer the larger it is.
    pub fn layers_are_overlays() -> Result<bool> {
        Layer::are_overlays()
    }

    /// What a reader of the results has to know.
    pub fn warnings(&self) -> Vec<String> {
        self.isolation.warnings()
    }

    /// The kind of sandbox that it is.
    pub fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    /// What it can do.
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Runs a command to its end. An error means that the sandbox could not
    /// start it; whatever the command itself does is an [`Execution`].
    pub fn run(&self, invocation: &Invocation) -> Result<Execution> {
        backend::run(self.backend.name(), &*self.isolation, invocation)
    }

    /// Makes a root file system for one workspace, and says whether its image was
    /// there already. `place` is a directory that does not exist yet and outlives it.
    pub fn root(&self, image: &Image, place: &Path) -> Result<(Root, Warmth)> {
        self.isolation.root(image, place, &self.run)
    }

    /// Makes an image available: unpacked, found, pulled, built or imported.
    pub fn fetch(&self, image: &Image) -> Result<()> {
        self.isolation.fetch(image)
    }

    /// Makes an image of a root file system that no longer changes.
    pub(crate) fn snapshot(&self, root: &Root) -> Result<Snapshot> {
        if let Some(snapshot) = self.isolation.snapshot(root)? {
            return Ok(snapshot);
        }
        let path = root.path().ok_or_else(|| {
            let message = "a root file system cannot be made an image of";
            backend::failure(self.backend.name(), message.to_owned())
        })?;
        Ok(Snapshot {
            image: Image::Directory(path.to_path_buf()),
            kept: Box::new(root.clone()),
        })
    }

    /// Makes what commands like this one run in ready for them, so that the first of
    /// them does not wait for it. With `spare`, another one is then made ready in the
    /// background.
    pub fn ready(&self, invocation: &Invocation, spare: bool) -> Result<()> {
        self.isolation.ready(invocation, &self.run, spare)
    }
}
