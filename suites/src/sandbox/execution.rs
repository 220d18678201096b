//! What came of a command.

use std::fmt;
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited; a command that died of signal n counts as 128 + n, as in a shell.
    Code(i32),
    /// The sandbox itself was killed by a signal.
    Signal(i32),
    /// It was killed because [`crate::Limits::wall`] was over.
    TimedOut,
    /// It was killed because more was written than [`crate::Invocation::disk`] allows.
    DiskLimit,
    /// It was killed because [`crate::Invocation::cancel`] said so.
    Cancelled,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Exit::TimedOut => f.write_str("took too long"),
            Exit::DiskLimit => f.write_str("was killed: more was written than the disk limit"),
            Exit::Cancelled => f.write_str("was cancelled"),
        }
    }
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
    /// they exceed [`crate::Limits::output_bytes`].
    pub output: Vec<u8>,
    /// All bytes it printed, kept or not.
    pub output_total_bytes: u64,
    /// The shared bounds it ran into, where control groups tell.
    pub exceeded: Exceeded,
    /// What its processes did, where [`crate::Invocation::observed`] asks for it and the
    /// sandbox can tell.
    pub observed: Option<Observed>,
}

/// What the processes of a command did.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Every process, in the order in which they started, the sandbox's own among them;
    /// `None` where the kernel does not tell, or told more than could be taken in.
    pub processes: Option<Vec<ProcessLife>>,
    /// Processor time of all of them, in the system and outside it; `None` without control
    /// groups.
    pub cpu: Option<Duration>,
    /// The most bytes that all of them held at once in memory of their own, without files,
    /// looked at every 50 ms; `None` without control groups.
    pub peak_memory_bytes: Option<u64>,
}

/// A process that was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLife {
    /// The place of the process that started it; `None` of the first.
    pub parent: Option<usize>,
    /// It was started.
    pub started: Instant,
    /// It ended; `None` if it was still there at last.
    pub ended: Option<Instant>,
    /// The arguments of each program that it became, a line each, as far as they are kept and
    /// it lived long enough for them to be read. Untrusted text.
    pub words: String,
}

/// Bounds on everything a command started that it ran into. It may have gone on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceeded {
    /// A process was killed because memory had run out.
    pub memory: bool,
    /// A process could not be started because there were too many.
    pub processes: bool,
    /// More was written than [`crate::Invocation::disk`] allows.
    pub disk: bool,
}

impl Exceeded {
    /// What a person or a model is told; `None` if nothing was exceeded.
    pub fn note(self) -> Option<String> {
        let notes = [
            (self.memory, "out of memory: a process was killed"),
            (
                self.processes,
                "too many processes: one could not be started",
            ),
            (self.disk, "disk limit: too much was written"),
        ];
        let notes: Vec<&str> = notes
            .iter()
            .filter(|(met, _)| *met)
            .map(|note| note.1)
            .collect();
        (!notes.is_empty()).then(|| notes.join(", "))
    }
}

impl Execution {
    /// What a shell answers to a command it cannot execute.
    pub(super) fn refused(reason: &str) -> Self {
        let now = Instant::now();
        Self {
            spawned: now,
            command_started: None,
            command_ended: None,
            ended: now,
            exit: Exit::Code(126),
            output: reason.as_bytes().to_vec(),
            output_total_bytes: reason.len() as u64,
            exceeded: Exceeded::default(),
            observed: None,
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
