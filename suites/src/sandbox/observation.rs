//! What the processes of a command did: each one's life, by the kernel's own events, and what
//! all of them together used, by their control group.
//!
//! The kernel tells of processes over its connector (`cn_proc`, linux/cn_proc.h), with its own
//! times: to root, and since Linux 6.6 to everybody, but in no container. Where it does not
//! tell, nothing is known of single processes; nothing is guessed.

mod connector;
mod lives;

use std::io::{self, PipeReader, PipeWriter};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cgroup::{Group, MemoryFile};
use super::execution::Observed;
use connector::Connector;
use lives::Lives;

/// How often memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);

/// An observation that is ready for a command to start.
pub(super) struct Prepared {
    connector: Option<Connector>,
}

/// A command that is being observed.
pub(super) struct Observation {
    /// Ends the thread when it is closed.
    running: PipeWriter,
    thread: JoinHandle<Observed>,
}

impl Prepared {
    /// From here on the kernel's events are kept.
    pub(super) fn new() -> Self {
        Prepared {
            connector: Connector::open().ok(),
        }
    }

    /// Follows a process that was started since, and its descendants.
    pub(super) fn follow(
        self,
        process: u32,
        spawned: Instant,
        group: Option<&Group>,
    ) -> io::Result<Observation> {
        let (stop, running) = io::pipe()?;
        let watch = Watch {
            lives: self.connector.map(|connector| {
                let lives = Lives::of(process, spawned);
                (connector, lives)
            }),
            memory: group.and_then(Group::memory),
            peak: None,
        };
        let thread = thread::Builder::new().name("timeslip-observe".into());
        let thread = thread.spawn(move || watch.until(&stop))?;
        Ok(Observation { running, thread })
    }
}

impl Observation {
    /// Ends it, when all processes have ended.
    pub(super) fn end(self, group: Option<&Group>) -> Observed {
        drop(self.running);
        let observed = self.thread.join().unwrap_or_default();
        Observed {
            cpu: group.and_then(Group::cpu),
            ..observed
        }
    }
}

struct Watch {
    lives: Option<(Connector, Lives)>,
    memory: Option<MemoryFile>,
    peak: Option<u64>,
}

impl Watch {
    fn until(mut self, stop: &PipeReader) -> Observed {
        let mut looked = Instant::now();
        let mut is_over = false;
        while !is_over {
            is_over = self.wait(stop, looked + MEMORY_EVERY);
            if let Some((connector, lives)) = &mut self.lives {
                let told = connector.events(|at, event| lives.take(at, event));
                if told.is_err() || lives.are_too_many() {
                    self.lives = None;
                }
            }
            if looked.elapsed() >= MEMORY_EVERY {
                looked = Instant::now();
                let now = self.memory.as_ref().and_then(MemoryFile::read);
                self.peak = self.peak.max(now);
            }
        }
        Observed {
            processes: self.lives.map(|(_, lives)| lives.finish()),
            peak_memory_bytes: self.peak,
            cpu: None,
        }
    }

    /// Waits until there is something to do; true when the command is over.
    fn wait(&self, stop: &PipeReader, until: Instant) -> bool {
        let connector = self.lives.as_ref().map(|(connector, _)| connector);
        let mut polled: Vec<PollFd<'_>> = vec![PollFd::new(stop, PollFlags::IN)];
        polled.extend(connector.map(|connector| PollFd::new(connector, PollFlags::IN)));
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        // An interrupted one is asked again.
        let _ = poll(&mut polled, timeout.as_ref());
        !polled[0].revents().is_empty()
    }
}
