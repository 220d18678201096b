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
use super::traffic::Traffic;
use crate::clock;
use crate::kernel::packet_ring::PacketRing;

/// How long reading waits for several packets where each keeps its own time. What ends an
/// answer waits as well, half of this on average.
const PAUSE_CAPTURED: Duration = Duration::from_millis(3);
/// How long it waits where one stamp dates all that is read at once: a quarter of the gap
/// between two tokens of the fastest streams, so that it gathers those of many streams and
/// hardly ever two of one.
const PAUSE_STAMPED: Duration = Duration::from_micros(250);

thread_local! {
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
    static BEST: Cell<StampSource> = const { Cell::new(StampSource::Receive) };
    static TRAFFIC: RefCell<Traffic> = const { RefCell::new(Traffic::NONE) };
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

/// Counts one read of a connection that is not captured.
pub fn count_read() {
    TRAFFIC.with_borrow_mut(Traffic::count);
}

/// How long this thread may leave unread what comes, so that one read finds several
/// events; nothing where that would make their times less exact, or save little.
#[must_use]
pub fn pause() -> Duration {
    let pause = CAPTURE.with_borrow_mut(|capture| match (capture, best()) {
        (Some(capture), _) => {
            // What is not read yet counts as well.
            capture.drain();
            PAUSE_CAPTURED
        }
        (None, StampSource::Read) => Duration::ZERO,
        (None, _) => PAUSE_STAMPED,
    });
    let heavy = TRAFFIC.with_borrow_mut(|traffic| traffic.is_heavy(clock::now()));
    if heavy { pause } else { Duration::ZERO }
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
}

impl Capture {
    fn open() -> std::io::Result<Self> {
        Ok(Capture {
            ring: PacketRing::open()?,
            ports: Vec::new(),
            watched: HashMap::new(),
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

    fn drain(&mut self) {
        let watched = &self.watched;
        self.ring.drain(|packet| {
            TRAFFIC.with_borrow_mut(Traffic::count);
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
