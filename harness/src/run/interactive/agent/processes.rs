//! The processes of an agent, seen from outside: what a tool began, and when the last of it was
//! gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use timeslip_wire::clock;

/// How often is looked for what began meanwhile. That one has ended is told by the kernel.
const LOOK: Duration = Duration::from_millis(5);

/// Processes that are watched at most.
const MOST: usize = 512;

/// An agent's process, and all processes of its sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    agent: i32,
    root: i32,
}

/// What of a family is no tool's.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// What was there before a tool could have begun it.
    members: BTreeSet<Process>,
    /// The programs of the agent: helpers that it begins later are recognised by them.
    programs: BTreeSet<PathBuf>,
}

/// A process: its number, and when it began, because numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Process {
    pid: i32,
    began: u64,
}

/// What became of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// There was none.
    Nothing,
    /// The last one ended then, on [`clock`].
    At(u64),
    /// So many had not ended when nobody waited any longer.
    Not(usize),
}

impl Family {
    /// That of the sandbox of a process: what this program started of which it is a
    /// descendant. `None` where the system does not tell.
    pub fn around(process: u32) -> Option<Self> {
        let own = i32::try_from(std::process::id()).ok()?;
        let agent = i32::try_from(process).ok()?;
        children(agent)?;
        let mut root = agent;
        loop {
            match stat(root)?.parent {
                parent if parent == own => return Some(Family { agent, root }),
                parent if parent <= 1 => return None,
                parent => root = parent,
            }
        }
    }

    /// What is the agent's own now, while no tool runs.
    pub fn own(self) -> Own {
        let of_agent = below(self.agent);
        Own {
            members: below(self.root),
            programs: of_agent.iter().filter_map(Process::program).collect(),
        }
    }

    /// What is not the agent's own: all that began since and runs another program, and what
    /// that began.
    pub fn tools(self, own: &Own) -> BTreeSet<Process> {
        let (mut found, mut numbers) = (BTreeSet::new(), vec![(self.root, false)]);
        while let Some((pid, below_tool)) = numbers.pop().filter(|_| found.len() < MOST) {
            let Some(process) = Process::of(pid) else {
                continue;
            };
            let helps = || {
                process
                    .program()
                    .is_some_and(|program| own.programs.contains(&program))
            };
            let is_tool = below_tool || !(own.members.contains(&process) || helps());
            if !is_tool || found.insert(process) {
                let children = children(pid).into_iter().flatten();
                numbers.extend(children.map(|child| (child, is_tool)));
            }
        }
        found
    }
}

/// A process and all that it began, as far as they have not ended.
fn below(root: i32) -> BTreeSet<Process> {
    let (mut found, mut numbers) = (BTreeSet::new(), vec![root]);
    while let Some(pid) = numbers.pop().filter(|_| found.len() < MOST) {
        if Process::of(pid).is_some_and(|process| found.insert(process)) {
            numbers.extend(children(pid).into_iter().flatten());
        }
    }
    found
}

impl Process {
    /// The process of a number, unless it has ended.
    fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid).filter(|stat| !stat.is_over)?;
        let began = stat.began;
        Some(Process { pid, began })
    }

    /// The program that it runs.
    fn program(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }
}

/// Waits until nothing is left of some processes, and of what they begin meanwhile.
pub(super) fn wait_for(mut watched: BTreeSet<Process>, patience: Duration) -> Gone {
    let deadline = Instant::now() + patience;
    let mut noticed = None;
    let mut gone = match watched.is_empty() {
        true => Gone::Nothing,
        false => Gone::At(clock::now()),
    };
    loop {
        let begun = watched.iter().flat_map(|process| children(process.pid));
        let begun: Vec<i32> = begun.flatten().take(MOST).collect();
        watched.extend(begun.into_iter().filter_map(Process::of));
        let before = watched.len();
        watched.retain(|process| Process::of(process.pid) == Some(*process));
        if watched.len() < before {
            // Or it was told so a moment ago.
            noticed.get_or_insert_with(clock::now);
        }
        gone = noticed.map_or(gone, Gone::At);
        if watched.is_empty() {
            return gone;
        }
        if Instant::now() > deadline {
            return Gone::Not(watched.len());
        }
        noticed = wait_a_little(&watched).then(clock::now);
    }
}

/// Waits until one of some processes has ended, but not for long; whether one has.
fn wait_a_little(processes: &BTreeSet<Process>) -> bool {
    let pids = processes
        .iter()
        .filter_map(|process| Pid::from_raw(process.pid));
    let opened = pids.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Ok(opened) = opened.collect::<Result<Vec<_>, _>>() else {
        return true;
    };
    let polled = opened
        .iter()
        .map(|process| PollFd::new(process, PollFlags::IN));
    let timeout = Timespec::try_from(LOOK).ok();
    poll(&mut polled.collect::<Vec<_>>(), timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// What is known of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    /// In ticks since the machine started.
    began: u64,
    is_over: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/PID/stat`.
fn parse(stat: &str) -> Option<Stat> {
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some(Stat {
        parent: fields.next()?.parse().ok()?,
        began: fields.nth(17)?.parse().ok()?,
        is_over: matches!(state, "Z" | "X"),
    })
}

/// The processes that the threads of a process have started.
fn children(pid: i32) -> Option<Vec<i32>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    if lists.is_empty() {
        return None;
    }
    let numbers = lists.iter().flat_map(|list| list.split_whitespace());
    Some(numbers.filter_map(|number| number.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_fields() {
        let line = "7 (a) S 1 1 (x)) Z 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let expected = Stat {
            parent: 3,
            began: 4711,
            is_over: true,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn what_a_process_begins_is_seen_until_the_last_of_it_is_gone() {
        let script = "tail -f /dev/null & read; \
                      (timeout 2 tail -f /dev/null & exec timeout 1 tail -f /dev/null) & \
                      wait $!; exec tail -f /dev/null";
        let mut command = Command::new("bash");
        let mut child = command
            .args(["-c", script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let Some(family) = Family::around(child.id()) else {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        };
        while below(family.root).len() < 2 {}
        let own = family.own();
        assert_eq!(wait_for(BTreeSet::new(), Duration::ZERO), Gone::Nothing);
        drop(child.stdin.take());
        let began = || family.tools(&own);
        let mut watched = began();
        while watched.len() < 2 {
            watched = began();
        }
        let not_yet = wait_for(watched.clone(), Duration::ZERO);
        assert!(matches!(not_yet, Gone::Not(_)), "{not_yet:?}");
        let gone = wait_for(watched.clone(), Duration::from_secs(60));
        assert!(matches!(gone, Gone::At(_)), "{gone:?}");
        let alive = |process: &&Process| Process::of(process.pid) == Some(**process);
        assert_eq!(watched.iter().filter(alive).count(), 0);
        let of_bash = own.members.iter().map(|process| process.pid);
        for pid in of_bash.filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        child.wait().unwrap();
    }
}
