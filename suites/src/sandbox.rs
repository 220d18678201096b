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
use invocation::refusal;
use owner::Owner;

pub use execution::{Exceeded, Execution, Exit};
pub use image::Image;
pub use invocation::{Invocation, Limits, Mount, Quota};
pub(crate) use layer::{Layer, copy};
pub use root::Root;
pub use sweep::clean_up;

/// How a command is kept away from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `bwrap`: no network, own process ids, a read-only system, nothing of the
    /// user's home.
    Bubblewrap,
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
    /// Where control groups are made, or why none can be.
    cgroups: &'static Result<Cgroups, String>,
    /// What tasks begin as, shared by all clones.
    templates: Arc<Templates>,
}

#[derive(Clone, Debug)]
enum Isolation {
    Bubblewrap(Bubblewrap),
    Process,
}

/// The variables every command gets; nothing of the host's environment is passed on.
const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", TMP),
    ("LANG", "C.UTF-8"),
];

/// The scratch directory inside.
pub(crate) const TMP: &str = "/tmp";

impl Backend {
    /// The strongest backend that works here.
    pub fn detect() -> Detection {
        match Sandbox::new(Self::Bubblewrap).and_then(|sandbox| sandbox.probe()) {
            Ok(()) => Detection {
                backend: Self::Bubblewrap,
                why: "bubblewrap is installed and can isolate a command".to_owned(),
            },
            Err(error) => Detection {
                backend: Self::Process,
                why: format!("{error}; commands run unprotected, with your own rights"),
            },
        }
    }

    /// `"bubblewrap"` or `"process"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
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
                Backend::Process => Isolation::Process,
            },
            cgroups: Cgroups::find(),
            templates: Arc::default(),
        })
    }

    /// A directory for workspaces. Should this process crash, the next one removes it.
    pub fn scratch() -> Result<TempDir> {
        Owner::current().scratch()
    }

    /// Whether what tasks begin as is shared by overlay mounts; otherwise every trial
    /// gets a copy, which takes longer the larger it is.
    pub fn layers_are_overlays() -> Result<bool> {
        Layer::are_overlays()
    }

    /// What a reader of the results has to know.
    pub fn warnings(&self) -> Vec<String> {
        self.cgroups.as_ref().err().cloned().into_iter().collect()
    }

    /// What tasks begin as.
    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        match self.isolation {
            Isolation::Bubblewrap(_) => Backend::Bubblewrap,
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
        let execution = self
            .supervise(invocation)
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
