//! What the side that passes bytes on tells the side that records them.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use timeslip_wire::connection::{Arrival, Counts, Probe, Steps};

use crate::budget::{Budget, Held};
use crate::head::{RequestHead, ResponseHead};

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

    /// A copy of bytes, where there is room.
    pub fn copy(&self, bytes: &[u8]) -> Copied {
        Copied {
            size: bytes.len(),
            bytes: self
                .budget
                .hold(bytes.len())
                .map(|held| (bytes.to_vec(), held)),
        }
    }
}
