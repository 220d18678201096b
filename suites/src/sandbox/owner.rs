//! Whose something is that outlives a process: control groups, mounts, containers
//! and scratch directories carry the name of the process that made them, so that a
//! later one can remove what a crash left behind.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, test_kill_process};

use super::scratch::{self, Scratch};
use crate::Result;

/// What every name begins with.
const PREFIX: &str = "timeslip";

/// Whose things are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// Those of processes that are no more.
    OfCrashes,
    /// Those of this process.
    OfThisProcess,
}

impl Leftovers {
    /// Whether the thing of that name is among them.
    pub(super) fn include(self, name: &str) -> bool {
        Owner::of(name).is_some_and(|owner| match self {
            Self::OfCrashes => owner.is_gone(),
            Self::OfThisProcess => owner == *Owner::current(),
        })
    }

    /// Removes the directories among them in `parent`.
    pub(super) fn remove_directories(self, parent: &Path) {
        for entry in parent.read_dir().into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && self.include(&entry.file_name().to_string_lossy()) {
                // A directory that cannot be removed belongs to another user.
                let _ = scratch::remove(&entry.path());
            }
        }
    }
}

/// One process, told apart from all others, also from a later one of its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The machine and the namespace in which `pid` is a process.
    machine: String,
    pid: i32,
    /// Clock ticks from the machine's start to the process's; 0 where not known.
    started: u64,
}

impl Owner {
    /// This process.
    pub(super) fn current() -> &'static Self {
        static CURRENT: OnceLock<Owner> = OnceLock::new();
        CURRENT.get_or_init(|| {
            let pid = i32::try_from(std::process::id()).unwrap_or_default();
            Self {
                machine: machine(),
                pid,
                started: started(pid).unwrap_or_default(),
            }
        })
    }

    /// A name of this process that it has not given out before.
    pub(super) fn name(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        format!("{self}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A temporary directory of this process, on the disk's usual place for them.
    pub(super) fn scratch(&self) -> Result<Scratch> {
        Scratch::within(&std::env::temp_dir(), &format!("{self}-"))
    }

    /// The process a name was given out by; `None` if it is no such name.
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        Some(Self {
            machine: part()?.to_owned(),
            pid: part()?.parse().ok().filter(|pid| *pid > 0)?,
            started: part()?.parse().ok()?,
        })
    }

    /// Whether the process is known to be no more. Of another machine nothing is known.
    fn is_gone(&self) -> bool {
        if self.machine != Self::current().machine {
            return false;
        }
        match started(self.pid) {
            Some(started) => started != self.started,
            None => Pid::from_raw(self.pid)
                .is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            pid,
            started,
        } = self;
        write!(f, "{PREFIX}-{machine}-{pid}-{started}")
    }
}

/// Letters and digits that stand for this machine and its numbering of processes.
fn machine() -> String {
    let id = ["/etc/machine-id", "/proc/sys/kernel/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let plain =
        |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    let id: String = plain(&id).chars().take(12).collect();
    format!("m{id}{}", plain(&namespace.to_string_lossy()))
}

/// When a process started; `None` if there is no such process.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in parentheses may hold anything; field 22 is the 20th after it.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_lead_back_to_their_process() {
        let current = Owner::current();
        let (one, other) = (current.name(), current.name());
        assert_ne!(one, other);
        assert_eq!(Owner::of(&one).as_ref(), Some(current));
        assert!(!current.is_gone());
    }

    #[test]
    fn a_dead_process_is_gone_and_so_is_one_whose_number_was_given_away() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        let machine = Owner::current().machine.clone();
        let dead = Owner {
            machine,
            pid,
            started: 1,
        };
        assert!(dead.is_gone());
        let renumbered = Owner {
            started: 1,
            ..Owner::current().clone()
        };
        assert!(renumbered.is_gone());
        let elsewhere = Owner {
            machine: "m0".to_owned(),
            ..dead
        };
        assert!(!elsewhere.is_gone());
    }

    proptest! {
        #[test]
        fn other_names_are_nobodys(name in "(timeslip-?)?[a-z0-9-]{0,20}") {
            if let Some(owner) = Owner::of(&name) {
                prop_assert!(name.starts_with(&owner.to_string()) || name.contains("-0"));
            }
        }
    }
}
