//! Wire protocols: what is said, whatever carries it.
//!
//! A protocol turns a [`Request`] into a body and the payloads of the response
//! stream into normalized [`Step`]s. A new protocol is one file here and one line
//! in [`by_name`].

mod responses;

use serde_json::{Map, Value};
use timeslip_datasets::journal::{EventKind, Reported, Usage};

/// One entry of a conversation, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Something the user, or the harness in the user's place, says.
    User(String),
    /// Something the model produced, as it came over the wire.
    Output(Value),
    /// The result of a tool call.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// What the tool printed.
        output: String,
    },
}

/// A function tool as offered to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Name on the wire.
    pub name: &'static str,
    /// What it does, for the model.
    pub description: &'static str,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// One request for model output.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Model id.
    pub model: &'a str,
    /// System-level instructions.
    pub instructions: &'a str,
    /// Tools on offer.
    pub tools: &'a [ToolSpec],
    /// The whole conversation.
    pub items: &'a [Item],
    /// Response to continue from, and how many of `items` it already covers.
    pub previous: Option<(&'a str, usize)>,
    /// Stable id of this conversation, for the server's prompt cache.
    pub cache_key: &'a str,
    /// Extra top-level fields from the endpoint's configuration.
    pub extra: &'a Map<String, Value>,
}

/// How the body travels: some fields exist on one transport only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One HTTP request a turn.
    Http,
    /// One WebSocket message a turn.
    WebSocket,
}

/// A call the model asks for. All of it is untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's id for the call.
    pub call_id: String,
    /// Tool name.
    pub name: String,
    /// Arguments, as JSON text.
    pub arguments: String,
}

/// A whole model answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The server's id for the response, when it gives one.
    pub id: Option<String>,
    /// Output items as they came, to be sent back as context.
    pub items: Vec<Value>,
    /// Tool calls among them, in order.
    pub calls: Vec<ToolCall>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// Model the server says it ran.
    pub served_model: Option<String>,
    /// Server-side durations.
    pub reported: Reported,
    /// Why the server cut the answer short.
    pub incomplete: Option<String>,
}

/// What one payload of the stream meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing that is timed.
    Nothing,
    /// The server took the request; not model output.
    Admitted,
    /// Model output.
    Output {
        /// Of which kind.
        kind: EventKind,
        /// Bytes of it.
        bytes: u32,
    },
    /// The terminal event.
    Done,
}

/// What the server said instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// An error event or a failed response.
    #[error("the server reports {code}: {message}")]
    Server {
        /// HTTP-like status, when given.
        status: Option<u16>,
        /// Machine-readable code, or `error`.
        code: String,
        /// The server's words. Untrusted.
        message: String,
    },
    /// A payload that is not what the protocol says.
    #[error("broken {event}: {problem}")]
    Malformed {
        /// The event's type as far as known.
        event: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// One wire protocol.
pub trait Protocol: Send + Sync + std::fmt::Debug {
    /// Path below the base URL.
    fn path(&self) -> &'static str;
    /// Builds the body of a request.
    fn encode(&self, request: &Request<'_>, framing: Framing) -> Vec<u8>;
    /// A decoder for one response.
    fn decoder(&self) -> Box<dyn Decoder>;
}

/// Decodes one response stream.
pub trait Decoder: Send {
    /// Takes one payload.
    ///
    /// # Errors
    /// [`StreamError`] ends the exchange.
    fn payload(&mut self, data: &[u8]) -> Result<Step, StreamError>;
    /// Hands over the answer after [`Step::Done`].
    fn answer(&mut self) -> Answer;
}

/// The protocols by the names a configuration uses.
pub const NAMES: &[&str] = &["responses"];

/// Finds a protocol by its configuration name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    match name {
        "responses" => Some(&responses::Responses),
        _ => None,
    }
}
