//! What a wire protocol must be able to do to be spoken here. Each is one file and one
//! line in [`super::dialects`].

use serde_json::{Value, json};
use timeslip_datasets::run::journal::EventKind;

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
    /// Tool calls in the conversation before each of these texts.
    pub calls_before: Vec<usize>,
    /// Tool calls in the conversation so far.
    pub calls_so_far: usize,
    /// Tools on offer.
    pub tools: Vec<Tool>,
    /// Most output tokens, where the client says.
    pub output_limit: Option<u64>,
    /// Tells conversations apart; empty when the client does not.
    pub cache_key: String,
    /// The answer is made whether its connection lasts or not.
    pub background: bool,
    /// What the answer repeats of the request, where the protocol has it do so.
    pub echo: Value,
}

impl ModelRequest {
    /// Tool calls since the text of this index.
    #[must_use]
    pub fn calls_since(&self, text: usize) -> usize {
        let before = self.calls_before.get(text).copied().unwrap_or(0);
        self.calls_so_far.saturating_sub(before)
    }

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
    /// What cut it short.
    pub cut: Option<Cut>,
    /// Where the time went.
    pub timing: Timing,
    /// Round trip of the simulated link, in milliseconds, when there is one.
    pub link_ms: Option<f64>,
    /// Unix time of the request's arrival, in seconds.
    pub created_at: i64,
}

/// What cuts an answer short, so that it ends all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The request's output limit.
    Limit,
    /// Whoever asked goes another way.
    Steered,
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
    /// The path at which the protocol is at home.
    fn home(&self) -> &'static str;
    /// What is wrong with a request to this path is said in this protocol's words.
    fn claims(&self, path: &str) -> bool {
        path.starts_with(self.home())
    }
    /// Requests are posted to this path.
    fn takes(&self, path: &str) -> bool {
        path == self.home() || self.counts_tokens(path)
    }
    /// Requests to this path only ask how many tokens they are.
    fn counts_tokens(&self, _path: &str) -> bool {
        false
    }
    /// The answer to a request that only asks how many tokens it is.
    fn count(&self, tokens: u64) -> Value {
        json!({ "input_tokens": tokens })
    }
    /// How a stream is framed that is asked for with this query.
    fn framing(&self, _query: Option<&str>) -> Framing {
        Framing::ServerSentEvents
    }
    /// The HTTP status of a server that has too much to do.
    fn overloaded(&self) -> u16 {
        503
    }
    /// The header that carries the id of a request.
    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }
    /// Reads a request, a JSON object, and finds the voice to answer it in.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(&self, path: &str, body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal>;
    /// Says in the provider's words what is wrong at a place of a request, and with which
    /// status.
    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal;
    /// The body of an error.
    fn error(&self, refusal: &Refusal) -> Value;
}

/// What is wrong with a request, before a protocol words it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Problem<'a> {
    /// It must be there.
    Missing,
    /// A list that must not be empty is.
    Empty,
    /// It is of another type.
    WrongType {
        /// The right type, with its article.
        wanted: &'static str,
        /// The value that is there.
        found: &'a Value,
    },
    /// It is a number outside its bounds.
    OutOfRange {
        /// Smallest value.
        low: f64,
        /// Largest value; infinite where there is none.
        high: f64,
        /// The value that is there.
        found: f64,
    },
    /// It is none of the words that may stand here.
    UnknownWord {
        /// The word that is there.
        found: &'a str,
        /// Those that may.
        known: &'static [&'static str],
    },
    /// There is no such model.
    UnknownModel {
        /// Its name.
        name: &'a str,
        /// Those there are.
        known: &'a [&'a str],
    },
}

/// Characters of a refusal's message.
const MAX_MESSAGE: usize = 2000;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Machine-readable reason.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// The field that is wrong.
    pub param: Option<String>,
    /// Seconds after which to ask again.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal with this status.
    #[must_use]
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // It may quote the request.
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
        }
        Refusal {
            status,
            code,
            message,
            param: None,
            retry_after: None,
        }
    }

    /// A request that is wrong.
    #[must_use]
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Refusal::new(400, code, message)
    }
}
