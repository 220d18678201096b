//! What a thread knows of the arrivals of the connections it reads.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use timeslip_datasets::run::journal::StampSource;
use tokio::net::TcpSocket;

use super::byte_times::ByteTimes;
use super::tcp_segment::TcpSegment;
use crate::clock;
use crate::kernel::packet_ring::PacketRing;

/// Packets a second from which on reading waits for several: eight of the fastest streams.
const HEAVY: u64 = 8_000;
/// Over how long they are counted, in nanoseconds.
const WINDOW_NS: u64 = 50_000_000;
/// How long reading waits then. What ends an answer waits as well, half of this on average.
const PAUSE: Duration = Duration::from_millis(3);

thread_local! {
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
    static BEST: Cell<StampSource> = const { Cell::new(StampSource::Receive) };
}

/// Lets this thread know the arrivals of what it reads as exactly as it may, and no more
/// exactly than `best`; the answer is what it has come to.
pub fn begin(best: StampSource) -> StampSource {
    let capture = match best {
        StampSource::Capture => Capture::open().ok(),
        StampSource::Read | StampSource::Receive => None,
    };
    let best = match capture {
        Some(_) => best,
        None => best.min(StampSource::Receive),
    };
    CAPTURE.set(capture);
    BEST.set(best);
    best
}

/// The most exact source that this thread's connections have.
#[must_use]
pub fn best() -> StampSource {
    BEST.get()
}

/// Has the packets of a connection captured that is about to be made from this thread.
/// `None` where nothing is captured.
#[must_use]
pub fn expect(socket: &TcpSocket, server: SocketAddr) -> Option<Watched> {
    CAPTURE.with_borrow_mut(|capture| capture.as_mut()?.expect(socket, server))
}

/// How long this thread may leave unread what comes, so that one read finds several
/// events; nothing where that would make their times less exact, or save little.
#[must_use]
pub fn pause() -> Duration {
    CAPTURE.with_borrow_mut(|capture| capture.as_mut().map_or(Duration::ZERO, Capture::pause))
}

/// What is captured of one connection.
#[derive(Debug, Default)]
pub struct Watched(Arc<Mutex<ByteTimes>>);

impl Watched {
    /// The next `length` bytes have been read, on the thread that made the connection: hands
    /// `piece` how many bytes each part of them has that came at once, and the time of the
    /// wall clock at which it did, where that is known.
    pub fn read(&self, length: usize, mut piece: impl FnMut(usize, Option<u64>)) {
        CAPTURE.with_borrow_mut(|capture| {
            if let Some(capture) = capture {
                capture.drain();
            }
        });
        lock(&self.0).read(length as u64, |bytes, at| piece(bytes as usize, at));
    }
}

/// Nothing in there can be left half done.
fn lock(times: &Mutex<ByteTimes>) -> std::sync::MutexGuard<'_, ByteTimes> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server's address and our port.
type Key = ((IpAddr, u16), u16);

/// The packets of this thread's connections.
#[derive(Debug)]
struct Capture {
    ring: PacketRing,
    ports: Vec<u16>,
    watched: HashMap<Key, Weak<Mutex<ByteTimes>>>,
    traffic: Traffic,
}

/// How much comes: packets since the beginning of a window of time.
#[derive(Debug, Default)]
struct Traffic {
    since: u64,
    packets: u64,
    is_heavy: bool,
}

impl Traffic {
    /// Whether it is so much that reading packet by packet would cost a good part of a core.
    fn is_heavy(&mut self, now: u64) -> bool {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW_NS {
            let in_a_second = self.packets.saturating_mul(1_000_000_000) / elapsed;
            *self = Traffic {
                since: now,
                packets: 0,
                is_heavy: in_a_second >= HEAVY,
            };
        }
        self.is_heavy
    }
}

impl Capture {
    fn open() -> std::io::Result<Self> {
        Ok(Capture {
            ring: PacketRing::open()?,
            ports: Vec::new(),
            watched: HashMap::new(),
            traffic: Traffic::default(),
        })
    }

    /// Our port has to be known before the server's first packet comes.
    fn expect(&mut self, socket: &TcpSocket, server: SocketAddr) -> Option<Watched> {
        if !self.ports.contains(&server.port()) {
            let mut ports = self.ports.clone();
            ports.push(server.port());
            self.ring.let_in(&ports).ok()?;
            self.ports = ports;
        }
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.bind((any, 0).into()).ok()?;
        let own = socket.local_addr().ok()?.port();
        self.drain();
        self.watched.retain(|_, times| times.strong_count() > 0);
        let watched = Watched::default();
        let key = ((server.ip(), server.port()), own);
        self.watched.insert(key, Arc::downgrade(&watched.0));
        Some(watched)
    }

    fn pause(&mut self) -> Duration {
        // What is not read yet counts as well.
        self.drain();
        match self.traffic.is_heavy(clock::now()) {
            true => PAUSE,
            false => Duration::ZERO,
        }
    }

    fn drain(&mut self) {
        let (watched, traffic) = (&self.watched, &mut self.traffic);
        self.ring.drain(|packet| {
            traffic.packets += 1;
            let segment = TcpSegment::parse(packet.head, packet.length);
            if let Some(segment) = segment
                && let Some(times) = watched.get(&(segment.from, segment.to))
                && let Some(times) = times.upgrade()
            {
                let mut times = lock(&times);
                match segment.opens {
                    true => times.begin(segment.sequence.wrapping_add(1)),
                    false => times.take(segment.sequence, segment.length, packet.at),
                }
            }
        });
    }
}
