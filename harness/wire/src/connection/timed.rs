//! A TCP stream that stamps its reads and writes.
//!
//! Where the platform gives the kernel's receive time of what is read
//! (`SO_TIMESTAMPING`), an arrival is known apart from the moment this process got
//! around to reading it; elsewhere the read is all there is.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use rustix::time::ClockId;
use timeslip_datasets::run::journal::TcpSample;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::clock;
use crate::kernel::{self, ReceivedBytes};

/// No stamp in the atomics.
const NONE: u64 = u64::MAX;
/// A wall clock that moves this much against the monotonic one between two reads was
/// set, not slewed: stamps of before and after do not mix.
const CLOCK_STEP_NS: u64 = 1_000_000;

/// When the bytes now being parsed arrived, on [`clock::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When they were read.
    pub read: u64,
    /// When the kernel received the last of them, where the platform says.
    pub kernel: Option<u64>,
}

impl Arrival {
    /// The best knowledge of when they came.
    #[must_use]
    pub fn at(self) -> u64 {
        self.kernel.unwrap_or(self.read)
    }

    /// How long they lay in the kernel before they were read.
    #[must_use]
    pub fn lag_ns(self) -> Option<u32> {
        let lag = self.read.saturating_sub(self.kernel?);
        Some(u32::try_from(lag).unwrap_or(u32::MAX))
    }
}

/// Times and counts of one connection, shared between the stream and its user.
#[derive(Debug)]
pub struct Probe {
    socket: Option<std::os::fd::OwnedFd>,
    last_read: AtomicU64,
    kernel_received: AtomicU64,
    last_write: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    segments_in_before: AtomicU64,
    segments_out_before: AtomicU64,
    retransmits_before: AtomicU64,
}

impl Probe {
    /// Forgets the previous exchange: counts begin at 0.
    pub fn arm(&self) {
        for field in [&self.last_write, &self.bytes_read, &self.bytes_written] {
            field.store(0, Relaxed);
        }
        if let Some(now) = self.tcp_now() {
            self.segments_in_before
                .store(now.segments_in.into(), Relaxed);
            self.segments_out_before
                .store(now.segments_out.into(), Relaxed);
            self.retransmits_before
                .store(now.retransmits.into(), Relaxed);
        }
    }

    /// When the bytes of the latest read arrived.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        let kernel = self.kernel_received.load(Relaxed);
        Arrival {
            read: self.last_read.load(Relaxed),
            kernel: Some(kernel).filter(|at| *at != NONE),
        }
    }

    /// Time the latest write since [`Probe::arm`] was handed to the kernel.
    #[must_use]
    pub fn last_write(&self) -> Option<u64> {
        Some(self.last_write.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Bytes read and written since [`Probe::arm`].
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.bytes_read.load(Relaxed),
            self.bytes_written.load(Relaxed),
        )
    }

    /// The kernel's view of the connection; what it counts, it counts since
    /// [`Probe::arm`].
    #[must_use]
    pub fn tcp(&self) -> Option<TcpSample> {
        let mut sample = self.tcp_now()?;
        let since = |now: u32, before: &AtomicU64| {
            // The kernel's counters wrap.
            now.wrapping_sub(before.load(Relaxed) as u32)
        };
        sample.segments_in = since(sample.segments_in, &self.segments_in_before);
        sample.segments_out = since(sample.segments_out, &self.segments_out_before);
        sample.retransmits = since(sample.retransmits, &self.retransmits_before);
        Some(sample)
    }

    fn tcp_now(&self) -> Option<TcpSample> {
        kernel::tcp_info(self.socket.as_ref()?.as_fd())
    }
}

/// A TCP stream that stamps its reads and writes.
#[derive(Debug)]
pub struct Timed {
    inner: TcpStream,
    probe: Arc<Probe>,
    /// The kernel stamps what it receives.
    stamped: bool,
    /// Wall clock minus [`clock::now`] at the latest read.
    offset: Option<i128>,
    /// The latest arrival; times must not run backwards.
    latest: u64,
}

impl Timed {
    /// Puts the stamps on a connected socket.
    #[must_use]
    pub fn new(inner: TcpStream) -> Self {
        let zero = AtomicU64::default;
        let probe = Probe {
            socket: inner.as_fd().try_clone_to_owned().ok(),
            last_read: zero(),
            kernel_received: AtomicU64::new(NONE),
            last_write: zero(),
            bytes_read: zero(),
            bytes_written: zero(),
            segments_in_before: zero(),
            segments_out_before: zero(),
            retransmits_before: zero(),
        };
        Timed {
            stamped: kernel::enable_receive_stamps(inner.as_fd()),
            inner,
            probe: Arc::new(probe),
            offset: None,
            latest: 0,
        }
    }

    /// Where the times are kept.
    #[must_use]
    pub fn probe(&self) -> Arc<Probe> {
        Arc::clone(&self.probe)
    }

    fn note_read(&mut self, received: ReceivedBytes) {
        let read = clock::now();
        let kernel = received
            .stamp
            .and_then(|stamp| self.on_our_clock(read, stamp));
        // A stamp may come from a segment that was merged with an older one.
        let at = kernel.unwrap_or(read).max(self.latest);
        self.latest = at;
        let probe = &self.probe;
        probe.last_read.store(read, Relaxed);
        let kernel = kernel.map_or(NONE, |_| at);
        probe.kernel_received.store(kernel, Relaxed);
        probe.bytes_read.fetch_add(received.length as u64, Relaxed);
    }

    /// Places a wall-clock stamp on our clock by the age it has right now.
    fn on_our_clock(&mut self, read: u64, stamp: u64) -> Option<u64> {
        // The kernel stamps with the wall clock.
        let wall = clock::system(ClockId::Realtime);
        let offset = i128::from(wall) - i128::from(read);
        let before = self.offset.replace(offset);
        let stepped =
            before.is_some_and(|before| before.abs_diff(offset) > u128::from(CLOCK_STEP_NS));
        let age = wall.checked_sub(stamp)?;
        if stepped {
            return None;
        }
        read.checked_sub(age)
    }

    /// Notes a write that began at `began`. On loopback the answer can be there before
    /// the call returns, so its beginning is the mark that nothing can precede.
    fn note_write(&self, began: u64, poll: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = poll {
            self.probe.last_write.store(began, Relaxed);
            self.probe.bytes_written.fetch_add(*written as u64, Relaxed);
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.stamped {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let length = buf.filled().len() - before;
            if length > 0 {
                this.note_read(ReceivedBytes {
                    length,
                    stamp: None,
                });
            }
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(this.inner.poll_read_ready(cx))?;
            let room = buf.remaining();
            let mut drained = None;
            let received = this.inner.try_io(Interest::READABLE, || {
                let received = kernel::receive(this.inner.as_fd(), buf)?;
                if (1..room).contains(&received.length) {
                    // Less than there was room for: nothing is left. Told so, the
                    // runtime waits for more, and a system call that would only find
                    // that out is saved on every event.
                    drained = Some(received);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(received)
            });
            match drained.map_or(received, Ok) {
                Ok(received) => {
                    if received.length > 0 {
                        this.note_read(received);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let began = clock::now();
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note_write(began, &poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let began = clock::now();
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note_write(began, &poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
