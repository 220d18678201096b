//! Runs a shell command of a stranger within bounds, and times it.
//!
//! A small launcher inside the sandbox marks when the command itself begins and
//! ends, so that what the sandbox costs and what the command costs are told apart.
//!
//! Bounded are the time of a command with everything it started, the output that is
//! kept and the size of each file; and by a control group, memory, processes and
//! processor time of everything it started, taken together. Where no control group
//! can be made, the address space of each process is bounded instead, and
//! [`Sandbox::warnings`] says so.

mod bubblewrap;
mod capture;
mod cgroup;
mod docker;
mod execution;
mod image;
mod invocation;
mod layer;
mod owner;
mod process;
mod root;
mod supervise;
mod sweep;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::workspace::Templates;
use crate::{Error, Result};
use bubblewrap::Bubblewrap;
use cgroup::Cgroups;
use docker::{Engine, Spares};
use invocation::refusal;
use owner::Owner;

pub use execution::{Exceeded, Execution, Exit};
pub use image::Image;
pub use invocation::{Invocation, Limits, Mount, Quota};
pub(crate) use layer::{Layer, copy};
pub use root::Root;
pub(crate) use root::Snapshot;
pub use sweep::clean_up;

/// How a command is kept away from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `bwrap`: no network, own process ids, a read-only system, nothing of the
    /// user's home.
    Bubblewrap,
    /// A container of Docker or Podman, without network.
    Docker,
    /// A plain child process: bounded in time, memory and output, but with the
    /// user's own rights. Callers warn loudly.
    Process,
}

/// Which backend this machine offers, and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The strongest backend that works.
    pub backend: Backend,
    /// One sentence for the user.
    pub why: String,
}

/// Runs commands with one [`Backend`].
#[derive(Clone, Debug)]
pub struct Sandbox {
    isolation: Isolation,
    /// What containers are labelled with.
    run: String,
    /// Where control groups are made, or why none can be.
    cgroups: &'static Result<Cgroups, String>,
    /// What tasks begin as, shared by all clones.
    templates: Arc<Templates>,
}

#[derive(Clone, Debug)]
enum Isolation {
    Bubblewrap(Bubblewrap),
    Docker {
        engine: &'static Engine,
        spares: Spares,
    },
    Process,
}

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

impl Backend {
    /// All of them, the one to prefer first.
    pub const ALL: [Self; 3] = [Self::Bubblewrap, Self::Docker, Self::Process];

    /// The strongest backend that works here.
    pub fn detect() -> Detection {
        let bubblewrap = match Self::Bubblewrap.check() {
            Ok(why) => {
                return Detection {
                    backend: Self::Bubblewrap,
                    why,
                };
            }
            Err(error) => error,
        };
        match Self::Docker.check() {
            Ok(why) => Detection {
                backend: Self::Docker,
                why: format!("{why}; {bubblewrap}"),
            },
            Err(docker) => Detection {
                backend: Self::Process,
                why: format!(
                    "{bubblewrap}; {docker}; commands run unprotected, with your own rights"
                ),
            },
        }
    }

    /// Tries the backend; one sentence on what was found.
    pub fn check(self) -> Result<String> {
        let sandbox = Sandbox::new(self)?;
        Ok(match &sandbox.isolation {
            Isolation::Docker { engine, .. } => engine.name.clone(),
            Isolation::Bubblewrap(_) => {
                sandbox.probe()?;
                "bubblewrap is installed and can isolate a command".to_owned()
            }
            Isolation::Process => {
                sandbox.probe()?;
                "commands run unprotected, with your own rights".to_owned()
            }
        })
    }

    /// The backend of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// `"bubblewrap"`, `"docker"` or `"process"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }
}

impl Sandbox {
    /// A sandbox of the given kind; an error if its program is missing. The first one
    /// of a process removes what crashed ones have left behind.
    pub fn new(backend: Backend) -> Result<Self> {
        sweep::at_start();
        Ok(Self {
            isolation: match backend {
                Backend::Bubblewrap => Isolation::Bubblewrap(Bubblewrap::find()?),
                Backend::Docker => Isolation::Docker {
                    engine: Engine::find().map_err(|message| Error::Sandbox {
                        backend: backend.name(),
                        message,
                    })?,
                    spares: Spares::default(),
                },
                Backend::Process => Isolation::Process,
            },
            run: String::new(),
            cgroups: Cgroups::find(),
            templates: Arc::default(),
        })
    }

    /// A directory for workspaces. Should this process crash, the next one removes it.
    pub fn scratch() -> Result<TempDir> {
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
        // An engine makes its own groups.
        let groups = self.cgroups.as_ref().err();
        let groups = groups.filter(|_| self.backend() != Backend::Docker);
        groups.cloned().into_iter().collect()
    }

    /// What tasks begin as.
    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        match self.isolation {
            Isolation::Bubblewrap(_) => Backend::Bubblewrap,
            Isolation::Docker { .. } => Backend::Docker,
            Isolation::Process => Backend::Process,
        }
    }

    /// Runs a command to its end. An error means that the sandbox could not
    /// start it; whatever the command itself does is an [`Execution`].
    pub fn run(&self, invocation: &Invocation) -> Result<Execution> {
        if let Some(reason) = refusal(&invocation.command) {
            return Ok(Execution::refused(reason));
        }
        if let Some(root) = &invocation.root {
            for mount in &invocation.mounts {
                root.mount_point(&mount.inside)?;
            }
        }
        let in_container = invocation
            .root
            .as_ref()
            .and_then(|root| root.run(invocation));
        let execution = in_container
            .map_or_else(
                || self.supervise(invocation),
                |ran| ran.map_err(io::Error::other),
            )
            .map_err(|error| self.failure(format!("a command could not be started: {error}")))?;
        if execution.command_started.is_none() && execution.exit != Exit::TimedOut {
            let printed = String::from_utf8_lossy(&execution.output);
            return Err(self.failure(format!(
                "it ended before the command began ({:?}): {}",
                execution.exit,
                printed.trim()
            )));
        }
        Ok(execution)
    }

    fn supervise(&self, invocation: &Invocation) -> io::Result<Execution> {
        let Invocation { limits, quota, .. } = invocation;
        let group = match self.cgroups {
            Ok(cgroups) => Some(cgroups.group(limits.memory_mb, quota)?),
            Err(_) => None,
        };
        match &self.isolation {
            Isolation::Bubblewrap(bubblewrap) => {
                let command = bubblewrap.command(invocation, group.as_ref());
                supervise::run(command, limits, group.as_ref())
            }
            Isolation::Docker { .. } => Err(io::Error::other(
                "a container is made from an image, and none is named; give the suite an `image` or a `rootfs`",
            )),
            Isolation::Process => {
                let staged = process::Staged::new(invocation).map_err(io::Error::other)?;
                let command = staged.command(invocation, group.as_ref());
                supervise::run(command, limits, group.as_ref())
            }
        }
    }

    /// Runs the smallest command there is.
    fn probe(&self) -> Result<()> {
        let execution = self.run(&Invocation {
            command: "true".to_owned(),
            working_directory: TMP.to_owned(),
            mounts: Vec::new(),
            environment: Vec::new(),
            limits: Limits {
                wall: Duration::from_secs(10),
                output_bytes: 4096,
                memory_mb: 1024,
            },
            quota: Quota::default(),
            root: None,
            user: None,
        })?;
        match execution.exit {
            Exit::Code(0) => Ok(()),
            exit => Err(self.failure(format!("a trial run of `true` ended with {exit:?}"))),
        }
    }

    fn failure(&self, message: String) -> Error {
        Error::Sandbox {
            backend: self.backend().name(),
            message,
        }
    }
}
