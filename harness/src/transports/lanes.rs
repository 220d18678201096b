//! One WebSocket for the concurrent conversations of an endpoint, each in a lane of
//! its own (`stream_id`).
//!
//! What belongs to the connection and not to a lane cannot be told apart: bytes,
//! segments and the kernel's view are absent from these exchanges, not wrong.

mod socket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::earlier::Earlier;
use crate::exchange::{Endpoint, Failure, Recorder};
use socket::{Incoming, Socket};

/// Conversations on one connection. Each has one response in flight, and sixteen in
/// flight are what a connection takes: so none of them ever waits for its turn, and
/// the bound of 32 names is never reached.
const LANES: usize = 16;

/// The shared connections of one endpoint.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Vec<Arc<Slot>>>);

/// A connection, opened by whoever needs it first.
#[derive(Debug, Default)]
struct Slot {
    taken: Mutex<[bool; LANES]>,
    socket: OnceCell<Socket>,
}

impl Slot {
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
    /// Takes a lane on the first connection that has one, or on a new connection.
    pub(super) fn lease(&self) -> Lane {
        let mut slots = lock(&self.0);
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
                let slot = Arc::<Slot>::default();
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

/// A conversation's place on a shared connection.
#[derive(Debug)]
pub struct Lane {
    slot: Arc<Slot>,
    number: usize,
    name: String,
    /// A response is in flight.
    answering: bool,
    earlier: Earlier,
}

impl Lane {
    /// Its name on the wire.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its connection is open and may stay so.
    pub(super) fn is_open(&self) -> bool {
        self.slot.socket.get().is_some_and(Socket::is_usable)
    }

    /// Whether its connection was open and is of no further use.
    pub(super) fn has_ended(&self) -> bool {
        !self.slot.is_usable()
    }

    /// Opens the connection, unless another conversation has or is about to.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let mut opened = false;
        let socket = self
            .slot
            .socket
            .get_or_try_init(|| {
                opened = true;
                Socket::open(endpoint, recorder)
            })
            .await?;
        if !opened {
            let opening = socket.opening();
            recorder.join_connection(opening.steps, opening.upgraded);
        }
        Ok(())
    }

    /// Sends a body and feeds the response to the recorder until its terminal event.
    pub(super) async fn converse(
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

    #[test]
    fn sixteen_conversations_share_a_connection_and_lanes_are_used_again() {
        let shared = Shared::default();
        let mut lanes: Vec<Lane> = (0..=LANES).map(|_| shared.lease()).collect();
        let first = Arc::clone(&lanes[0].slot);
        let on_first = |lane: &Lane| Arc::ptr_eq(&lane.slot, &first);
        assert_eq!(lanes.iter().filter(|lane| on_first(lane)).count(), LANES);
        lanes.remove(3);
        let again = shared.lease();
        assert!(on_first(&again) && again.name() == "lane-3");
        drop(again);
        lanes[0].answering = true;
        lanes.truncate(1);
        lanes.clear();
        assert_eq!(
            shared.lease().name(),
            "lane-1",
            "lane 0 was left in the middle"
        );
    }
}
