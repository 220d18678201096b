//! Bounds on all processes of a command taken together, by Linux control groups of
//! either version.

mod find;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::execution::Exceeded;
use super::invocation::Quota;
use super::owner::{Leftovers, Owner};

/// What a group can bound or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Processes,
    Cpu,
    /// Bounds nothing: counts processor time.
    CpuTime,
}

/// The two interfaces the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CgroupVersion {
    One,
    Two,
}

/// A directory in which this process may make groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ParentGroup {
    directory: PathBuf,
    version: CgroupVersion,
    controllers: Vec<Controller>,
}

/// Where groups are made: one directory in version 2, one for each controller in
/// version 1.
#[derive(Clone, Debug)]
pub(super) struct Cgroups {
    parents: Vec<ParentGroup>,
}

/// The group of one command; removed with everything in it when dropped.
#[derive(Debug)]
pub(super) struct Group {
    members: Vec<ParentGroup>,
}

/// Where a control group tells its memory: a file of lines, and the beginning of one.
pub(super) struct MemoryFile {
    path: PathBuf,
    key: &'static str,
}

/// The length of a scheduling period, in microseconds; the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// How long the killed processes of a group may take to disappear.
const REMOVAL: Duration = Duration::from_secs(2);

/// Puts the shell into the groups named first, then becomes the command. Moving
/// oneself is what "0" means.
const ENTER: &str = r#"
n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 125; shift; n=$((n - 1)); done
exec "$@"
"#;

impl Cgroups {
    /// Finds where groups can be made and tries one out; otherwise says why not.
    pub(super) fn find() -> &'static Result<Self, String> {
        static FOUND: OnceLock<Result<Cgroups, String>> = OnceLock::new();
        FOUND.get_or_init(|| {
            Ok(Self {
                parents: find::parents()?,
            })
        })
    }

    /// Makes a group for a command.
    pub(super) fn group(&self, memory_mb: u64, quota: &Quota) -> io::Result<Group> {
        let name = Owner::current().name();
        let mut group = Group {
            members: Vec::new(),
        };
        for parent in &self.parents {
            let member = ParentGroup {
                directory: parent.directory.join(&name),
                ..parent.clone()
            };
            fs::create_dir(&member.directory)?;
            group.members.push(member);
        }
        for member in &group.members {
            member.limit(memory_mb, quota)?;
        }
        Ok(group)
    }

    /// Removes the groups of some owners, with everything in them.
    pub(super) fn sweep(&self, leftovers: Leftovers) {
        for parent in &self.parents {
            let Ok(entries) = parent.directory.read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if leftovers.include(&name.to_string_lossy()) {
                    drop(Group {
                        members: vec![ParentGroup {
                            directory: entry.path(),
                            ..parent.clone()
                        }],
                    });
                }
            }
        }
    }
}

/// The command that runs `program` in `group`; its arguments come after.
pub(super) fn command(program: impl AsRef<OsStr>, group: Option<&Group>) -> Command {
    let members = group.map_or(&[][..], |group| &group.members);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ENTER, "enter", &members.len().to_string()]);
    for member in members {
        command.arg(member.directory.join("cgroup.procs"));
    }
    command.arg(program);
    command
}

impl Group {
    /// Kills everything in it, whatever session it has moved to.
    pub(super) fn kill(&self) {
        for member in &self.members {
            if fs::write(member.directory.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            for pid in member.processes() {
                // Fails only for what is already gone.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Which bounds were run into.
    pub(super) fn exceeded(&self) -> Exceeded {
        let any = |controller: Controller, files: [&str; 2], key: &str| {
            self.members
                .iter()
                .filter(|member| member.controllers.contains(&controller))
                .any(|member| {
                    let file = match member.version {
                        CgroupVersion::One => files[0],
                        CgroupVersion::Two => files[1],
                    };
                    let text = fs::read_to_string(member.directory.join(file));
                    text.is_ok_and(|text| counter(&text, key) > 0)
                })
        };
        Exceeded {
            memory: any(
                Controller::Memory,
                ["memory.oom_control", "memory.events"],
                "oom_kill",
            ),
            processes: any(Controller::Processes, ["pids.events"; 2], "max"),
            disk: false,
        }
    }

    /// Where its memory is told: what its processes hold of their own, without files.
    pub(super) fn memory(&self) -> Option<MemoryFile> {
        let member = self.member(Controller::Memory)?;
        Some(MemoryFile {
            path: member.directory.join("memory.stat"),
            key: match member.version {
                CgroupVersion::One => "total_rss",
                CgroupVersion::Two => "anon",
            },
        })
    }

    /// Processor time of everything that was ever in it.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let member = self.member(Controller::CpuTime)?;
        let read = |file: &str| fs::read_to_string(member.directory.join(file)).ok();
        match member.version {
            CgroupVersion::One => {
                let nanoseconds = read("cpuacct.usage")?.trim().parse().ok()?;
                Some(Duration::from_nanos(nanoseconds))
            }
            CgroupVersion::Two => {
                let microseconds = number(&read("cpu.stat")?, "usage_usec")?;
                Some(Duration::from_micros(microseconds))
            }
        }
    }

    fn member(&self, controller: Controller) -> Option<&ParentGroup> {
        let mut members = self.members.iter();
        members.find(|member| member.has(controller))
    }

    fn is_removed(&self) -> bool {
        self.members.iter().fold(true, |removed, member| {
            let result = fs::remove_dir(&member.directory);
            let gone = result
                .map_err(|error| error.kind() == io::ErrorKind::NotFound)
                .map_or_else(|gone| gone, |()| true);
            removed && gone
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let deadline = Instant::now() + REMOVAL;
        while !self.is_removed() && Instant::now() < deadline {
            // A process that is being made while the others are killed escapes one round.
            self.kill();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl ParentGroup {
    fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let file = self.directory.join(file);
        fs::write(&file, value)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    }

    fn limit(&self, memory_mb: u64, quota: &Quota) -> io::Result<()> {
        let (memory, swap) = match self.version {
            CgroupVersion::One => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            CgroupVersion::Two => ("memory.max", "memory.swap.max"),
        };
        if self.has(Controller::Memory) {
            let bytes = memory_mb.saturating_mul(1 << 20).to_string();
            self.write(memory, &bytes)?;
            // Version 1 counts memory and swap together. Not every kernel counts swap.
            let swap_bytes = match self.version {
                CgroupVersion::One => bytes.as_str(),
                CgroupVersion::Two => "0",
            };
            if self.directory.join(swap).exists() {
                self.write(swap, swap_bytes)?;
            }
        }
        if self.has(Controller::Processes) {
            self.write("pids.max", &quota.processes.to_string())?;
        }
        if self.has(Controller::Cpu)
            && let Some(cpus) = quota.cpus
        {
            let time = u64::from(cpus) * PERIOD_US;
            match self.version {
                CgroupVersion::One => {
                    self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                    self.write("cpu.cfs_quota_us", &time.to_string())?;
                }
                CgroupVersion::Two => self.write("cpu.max", &format!("{time} {PERIOD_US}"))?,
            }
        }
        Ok(())
    }

    fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.directory.join("cgroup.procs")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.parse().ok().and_then(Pid::from_raw))
            .collect()
    }
}

impl MemoryFile {
    /// How many bytes there are now.
    pub(super) fn read(&self) -> Option<u64> {
        number(&fs::read_to_string(&self.path).ok()?, self.key)
    }
}

/// The number after `key` in a file of lines of a key and a number.
fn number(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = lines.find(|(name, _)| *name == key)?;
    number.trim().parse().ok()
}

/// The same of an event that is counted.
fn counter(text: &str, key: &str) -> u64 {
    number(text, key).unwrap_or_default()
}

/// Whether a process may be moved into the group at `directory`.
fn admits(directory: &Path) -> bool {
    let group = Group {
        members: vec![ParentGroup {
            directory: directory.to_path_buf(),
            version: CgroupVersion::One,
            controllers: Vec::new(),
        }],
    };
    let status = command("true", Some(&group)).output();
    status.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        cpus: Some(2),
        processes: 64,
        reserves_memory: false,
    };

    /// A directory that stands in for a group: the kernel's files are just files.
    fn limited(version: CgroupVersion, files: &[&str]) -> Vec<(String, String)> {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(directory.path().join(file), "").unwrap();
        }
        let parent = ParentGroup {
            directory: directory.path().to_path_buf(),
            version,
            controllers: vec![Controller::Memory, Controller::Processes, Controller::Cpu],
        };
        parent.limit(8, &QUOTA).unwrap();
        let mut written: Vec<(String, String)> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        written.sort();
        written
    }

    #[test]
    fn each_version_is_told_its_limits_in_its_own_words() {
        let show = |written: Vec<(String, String)>| {
            let lines = written
                .iter()
                .map(|(file, value)| format!("{file}={value}"));
            lines.collect::<Vec<_>>().join(" ")
        };
        insta::assert_snapshot!(show(limited(CgroupVersion::Two, &["memory.swap.max"])), @"cpu.max=200000 100000 memory.max=8388608 memory.swap.max=0 pids.max=64");
        insta::assert_snapshot!(show(limited(CgroupVersion::One, &[])), @"cpu.cfs_period_us=100000 cpu.cfs_quota_us=200000 memory.limit_in_bytes=8388608 pids.max=64");
    }

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(counter(events, "oom_kill"), 1);
        assert_eq!(counter(events, "max"), 3);
        assert_eq!(counter("oom_kill_disable 0\nunder_oom 0\n", "oom_kill"), 0);
        assert_eq!(counter("", "max"), 0);
    }
}
