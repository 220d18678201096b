//! What a client that was recorded asked: which conversation, which agent and which turn each
//! of its requests is, and how long its tools took.
//!
//! Everything here is computed from a list of requests and changes nothing. What a client says
//! of its requests comes first (`clients`), then the context that grows from one request to
//! the next (`context`). The connection that a request came on is never asked for: clients
//! share them between agents, and change them from one request to the next.

mod clients;
mod context;
mod conversations;
mod lines;
mod processes;
mod shapes;
mod sides;
#[cfg(test)]
mod tests;
mod tool_times;

pub use conversations::{Agent, Conversations, Placed, Role};
pub use lines::{Lines, Recording, Spoken};
pub use processes::{Process, Processes};
pub use sides::Side;
pub use tool_times::{ToolTimes, Unanswered};

use std::sync::mpsc::{self, Receiver, SyncSender};

use timeslip_proxy::Seen;
use timeslip_wire::protocols::{Digest, RequestSeen, ToolCall};

/// Requests that wait to be taken in.
const WAITING: usize = 1024;

/// The way from a proxy to whoever records what it has seen.
#[must_use]
pub fn channel() -> (SyncSender<Seen>, Receiver<Seen>) {
    mpsc::sync_channel(WAITING)
}

/// A request and its answer, as far as it matters for whose it is. Times are offsets on the
/// clock of the recording, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The first byte of the request came.
    pub began: u64,
    /// The last byte of the answer came, or the end of what came of it.
    pub done: u64,
    /// Method of the request.
    pub method: String,
    /// Its path, with its query.
    pub path: String,
    /// It is a message of a WebSocket: method, path and headers are those of the upgrade.
    pub is_message: bool,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// What the body says, where it asks for output.
    pub seen: Option<RequestSeen>,
    /// Of the body as it was meant, without any encoding.
    pub body: Option<Digest>,
    /// The calls of the answer.
    pub calls: Vec<AnsweredCall>,
    /// The text of the answer.
    pub text: String,
    /// The server's id for the response.
    pub response_id: Option<String>,
    /// Status of the answer; absent where none came.
    pub status: Option<u16>,
    /// The answer did not come to its end.
    pub is_cut: bool,
}

/// A call that an answer made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredCall {
    /// The call.
    pub call: ToolCall,
    /// Its own last byte was delivered.
    pub at: u64,
}

impl Asked {
    /// A header's value.
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Whether the client got no whole answer.
    fn has_failed(&self) -> bool {
        self.is_cut || self.status.is_none_or(|status| status >= 400)
    }

    /// Whether tools are offered.
    fn offers_tools(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| !seen.tools.is_empty())
    }
}
