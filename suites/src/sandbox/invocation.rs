//! What is asked of a sandbox: one command, what it sees, and its bounds.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk::DiskQuota;
use super::root::Root;

/// Bounds of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time until everything is killed.
    pub wall: Duration,
    /// Bytes of output that are kept: the first and the last half of it.
    pub output_bytes: usize,
    /// Memory of everything the command starts, in mebibytes; without control
    /// groups the address space of each process.
    pub memory_mb: u64,
}

/// The share of the machine that belongs to a task's environment. It is bounded by
/// control groups alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Processors, as time on any of them; all there are if not given.
    pub cpus: Option<u32>,
    /// Processes and threads at once.
    pub processes: u32,
    /// Programs reserve far more memory than they use: where no control group bounds what is
    /// used, nothing is bounded, because a bound on the address space would end them.
    pub reserves_memory: bool,
}

impl Default for Quota {
    /// Every processor, and more threads than a test suite needs.
    fn default() -> Self {
        Self {
            cpus: None,
            processes: 2048,
            reserves_memory: false,
        }
    }
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
    /// Its share of the machine.
    pub quota: Quota,
    /// What it may write, together with other commands, where that is bounded.
    pub disk: Option<DiskQuota>,
    /// What it sees in the place of the machine's own read-only system.
    pub root: Option<Root>,
    /// The user it runs as, where that is a container: by name or number. Its image's
    /// own if not given. Other sandboxes have only one.
    pub user: Option<String>,
    /// What may end it from outside. Containers do not listen to it.
    pub cancel: Option<Cancel>,
    /// Whether its processes are followed one by one. Containers' are not.
    pub observed: bool,
}

/// Cancels a command from outside, whatever it is doing.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<(PipeReader, PipeWriter)>);

impl Cancel {
    /// Of one command; an error where there are no more descriptors.
    pub fn new() -> io::Result<Self> {
        io::pipe().map(|pipe| Cancel(Arc::new(pipe)))
    }

    /// Ends it, or has it end as soon as it begins.
    pub fn cancel(&self) {
        // Both ends are held here: it fails only when it has been said thousands of times.
        let _ = (&self.0.1).write_all(b"x");
    }

    /// Says something once the command is to end.
    pub(super) fn listener(&self) -> io::Result<PipeReader> {
        self.0.0.try_clone()
    }
}

impl PartialEq for Cancel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Cancel {}

impl Invocation {
    /// The same, with as much to write as if nothing had been written yet.
    #[must_use]
    pub(crate) fn with_disk_anew(self) -> Self {
        Self {
            disk: self.disk.as_ref().map(DiskQuota::anew),
            ..self
        }
    }
}

/// The longest command that fits one argument of a process, with some room
/// (the kernel's bound is 128 KiB), also after path rewriting.
const LONGEST_COMMAND: usize = 96 * 1024;

/// Why a command cannot even be handed to a shell.
pub(super) fn refusal(command: &str) -> Option<&'static str> {
    if command.len() > LONGEST_COMMAND {
        Some("the command is longer than 96 KiB; write long content with edit_file\n")
    } else if command.contains('\0') {
        Some("the command holds a NUL byte\n")
    } else {
        None
    }
}
