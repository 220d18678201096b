//! One request and its timed response, over any protocol and transport.

mod lines;
mod recorder;
pub mod split;
pub mod sse;

pub use recorder::Recorder;

use std::time::Duration;

use serde_json::{Map, Value};
use timeslip_datasets::journal::Exchange;

use crate::clock;
use crate::connection::Target;
use crate::protocols::{Answer, Framing, Item, Protocol, Request, StreamError, ToolSpec};
use crate::transports::{self, Transport};
use tokio::time::Instant;

/// An API key. Never printed.
#[derive(Clone)]
pub struct Key(pub String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(key)")
    }
}

/// An endpoint ready to be called.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name in the configuration.
    pub name: String,
    /// Where it listens.
    pub target: Target,
    /// Model id.
    pub model: String,
    /// What is said.
    pub protocol: &'static dyn Protocol,
    /// What carries it.
    pub transport: transports::Kind,
    /// Bearer token.
    pub key: Option<Key>,
    /// Extra request headers.
    pub headers: Vec<(String, String)>,
    /// Header values that came from the environment. Never printed.
    pub secrets: Vec<String>,
    /// Extra top-level body fields.
    pub extra: Map<String, Value>,
    /// Longest silence between two reads before the exchange is given up.
    pub idle_timeout: Duration,
    /// Tries after the first.
    pub max_retries: u32,
}

/// Why an exchange gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// An HTTP status other than success.
    #[error("HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// The start of the body. Untrusted.
        message: String,
        /// `retry-after`, when the server sent one.
        retry_after: Option<Duration>,
    },
    /// The stream said something wrong.
    #[error("{0}")]
    Stream(#[from] StreamError),
    /// The connection ended before the terminal event.
    #[error("the stream ended early: {0}")]
    Closed(String),
    /// Nothing came for too long.
    #[error("no byte for {0:?}")]
    Idle(Duration),
    /// The trial's time is over.
    #[error("cut off: the trial's time is over")]
    Deadline,
    /// More data than any honest answer has.
    #[error("the response exceeds {0} MiB")]
    TooLarge(usize),
}

impl Failure {
    /// Whether another try may help.
    #[must_use]
    pub fn retryable(&self) -> bool {
        let transient = |status: u16| matches!(status, 408 | 409 | 425 | 429 | 500..=599);
        match self {
            Failure::Connect(_) | Failure::Closed(_) | Failure::Idle(_) => true,
            Failure::Status { status, .. } => transient(*status),
            Failure::Stream(StreamError::Server { status, code, .. }) => {
                status.is_some_and(transient)
                    || matches!(
                        code.as_str(),
                        "previous_response_not_found"
                            | "websocket_connection_limit_reached"
                            | "rate_limit_exceeded"
                            | "server_error"
                            | "overloaded"
                    )
            }
            Failure::Stream(StreamError::Malformed { .. })
            | Failure::Deadline
            | Failure::TooLarge(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Status { retry_after, .. }
            | Failure::Stream(StreamError::Server { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}

/// The longest backoff, whatever the server asks for.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// One conversation with one endpoint, over one connection while it lasts.
#[derive(Debug)]
pub struct Session<'a> {
    endpoint: &'a Endpoint,
    transport: Transport,
    origin: u64,
    cache_key: String,
    /// Last response on this connection, and how many items it covers.
    previous: Option<(String, usize)>,
}

impl<'a> Session<'a> {
    /// Prepares a session; nothing is sent yet. `origin` is the trial's start on
    /// [`clock::now`]; every mark is relative to it.
    #[must_use]
    pub fn new(endpoint: &'a Endpoint, cache_key: String, origin: u64) -> Self {
        let transport = Transport::new(endpoint.transport);
        Session {
            endpoint,
            transport,
            origin,
            cache_key,
            previous: None,
        }
    }

    /// Asks for one model answer, retrying what may pass. Every try is handed to
    /// `record`, the failed ones too.
    ///
    /// # Errors
    /// The last failure, when no try gave an answer.
    pub async fn ask(
        &mut self,
        turn: u32,
        instructions: &str,
        tools: &[ToolSpec],
        items: &[Item],
        deadline: Instant,
        mut record: impl FnMut(Exchange),
    ) -> Result<Answer, Failure> {
        let mut retry = 0;
        let mut reopened = false;
        loop {
            // Built before the clock of the exchange starts: it is the harness's own time.
            let body = self.body(instructions, tools, items);
            let mut recorder =
                Recorder::new(self.endpoint.protocol.decoder(), self.origin, turn, retry);
            let attempt = self.attempt(body, &mut recorder, |session| {
                session.body(instructions, tools, items)
            });
            let result = tokio::time::timeout_at(deadline, attempt)
                .await
                .unwrap_or(Err(Failure::Deadline));
            if let Some(probe) = self.transport.probe() {
                recorder.take_probe(probe);
            }
            let (mut exchange, answer) = recorder.finish(self.transport.name());
            let failure = match result {
                Ok(()) => {
                    // The answer's own items follow at the end of `items`.
                    self.previous = answer
                        .id
                        .clone()
                        .map(|id| (id, items.len() + answer.items.len()));
                    record(exchange);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            self.previous = None;
            self.transport.close();
            exchange.error = Some(self.endpoint.redact(&failure.to_string()));
            let stale = !std::mem::replace(&mut reopened, true)
                && exchange.reused_connection
                && exchange.marks.first_byte.is_none()
                && matches!(failure, Failure::Closed(_));
            if !stale && (retry >= self.endpoint.max_retries || !failure.retryable()) {
                record(exchange);
                return Err(failure);
            }
            // A lost chain needs a full resend, and a connection the server closed while
            // it was idle needs a new one, both at once; anything else needs patience.
            let lost_chain = matches!(
                &failure,
                Failure::Stream(StreamError::Server { code, .. })
                    if code == "previous_response_not_found"
                        || code == "websocket_connection_limit_reached"
            );
            let backoff = match failure.retry_after() {
                Some(asked) => asked.min(MAX_BACKOFF),
                None if lost_chain || stale => Duration::ZERO,
                None => Duration::from_millis(250 << retry.min(8)).min(MAX_BACKOFF),
            };
            // Cut short by the deadline, the next try says so.
            tokio::time::sleep_until(deadline.min(Instant::now() + backoff)).await;
            exchange.backoff_until = Some(clock::now().saturating_sub(self.origin));
            record(exchange);
            retry += 1;
        }
    }

    /// The request's bytes and whether it builds on the previous response.
    fn body(&self, instructions: &str, tools: &[ToolSpec], items: &[Item]) -> (Vec<u8>, bool) {
        let keeps_state = self.transport.keeps_state();
        let chained = keeps_state && self.transport.is_open();
        let previous = self.previous.as_ref().filter(|_| chained);
        let request = Request {
            model: &self.endpoint.model,
            instructions,
            tools,
            items,
            previous: previous.map(|(id, covered)| (id.as_str(), *covered)),
            cache_key: &self.cache_key,
            extra: &self.endpoint.extra,
            warm_up: false,
            lane: None,
        };
        let framing = if keeps_state {
            Framing::WebSocket
        } else {
            Framing::Http
        };
        (
            self.endpoint.protocol.encode(&request, framing),
            previous.is_some(),
        )
    }

    async fn attempt(
        &mut self,
        (mut body, mut incremental): (Vec<u8>, bool),
        recorder: &mut Recorder,
        rebuild: impl Fn(&Self) -> (Vec<u8>, bool),
    ) -> Result<(), Failure> {
        let kept_state = self.transport.keeps_state();
        self.transport.connect(self.endpoint, recorder).await?;
        if self.transport.keeps_state() != kept_state {
            // The upgrade was refused; over HTTP the request looks different.
            (body, incremental) = rebuild(self);
        }
        recorder.set_incremental(incremental);
        self.transport.send(self.endpoint, body, recorder).await
    }
}

impl Endpoint {
    /// Takes secrets out of a text that came from a server: some echo what they were sent.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.key.iter().map(|key| &key.0).chain(&self.secrets) {
            text = text.replace(secret.as_str(), "***");
        }
        text
    }
}
