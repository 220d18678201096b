//! Spawns the launcher, stamps its marks, gathers output, and ends everything in
//! bounded time.

use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::capture::Capture;
use super::cgroup::{Cgroups, Group};
use super::disk::{self, DiskQuota, DiskWatch};
use super::execution::{Exceeded, Execution, Exit};
use super::invocation::{Cancel, Invocation};
use super::observation::Prepared;

/// The command itself is about to start.
const STARTED: u8 = b's';
/// The command itself has ended.
const ENDED: u8 = b'e';

/// Arguments: command, working directory, kilobytes of address space or "unlimited",
/// blocks of 512 bytes per file.
///
/// The pipe for its marks is what it begins with as its standard input: any other
/// descriptor could only be given by a copy of this process (`fork` and not
/// `posix_spawn`), which stops every thread that touches its memory meanwhile.
/// Descriptors the harness may have inherited are closed first. The command does
/// not get the mark pipe; should it pry it open through `/proc`, the first start
/// mark and the last end mark still are the launcher's own. A limit that is
/// already stricter cannot be raised, which is no reason to stop. A working
/// directory that an earlier command removed makes this command fail, not the
/// sandbox.
const LAUNCHER: &str = r#"
exec 3>&0 </dev/null
for fd in /dev/fd/*; do fd=${fd##*/}; [[ $fd -gt 3 ]] && eval "exec $fd>&-"; done
ulimit -c 0 2>/dev/null; ulimit -v "$3" 2>/dev/null; ulimit -f "$4" 2>/dev/null
printf s >&3
cd -- "$2" && unset OLDPWD && bash -c "$1" 3>&-
code=$?
printf e >&3
exit "$code"
"#;

/// No single file may grow beyond this, so that one command cannot fill the disk.
pub(in crate::sandbox) const LARGEST_FILE_MB: u64 = 1024;

/// How long output may still arrive after everything was killed; only a process
/// that escaped the kill can use it up.
const DRAIN: Duration = Duration::from_millis(500);

/// The arguments that make `bash` the launcher of `command`.
pub(super) fn launcher_arguments(
    command: &str,
    working_directory: &str,
    Invocation { limits, quota, .. }: &Invocation,
    group: Option<&Group>,
) -> [String; 7] {
    let memory = match group.is_some() || quota.reserves_memory {
        // The group bounds what is used, not what is reserved.
        true => "unlimited".to_owned(),
        false => limits.memory_mb.saturating_mul(1024).to_string(),
    };
    [
        "-c".to_owned(),
        LAUNCHER.to_owned(),
        "launcher".to_owned(),
        command.to_owned(),
        working_directory.to_owned(),
        memory,
        (LARGEST_FILE_MB * 2048).to_string(),
    ]
}

/// Runs the command that `command` makes, which starts the launcher, in a control group
/// of its own where one can be made.
pub(super) fn in_group(
    invocation: &Invocation,
    command: impl FnOnce(Option<&Group>) -> Command,
) -> io::Result<Execution> {
    let Invocation { limits, quota, .. } = invocation;
    let group = match Cgroups::find() {
        Ok(cgroups) => Some(cgroups.group(limits.memory_mb, quota)?),
        Err(_) => None,
    };
    run(command(group.as_ref()), invocation, group.as_ref())
}

/// Whether everything that a command starts is held by a control group.
pub(super) fn has_groups() -> bool {
    Cgroups::find().is_ok()
}

/// What is to be known where no control group can be made.
pub(super) fn warnings() -> Vec<String> {
    Cgroups::find()
        .as_ref()
        .err()
        .cloned()
        .into_iter()
        .collect()
}

/// Runs `command`, which starts the launcher, until it ends, its time is over, too much was
/// written or it is cancelled.
fn run(
    mut command: Command,
    invocation: &Invocation,
    group: Option<&Group>,
) -> io::Result<Execution> {
    let limits = &invocation.limits;
    let cancel = invocation.cancel.as_ref();
    let cancel = cancel.map(Cancel::listener).transpose()?;
    let prepared = invocation.observed.then(Prepared::new);
    let (output, output_writer) = io::pipe()?;
    let (marks, marks_writer) = io::pipe()?;
    command
        .stdin(marks_writer)
        .stdout(output_writer.try_clone()?)
        .stderr(output_writer)
        .process_group(0);

    let spawned = Instant::now();
    let mut child = command.spawn()?;
    // The command holds our write ends; the pipes must end with the child.
    drop(command);
    let observation = prepared.map(|prepared| prepared.follow(child.id(), spawned, group));
    let watches = Watches::begin(&child, invocation.disk.as_ref());
    let begun = watches.and_then(|watches| Ok((watches, observation.transpose()?)));
    let (Watches { exited, full, disk }, observation) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            kill(&child, group);
            child.wait()?;
            return Err(error);
        }
    };

    let mut streams = Streams {
        marks: Some(marks),
        output: Some(output),
        exited: Some(exited),
        full: Some(full),
        cancel,
        over_disk: false,
        cancelled: false,
        capture: Capture::new(limits.output_bytes),
        command_started: None,
        command_ended: None,
    };
    let in_time = streams.follow(Some(spawned + limits.wall), Streams::is_over)?;
    if !in_time || streams.over_disk || streams.cancelled {
        kill(&child, group);
        streams.follow(None, Streams::has_exited)?;
    }
    // Not reaped yet, so the group's number is still ours: end what it left behind.
    kill(&child, group);
    let status = child.wait()?;
    streams.follow(Some(Instant::now() + DRAIN), Streams::is_drained)?;
    let ended = Instant::now();
    let exceeded = group.map(Group::exceeded).unwrap_or_default();

    Ok(Execution {
        spawned,
        command_started: streams.command_started,
        command_ended: streams.command_ended,
        ended,
        exit: match (streams.over_disk, streams.cancelled, in_time) {
            (true, ..) => Exit::DiskLimit,
            (_, true, _) => Exit::Cancelled,
            (.., true) => exit_of(status),
            (.., false) => Exit::TimedOut,
        },
        output_total_bytes: streams.capture.total(),
        output: streams.capture.finish(),
        exceeded: Exceeded {
            disk: disk.is_some_and(DiskWatch::end),
            ..exceeded
        },
        observed: observation.map(|observation| observation.end(group)),
    })
}

/// Threads that say when something has happened to a child.
struct Watches {
    /// Ends when it has exited.
    exited: PipeReader,
    /// Says something when too much was written.
    full: PipeReader,
    disk: Option<DiskWatch>,
}

impl Watches {
    fn begin(child: &Child, quota: Option<&DiskQuota>) -> io::Result<Self> {
        let (exited, exited_writer) = io::pipe()?;
        let (full, full_writer) = io::pipe()?;
        let pid = pid_of(child);
        thread::Builder::new().spawn(move || {
            wait_without_reaping(pid);
            drop(exited_writer);
        })?;
        let process = child.id();
        let disk = quota.map(|quota| {
            let elsewhere = move || disk::bytes_without_a_name(process);
            DiskWatch::begin(quota, elsewhere, move || {
                // Nobody listens once the command is over.
                let _ = (&full_writer).write_all(b"x");
            })
        });
        Ok(Self {
            exited,
            full,
            disk: disk.transpose()?,
        })
    }
}

/// What is listened to while the command runs; a stream that ended is `None`.
struct Streams {
    marks: Option<PipeReader>,
    output: Option<PipeReader>,
    /// Ends when the child has exited.
    exited: Option<PipeReader>,
    /// Says something when too much was written.
    full: Option<PipeReader>,
    /// Says something when the command is to end.
    cancel: Option<PipeReader>,
    over_disk: bool,
    cancelled: bool,
    capture: Capture,
    command_started: Option<Instant>,
    command_ended: Option<Instant>,
}

impl Streams {
    fn has_exited(&self) -> bool {
        self.exited.is_none()
    }

    fn is_over(&self) -> bool {
        self.has_exited() || self.over_disk || self.cancelled
    }

    fn is_drained(&self) -> bool {
        self.marks.is_none() && self.output.is_none()
    }

    /// Listens until `done`; false if the deadline came first.
    fn follow(&mut self, deadline: Option<Instant>, done: fn(&Self) -> bool) -> io::Result<bool> {
        while !done(self) {
            let left = match deadline {
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) => Some(left),
                    None => return Ok(false),
                },
                None => None,
            };
            self.listen(left)?;
        }
        Ok(true)
    }

    /// Waits for the next thing to happen and takes it in.
    fn listen(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let sources = [
            &self.marks,
            &self.output,
            &self.exited,
            &self.full,
            &self.cancel,
        ];
        let mut polled: Vec<PollFd<'_>> = sources
            .iter()
            .filter_map(|source| source.as_ref())
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
        let [marks, output, exited, full, cancel] =
            sources.map(|source| source.is_some() && ready.next().unwrap_or_default());
        if marks {
            self.take_marks(now)?;
        }
        if output {
            self.take_output()?;
        }
        if exited {
            self.exited = None;
        }
        if full {
            self.over_disk |= read_some(&mut self.full, &mut [0])? > 0;
        }
        if cancel {
            self.cancelled |= read_some(&mut self.cancel, &mut [0])? > 0;
        }
        Ok(())
    }

    fn take_marks(&mut self, now: Instant) -> io::Result<()> {
        let mut buffer = [0; 64];
        let read = read_some(&mut self.marks, &mut buffer)?;
        for mark in &buffer[..read] {
            match *mark {
                STARTED => {
                    self.command_started.get_or_insert(now);
                }
                ENDED => self.command_ended = Some(now),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_output(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        let read = read_some(&mut self.output, &mut buffer)?;
        self.capture.push(&buffer[..read]);
        Ok(())
    }
}

/// Reads what there is; at the end of the stream it becomes `None`.
fn read_some(source: &mut Option<PipeReader>, buffer: &mut [u8]) -> io::Result<usize> {
    let Some(pipe) = source else { return Ok(0) };
    let read = match pipe.read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
        result => result?,
    };
    if read == 0 {
        *source = None;
    }
    Ok(read)
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Leaves the zombie, so that its number cannot be given to another process.
fn wait_without_reaping(pid: Option<Pid>) {
    let Some(pid) = pid else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
}

/// Kills the child and what it started. A sandbox with its own process ids dies
/// with its first process, whatever group its others are in; without them, a control
/// group reaches what has left the process group.
fn kill(child: &Child, group: Option<&Group>) {
    if let Some(pid) = pid_of(child) {
        // Fails only when nothing of the group is left.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    if let Some(group) = group {
        group.kill();
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Signal(0),
    }
}
