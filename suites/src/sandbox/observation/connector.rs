//! The kernel's process events, over its connector.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use rustix::time::{ClockId, clock_gettime};

/// The group of process events, and their number within it (`CN_IDX_PROC`, `CN_VAL_PROC`).
const PROCESSES: [u32; 2] = [1, 1];

/// What is asked for (`enum proc_cn_mcast_op`).
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;

/// `NLMSG_DONE`.
const DONE: u16 = 3;

/// Lengths of the headers: `struct nlmsghdr`, `struct cn_msg`, and what an event begins with.
const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
const EVENT_HEADER: usize = 16;

/// Bytes of events that the kernel keeps for us: some thousands of events.
const BUFFER: usize = 8 << 20;

/// The kernel answers at once, or never.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProcessEvent {
    /// The kernel answers: 0, or the number of an error.
    Answered(u32),
    /// It started another one.
    Forked { parent: u32, child: u32 },
    /// It became another program.
    Became(u32),
    /// It ended.
    Ended(u32),
}

/// An open line to the kernel. What it tells is kept from here on, until it is asked for.
pub(super) struct Connector {
    socket: OwnedFd,
    /// One moment, on the process's clock and on the kernel's, in nanoseconds.
    same: (Instant, u64),
}

impl Connector {
    /// Opens it; an error where the kernel tells nothing to this process.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(CONNECTOR),
        )?;
        // Only root may have as many; others have what they get.
        let _ = set_socket_recv_buffer_size_force(&socket, BUFFER)
            .or_else(|_| set_socket_recv_buffer_size(&socket, BUFFER));
        bind(&socket, &SocketAddrNetlink::new(0, PROCESSES[0]))?;
        let now = clock_gettime(ClockId::Monotonic);
        let part = |value: i64| u64::try_from(value).unwrap_or(0);
        let now = part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec);
        let connector = Connector {
            socket,
            same: (Instant::now(), now),
        };
        connector.ask(LISTEN)?;
        connector.answered()?;
        Ok(connector)
    }

    fn ask(&self, what: u32) -> io::Result<()> {
        let length = NETLINK_HEADER + CONNECTOR_HEADER + 4;
        let mut message = Vec::with_capacity(length);
        message.extend((length as u32).to_ne_bytes());
        message.extend(DONE.to_ne_bytes());
        // No flags, no sequence, from the kernel's own choice of a port.
        message.extend([0; 10]);
        message.extend(PROCESSES.map(u32::to_ne_bytes).concat());
        // No sequence, nothing acknowledged.
        message.extend([0; 8]);
        message.extend(4_u16.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(what.to_ne_bytes());
        send(&self.socket, &message, SendFlags::empty())?;
        Ok(())
    }

    fn answered(&self) -> io::Result<()> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let mut answer = None;
        while answer.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = Timespec::try_from(left).ok();
            let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], timeout.as_ref());
            self.events(|_, event| {
                if let ProcessEvent::Answered(error) = event {
                    answer = Some(error);
                }
            })?;
        }
        match answer.and_then(|error| i32::try_from(error).ok()) {
            Some(0) => Ok(()),
            error => Err(io::Error::from_raw_os_error(error.unwrap_or_default())),
        }
    }

    /// Takes all that the kernel has told so far; an error when it could not keep everything.
    pub(super) fn events(&self, mut take: impl FnMut(Instant, ProcessEvent)) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            let message = match recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((length, _)) => &buffer[..length],
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some((at, event)) = parse(message) {
                take(self.instant(at), event);
            }
        }
    }

    /// A time of the kernel on this process's clock: both are the machine's monotonic one.
    fn instant(&self, ns: u64) -> Instant {
        let (instant, same) = self.same;
        let after = || instant.checked_add(Duration::from_nanos(ns - same));
        let before = || instant.checked_sub(Duration::from_nanos(same - ns));
        let there = if ns >= same { after() } else { before() };
        there.unwrap_or(instant)
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Older kernels count listeners only by this.
        let _ = self.ask(IGNORE);
    }
}

/// An event of a process, and the kernel's time of it; `None` of threads and of what else it
/// tells.
fn parse(message: &[u8]) -> Option<(u64, ProcessEvent)> {
    let event = message.get(NETLINK_HEADER + CONNECTOR_HEADER..)?;
    let number = |place: usize| {
        let bytes = event.get(place..place + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let at = u64::from_ne_bytes(event.get(8..EVENT_HEADER)?.try_into().ok()?);
    let field = |index: usize| number(EVENT_HEADER + 4 * index);
    let event = match number(0)? {
        0 => ProcessEvent::Answered(field(0)?),
        // Thread and process of who forked, and of what came of it.
        1 if field(2)? == field(3)? => ProcessEvent::Forked {
            parent: field(1)?,
            child: field(3)?,
        },
        2 => ProcessEvent::Became(field(1)?),
        0x8000_0000 if field(0)? == field(1)? => ProcessEvent::Ended(field(1)?),
        _ => return None,
    };
    Some((at, event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(what: u32, fields: [u32; 4]) -> Vec<u8> {
        let mut message = vec![0; NETLINK_HEADER + CONNECTOR_HEADER];
        message.extend(what.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(77_u64.to_ne_bytes());
        message.extend(fields.map(u32::to_ne_bytes).concat());
        message
    }

    #[test]
    fn events_of_processes_are_read_and_those_of_threads_are_not() {
        let event = |what, fields| parse(&message(what, fields));
        let forked = ProcessEvent::Forked {
            parent: 5,
            child: 9,
        };
        for (what, fields, expected) in [
            (1, [6, 5, 9, 9], Some(forked)),
            (1, [6, 5, 7, 5], None),
            (2, [7, 5, 0, 0], Some(ProcessEvent::Became(5))),
            (0x8000_0000, [5, 5, 0, 17], Some(ProcessEvent::Ended(5))),
            (0x8000_0000, [7, 5, 0, 17], None),
            (4, [5, 5, 0, 0], None),
            (0, [1, 0, 0, 0], Some(ProcessEvent::Answered(1))),
        ] {
            let expected = expected.map(|expected| (77, expected));
            assert_eq!(event(what, fields), expected, "{what} {fields:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_the_kernel_says_makes_it_stumble(message in proptest::collection::vec(0_u8..4, 0..90)) {
            let _ = parse(&message);
        }
    }
}
