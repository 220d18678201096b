//! A conversation: asks, retries, and what the server remembers of it.
//!
//! A session thinks where it is asked: there requests are written, answers redacted and
//! pauses waited for. Whatever touches a socket is done by its [`Way`], which travels to
//! the runtime that measures and comes back with what was marked.

mod backoff;
mod way;

use std::sync::Arc;

use timeslip_datasets::run::journal::Exchange;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock;
use crate::failure::Failure;
use crate::live::Live;
use crate::protocols::{Answer, Item, Request, RequestForm, RunningTimes, ToolSpec};
use crate::recorder::Recorder;
use crate::redaction::Redaction;
use crate::transports::{Endpoint, Transport};
use backoff::Backoff;
use way::{Leg, Way};

/// One conversation with one endpoint, over one connection while it lasts.
#[derive(Debug)]
pub struct Session {
    endpoint: Arc<Endpoint>,
    redaction: Redaction,
    /// Where streams are read.
    measuring: Handle,
    /// The way to the server; elsewhere while something is carried.
    way: Option<Way>,
    /// What it goes back to after a turn that had to go another way.
    after_detour: Option<&'static dyn Transport>,
    origin: u64,
    cache_key: Arc<str>,
    /// Last response on this connection, and how many items it covers.
    previous: Option<(String, usize)>,
    /// The server's report of its times as of that response.
    running: RunningTimes,
    /// Where somebody reads along.
    live: Option<Live>,
    /// What came of the answer that was stopped last.
    cut: Option<Answer>,
}

/// What one try says.
struct Call<'c> {
    turn: u32,
    retry: u32,
    instructions: &'c str,
    tools: &'c [ToolSpec],
    items: &'c [Item],
    warm_up: bool,
    /// The server begins by itself, where it was redirected.
    follows: bool,
}

impl Session {
    /// Prepares a session whose streams are read on this runtime; nothing is sent yet.
    /// `origin` is the trial's start on [`clock::now`]; every mark is relative to it.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(endpoint: &Endpoint, cache_key: String, origin: u64) -> Self {
        Session {
            redaction: endpoint.redaction(),
            endpoint: Arc::new(endpoint.clone()),
            measuring: Handle::current(),
            way: None,
            after_detour: None,
            origin,
            cache_key: cache_key.into(),
            previous: None,
            running: RunningTimes::default(),
            live: None,
            cut: None,
        }
    }

    /// Has somebody read along from now on, who may stop what is asked, and redirect it.
    pub fn read_along(&mut self, live: Live) {
        self.live = Some(live);
        self.cut = None;
    }

    /// What came of the answer that was stopped last.
    pub fn take_cut(&mut self) -> Option<Answer> {
        self.cut.take()
    }

    /// The trial's clock stood still for so many nanoseconds, while nothing was asked.
    pub fn stood_still(&mut self, nanoseconds: u64) {
        self.origin = self.origin.saturating_add(nanoseconds);
    }

    /// Forgets what was said: the next request builds on nothing, on the same connection.
    pub fn forget(&mut self) {
        self.previous = None;
    }

    /// Drops the connection, and with it whatever is still to come on it.
    pub fn disconnect(&mut self) {
        self.previous = None;
        self.way().close();
    }

    /// Whether the server can be told more while it answers.
    #[must_use]
    pub fn steers(&self) -> bool {
        let own = self.endpoint.shared.is_none() && self.endpoint.transport.keeps_state();
        own && self.endpoint.protocol.steer("", "").is_some()
    }

    /// Has its streams read on another runtime.
    #[must_use]
    pub fn on(self, measuring: &Handle) -> Self {
        Session {
            measuring: measuring.clone(),
            ..self
        }
    }

    fn way(&mut self) -> &mut Way {
        self.way.get_or_insert_with(|| Way::new(&self.endpoint))
    }

    /// Has something done with the way to the server, where streams are read. Given up, it
    /// ends there, too, and the way with it.
    async fn away<T: Send + 'static, F>(&mut self, work: impl FnOnce(Way) -> F) -> T
    where
        F: Future<Output = (Way, T)> + Send + 'static,
    {
        self.way();
        let Some(way) = self.way.take() else {
            unreachable!("it was made above");
        };
        let mut task = AbortOnDrop(self.measuring.spawn(work(way)));
        match (&mut task.0).await {
            Ok((way, output)) => {
                self.way = Some(way);
                output
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and whoever asked ends with it.
                Err(_) => std::future::pending().await,
            },
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
        if !self.endpoint.options.prewarm || !self.way().transport.keeps_state() {
            return;
        }
        let call = Call {
            turn: 0,
            retry: 0,
            instructions,
            tools,
            items: &[],
            warm_up: true,
            follows: false,
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
        let call = Call {
            turn,
            retry: 0,
            instructions,
            tools,
            items,
            warm_up: false,
            follows: false,
        };
        self.end_detour();
        self.try_for(call, deadline, &mut record).await
    }

    /// Reads the answer of a server that was redirected and begins by itself; where it does
    /// not, asks for it. `items` end with what it was redirected by.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn follow(
        &mut self,
        turn: u32,
        instructions: &str,
        tools: &[ToolSpec],
        items: &[Item],
        deadline: Instant,
        mut record: impl FnMut(Exchange),
    ) -> Result<Answer, Failure> {
        let call = Call {
            turn,
            retry: 0,
            instructions,
            tools,
            items,
            warm_up: false,
            follows: true,
        };
        self.try_for(call, deadline, &mut record).await
    }

    async fn try_for(
        &mut self,
        mut call: Call<'_>,
        deadline: Instant,
        record: &mut impl FnMut(Exchange),
    ) -> Result<Answer, Failure> {
        let mut backoff = Backoff::new(self.endpoint.options.retries);
        loop {
            let answered = self.way().answered;
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
            // Cut short by the deadline, the next try says so; so it does by a stop.
            let wait = tokio::time::sleep_until(deadline.min(Instant::now() + wait));
            match &mut self.live {
                Some(live) => tokio::select! {
                    _ = live.stopped() => {}
                    () = wait => {}
                },
                None => wait.await,
            }
            exchange.backoff_until = Some(clock::now().saturating_sub(self.origin));
            record(exchange);
            call.retry += 1;
            call.follows = false;
        }
    }

    /// Does something else while the connection stays alive: what the server asks
    /// of an idle connection is answered, and one that it closes is noticed now
    /// and not by the next request.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (done, over) = oneshot::channel::<()>();
        let tending = self.away(move |mut way| async move {
            tokio::select! {
                biased;
                _ = over => {}
                () = way.link.tend() => {}
            }
            (way, ())
        });
        let working = async move {
            let output = work.await;
            drop(done);
            output
        };
        tokio::join!(working, tending).0
    }

    /// One try, from its first byte to its last.
    async fn attempt(
        &mut self,
        call: &Call<'_>,
        deadline: Instant,
    ) -> (Exchange, Result<Answer, Failure>) {
        self.way().link.prepare();
        // Built before the clock of the exchange starts: it is the harness's own time.
        let open = self.way().link.is_open();
        let (body, incremental) = match call.follows {
            true => (Vec::new(), true),
            false => self.encode(call, open),
        };
        let recorder = Recorder::new(
            self.endpoint.protocol.decoder(),
            self.origin,
            call.turn,
            call.retry,
        );
        let mut leg = Leg::new(recorder, body, incremental, call.warm_up, deadline);
        leg.live = self.live.take();
        let (mut leg, result) = loop {
            let (session, endpoint) = (Arc::clone(&self.cache_key), Arc::clone(&self.endpoint));
            let carry = |mut way: Way| async move {
                let ended = way.carry(&endpoint, &session, &mut leg).await;
                (way, (leg, ended))
            };
            let (carried, ended) = self.away(carry).await;
            leg = carried;
            match ended {
                Some(result) => break (leg, result),
                // Only what is sent anew as a whole fits what the server is now.
                None => (leg.body, leg.incremental) = self.encode(call, false),
            }
        };
        self.live = leg.live.take();
        let stopped = leg.stopped;
        let running = leg.recorder.running_times();
        let transport = self.way().transport.name();
        let (mut exchange, mut answer) = leg.recorder.finish(transport);
        exchange.warm_up = call.warm_up;
        self.redaction.answer(&mut answer);
        self.redaction.exchange(&mut exchange);
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
            Err(Failure::Stopped) => {
                self.previous = None;
                exchange.ended_by = stopped.map(|stop| stop.end);
                exchange.ended_by_act = stopped.map(|stop| stop.act);
                self.cut = Some(answer);
                (exchange, Err(Failure::Stopped))
            }
            Err(failure) => {
                self.previous = None;
                self.way().close();
                exchange.error = Some(self.redaction.words(&failure.to_string()));
                (exchange, Err(failure))
            }
        }
    }

    /// Takes the other transport for the rest of this turn; false where there is none.
    fn detour(&mut self) -> bool {
        let usual = self.way().transport;
        let Some(fallback) = usual.fallback() else {
            return false;
        };
        self.after_detour = Some(usual);
        self.way().take(fallback);
        true
    }

    /// Ends a detour: the next turn goes the usual way, where nothing is remembered of what
    /// was said on the other one.
    fn end_detour(&mut self) {
        if let Some(transport) = self.after_detour.take() {
            self.way = Some(Way::over(transport, &self.endpoint));
            self.previous = None;
        }
    }

    /// The request's bytes and whether it builds on the previous response, which it
    /// can only on the connection that response came on.
    fn encode(&mut self, call: &Call<'_>, same_connection: bool) -> (Vec<u8>, bool) {
        let way = self.way();
        let keeps_state = way.transport.keeps_state();
        let lane = way.link.lane().map(str::to_owned);
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
            lane: lane.as_deref(),
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

/// A task that ends when nobody waits for it any more.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
