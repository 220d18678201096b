//! One WebSocket for the concurrent conversations of an endpoint, each in a lane of
//! its own (`stream_id`).
//!
//! What belongs to the connection and not to a lane cannot be told apart: bytes,
//! segments and the kernel's view are absent from these exchanges, not wrong.

mod socket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timeslip_datasets::run::journal::StopWay;
use tokio::sync::OnceCell;

use crate::connection::Probe;
use crate::failure::Failure;
use crate::live::StopSeen;
use crate::protocols::Lanes;
use crate::recorder::Recorder;
use crate::transports::earlier::Earlier;
use crate::transports::{Boxed, Endpoint, Link, Pool};
use socket::{Incoming, Socket};

/// The shared connections of one endpoint.
#[derive(Debug)]
pub(super) struct Shared {
    lanes: Lanes,
    slots: Mutex<Vec<Arc<Slot>>>,
}

impl Pool for Shared {
    fn link(self: Arc<Self>) -> Box<dyn Link> {
        Box::new(LaneLink {
            shared: self,
            lane: None,
        })
    }
}

/// A connection, opened by whoever needs it first.
#[derive(Debug)]
struct Slot {
    lanes: Lanes,
    taken: Mutex<Vec<bool>>,
    socket: OnceCell<Socket>,
}

impl Slot {
    fn new(lanes: Lanes) -> Self {
        Slot {
            lanes,
            taken: Mutex::new(vec![false; lanes.count]),
            socket: OnceCell::new(),
        }
    }

    /// Whether new conversations may be put on it.
    fn is_usable(&self) -> bool {
        self.socket.get().is_none_or(Socket::is_usable)
    }

    fn take_lane(&self) -> Option<usize> {
        let mut taken = lock(&self.taken);
        let lane = taken.iter().position(|taken| !taken)?;
        taken[lane] = true;
        Some(lane)
    }
}

impl Shared {
    /// Connections of this many lanes; none is opened yet.
    pub(super) fn new(lanes: Lanes) -> Self {
        Shared {
            lanes,
            slots: Mutex::default(),
        }
    }

    /// Takes a lane on the first connection that has one, or on a new connection.
    fn lease(&self) -> Lane {
        let mut slots = lock(&self.slots);
        // A connection whose lanes were all left in the middle has no use and no user.
        slots.retain(|slot| {
            let full = lock(&slot.taken).iter().all(|taken| *taken);
            slot.is_usable() && !(full && Arc::strong_count(slot) == 1)
        });
        let found = slots
            .iter()
            .find_map(|slot| Some((slot, slot.take_lane()?)));
        let (slot, number) = match found {
            Some((slot, lane)) => (Arc::clone(slot), lane),
            None => {
                let slot = Arc::new(Slot::new(self.lanes));
                let lane = slot.take_lane().unwrap_or_default();
                slots.push(Arc::clone(&slot));
                (slot, lane)
            }
        };
        Lane {
            slot,
            number,
            name: socket::name(number),
            answering: false,
            earlier: Earlier::default(),
        }
    }
}

/// A conversation's link over shared connections.
#[derive(Debug)]
struct LaneLink {
    shared: Arc<Shared>,
    lane: Option<Lane>,
}

impl Link for LaneLink {
    fn prepare(&mut self) {
        self.lane.get_or_insert_with(|| self.shared.lease());
    }

    fn lane(&self) -> Option<&str> {
        self.lane.as_ref().map(|lane| lane.name.as_str())
    }

    fn is_open(&self) -> bool {
        self.lane.as_ref().is_some_and(Lane::is_open)
    }

    fn probe(&self) -> Option<&Probe> {
        None
    }

    fn connect<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<bool, Failure>> {
        Box::pin(async move {
            if self.is_open() {
                recorder.reuse_connection();
                return Ok(true);
            }
            let lane = match self.lane.take() {
                Some(lane) if !lane.has_ended() => lane,
                _ => self.shared.lease(),
            };
            lane.connect(endpoint, recorder).await?;
            self.lane = Some(lane);
            Ok(false)
        })
    }

    fn send<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        _session: &'a str,
        body: Vec<u8>,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move {
            let Some(lane) = &mut self.lane else {
                return Err(Failure::Connect("not connected".into()));
            };
            recorder.sending(body.len());
            lane.converse(endpoint, body, recorder).await
        })
    }

    /// The reader of a shared connection keeps it alive.
    fn tend(&mut self) -> Boxed<'_, ()> {
        match self.lane {
            Some(_) => Box::pin(std::future::pending()),
            None => Box::pin(std::future::ready(())),
        }
    }

    /// Nothing ends one response on a connection that others use. Its lane is left for good.
    fn stop<'a>(&'a mut self, _: Duration, _: &'a mut Recorder) -> Boxed<'a, StopSeen> {
        self.lane = None;
        let why =
            "nothing stops one response on a shared connection; set shared_connection = false";
        Box::pin(std::future::ready(StopSeen {
            refused: Some(why.into()),
            ..StopSeen::silent(StopWay::SocketClose)
        }))
    }

    fn close(&mut self) {
        self.lane = None;
    }
}

/// A conversation's place on a shared connection.
#[derive(Debug)]
struct Lane {
    slot: Arc<Slot>,
    number: usize,
    name: String,
    /// A response is in flight.
    answering: bool,
    earlier: Earlier,
}

impl Lane {
    /// Whether its connection is open and may stay so.
    fn is_open(&self) -> bool {
        self.slot.socket.get().is_some_and(Socket::is_usable)
    }

    /// Whether its connection was open and is of no further use.
    fn has_ended(&self) -> bool {
        !self.slot.is_usable()
    }

    /// Opens the connection, unless another conversation has or is about to.
    async fn connect(&self, endpoint: &Endpoint, recorder: &mut Recorder) -> Result<(), Failure> {
        let mut opened = false;
        let socket = self
            .slot
            .socket
            .get_or_try_init(|| {
                opened = true;
                Socket::open(self.slot.lanes, endpoint, recorder)
            })
            .await?;
        if !opened {
            let opening = socket.opening();
            recorder.join_connection(opening.steps, opening.upgraded);
        }
        Ok(())
    }

    /// Sends a body and feeds the response to the recorder until its terminal event.
    async fn converse(
        &mut self,
        endpoint: &Endpoint,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let Some(socket) = self.slot.socket.get() else {
            return Err(Failure::Connect("not connected".into()));
        };
        recorder.set_lane(&self.name);
        recorder.set_compressed(socket.opening().compressed);
        self.answering = true;
        self.earlier.tell(recorder);
        let result = exchange(socket, self.number, endpoint, body, recorder).await;
        self.earlier.answered(recorder);
        socket.forget(self.number);
        match &result {
            Ok(()) => self.answering = false,
            Err(failure) if failure.connection_limit() => socket.retire(failure),
            Err(_) => {}
        }
        result
    }
}

async fn exchange(
    socket: &Socket,
    lane: usize,
    endpoint: &Endpoint,
    body: Vec<u8>,
    recorder: &mut Recorder,
) -> Result<(), Failure> {
    let idle = endpoint.idle_timeout;
    let mut events = socket.listen(lane)?;
    tokio::time::timeout(idle, socket.send(lane, body, recorder))
        .await
        .map_err(|_| Failure::Idle(idle))??;
    loop {
        let patience = recorder.patience(idle);
        let Ok(incoming) = tokio::time::timeout(patience, events.next()).await else {
            return recorder.give_up(idle);
        };
        match incoming {
            Some(Incoming::Event(arrival, data)) => {
                recorder.responding(arrival);
                if recorder.message(arrival, &data)? {
                    return Ok(());
                }
            }
            Some(Incoming::Pong(arrival, pinged)) => recorder.pong(arrival, pinged),
            // It keeps every conversation of the connection alive.
            Some(Incoming::Ping) => recorder.keep_alive(),
            Some(Incoming::Failed(failure)) => return Err(failure),
            None => return Err(Failure::Closed("connection closed".into())),
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(socket) = self.slot.socket.get() {
            socket.forget(self.number);
        }
        // What is left of an answer nobody waits for must not reach the next
        // conversation: such a lane is not used again.
        if !self.answering {
            lock(&self.slot.taken)[self.number] = false;
        }
    }
}

/// Nothing in here can be left half done: a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: usize = 16;

    #[test]
    fn sixteen_conversations_share_a_connection_and_lanes_are_used_again() {
        let shared = Shared::new(crate::protocols::Lanes {
            count: LANES,
            addressee: |_| crate::protocols::Addressee::Nobody,
        });
        let mut lanes: Vec<Lane> = (0..=LANES).map(|_| shared.lease()).collect();
        let first = Arc::clone(&lanes[0].slot);
        let on_first = |lane: &Lane| Arc::ptr_eq(&lane.slot, &first);
        assert_eq!(lanes.iter().filter(|lane| on_first(lane)).count(), LANES);
        lanes.remove(3);
        let again = shared.lease();
        assert!(on_first(&again) && again.name == "lane-3");
        drop(again);
        lanes[0].answering = true;
        lanes.truncate(1);
        lanes.clear();
        assert_eq!(
            shared.lease().name,
            "lane-1",
            "lane 0 was left in the middle"
        );
    }
}
