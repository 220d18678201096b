//! What was seen of one request: plain data.

use timeslip_datasets::run::journal::{Exchange, Marks};
use timeslip_wire::protocols::Answer;

/// Header lines, in order, with names as they were written. What may be a credential has
/// `(redacted)` for its value.
pub type Headers = Vec<(String, String)>;

/// One request and its response; of a WebSocket, one message that asks and its response, and
/// before them the upgrade. All times are nanoseconds from the proxy's origin. All that
/// others wrote is untrusted.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The client's connection, from 1, in the order in which they were made.
    pub connection: u64,
    /// The request's method; empty where it could not be read, or for a response that nobody
    /// asked for.
    pub method: String,
    /// Path and query as the client asked for them; the values of credentials in the query
    /// are redacted.
    pub target: String,
    /// The request's headers; of a message the upgrade's.
    pub request_headers: Headers,
    /// The request's body, or the message.
    pub request: Body,
    /// The protocol, by its configuration name.
    pub protocol: Option<&'static str>,
    /// The upstream's status; absent where it did not answer.
    pub status: Option<u16>,
    /// The response's headers; of a message the upgrade's.
    pub response_headers: Headers,
    /// The response's body; of a WebSocket its messages, one a line.
    pub response: Body,
    /// The marks of the upstream's side, where it was a model exchange. `turn`, `retry`,
    /// `warm_up` and `incremental` are left for whoever knows the conversation.
    pub exchange: Option<Exchange>,
    /// The model's answer, as far as it came.
    pub answer: Option<Answer>,
    /// Of the upgrade to a WebSocket: how the upstream's connection came to be.
    pub upgrade: Option<Marks>,
    /// The client's side.
    pub client: ClientSide,
    /// The status of the proxy's own answer, which the client got instead of the upstream's.
    pub own_status: Option<u16>,
    /// Why it is not recorded whole, or why it failed.
    pub problem: Option<String>,
}

/// A body with its content encoding undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The content, or the beginning of it.
    pub bytes: Vec<u8>,
    /// Its size as it was sent: encoded, but without what frames it.
    pub wire_bytes: u64,
    /// Why `bytes` is not all of it.
    pub cut: Option<String>,
}

/// What was seen at the client's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSide {
    /// The last byte of the request came.
    pub request_came: Option<u64>,
    /// The first byte of the answer was handed to the socket.
    pub first_handed_on: Option<u64>,
    /// The last byte of the answer was.
    pub last_handed_on: Option<u64>,
    /// The client had left before the answer ended.
    pub left: Option<u64>,
}
