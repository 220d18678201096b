//! Runs a shell command of a stranger within bounds, and times it.
//!
//! A small launcher inside the sandbox marks when the command itself begins and
//! ends, so that what the sandbox costs and what the command costs are told apart.
//!
//! Bounded are the time of a command with everything it started, the output that is
//! kept, the address space of each process and the size of each file. Not bounded
//! are the number of processes and what all of them use together.

mod bubblewrap;
mod capture;
mod process;
mod supervise;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::{Error, Result};
use bubblewrap::Bubblewrap;

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

/// Bounds of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time until everything is killed.
    pub wall: Duration,
    /// Bytes of output that are kept: the first and the last half of it.
    pub output_bytes: usize,
    /// Address space of each process (not of all together), in megabytes.
    pub memory_mb: u64,
}

/// A host directory or file that is visible inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it appears inside; absolute.
    pub inside: String,
    /// Whether the command may write to it.
    pub writable: bool,
}

/// One command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Run as `bash -c command`.
    pub command: String,
    /// Where it starts; absolute, inside one of the mounts.
    pub working_directory: String,
    /// What is visible beside the read-only system.
    pub mounts: Vec<Mount>,
    /// Variables beside `PATH`, `HOME` and `LANG`.
    pub environment: Vec<(String, String)>,
    /// Its bounds.
    pub limits: Limits,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited; a command that died of signal n counts as 128 + n, as in a shell.
    Code(i32),
    /// The sandbox itself was killed by a signal.
    Signal(i32),
    /// It was killed because [`Limits::wall`] was over.
    TimedOut,
}

/// What happened, and when.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The sandbox was asked to start.
    pub spawned: Instant,
    /// The command itself was about to start; `None` if the sandbox never got there.
    pub command_started: Option<Instant>,
    /// The command itself had ended; `None` if it was killed.
    pub command_ended: Option<Instant>,
    /// Nothing of it was left.
    pub ended: Instant,
    /// How it ended.
    pub exit: Exit,
    /// Standard output and standard error in order; the middle is left out when
    /// they exceed [`Limits::output_bytes`].
    pub output: Vec<u8>,
    /// All bytes it printed, kept or not.
    pub output_total_bytes: u64,
}

/// Runs commands with one [`Backend`].
#[derive(Clone, Debug)]
pub struct Sandbox {
    isolation: Isolation,
}

#[derive(Clone, Debug)]
enum Isolation {
    Bubblewrap(Bubblewrap),
    Process,
}

/// The variables every command gets; nothing of the host's environment is passed on.
const ENVIRONMENT: [(&str, &str); 3] = [("PATH", SYSTEM_PATH), ("HOME", TMP), ("LANG", "C.UTF-8")];

/// Where programs are looked for.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The scratch directory inside.
pub(crate) const TMP: &str = "/tmp";

/// The longest command that fits one argument of a process, with some room
/// (the kernel's bound is 128 KiB), also after path rewriting.
const LONGEST_COMMAND: usize = 96 * 1024;

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
    /// A sandbox of the given kind; an error if its program is missing.
    pub fn new(backend: Backend) -> Result<Self> {
        Ok(Self {
            isolation: match backend {
                Backend::Bubblewrap => Isolation::Bubblewrap(Bubblewrap::find()?),
                Backend::Process => Isolation::Process,
            },
        })
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
        let execution = match &self.isolation {
            Isolation::Bubblewrap(bubblewrap) => {
                supervise::run(bubblewrap.command(invocation), &invocation.limits)
            }
            Isolation::Process => {
                let staged = process::Staged::new(invocation)?;
                supervise::run(staged.command(invocation), &invocation.limits)
            }
        }
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

/// Why a command cannot even be handed to a shell.
fn refusal(command: &str) -> Option<&'static str> {
    if command.len() > LONGEST_COMMAND {
        Some("the command is longer than 96 KiB; write long content with edit_file\n")
    } else if command.contains('\0') {
        Some("the command holds a NUL byte\n")
    } else {
        None
    }
}

impl Execution {
    /// What a shell answers to a command it cannot execute.
    fn refused(reason: &str) -> Self {
        let now = Instant::now();
        Self {
            spawned: now,
            command_started: None,
            command_ended: None,
            ended: now,
            exit: Exit::Code(126),
            output: reason.as_bytes().to_vec(),
            output_total_bytes: reason.len() as u64,
        }
    }

    /// Whether the command exited with code 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// The kept output as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}
