//! What a wire protocol must be able to do to be spoken here. Each is one file and one
//! line in [`super::dialects`].

use hyper::Uri;
use serde_json::Value;
use timeslip_datasets::journal::EventKind;

use super::output::Output;
use super::tools::Tool;
use super::wire::{Framing, Wire};

/// A request, whatever protocol it came in.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    /// Model asked for.
    pub model: String,
    /// The answer is wanted as a stream.
    pub stream: bool,
    /// False for a warm-up, which only reads the prompt.
    pub generate: bool,
    /// All that is read as prompt, in order: instructions, tools, conversation.
    pub prompt: Vec<Value>,
    /// What the user said, by which a task is recognised.
    pub user: Vec<String>,
    /// Tool calls in the conversation so far.
    pub calls_so_far: usize,
    /// Tools on offer.
    pub tools: Vec<Tool>,
    /// Most output tokens, where the client says.
    pub output_limit: Option<u64>,
    /// Tells conversations apart; empty when the client does not.
    pub cache_key: String,
}

impl ModelRequest {
    /// What tells this conversation from others: the client's own key, else how it began.
    #[must_use]
    pub fn conversation(&self) -> &str {
        match self.user.first() {
            Some(first) if self.cache_key.is_empty() => first,
            _ => &self.cache_key,
        }
    }
}

/// What a request costs before the first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// All prompt tokens.
    pub tokens: u64,
    /// Those found in the cache.
    pub cached: u64,
}

/// Server-side durations of one response, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting for a slot.
    pub queue_ns: u64,
    /// Reading the prompt.
    pub prefill_ns: u64,
    /// From the request's turn to the first token: fixed cost, prefill, one step.
    pub first_token_ns: u64,
    /// From the prompt's end to the last token.
    pub decode_ns: u64,
    /// From the first token to the last.
    pub generation_ns: u64,
}

/// An answer as it is known before its first byte; what its timing says of tokens is
/// filled in at its end.
#[derive(Clone, Debug)]
pub struct ModelReply {
    /// Id of the response, as the protocol writes it.
    pub id: String,
    /// Model that answers.
    pub model: String,
    /// What was read.
    pub prompt: Prompt,
    /// What is said.
    pub outputs: Vec<Output>,
    /// Where the time went.
    pub timing: Timing,
    /// Round trip of the simulated link, in milliseconds, when there is one.
    pub link_ms: Option<f64>,
    /// Unix time of the request's arrival, in seconds.
    pub created_at: i64,
}

impl ModelReply {
    /// All output tokens.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.outputs.iter().map(Output::tokens).sum()
    }

    /// Those of them that are reasoning.
    #[must_use]
    pub fn reasoning_tokens(&self) -> u64 {
        let reasoning = |output: &&Output| output.kind() == EventKind::Reasoning;
        let outputs = self.outputs.iter().filter(reasoning);
        outputs.map(Output::tokens).sum()
    }

    /// All its text.
    #[must_use]
    pub fn said_text(&self) -> Option<String> {
        self.said(EventKind::Text)
    }

    /// All its reasoning.
    #[must_use]
    pub fn said_reasoning(&self) -> Option<String> {
        self.said(EventKind::Reasoning)
    }

    fn said(&self, kind: EventKind) -> Option<String> {
        let outputs = self.outputs.iter().filter(|output| output.kind() == kind);
        outputs
            .map(|output| output.text().to_owned())
            .reduce(|all, more| all + &more)
    }

    /// It calls a tool.
    #[must_use]
    pub fn calls(&self) -> bool {
        self.said(EventKind::ToolArguments).is_some()
    }

    /// An id for one of its outputs, unique among all answers.
    #[must_use]
    pub fn item_id(&self, prefix: &str, item: usize) -> String {
        let serial = self.id.rsplit(['_', '-']).next().unwrap_or_default();
        format!("{prefix}{serial}_{item}")
    }
}

/// One response in a protocol's words. Items are indices into [`ModelReply::outputs`] and
/// come in order: each is opened, streamed and closed before the next.
pub trait Voice: Send + Sync + std::fmt::Debug {
    /// Name of the protocol.
    fn protocol(&self) -> &'static str;
    /// What ids of responses begin with.
    fn id_prefix(&self) -> &'static str;
    /// Arguments of tool calls are streamed, not sent whole.
    fn streams_arguments(&self) -> bool {
        true
    }
    /// The request was taken; no model output yet.
    fn begin(&mut self, _answer: &ModelReply, _wire: &mut Wire) {}
    /// An item begins.
    fn open(&mut self, _answer: &ModelReply, _item: usize, _wire: &mut Wire) {}
    /// Some tokens of an item.
    fn delta(&mut self, answer: &ModelReply, item: usize, text: &str, wire: &mut Wire);
    /// An item is complete.
    fn close(&mut self, _answer: &ModelReply, _item: usize, _wire: &mut Wire) {}
    /// The end of the stream.
    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire);
    /// The answer of a request that does not stream.
    fn whole(&self, answer: &ModelReply) -> Value;
}

/// A wire protocol, as a server speaks it.
pub trait Dialect: Sync {
    /// The path at which the protocol is at home: unknown paths below it are refused in
    /// its words.
    fn home(&self) -> &'static str;
    /// Requests are posted to this path.
    fn takes(&self, path: &str) -> bool {
        path == self.home() || self.counts_tokens(path)
    }
    /// Requests to this path only ask how many tokens they are.
    fn counts_tokens(&self, _path: &str) -> bool {
        false
    }
    /// How a stream is framed.
    fn framing(&self) -> Framing {
        Framing::ServerSentEvents
    }
    /// The header that carries the id of a request.
    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }
    /// Reads a request, a JSON object, and finds the voice to answer it in.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(&self, uri: &Uri, body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal>;
    /// The body of an error.
    fn error(&self, refusal: &Refusal) -> Value;
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Machine-readable reason.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

impl Refusal {
    /// A request that is wrong.
    #[must_use]
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Refusal {
            status: 400,
            code,
            message: message.into(),
        }
    }

    /// A request without something it needs.
    #[must_use]
    pub fn missing(parameter: &str) -> Self {
        let message = format!("Missing required parameter: '{parameter}'.");
        Refusal::bad_request("missing_required_parameter", message)
    }
}
