//! A TCP stream that stamps its reads and writes.
//!
//! Where the connection's packets are captured, what one read brings is handed on in the
//! parts that arrived at once, each with its time. Else the kernel's stamp of what is read
//! (`SO_TIMESTAMPING`) tells an arrival apart from the moment this process got around to
//! reading it; where there is none, the read is all there is.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustix::time::ClockId;
use timeslip_datasets::run::journal::{StampSource, TcpSample};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::arrivals::{self, Watched};
use crate::clock;
use crate::kernel;

/// A wall clock that moves this much against the monotonic one between two reads was
/// set, not slewed: stamps of before and after do not mix.
const CLOCK_STEP_NS: u64 = 1_000_000;

/// When the bytes now being parsed arrived, on [`clock::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When they were read.
    pub read: u64,
    /// When the last of them came, to the best of our knowledge.
    pub at: u64,
    /// Whose knowledge that is.
    pub source: StampSource,
}

impl Arrival {
    /// The read is all that is known.
    #[must_use]
    pub fn read(at: u64) -> Self {
        Arrival {
            read: at,
            at,
            source: StampSource::Read,
        }
    }

    /// How long they lay in the kernel before they were read; `None` where nobody says.
    #[must_use]
    pub fn lag_ns(self) -> Option<u32> {
        let lag = self.read.saturating_sub(self.at);
        let known = self.source != StampSource::Read;
        known.then(|| u32::try_from(lag).unwrap_or(u32::MAX))
    }
}

/// What was counted of a connection since [`Probe::arm`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Bytes read and written.
    pub bytes: (u64, u64),
    /// Reads that brought bytes.
    pub reads: u64,
    /// The kernel's view.
    pub tcp: Option<TcpSample>,
    /// When the latest write was handed to the kernel.
    pub last_write: Option<u64>,
}

/// Times and counts of one connection, shared between the stream and its user.
#[derive(Debug)]
pub struct Probe {
    socket: Option<std::os::fd::OwnedFd>,
    last_read: AtomicU64,
    last_arrival: AtomicU64,
    last_source: AtomicU8,
    last_write: AtomicU64,
    bytes_read: AtomicU64,
    /// Calls that brought bytes.
    reads: AtomicU64,
    bytes_written: AtomicU64,
    segments_in_before: AtomicU64,
    data_segments_in_before: AtomicU64,
    segments_out_before: AtomicU64,
    retransmits_before: AtomicU64,
}

impl Probe {
    /// Forgets the previous exchange: counts begin at 0.
    pub fn arm(&self) {
        for field in [
            &self.last_write,
            &self.bytes_read,
            &self.bytes_written,
            &self.reads,
        ] {
            field.store(0, Relaxed);
        }
        if let Some(now) = self.tcp_now() {
            self.segments_in_before
                .store(now.segments_in.into(), Relaxed);
            self.data_segments_in_before
                .store(now.data_segments_in.into(), Relaxed);
            self.segments_out_before
                .store(now.segments_out.into(), Relaxed);
            self.retransmits_before
                .store(now.retransmits.into(), Relaxed);
        }
    }

    /// When the bytes of the latest read arrived.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        let source = usize::from(self.last_source.load(Relaxed));
        Arrival {
            read: self.last_read.load(Relaxed),
            at: self.last_arrival.load(Relaxed),
            source: StampSource::ALL.get(source).copied().unwrap_or_default(),
        }
    }

    fn set_arrival(&self, arrival: Arrival) {
        self.last_read.store(arrival.read, Relaxed);
        self.last_arrival.store(arrival.at, Relaxed);
        self.last_source.store(arrival.source as u8, Relaxed);
    }

    /// Reads since [`Probe::arm`] that brought bytes.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
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

    /// All that was counted since [`Probe::arm`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            bytes: self.bytes(),
            reads: self.reads(),
            tcp: self.tcp(),
            last_write: self.last_write(),
        }
    }

    /// Resets the connection. Closing it would say that all has been sent; dissolving the
    /// association tells the peer that it has not.
    ///
    /// # Errors
    /// When the system does not.
    #[cfg(target_os = "linux")]
    pub fn reset(&self) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(rustix::net::connect_unspec(socket)?)
    }

    /// Resets the connection: this platform does not while it is in use.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub fn reset(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
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
        let data_before = &self.data_segments_in_before;
        sample.data_segments_in = since(sample.data_segments_in, data_before);
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
    /// Its packets are captured.
    watched: Option<Watched>,
    /// What one read brought beyond the part that was handed on.
    held: Held,
    /// Wall clock minus [`clock::now`] at the latest read.
    offset: Option<i128>,
    /// The latest arrival; times must not run backwards.
    latest: u64,
}

/// Bytes that have been read, in parts that arrived at once.
#[derive(Debug, Default)]
struct Held {
    bytes: BytesMut,
    parts: VecDeque<(usize, Arrival)>,
}

impl Timed {
    /// Puts the stamps on a connected socket.
    #[must_use]
    pub fn new(inner: TcpStream) -> Self {
        let zero = AtomicU64::default;
        let probe = Probe {
            socket: inner.as_fd().try_clone_to_owned().ok(),
            last_read: zero(),
            last_arrival: zero(),
            last_source: AtomicU8::default(),
            last_write: zero(),
            bytes_read: zero(),
            reads: zero(),
            bytes_written: zero(),
            segments_in_before: zero(),
            data_segments_in_before: zero(),
            segments_out_before: zero(),
            retransmits_before: zero(),
        };
        let wanted = arrivals::best() >= StampSource::Receive;
        Timed {
            stamped: wanted && kernel::enable_receive_stamps(inner.as_fd()),
            watched: None,
            held: Held::default(),
            inner,
            probe: Arc::new(probe),
            offset: None,
            latest: 0,
        }
    }

    /// Takes its times from its captured packets, as far as they tell.
    #[must_use]
    pub fn watched(mut self, watched: Option<Watched>) -> Self {
        self.watched = watched;
        self
    }

    /// Where the times are kept.
    #[must_use]
    pub fn probe(&self) -> Arc<Probe> {
        Arc::clone(&self.probe)
    }

    /// Dates the last `length` bytes of `buf`, which have just been read, and holds those
    /// back that arrived after the first of them.
    fn note_read(&mut self, buf: &mut ReadBuf<'_>, length: usize, stamp: Option<u64>) {
        let read = clock::now();
        self.probe.reads.fetch_add(1, Relaxed);
        let offset = match stamp {
            Some(_) => self.wall_offset(read),
            None => None,
        };
        let mut latest = self.latest;
        let mut dated = |at: Option<u64>, source| {
            // A stamp may come from a segment that was merged with an older one.
            let ours = at
                .zip(offset)
                .and_then(|(at, offset)| u64::try_from(i128::from(at) - offset).ok())
                .filter(|at| *at <= read);
            let source = ours.map_or(StampSource::Read, |_| source);
            latest = ours.unwrap_or(read).max(latest);
            Arrival {
                read,
                at: latest,
                source,
            }
        };
        let parts = &mut self.held.parts;
        if let Some(watched) = &self.watched {
            watched.read(length, |length, at| {
                let arrival = match at {
                    Some(_) => dated(at, StampSource::Capture),
                    None => dated(stamp, StampSource::Receive),
                };
                match parts.back_mut() {
                    Some((before, same)) if *same == arrival => *before += length,
                    _ => parts.push_back((length, arrival)),
                }
            });
        } else {
            arrivals::count_read();
            parts.push_back((length, dated(stamp, StampSource::Receive)));
        }
        self.latest = latest;
        if let [(_, arrival)] = *self.held.parts.make_contiguous() {
            self.held.parts.clear();
            self.probe.set_arrival(arrival);
            self.probe.bytes_read.fetch_add(length as u64, Relaxed);
            return;
        }
        let begin = buf.filled().len() - length;
        self.held.bytes.extend_from_slice(&buf.filled()[begin..]);
        buf.set_filled(begin);
        self.hand_on(buf);
    }

    /// Hands on what is held of one arrival, as far as there is room; false when nothing is
    /// held.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some((length, arrival)) = self.held.parts.front_mut() else {
            return false;
        };
        let now = buf.remaining().min(*length);
        self.probe.set_arrival(*arrival);
        self.probe.bytes_read.fetch_add(now as u64, Relaxed);
        buf.put_slice(&self.held.bytes[..now]);
        self.held.bytes.advance(now);
        *length -= now;
        if *length == 0 {
            self.held.parts.pop_front();
        }
        true
    }

    /// Wall clock minus ours, by which what the kernel stamps is placed on our clock; `None`
    /// when the wall clock was set since the last read.
    fn wall_offset(&mut self, read: u64) -> Option<i128> {
        let wall = clock::system(ClockId::Realtime);
        let offset = i128::from(wall) - i128::from(read);
        let before = self.offset.replace(offset);
        let stepped =
            before.is_some_and(|before| before.abs_diff(offset) > u128::from(CLOCK_STEP_NS));
        (!stepped).then_some(offset)
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
        if this.hand_on(buf) {
            return Poll::Ready(Ok(()));
        }
        if !this.stamped {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let length = buf.filled().len() - before;
            if length > 0 {
                this.note_read(buf, length, None);
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
                        this.note_read(buf, received.length, received.stamp);
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
