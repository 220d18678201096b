//! What the side that passes bytes on tells the side that records them.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use timeslip_wire::connection::{Arrival, Counts, Probe, Steps};

use crate::budget::{Budget, Held};
use crate::head::{RequestHead, ResponseHead};

/// Bytes that a header line takes beside its text.
const HEADER: usize = 64;
/// Bytes that a request takes while it goes on, beside its head and what is said: most of them
/// are the columns for the events of its answer.
const REQUEST: usize = 128 << 10;

/// One request, or one WebSocket: the client's connection and the number of the request on
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub connection: u64,
    pub request: u64,
}

/// A copy of bytes that were passed on.
#[derive(Debug)]
pub struct Copied {
    pub size: usize,
    /// The bytes; none where there was no room for them.
    pub bytes: Option<(Vec<u8>, Held)>,
}

/// How a connection to the upstream came to be.
#[derive(Clone, Debug)]
pub struct Opened {
    pub steps: Steps,
    pub remark: Option<String>,
    pub probe: Arc<Probe>,
}

/// When bytes came on one side, and when they were handed to the other.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    pub arrival: Arrival,
    pub handed_on: u64,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A request began with a byte that came at `start`.
    Request {
        start: u64,
        head: Box<RequestHead>,
        /// The transport, as the journal names it.
        transport: &'static str,
        /// The connection, where this request is the first on it.
        opened: Option<Box<Opened>>,
        /// Room for all of it but its body.
        held: Held,
    },
    RequestData(Copied),
    RequestEnd(Passed),
    Response(Box<ResponseHead>, Passed),
    ResponseData(Copied, Passed),
    /// With what was counted of the connection, where it carried nothing else.
    ResponseEnd(Passed, Option<Box<Counts>>),
    /// What is said cannot be read as HTTP.
    Unread(&'static str),
    /// The client got another answer than the upstream's, of this status.
    OwnAnswer(u16),
    /// Bytes of a WebSocket.
    Frames {
        from_client: bool,
        copied: Copied,
        passed: Passed,
    },
    /// The client ended its side, or broke off.
    ClientLeft(u64),
    /// Nothing more comes; how the connection ended, where it was not by itself.
    Over {
        at: u64,
        problem: Option<String>,
    },
}

/// Tells of what happens on connections.
#[derive(Clone, Debug)]
pub struct Teller {
    events: Sender<(Id, Event)>,
    budget: Budget,
}

impl Teller {
    pub fn new(events: Sender<(Id, Event)>, budget: Budget) -> Self {
        Teller { events, budget }
    }

    /// Tells of an event.
    pub fn tell(&self, id: Id, event: Event) {
        // Whoever records is gone only when the proxy is being stopped.
        let _ = self.events.send((id, event));
    }

    /// Tells that a request has begun, where there is room for it: all that is told of one for
    /// which there is none is that it was there.
    pub fn request(
        &self,
        id: Id,
        start: u64,
        head: RequestHead,
        transport: &'static str,
        opened: Option<Opened>,
    ) {
        let headers = head.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.len() + HEADER)
            .sum();
        if let Some(held) = self.budget.hold(headers + REQUEST) {
            let event = Event::Request {
                start,
                head: Box::new(head),
                transport,
                opened: opened.map(Box::new),
                held,
            };
            self.tell(id, event);
        }
    }

    /// A copy of bytes, where there is room.
    pub fn copy(&self, bytes: &[u8]) -> Copied {
        self.copied(bytes.to_vec())
    }

    /// The same of bytes that were copied already.
    pub fn copied(&self, bytes: Vec<u8>) -> Copied {
        let held = self
            .budget
            .hold(bytes.capacity() + size_of::<(Id, Event)>());
        Copied {
            size: bytes.len(),
            bytes: held.map(|held| (bytes, held)),
        }
    }
}
