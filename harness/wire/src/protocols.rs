//! Wire protocols: what is said, whatever carries it.
//!
//! A protocol turns a [`Request`] into a body and the payloads of the response
//! stream into normalized [`PayloadMeaning`]s. A new protocol is one file here and one line
//! in [`PROTOCOLS`].

mod anthropic;
mod calls;
mod chat;
mod endings;
mod errors;
mod fields;
mod gemini;
mod lenient;
mod mend;
mod ollama;
mod output_items;
mod partial_arguments;
mod reasoning_details;
mod requests;
mod responses;
mod running_times;
pub(crate) mod server_timings;
mod unknown;
mod usage;
mod websocket;
mod whole;

pub(crate) use errors::{error_event, failure_in, says_error, server_error};
pub use fields::arguments;
pub use mend::mend;
pub use requests::{
    CommonItems, Digest, ItemKind, ItemSeen, RequestSeen, TextSeen, ToolSeen, of_path,
};
pub use running_times::RunningTimes;
pub use websocket::{Addressee, Asked, Lanes, WebSocketForm};

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use timeslip_datasets::run::journal::{EventKind, Reported, Usage};

use crate::framing::StreamFormat;

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
    /// Ask for no output: the server reads the prompt ahead of the first turn.
    pub warm_up: bool,
    /// Lane of a shared connection.
    pub lane: Option<&'a str>,
}

/// How the body travels: some fields exist on one transport only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestForm {
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
    /// What the model reasoned, as far as the server shows it.
    pub reasoning: String,
    /// What the model said.
    pub text: String,
    /// Tool calls, in order.
    pub calls: Vec<ToolCall>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// Model the server says it ran.
    pub served_model: Option<String>,
    /// Service tier the server says it used.
    pub served_tier: Option<String>,
    /// Speed mode the server says it used.
    pub served_speed: Option<String>,
    /// Server-side durations.
    pub reported: Reported,
    /// Why the server cut the answer short.
    pub incomplete: Option<String>,
}

/// What one payload of the stream meant. All zero: nothing that is timed.
///
/// The first-token policy of every protocol is this type: output is reasoning, text
/// or tool-call arguments, and nothing else is. A role, the announcement of a message
/// or of a call by its name, and an empty delta are not output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadMeaning {
    /// The server took the request.
    pub admitted: bool,
    /// Sent only to keep the connection alive.
    pub keep_alive: bool,
    /// Bytes of reasoning.
    pub reasoning: u32,
    /// Bytes of text.
    pub text: u32,
    /// Bytes of tool-call arguments.
    pub tool_arguments: u32,
    /// Output tokens in this payload, where the server says.
    pub tokens: Option<u32>,
    /// The terminal event, which may carry output, too.
    pub done: bool,
}

impl PayloadMeaning {
    /// Nothing that is timed.
    pub const NOTHING: PayloadMeaning = PayloadMeaning {
        admitted: false,
        keep_alive: false,
        reasoning: 0,
        text: 0,
        tool_arguments: 0,
        tokens: None,
        done: false,
    };
    /// The server took the request.
    pub const ADMITTED: PayloadMeaning = PayloadMeaning {
        admitted: true,
        ..PayloadMeaning::NOTHING
    };
    /// A keep-alive.
    pub const KEEP_ALIVE: PayloadMeaning = PayloadMeaning {
        keep_alive: true,
        ..PayloadMeaning::NOTHING
    };
    /// The terminal event alone.
    pub const DONE: PayloadMeaning = PayloadMeaning {
        done: true,
        ..PayloadMeaning::NOTHING
    };

    /// Output of one kind.
    #[must_use]
    pub fn output(kind: EventKind, bytes: u32) -> Self {
        let mut step = PayloadMeaning::NOTHING;
        match kind {
            EventKind::Reasoning => step.reasoning = bytes,
            EventKind::Text => step.text = bytes,
            EventKind::ToolArguments => step.tool_arguments = bytes,
        }
        step
    }

    /// The output in it, by kind, in the order models produce it.
    pub fn outputs(self) -> impl Iterator<Item = (EventKind, u32)> {
        [
            (EventKind::Reasoning, self.reasoning),
            (EventKind::Text, self.text),
            (EventKind::ToolArguments, self.tool_arguments),
        ]
        .into_iter()
        .filter(|(_, bytes)| *bytes > 0)
    }
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
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
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
    /// The name a configuration uses.
    fn name(&self) -> &'static str;
    /// Path under which servers of this protocol have their base URL.
    fn base_path(&self) -> &'static str {
        "/v1"
    }
    /// Path, and query where there is one, below the base URL.
    fn path(&self, model: &str) -> String;
    /// Headers the protocol itself asks for, the key's among them. `extra` are the
    /// configured body fields: some are only taken together with a header.
    fn headers(&self, key: Option<&str>, extra: &Map<String, Value>)
    -> Vec<(&'static str, String)>;
    /// The header that tells a server, or a router before it, which conversation a request
    /// belongs to, where the body has no field for that.
    fn session_header(&self) -> Option<&'static str> {
        Some("x-session-id")
    }
    /// How its HTTP responses are framed.
    fn format(&self) -> StreamFormat {
        StreamFormat::ServerSentEvents
    }
    /// Its form for a WebSocket, where it has one.
    fn websocket(&self) -> Option<WebSocketForm> {
        None
    }
    /// Bounds the output of one answer by a configured body field, unless one does so
    /// already.
    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32);
    /// How long an error asks to wait in a field of its own.
    fn asked_wait(&self, _error: &Value) -> Option<Duration> {
        None
    }
    /// The message that says more while a response is being made on a WebSocket, where there
    /// is one.
    fn steer(&self, _response_id: &str, _text: &str) -> Option<String> {
        None
    }
    /// The path, below the base URL, that cancels a response made in the background, where
    /// there is one.
    fn cancel_path(&self, _response_id: &str) -> Option<String> {
        None
    }
    /// Builds the body of a request.
    fn encode(&self, request: &Request<'_>, form: RequestForm) -> Vec<u8>;
    /// Whether a path, without its query, is one at which output is asked for.
    fn is_asked_at(&self, path: &str) -> bool {
        path.ends_with(&self.path(""))
    }
    /// Fields by which the body of a request is told from those of other protocols; it must
    /// have the first, which holds the conversation.
    fn request_fields(&self) -> &'static [&'static str];
    /// What a request to a path says, read from its body; `None` where it asks for no output.
    fn request_seen(&self, path: &str, body: &Value) -> Option<RequestSeen>;
    /// A decoder for one response.
    fn decoder(&self) -> Box<dyn Decoder>;
    /// The payloads that a stream would have had, from the whole body of an answer that was
    /// not streamed. What is no answer, and what is larger than
    /// [`MAX_PAYLOAD`](crate::framing::MAX_PAYLOAD), is one payload as it is, which the
    /// decoder then finds wrong.
    fn whole(&self, body: &[u8]) -> Vec<Vec<u8>> {
        vec![body.to_vec()]
    }
}

/// Decodes one response stream.
pub trait Decoder: Send {
    /// Takes one response header, its name in lower case, before any payload.
    fn header(&mut self, _name: &str, _value: &str) {}
    /// Takes one payload.
    ///
    /// # Errors
    /// [`StreamError`] ends the exchange.
    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError>;
    /// Tells of the responses that the connection carried before this one, and whether each
    /// of them began by naming itself: what is still said of them is no part of this answer.
    fn follow(&mut self, _earlier: &[String], _named: bool) {}
    /// The text of the answer so far.
    fn heard(&self) -> &str;
    /// The response's id, as far as the server has named it.
    fn response_id(&self) -> Option<String> {
        None
    }
    /// Whether the stream may end here although no payload was [`PayloadMeaning::DONE`].
    fn may_end(&self) -> bool {
        false
    }
    /// Events of kinds that are not known, by name.
    fn unknown(&self) -> BTreeMap<String, u32> {
        BTreeMap::new()
    }
    /// The calls that the latest payload was about: it announced them, brought arguments of
    /// theirs, or ended them alone. Each is named by its [`Decoder::call_number`].
    fn touched(&self) -> &[usize];
    /// The number under which a call of the answer was touched; to be asked after
    /// [`Decoder::answer`].
    fn call_number(&self, call: usize) -> usize {
        call
    }
    /// Output tokens that were counted before any was shown.
    fn hidden_tokens(&self) -> Option<u64> {
        None
    }
    /// Server-side durations that include earlier answers of the conversation.
    fn running_times(&self) -> RunningTimes {
        RunningTimes::default()
    }
    /// Hands over the answer after the terminal event.
    fn answer(&mut self) -> Answer;
}

/// The protocols; the first is the default.
pub static PROTOCOLS: &[&dyn Protocol] = &[
    &responses::Responses,
    &chat::Chat,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &ollama::Ollama,
];

/// The names of the protocols, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|protocol| protocol.name())
}

/// Finds a protocol by its configuration name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Protocol> {
    PROTOCOLS
        .iter()
        .copied()
        .find(|protocol| protocol.name() == name)
}

/// The header of a bearer token, as most protocols want it.
fn bearer(key: Option<&str>) -> Vec<(&'static str, String)> {
    key.map(|key| ("authorization", format!("Bearer {key}")))
        .into_iter()
        .collect()
}
