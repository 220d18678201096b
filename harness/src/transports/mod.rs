//! What carries a protocol: bytes out, timed payloads in.

mod http_sse;
mod websocket;

use serde::{Deserialize, Serialize};

use crate::connection::{self, Connection, Probe};
use crate::exchange::{Endpoint, Failure, Recorder};

/// Most bytes of one response that are read.
const MAX_RESPONSE_MIB: usize = 32;

const USER_AGENT: &str = concat!("timeslip/", env!("CARGO_PKG_VERSION"));

/// Headers that depend on the endpoint alone.
fn headers(endpoint: &Endpoint) -> impl Iterator<Item = (String, String)> + '_ {
    let key = endpoint.key.as_ref().map(|key| key.0.as_str());
    let own = endpoint.protocol.headers(key, &endpoint.extra).into_iter();
    own.map(|(name, value)| (name.to_owned(), value))
        .chain(endpoint.headers.iter().cloned())
}

/// Opens a connection within the endpoint's patience.
async fn open(endpoint: &Endpoint) -> Result<Connection, Failure> {
    tokio::time::timeout(endpoint.idle_timeout, connection::open(&endpoint.target))
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
    /// One persistent WebSocket.
    Websocket,
}

impl Kind {
    /// The configuration name, also used in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::HttpSse => "http-sse",
            Kind::Websocket => "websocket",
        }
    }
}

/// A transport and its connection, if one is open.
#[derive(Debug)]
pub enum Transport {
    /// See [`Kind::HttpSse`].
    HttpSse(Option<http_sse::Connected>),
    /// See [`Kind::Websocket`].
    Websocket(Option<Box<websocket::Connected>>),
}

impl Transport {
    /// A transport without a connection.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::HttpSse => Transport::HttpSse(None),
            Kind::Websocket => Transport::Websocket(None),
        }
    }

    /// Name of the transport in use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Transport::HttpSse(_) => Kind::HttpSse.name(),
            Transport::Websocket(_) => Kind::Websocket.name(),
        }
    }

    /// Whether the server keeps the conversation's state on the connection.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        matches!(self, Transport::Websocket(_))
    }

    /// Whether a connection is open, as far as known without asking it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.probe().is_some()
    }

    /// Drops the connection.
    pub fn close(&mut self) {
        match self {
            Transport::HttpSse(connected) => *connected = None,
            Transport::Websocket(connected) => *connected = None,
        }
    }

    /// Times and counts of the open connection.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        match self {
            Transport::HttpSse(connected) => connected.as_ref().map(|open| open.probe()),
            Transport::Websocket(connected) => connected.as_ref().map(|open| open.probe()),
        }
    }

    /// Makes sure a connection is open.
    ///
    /// A server that answers a WebSocket upgrade with 426 is spoken to over HTTP
    /// from then on; the exchange records the transport really used.
    ///
    /// # Errors
    /// [`Failure::Connect`] or [`Failure::Status`].
    pub async fn connect(
        &mut self,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        if let Transport::Websocket(connected) = self {
            match connected {
                Some(_) => recorder.reuse_connection(),
                None => match websocket::Connected::open(endpoint, recorder).await {
                    Ok(open) => *connected = Some(Box::new(open)),
                    Err(Failure::Status { status: 426, .. }) => *self = Transport::HttpSse(None),
                    Err(failure) => return Err(failure),
                },
            }
        }
        if let Transport::HttpSse(connected) = self {
            let usable = match connected {
                Some(open) => open.settle().await,
                None => false,
            };
            if usable {
                recorder.reuse_connection();
            } else {
                // What the old connection measured must not be taken for the new one's.
                *connected = None;
                *connected = Some(http_sse::Connected::open(endpoint, recorder).await?);
            }
        }
        Ok(())
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
        match self {
            Transport::HttpSse(Some(connected)) => {
                connected.converse(endpoint, body, recorder).await
            }
            Transport::Websocket(Some(connected)) => {
                connected.converse(endpoint, body, recorder).await
            }
            Transport::HttpSse(None) | Transport::Websocket(None) => {
                Err(Failure::Connect("not connected".into()))
            }
        }
    }
}
