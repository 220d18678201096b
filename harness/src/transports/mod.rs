//! What carries a protocol: bytes out, timed payloads in.

pub(crate) mod deflate;
mod earlier;
mod frames;
mod http;
mod http2_sse;
mod http_sse;
mod lanes;
mod upgrade;
mod websocket;

pub use lanes::Shared;

use serde::{Deserialize, Serialize};

use crate::connection::{self, Application, Connection, Probe};
use crate::exchange::{Endpoint, Failure, Recorder};
use crate::protocols::Protocol;

/// Most bytes of one response that are read.
const MAX_RESPONSE_MIB: usize = 32;

const USER_AGENT: &str = concat!("timeslip/", env!("CARGO_PKG_VERSION"));

/// Headers that depend on the endpoint alone.
fn headers(endpoint: &Endpoint) -> impl Iterator<Item = (String, String)> + '_ {
    let key = endpoint.key.as_ref().map(|key| key.0.as_str());
    let own = endpoint.protocol.headers(key, &endpoint.extra).into_iter();
    let extra = endpoint.headers.iter();
    own.map(|(name, value)| (name.to_owned(), value))
        .chain(extra.map(|(name, value)| (name.clone(), value.0.clone())))
}

/// Opens a connection within the endpoint's patience.
async fn open(endpoint: &Endpoint) -> Result<Connection, Failure> {
    let opening = connection::open(&endpoint.target, endpoint.transport.application());
    tokio::time::timeout(endpoint.idle_timeout, opening)
        .await
        .map_err(|_| Failure::Idle(endpoint.idle_timeout))?
        .map_err(Failure::Connect)
}

/// The transports by their configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One HTTP request a turn, answered by server-sent events.
    HttpSse,
    /// The same over HTTP/2.
    Http2Sse,
    /// One persistent WebSocket.
    Websocket,
}

impl Kind {
    /// Every transport, the default first.
    pub const ALL: [Kind; 3] = [Kind::HttpSse, Kind::Http2Sse, Kind::Websocket];

    /// Whether it can carry a protocol.
    #[must_use]
    pub fn carries(self, protocol: &dyn Protocol) -> bool {
        self != Kind::Websocket || protocol.has_websocket()
    }

    /// The configuration name, also used in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::HttpSse => "http-sse",
            Kind::Http2Sse => "http2-sse",
            Kind::Websocket => "websocket",
        }
    }

    /// What its connections speak.
    #[must_use]
    pub const fn application(self) -> Application {
        match self {
            Kind::HttpSse | Kind::Websocket => Application::Http1,
            Kind::Http2Sse => Application::Http2,
        }
    }
}

/// A transport and its connection, if one is open.
#[derive(Debug)]
pub struct Transport {
    kind: Kind,
    /// What it goes back to after a turn that has to go over HTTP.
    after_detour: Option<Kind>,
    /// Stable id of the conversation.
    session: String,
    open: Option<Open>,
    /// The open connection has carried an answer of this conversation.
    answered: bool,
}

/// An open connection.
#[derive(Debug)]
enum Open {
    HttpSse(Box<http_sse::Connected>),
    Http2Sse(Box<http2_sse::Connected>),
    Websocket(Box<websocket::Connected>),
    Lane(Box<lanes::Lane>),
}

impl Transport {
    /// A transport without a connection, for the conversation with this id.
    #[must_use]
    pub fn new(kind: Kind, session: String) -> Self {
        Transport {
            kind,
            after_detour: None,
            session,
            open: None,
            answered: false,
        }
    }

    /// Goes over HTTP for the rest of this turn; false when it does already.
    pub fn detour(&mut self) -> bool {
        let detours = self.kind == Kind::Websocket;
        if detours {
            self.after_detour = Some(std::mem::replace(&mut self.kind, Kind::HttpSse));
            self.close();
        }
        detours
    }

    /// Ends a detour: the next turn goes the usual way.
    pub fn end_detour(&mut self) {
        if let Some(kind) = self.after_detour.take() {
            self.kind = kind;
            self.close();
        }
    }

    /// Whether the open connection has carried an answer of this conversation.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Name of the transport in use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Whether the server keeps the conversation's state on the connection.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        self.kind == Kind::Websocket
    }

    /// Whether a connection is open, as far as known without asking it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.open {
            Some(Open::Lane(lane)) => lane.is_open(),
            open => open.is_some(),
        }
    }

    /// The lane of a shared connection this conversation has.
    #[must_use]
    pub fn lane(&self) -> Option<&str> {
        match &self.open {
            Some(Open::Lane(lane)) => Some(lane.name()),
            _ => None,
        }
    }

    /// Settles what a request has to name, before it is written and sent.
    pub fn prepare(&mut self, endpoint: &Endpoint) {
        if let (Kind::Websocket, None, Some(shared)) = (self.kind, &self.open, &endpoint.shared) {
            self.open = Some(Open::Lane(Box::new(shared.lease())));
        }
    }

    /// Drops the connection.
    pub fn close(&mut self) {
        self.open = None;
        self.answered = false;
    }

    /// Times and counts of the open connection, if it is this conversation's own.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        match self.open.as_ref()? {
            Open::HttpSse(open) => Some(open.probe()),
            Open::Http2Sse(open) => Some(open.probe()),
            Open::Websocket(open) => Some(open.probe()),
            Open::Lane(_) => None,
        }
    }

    /// Makes sure a connection is open; false when it is not the one, or not the lane,
    /// of the exchange before.
    ///
    /// A server that refuses a WebSocket upgrade, and not only for now, is spoken to over
    /// HTTP from then on; the exchange records why, and the transport really used.
    ///
    /// # Errors
    /// [`Failure::Connect`], [`Failure::Status`] or [`Failure::Idle`].
    pub async fn connect(
        &mut self,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<bool, Failure> {
        // From here on what the connection counts belongs to this exchange, also when
        // it ends before anything is sent.
        if let Some(probe) = self.probe() {
            probe.arm();
        }
        let usable = match &mut self.open {
            Some(Open::HttpSse(open)) => {
                let unsettled = open.is_unsettled();
                let usable = open.settle().await;
                if unsettled {
                    recorder.settled();
                }
                usable
            }
            Some(Open::Http2Sse(open)) => open.is_usable(),
            Some(Open::Websocket(open)) => !open.is_old(),
            Some(Open::Lane(lane)) => lane.is_open(),
            None => false,
        };
        if usable {
            recorder.reuse_connection();
            return Ok(true);
        }
        // What the old connection measured must not be taken for the new one's.
        let before = self.open.take();
        self.answered = false;
        self.open = Some(self.establish(before, endpoint, recorder).await?);
        Ok(false)
    }

    async fn establish(
        &mut self,
        before: Option<Open>,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<Open, Failure> {
        if self.kind == Kind::Websocket {
            let opened = match &endpoint.shared {
                Some(shared) => open_lane(before, shared, endpoint, recorder).await,
                None => websocket::Connected::open(endpoint, recorder)
                    .await
                    .map(|open| Open::Websocket(Box::new(open))),
            };
            match opened {
                Ok(open) => return Ok(open),
                Err(Failure::Status {
                    status, message, ..
                }) if refuses_upgrade(status) => {
                    recorder.upgrade_refused();
                    recorder.remark(format!(
                        "the server refuses the WebSocket: HTTP {status}: {message}; HTTP is \
                         used instead"
                    ));
                    self.kind = Kind::HttpSse;
                }
                Err(failure) => return Err(failure),
            }
        }
        if self.kind == Kind::Http2Sse {
            let open = http2_sse::Connected::open(endpoint, recorder).await?;
            return Ok(Open::Http2Sse(Box::new(open)));
        }
        let open = http_sse::Connected::open(endpoint, recorder).await?;
        Ok(Open::HttpSse(Box::new(open)))
    }

    /// Sends a body and feeds the response to the recorder until its terminal event.
    ///
    /// # Errors
    /// Any [`Failure`]; the connection is then of no further use.
    pub async fn send(
        &mut self,
        endpoint: &Endpoint,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        if let Some(probe) = self.probe() {
            probe.arm();
        }
        recorder.sending(body.len());
        let session = self.session.as_str();
        let result = match &mut self.open {
            Some(Open::HttpSse(open)) => open.converse(endpoint, session, body, recorder).await,
            Some(Open::Http2Sse(open)) => open.converse(endpoint, session, body, recorder).await,
            Some(Open::Websocket(open)) => open.converse(endpoint, body, recorder).await,
            Some(Open::Lane(lane)) => lane.converse(endpoint, body, recorder).await,
            None => Err(Failure::Connect("not connected".into())),
        };
        self.answered |= result.is_ok();
        result
    }

    /// Keeps an idle connection alive, and drops it once the server has. Ends only
    /// when there is nothing to keep.
    pub async fn tend(&mut self) {
        match &mut self.open {
            Some(Open::HttpSse(open)) => open.tend().await,
            Some(Open::Http2Sse(open)) => open.tend().await,
            Some(Open::Websocket(open)) => open.tend().await,
            // A shared connection looks after itself.
            Some(Open::Lane(_)) => std::future::pending().await,
            None => {}
        }
        self.open = None;
    }
}

/// Whether a status says that there is no WebSocket here: neither that the key is wrong,
/// nor that the server is busy or broken just now.
fn refuses_upgrade(status: u16) -> bool {
    match status {
        401 | 402 | 407 | 408 | 409 | 425 | 429 => false,
        500..=599 => matches!(status, 501 | 505),
        _ => true,
    }
}

/// Connects the lane that was taken, or another one when its connection has ended.
async fn open_lane(
    taken: Option<Open>,
    shared: &Shared,
    endpoint: &Endpoint,
    recorder: &mut Recorder,
) -> Result<Open, Failure> {
    let lane = match taken {
        Some(Open::Lane(lane)) if !lane.has_ended() => lane,
        _ => Box::new(shared.lease()),
    };
    lane.connect(endpoint, recorder).await?;
    Ok(Open::Lane(lane))
}
