//! The way of one conversation to its server: all that touches sockets.

use std::pin::{Pin, pin};
use std::sync::Arc;

use timeslip_datasets::run::journal::StopWay;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::live::{Live, StopOrder, StopSeen};
use crate::recorder::Recorder;
use crate::transports::{CancelRoute, Endpoint, Link, MAX_QUIET, Transport};

/// A transport and the connection it has open.
#[derive(Debug)]
pub(super) struct Way {
    /// The transport in use.
    pub transport: &'static dyn Transport,
    pub link: Box<dyn Link>,
    /// The open connection has carried an answer of this conversation.
    pub answered: bool,
}

/// One try on its way.
pub(super) struct Leg {
    pub recorder: Recorder,
    /// The request; empty once it is sent.
    pub body: Vec<u8>,
    /// The request builds on what the server remembers of this connection.
    pub incremental: bool,
    warm_up: bool,
    deadline: Instant,
    /// A connection was made sure of.
    connected: bool,
    /// Where somebody reads along.
    pub live: Option<Live>,
    /// It was stopped, as this.
    pub stopped: Option<StopOrder>,
}

impl Leg {
    /// A request that has to be answered by `deadline`.
    pub fn new(
        recorder: Recorder,
        body: Vec<u8>,
        incremental: bool,
        warm_up: bool,
        deadline: Instant,
    ) -> Self {
        Leg {
            recorder,
            body,
            incremental,
            warm_up,
            deadline,
            connected: false,
            live: None,
            stopped: None,
        }
    }
}

impl Way {
    /// The way that an endpoint is configured with; nothing is opened yet.
    pub fn new(endpoint: &Endpoint) -> Self {
        Way::over(endpoint.transport, endpoint)
    }

    /// The configured connections of an endpoint, where `transport` is in use.
    pub fn over(transport: &'static dyn Transport, endpoint: &Endpoint) -> Self {
        Way {
            transport,
            link: match &endpoint.shared {
                Some(pool) => Arc::clone(pool).link(),
                None => endpoint.transport.link(),
            },
            answered: false,
        }
    }

    /// Goes over another transport from now on.
    pub fn take(&mut self, transport: &'static dyn Transport) {
        self.transport = transport;
        self.link = transport.link();
    }

    /// Drops the connection.
    pub fn close(&mut self) {
        self.answered = false;
        self.link.close();
    }

    /// Carries a request to the server and its answer to the recorder; `None` where the
    /// connection is not what the request was written for, and it has to be written anew.
    pub async fn carry(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        leg: &mut Leg,
    ) -> Option<Result<(), Failure>> {
        let carried = match leg.live.take() {
            Some(live) => self.carry_live(endpoint, session, leg, live).await?,
            None => self.in_time(endpoint, session, leg).await?,
        };
        if let Some(probe) = self.link.probe() {
            leg.recorder.take_counts(probe.counts());
        }
        Some(carried)
    }

    async fn in_time(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        leg: &mut Leg,
    ) -> Option<Result<(), Failure>> {
        let carried = tokio::time::timeout_at(leg.deadline, self.converse(endpoint, session, leg));
        carried.await.unwrap_or(Some(Err(Failure::Deadline)))
    }

    /// The same, with somebody who reads along and may stop it, wherever it is.
    async fn carry_live(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        leg: &mut Leg,
        mut live: Live,
    ) -> Option<Result<(), Failure>> {
        leg.recorder.tap(Some(live.tap()));
        let route = CancelRoute::of(endpoint, self.transport, live.response_id());
        let (mut stop, mut carried, mut seen) = (None, None, None);
        {
            let mut conversing = pin!(self.in_time(endpoint, session, leg));
            tokio::select! {
                biased;
                order = live.stopped() => stop = Some(order),
                ended = &mut conversing => carried = Some(ended),
            }
            if let (Some(_), Some(route)) = (stop, route) {
                seen = Some(cancelled(route, conversing).await);
            }
        }
        let result = if let Some(order) = stop {
            let seen = match seen {
                Some(seen) => {
                    self.close();
                    seen
                }
                None => {
                    let patience = order.patience();
                    self.link.stop(patience, &mut leg.recorder).await
                }
            };
            let ended = seen.ended;
            leg.stopped = Some(order);
            live.tell(seen);
            Some(if ended { Ok(()) } else { Err(Failure::Stopped) })
        } else {
            carried.flatten()
        };
        if let Some(tap) = leg.recorder.take_tap() {
            live.take_back(tap);
        }
        leg.live = Some(live);
        result
    }

    async fn converse(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        leg: &mut Leg,
    ) -> Option<Result<(), Failure>> {
        if !leg.connected {
            let kept_state = self.transport.keeps_state();
            let lane = self.link.lane().map(str::to_owned);
            let same_connection = match self.connect(endpoint, &mut leg.recorder).await {
                Ok(same) => same,
                Err(failure) => return Some(Err(failure)),
            };
            leg.connected = true;
            let refused = self.transport.keeps_state() != kept_state;
            if refused && leg.warm_up {
                let nothing = "the server takes no WebSocket, and HTTP keeps nothing to warm up";
                return Some(Err(Failure::Connect(nothing.into())));
            }
            // Over HTTP the request looks different, and a new connection remembers nothing.
            let renamed = self.link.lane() != lane.as_deref();
            if refused || renamed || leg.incremental && !same_connection {
                return None;
            }
        }
        leg.recorder.set_incremental(leg.incremental);
        let body = std::mem::take(&mut leg.body);
        let sent = self
            .link
            .send(endpoint, session, body, &mut leg.recorder)
            .await;
        self.answered |= sent.is_ok();
        Some(sent)
    }

    /// Makes sure a connection is open; false when it is not the one of the exchange
    /// before. A server that refuses the transport is spoken to over the one it falls back
    /// to from then on; the exchange records the transport really used.
    async fn connect(
        &mut self,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<bool, Failure> {
        let connected = self.link.connect(endpoint, recorder).await;
        let connected = match (connected, self.transport.fallback()) {
            (Err(failure), Some(fallback)) if failure.refuses_upgrade() => {
                recorder.upgrade_refused();
                recorder.remark(format!(
                    "the server refuses the WebSocket: {failure}; {} is used instead",
                    fallback.name()
                ));
                self.take(fallback);
                self.link.connect(endpoint, recorder).await
            }
            (connected, _) => connected,
        };
        if !matches!(connected, Ok(true)) {
            self.answered = false;
        }
        connected
    }
}

/// Calls the route that cancels, and reads on until the answer ends, or for as long as is
/// waited for that.
async fn cancelled(
    route: CancelRoute<'_>,
    mut answering: Pin<&mut impl Future<Output = Option<Result<(), Failure>>>>,
) -> StopSeen {
    let mut seen = StopSeen::silent(StopWay::CancelRoute);
    let mut ended = None;
    {
        let mut cancelling = pin!(route.call());
        let cancelled = loop {
            tokio::select! {
                biased;
                end = &mut answering, if ended.is_none() => ended = Some(end),
                cancelled = &mut cancelling => break cancelled,
            }
        };
        match cancelled {
            Ok(at) => seen.confirmed = Some(at),
            Err(problem) => seen.refused = Some(problem),
        }
    }
    if ended.is_none() {
        ended = tokio::time::timeout(MAX_QUIET, answering).await.ok();
    }
    seen.ended = matches!(ended, Some(Some(Ok(()))));
    seen
}
