//! Runs a shell command of a stranger within bounds, and times it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;

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
    backend: Backend,
}

impl Backend {
    /// The strongest backend that works here.
    pub fn detect() -> Detection {
        todo!()
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
        Ok(Self { backend })
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Runs a command to its end.
    pub fn run(&self, _invocation: &Invocation) -> Result<Execution> {
        todo!()
    }
}
