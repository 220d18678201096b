//! The thread that reads every stream, and who goes before whom.
//!
//! It touches sockets and nothing else. Everything that is not measuring gives way to it: by
//! the kernel's real-time class where that is permitted, else by niceness, which anybody
//! may give to himself.

use std::fmt;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use timeslip_datasets::run::journal::StampSource;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::connection::arrivals;
use crate::kernel;

/// What niceness set-up, grading and tools run at; anybody may be nicer.
const NICE_WORK: i32 = 5;
/// What niceness the thread that measures asks for, where it may not have the real-time class.
const NICE_MEASURING: i32 = -10;

/// What the system lets the measuring thread have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It runs before all that is not real-time.
    RealTime,
    /// It has this niceness.
    Nice(i32),
    /// As any other.
    Usual,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Priority::RealTime => f.write_str("real-time"),
            Priority::Nice(nice) => write!(f, "nice {nice}"),
            Priority::Usual => f.write_str("usual"),
        }
    }
}

/// The thread that reads streams, with its runtime.
#[derive(Debug)]
pub struct Measuring {
    handle: Handle,
    priority: Priority,
    arrivals: StampSource,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Measuring {
    /// Starts the thread, with the highest priority it is given; it knows the arrivals of
    /// what it reads as exactly as it may, and no more exactly than `best`. Where much comes,
    /// it leaves it unread for a moment, so as to read several events at once.
    ///
    /// # Errors
    /// When there is no thread or no runtime to be had.
    pub fn start(best: StampSource) -> io::Result<Self> {
        Self::parking(best, || rest(arrivals::pause()))
    }

    /// The same for what is passed on: it is never left unread.
    ///
    /// # Errors
    /// As [`Measuring::start`].
    pub fn start_relaying(best: StampSource) -> io::Result<Self> {
        Self::parking(best, || {})
    }

    fn parking(best: StampSource, before: fn()) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(before)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("timeslip-measure".into())
            .spawn(move || {
                let _ = tell.send((go_first(), arrivals::begin(best)));
                // An error says that the handle is gone, which stops it as well.
                let _ = runtime.block_on(stopped);
            })?;
        let (priority, arrivals) = told.recv().map_err(io::Error::other)?;
        Ok(Measuring {
            handle,
            priority,
            arrivals,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where work is handed over to.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Who says when what it reads arrived, at best.
    #[must_use]
    pub fn arrivals(&self) -> StampSource {
        self.arrivals
    }

    /// The priority it was given.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed already.
            let _ = thread.join();
        }
    }
}

/// Sleeps, unless for no time at all: even that would be a system call.
fn rest(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// Lets this thread go before others, as far as the system permits. What it starts does not
/// inherit that.
#[must_use]
pub fn go_first() -> Priority {
    if kernel::become_real_time() {
        return Priority::RealTime;
    }
    match rustix::process::setpriority_process(None, NICE_MEASURING) {
        Ok(()) => Priority::Nice(NICE_MEASURING),
        Err(_) => Priority::Usual,
    }
}

/// Lets this thread, and what it starts from now on, give way to what measures.
pub fn give_way() {
    // Nobody is refused to be nicer; one who is nicer already stays so.
    if rustix::process::getpriority_process(None).is_ok_and(|nice| nice < NICE_WORK) {
        let _ = rustix::process::setpriority_process(None, NICE_WORK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_handed_over_runs_on_the_measuring_thread_and_ends_with_it() {
        let measuring = Measuring::start(StampSource::Capture).unwrap();
        let name = measuring
            .handle()
            .spawn(async { std::thread::current().name().map(str::to_owned) });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let name = runtime.block_on(name).unwrap();
        assert_eq!(name.as_deref(), Some("timeslip-measure"));
        let forever = measuring.handle().spawn(std::future::pending::<()>());
        drop(measuring);
        assert!(runtime.block_on(forever).unwrap_err().is_cancelled());
    }

    #[test]
    fn what_a_measuring_thread_starts_does_not_inherit_its_priority() {
        let scheduler = std::thread::spawn(|| {
            let given = go_first();
            let child = std::process::Command::new("cat")
                .arg("/proc/self/sched")
                .output();
            let niceness = std::process::Command::new("nice").output();
            (given, child, niceness)
        });
        let (given, child, niceness) = scheduler.join().unwrap();
        if given == Priority::RealTime
            && let Ok(child) = child
            && child.status.success()
        {
            let text = String::from_utf8_lossy(&child.stdout).into_owned();
            let policy = text.lines().find(|line| line.starts_with("policy"));
            assert!(policy.is_none_or(|line| line.ends_with('0')), "{policy:?}");
        }
        if let (Priority::RealTime, Ok(niceness)) = (given, niceness) {
            assert_eq!(String::from_utf8_lossy(&niceness.stdout).trim(), "0");
        }
    }

    #[test]
    fn what_gives_way_starts_processes_that_give_way() {
        let nice = std::thread::spawn(|| {
            give_way();
            give_way();
            std::process::Command::new("nice").output()
        });
        let output = nice.join().unwrap().unwrap();
        let nice: i32 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .unwrap();
        assert!(nice >= NICE_WORK, "{nice}");
    }
}
