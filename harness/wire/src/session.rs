//! A conversation: asks, retries, and what the server remembers of it.

mod backoff;

use std::pin::pin;
use std::sync::Arc;

use timeslip_datasets::run::journal::Exchange;
use tokio::time::Instant;

use crate::clock;
use crate::failure::Failure;
use crate::protocols::{Answer, Item, Request, RequestForm, RunningTimes, ToolSpec};
use crate::recorder::Recorder;
use crate::redaction::Redaction;
use crate::transports::{Endpoint, Link, Transport};
use backoff::Backoff;

/// Most characters of a name that a server gives.
const MAX_NAME: usize = 200;

/// One conversation with one endpoint, over one connection while it lasts.
#[derive(Debug)]
pub struct Session<'a> {
    endpoint: &'a Endpoint,
    redaction: Redaction,
    /// The transport in use.
    transport: &'static dyn Transport,
    /// What it goes back to after a turn that had to go another way.
    after_detour: Option<&'static dyn Transport>,
    link: Box<dyn Link>,
    /// The open connection has carried an answer of this conversation.
    answered: bool,
    origin: u64,
    cache_key: String,
    /// Last response on this connection, and how many items it covers.
    previous: Option<(String, usize)>,
    /// The server's report of its times as of that response.
    running: RunningTimes,
}

/// What one try says.
struct Call<'c> {
    turn: u32,
    retry: u32,
    instructions: &'c str,
    tools: &'c [ToolSpec],
    items: &'c [Item],
    warm_up: bool,
}

impl<'a> Session<'a> {
    /// Prepares a session; nothing is sent yet. `origin` is the trial's start on
    /// [`clock::now`]; every mark is relative to it.
    #[must_use]
    pub fn new(endpoint: &'a Endpoint, cache_key: String, origin: u64) -> Self {
        Session {
            endpoint,
            redaction: endpoint.redaction(),
            transport: endpoint.transport,
            after_detour: None,
            link: first_link(endpoint),
            answered: false,
            origin,
            cache_key,
            previous: None,
            running: RunningTimes::default(),
        }
    }

    /// Has the server read instructions and tools ahead of the first turn, if the
    /// endpoint is to be warmed up and its transport keeps what was read. That is an
    /// exchange of its own, outside any turn. One that fails is handed to `record`,
    /// too, and costs only its time: the first turn then sends everything.
    pub async fn warm_up(
        &mut self,
        instructions: &str,
        tools: &[ToolSpec],
        deadline: Instant,
        record: impl FnOnce(Exchange),
    ) {
        if !self.endpoint.options.prewarm || !self.transport.keeps_state() {
            return;
        }
        let call = Call {
            turn: 0,
            retry: 0,
            instructions,
            tools,
            items: &[],
            warm_up: true,
        };
        let (mut exchange, result) = self.attempt(&call, deadline).await;
        if result.is_err() {
            exchange.backoff_until = Some(exchange.marks.done);
        }
        record(exchange);
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
        let mut backoff = Backoff::new(self.endpoint.options.retries);
        self.end_detour();
        let mut call = Call {
            turn,
            retry: 0,
            instructions,
            tools,
            items,
            warm_up: false,
        };
        loop {
            let answered = self.answered;
            let (mut exchange, result) = self.attempt(&call, deadline).await;
            let failure = match result {
                Ok(answer) => {
                    record(exchange);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            // One that has answered nothing yet cannot have been left open for too long.
            let stale = answered
                && exchange.reused_connection
                && exchange.marks.first_byte.is_none()
                && failure.lost_connection();
            let detour = failure.too_big_for_socket() && self.detour();
            let Some(wait) = backoff.after(&failure, stale || detour) else {
                if failure.is_stall() {
                    // All of it was waiting, and none of it the model's own time.
                    exchange.backoff_until = Some(exchange.marks.done);
                }
                record(exchange);
                return Err(failure);
            };
            // Cut short by the deadline, the next try says so.
            tokio::time::sleep_until(deadline.min(Instant::now() + wait)).await;
            exchange.backoff_until = Some(clock::now().saturating_sub(self.origin));
            record(exchange);
            call.retry += 1;
        }
    }

    /// Does something else while the connection stays alive: what the server asks
    /// of an idle connection is answered, and one that it closes is noticed now
    /// and not by the next request.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            output = &mut work => output,
            () = self.link.tend() => work.await,
        }
    }

    /// One try, from its first byte to its last.
    async fn attempt(
        &mut self,
        call: &Call<'_>,
        deadline: Instant,
    ) -> (Exchange, Result<Answer, Failure>) {
        self.link.prepare();
        // Built before the clock of the exchange starts: it is the harness's own time.
        let (body, incremental) = self.encode(call, self.link.is_open());
        let mut recorder = Recorder::new(
            self.endpoint.protocol.decoder(),
            self.origin,
            call.turn,
            call.retry,
        );
        let conversation = self.converse(call, body, incremental, &mut recorder);
        let result = tokio::time::timeout_at(deadline, conversation)
            .await
            .unwrap_or(Err(Failure::Deadline));
        if let Some(probe) = self.link.probe() {
            recorder.take_probe(probe);
        }
        let running = recorder.running_times();
        let (mut exchange, mut answer) = recorder.finish(self.transport.name());
        exchange.warm_up = call.warm_up;
        self.redaction.answer(&mut answer);
        self.redact_names(&mut exchange);
        let nothing = exchange.events.as_slice().is_empty() && answer.incomplete.is_none();
        let result = match result {
            Ok(()) if nothing && !call.warm_up => Err(Failure::Empty),
            result => result,
        };
        match result {
            Ok(()) => {
                // A conversation sent anew is one the server has not counted yet.
                let before = match exchange.incremental {
                    true => self.running,
                    false => RunningTimes::NOTHING_YET,
                };
                exchange.reported.merge(&running.since(&before));
                self.running = running;
                // The answer's own items follow at the end of the call's.
                let covered = call.items.len() + answer.items.len();
                self.previous = answer.id.clone().map(|id| (id, covered));
                (exchange, Ok(answer))
            }
            Err(failure) => {
                self.previous = None;
                self.answered = false;
                self.link.close();
                exchange.error = Some(self.redaction.words(&failure.to_string()));
                (exchange, Err(failure))
            }
        }
    }

    async fn converse(
        &mut self,
        call: &Call<'_>,
        mut body: Vec<u8>,
        mut incremental: bool,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let kept_state = self.transport.keeps_state();
        let lane = self.link.lane().map(str::to_owned);
        let same_connection = self.connect(recorder).await?;
        let refused = self.transport.keeps_state() != kept_state;
        if refused && call.warm_up {
            let nothing = "the server takes no WebSocket, and HTTP keeps nothing to warm up";
            return Err(Failure::Connect(nothing.into()));
        }
        // Over HTTP the request looks different, and a new connection remembers nothing.
        let renamed = self.link.lane() != lane.as_deref();
        if refused || renamed || incremental && !same_connection {
            (body, incremental) = self.encode(call, false);
        }
        recorder.set_incremental(incremental);
        let (endpoint, session) = (self.endpoint, self.cache_key.as_str());
        let sent = self.link.send(endpoint, session, body, recorder).await;
        self.answered |= sent.is_ok();
        sent
    }

    /// Makes sure a connection is open; false when it is not the one of the exchange
    /// before. A server that refuses the transport is spoken to over the one it falls back
    /// to from then on; the exchange records the transport really used.
    async fn connect(&mut self, recorder: &mut Recorder) -> Result<bool, Failure> {
        let connected = self.link.connect(self.endpoint, recorder).await;
        let connected = match (connected, self.transport.fallback()) {
            (Err(failure), Some(fallback)) if failure.refuses_upgrade() => {
                recorder.upgrade_refused();
                recorder.remark(format!(
                    "the server refuses the WebSocket: {failure}; {} is used instead",
                    fallback.name()
                ));
                self.transport = fallback;
                self.link = fallback.link();
                self.link.connect(self.endpoint, recorder).await
            }
            (connected, _) => connected,
        };
        if !matches!(connected, Ok(true)) {
            self.answered = false;
        }
        connected
    }

    /// Takes the other transport for the rest of this turn; false where there is none.
    fn detour(&mut self) -> bool {
        let Some(fallback) = self.transport.fallback() else {
            return false;
        };
        self.after_detour = Some(self.transport);
        self.transport = fallback;
        self.link = fallback.link();
        true
    }

    /// Ends a detour: the next turn goes the usual way, where nothing is remembered of what
    /// was said on the other one.
    fn end_detour(&mut self) {
        if let Some(transport) = self.after_detour.take() {
            self.transport = transport;
            self.link = first_link(self.endpoint);
            self.answered = false;
            self.previous = None;
        }
    }

    /// Servers may put anything into the names they give.
    fn redact_names(&self, exchange: &mut Exchange) {
        let names = [
            &mut exchange.response_id,
            &mut exchange.served_model,
            &mut exchange.served_tier,
            &mut exchange.served_speed,
            &mut exchange.incomplete,
        ];
        let plain = |name: &str| -> String {
            let redacted = self.redaction.words(name);
            redacted.chars().take(MAX_NAME).collect()
        };
        for name in names.into_iter().flatten() {
            *name = plain(name);
        }
        for remark in &mut exchange.remarks {
            *remark = self.redaction.words(remark);
        }
        let unknown = std::mem::take(&mut exchange.unknown);
        let unknown = unknown.into_iter();
        exchange.unknown = unknown.map(|(name, count)| (plain(&name), count)).collect();
    }

    /// The request's bytes and whether it builds on the previous response, which it
    /// can only on the connection that response came on.
    fn encode(&self, call: &Call<'_>, same_connection: bool) -> (Vec<u8>, bool) {
        let keeps_state = self.transport.keeps_state();
        let chained = keeps_state && same_connection;
        let previous = self.previous.as_ref().filter(|_| chained);
        let request = Request {
            model: &self.endpoint.model,
            instructions: call.instructions,
            tools: call.tools,
            items: call.items,
            previous: previous.map(|(id, covered)| (id.as_str(), *covered)),
            cache_key: &self.cache_key,
            extra: &self.endpoint.extra,
            warm_up: call.warm_up,
            lane: self.link.lane(),
        };
        let form = if keeps_state {
            RequestForm::WebSocket
        } else {
            RequestForm::Http
        };
        (
            self.endpoint.protocol.encode(&request, form),
            previous.is_some(),
        )
    }
}

/// A link of the transport that an endpoint is configured with.
fn first_link(endpoint: &Endpoint) -> Box<dyn Link> {
    match &endpoint.shared {
        Some(pool) => Arc::clone(pool).link(),
        None => endpoint.transport.link(),
    }
}
