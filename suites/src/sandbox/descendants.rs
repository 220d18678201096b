//! Ends what this process has started, where no control group holds it: plain
//! children such as `git` and `cp`, and tools of a machine that has no groups.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

/// Kills every descendant of this process, and with them the process groups that they
/// are in, as some members may have lost their parents.
pub(super) fn kill() {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let all = processes();
    let (descendants, groups) = targets(own, &all);
    let number = |raw: &i32| Pid::from_raw(*raw);
    for group in groups.iter().filter_map(number) {
        // Fails only for what is already gone.
        let _ = kill_process_group(group, Signal::KILL);
    }
    for pid in descendants.iter().filter_map(number) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// How often what is killed may have started another one.
const ROUNDS: u32 = 100;

/// Kills what a command of a trial has left, where nothing else holds it: every process
/// that works in one of its directories, or was started with one in its environment, as
/// all of a trial's are. One that has taken care to lose both is missed.
pub(super) fn kill_within(places: &[&Path]) {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let names = |environment: &[u8], place: &Path| {
        let place = place.as_os_str().as_encoded_bytes();
        environment.windows(place.len()).any(|found| found == place)
    };
    let is_within = |pid: i32| {
        let process = Path::new("/proc").join(pid.to_string());
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let works_in = fs::read_link(process.join("cwd")).unwrap_or_default();
        places
            .iter()
            .any(|place| works_in.starts_with(place) || names(&environment, place))
    };
    for _ in 0..ROUNDS {
        let all = processes();
        let pids = all.iter().map(|process| process.pid);
        let left: Vec<i32> = pids.filter(|pid| *pid != own && is_within(*pid)).collect();
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // Fails only for what is already gone, or another user's.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A process and its descendants.
pub(super) fn of(process: u32) -> BTreeSet<i32> {
    let own = i32::try_from(process).unwrap_or_default();
    let (mut found, _) = targets(own, &processes());
    found.insert(own);
    found
}

/// The descendants of a process, and their groups other than its own.
fn targets(own: i32, all: &[Process]) -> (BTreeSet<i32>, BTreeSet<i32>) {
    let mut found = BTreeSet::new();
    let mut parents = vec![own];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        let new = children.filter(|process| process.pid != own && found.insert(process.pid));
        parents.extend(new.map(|process| process.pid));
    }
    let own_group = all.iter().find(|process| process.pid == own);
    let own_group = own_group.map_or(0, |process| process.group);
    let groups = all
        .iter()
        .filter(|process| found.contains(&process.pid))
        .map(|process| process.group)
        .filter(|group| *group > 0 && *group != own_group);
    let groups = groups.collect();
    (found, groups)
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        parse(pid, &stat)
    });
    stats.collect()
}

/// Reads a line of `/proc/PID/stat`.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name in parentheses may hold anything; state, parent and group follow it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let mut field = || fields.next()?.parse().ok();
    Some(Process {
        pid,
        parent: field()?,
        group: field()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_and_their_groups_are_told_from_everybody_else() {
        let process = |pid, parent, group| Process { pid, parent, group };
        let all = [
            process(1, 0, 1),
            process(10, 1, 10),
            process(11, 10, 10),
            process(12, 10, 12),
            process(13, 12, 13),
            // Lost its parent; the group of 12 reaches it.
            process(14, 1, 12),
            process(20, 1, 20),
        ];
        let (descendants, groups) = targets(10, &all);
        assert_eq!(descendants, BTreeSet::from([11, 12, 13]));
        assert_eq!(groups, BTreeSet::from([12, 13]));
    }

    #[test]
    fn a_name_cannot_pretend_to_be_fields() {
        let stat = "7 (a) S 1 1 (x)) R 3 4 5 0";
        let expected = Process {
            pid: 7,
            parent: 3,
            group: 4,
        };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (a"), None);
    }
}
