//! Runs one command in a running container and times it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::super::ROOT;
use super::super::capture::Capture;
use super::super::disk::{self, DiskWatch};
use super::super::execution::{Exceeded, Execution, Exit};
use super::super::invocation::Invocation;
use super::super::supervise::LARGEST_FILE_MB;
use super::engine::ContainerEngine;

/// Finds out how often the container has run into its bounds.
const COUNT: &str = r#"
count() {
  memory=0 processes=0
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [[ -r $file ]] && while read -r key value; do [[ $key = oom_kill ]] && memory=$value; done <"$file"
  done
  for file in /sys/fs/cgroup/pids.events /sys/fs/cgroup/pids/pids.events; do
    [[ -r $file ]] && while read -r key value; do [[ $key = max ]] && processes=$value; done <"$file"
  done
}
"#;

/// Arguments: command, working directory, blocks of 512 bytes per file.
///
/// Both outputs of the command are one, so that the launcher has the other for its
/// marks. At the end it says how often the container has run into its bounds, and
/// kills whatever is left but the container's first process.
const LAUNCHER: &str = r#"
ulimit -c 0 2>/dev/null; ulimit -f "$3" 2>/dev/null
printf s >&2
cd -- "$2" 2>&1 && unset OLDPWD && bash -c "$1" 2>&1
code=$?
printf e >&2
count
printf '%s %s;' "$memory" "$processes" >&2
kill -9 -1 2>/dev/null
exit "$code"
"#;

/// What the launcher says at the end, where it did not get there.
const REPORT: &str = r#"count; printf 'e%s %s;' "$memory" "$processes" >&2"#;

/// Everything but the container's first process and this one.
const KILL: &str = "kill -9 -1 2>/dev/null; true";

/// Bytes of marks that are looked at.
const MARKS_BYTES: usize = 64;

/// How long an engine may take to notice that a command has ended.
const NOTICE: Duration = Duration::from_secs(5);

/// How often a container has run into its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BoundCounts {
    memory: u64,
    processes: u64,
}

impl BoundCounts {
    fn since(self, before: Self) -> Exceeded {
        Exceeded {
            memory: self.memory > before.memory,
            processes: self.processes > before.processes,
            disk: false,
        }
    }
}

/// What came of an invocation.
pub(super) struct ExecDone {
    pub(super) execution: Execution,
    pub(super) counts: BoundCounts,
    /// The launcher ended as it should, with nothing left behind.
    pub(super) clean: bool,
}

/// What the launcher has said so far.
#[derive(Debug, Default)]
struct LauncherMarks {
    started: Option<Instant>,
    ended: Option<Instant>,
    after_end: Vec<u8>,
}

impl LauncherMarks {
    fn take(&mut self, bytes: &[u8], now: Instant) {
        for byte in bytes {
            match byte {
                b's' => {
                    self.started.get_or_insert(now);
                }
                b'e' => {
                    self.ended = Some(now);
                    self.after_end.clear();
                }
                other if self.after_end.len() < MARKS_BYTES => self.after_end.push(*other),
                _ => {}
            }
        }
    }

    fn counts(&self) -> Option<BoundCounts> {
        let text = std::str::from_utf8(&self.after_end).ok()?;
        let (memory, processes) = text.split_once(';')?.0.split_once(' ')?;
        Some(BoundCounts {
            memory: memory.parse().ok()?,
            processes: processes.parse().ok()?,
        })
    }
}

/// Runs a command until it ends or its time is over, and then leaves it running: it
/// can only be ended with its container.
pub(super) fn run(
    engine: &'static ContainerEngine,
    container: &str,
    invocation: &Invocation,
    before: BoundCounts,
) -> Result<ExecDone, String> {
    let limits = &invocation.limits;
    let spawned = Instant::now();
    let deadline = spawned + limits.wall;
    let blocks = (LARGEST_FILE_MB * 2048).to_string();
    let script = format!("{COUNT}{LAUNCHER}");
    let arguments = [
        "bash",
        "-c",
        &script,
        "launcher",
        &invocation.command,
        &invocation.working_directory,
        &blocks,
    ];
    let environment: Vec<String> = invocation
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let asked = options(&arguments, environment, invocation.user.clone());
    let mut capture = Capture::new(limits.output_bytes);
    let mut marks = LauncherMarks::default();
    let disk_watch = disk_watch(engine, container, invocation)?;
    let is_full = || disk_watch.as_ref().is_some_and(DiskWatch::is_exceeded);
    let following = follow(
        engine,
        container,
        asked,
        deadline,
        &is_full,
        &mut capture,
        &mut marks,
    );
    let code = engine.wait(following)?;
    let killed_for_disk = code.is_none() && is_full();
    let clean = marks.counts().is_some() && code.is_some();
    let counts = match marks.counts() {
        Some(counts) => counts,
        // The launcher was killed with its command; the container may still tell why.
        None if code == Some(KILLED) => count(engine, container).unwrap_or(before),
        None => before,
    };
    let execution = Execution {
        spawned,
        command_started: marks.started,
        command_ended: marks.ended.filter(|_| code.is_some()),
        ended: Instant::now(),
        exit: match code {
            None if killed_for_disk => Exit::DiskLimit,
            None => Exit::TimedOut,
            Some(KILLED) if !clean && marks.started.is_some() => Exit::Signal(9),
            Some(code) => Exit::Code(code),
        },
        output_total_bytes: capture.total(),
        output: capture.finish(),
        exceeded: Exceeded {
            disk: disk_watch.is_some_and(DiskWatch::end),
            ..counts.since(before)
        },
        observed: None,
    };
    Ok(ExecDone {
        execution,
        counts,
        clean,
    })
}

/// Looks at what a command writes: into the container's own files, and into directories of
/// this machine that are the container's.
fn disk_watch(
    engine: &'static ContainerEngine,
    container: &str,
    invocation: &Invocation,
) -> Result<Option<DiskWatch>, String> {
    let Some(quota) = &invocation.disk else {
        return Ok(None);
    };
    let writable = invocation.mounts.iter().filter(|mount| mount.writable);
    let lent = writable.filter(|mount| !quota.covers(&mount.host));
    let lent: Vec<PathBuf> = lent.map(|mount| mount.host.clone()).collect();
    let container = container.to_owned();
    let elsewhere = move || {
        let lent: u64 = lent.iter().map(|host| disk::bytes_below(host)).sum();
        // An engine that cannot tell bounds what is lent alone.
        lent + engine.written_bytes(&container).unwrap_or_default()
    };
    let watch = DiskWatch::begin(quota, elsewhere, || {});
    watch.map(Some).map_err(|error| error.to_string())
}

/// The exit code of what was killed.
const KILLED: i32 = 137;

fn count(engine: &ContainerEngine, container: &str) -> Option<BoundCounts> {
    let script = format!("{COUNT}{REPORT}");
    let (_, marks) = ask(engine, container, &script, None).ok()?;
    marks.counts()
}

/// Kills what other users than the one of a command have left: the launcher may kill its
/// own processes only. Says whether that worked.
pub(super) fn kill_others(engine: &ContainerEngine, container: &str) -> Result<bool, String> {
    let (code, _) = ask(engine, container, KILL, Some(ROOT.to_owned()))?;
    Ok(code == Some(0))
}

/// Runs a short script of our own; its exit code, unless it takes too long, and its marks.
fn ask(
    engine: &ContainerEngine,
    container: &str,
    script: &str,
    user: Option<String>,
) -> Result<(Option<i32>, LauncherMarks), String> {
    let (mut capture, mut marks) = (Capture::new(0), LauncherMarks::default());
    let deadline = Instant::now() + NOTICE;
    let asked = options(&["bash", "-c", script], Vec::new(), user);
    let never = || false;
    let following = follow(
        engine,
        container,
        asked,
        deadline,
        &never,
        &mut capture,
        &mut marks,
    );
    let code = engine.wait(following)?;
    Ok((code, marks))
}

fn options(
    arguments: &[&str],
    environment: Vec<String>,
    user: Option<String>,
) -> CreateExecOptions<String> {
    let owned = |argument: &&str| (*argument).to_owned();
    CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(arguments.iter().map(owned).collect()),
        env: Some(environment),
        user,
        // The image's own may be gone.
        working_dir: Some("/".to_owned()),
        ..Default::default()
    }
}

/// How soon it is noticed that a command is to be given up.
const GIVEN_UP: Duration = Duration::from_millis(100);

/// Follows a command to its end; `None` if the deadline came first, or a reason to give up.
async fn follow(
    engine: &ContainerEngine,
    container: &str,
    asked: CreateExecOptions<String>,
    deadline: Instant,
    given_up: &(dyn Fn() -> bool + Sync),
    capture: &mut Capture,
    marks: &mut LauncherMarks,
) -> Result<Option<i32>, bollard::errors::Error> {
    let docker = &engine.docker;
    let id = docker.create_exec(container, asked).await?.id;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&id, None).await? else {
        return Ok(None);
    };
    let deadline = tokio::time::Instant::from_std(deadline);
    loop {
        let until = deadline.min(tokio::time::Instant::now() + GIVEN_UP);
        let Ok(next) = tokio::time::timeout_at(until, output.next()).await else {
            match tokio::time::Instant::now() >= deadline || given_up() {
                true => return Ok(None),
                false => continue,
            }
        };
        let now = Instant::now();
        match next {
            Some(Ok(LogOutput::StdErr { message })) => marks.take(&message, now),
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                capture.push(&message);
            }
            Some(Ok(LogOutput::StdIn { .. })) => {}
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    let noticed = Instant::now() + NOTICE;
    loop {
        let found = docker.inspect_exec(&id).await?;
        if let Some(code) = found.exit_code
            && found.running != Some(true)
        {
            return Ok(Some(i32::try_from(code).unwrap_or(i32::MAX)));
        }
        if Instant::now() > noticed {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_start_and_the_last_end_count() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut marks = LauncherMarks::default();
        marks.take(b"s", now);
        marks.take(b"see1", later);
        assert_eq!(marks.counts(), None);
        marks.take(b"s", later);
        marks.take(b"e3 ", later);
        marks.take(b"14;", later);
        assert_eq!((marks.started, marks.ended), (Some(now), Some(later)));
        let counts = marks.counts().unwrap();
        assert_eq!(
            counts,
            BoundCounts {
                memory: 3,
                processes: 14
            }
        );
        let exceeded = counts.since(BoundCounts {
            memory: 3,
            processes: 0,
        });
        assert_eq!((exceeded.memory, exceeded.processes), (false, true));
    }

    proptest! {
        #[test]
        fn nothing_a_command_writes_makes_it_stumble(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut marks = LauncherMarks::default();
            marks.take(&bytes, Instant::now());
            let _ = marks.counts();
            prop_assert!(marks.after_end.len() <= MARKS_BYTES);
        }
    }
}
