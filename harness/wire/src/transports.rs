//! What carries a protocol: bytes out, timed payloads in.
//!
//! A new transport is one file here and one line in [`TRANSPORTS`].

mod cancel_route;
mod earlier;
mod endpoint;
mod http;
mod http2_sse;
mod http_sse;
mod own;
mod websocket;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use cancel_route::CancelRoute;
pub use earlier::Earlier;
pub use endpoint::{Endpoint, Secret};
pub use http::{Body, refusal};

use crate::connection::{self, Application, Connection, Probe};
use crate::failure::Failure;
use crate::live::StopSeen;
use crate::protocols::Protocol;
use crate::recorder::Recorder;

/// Most bytes of one response that are read.
const MAX_RESPONSE_MIB: usize = 32;

/// How long an answer is read on that was cancelled and does not end.
pub(crate) const MAX_QUIET: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("timeslip/", env!("CARGO_PKG_VERSION"));

/// A future of a trait object. An exchange takes a few, an event none.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to carry exchanges.
pub trait Transport: Send + Sync + Debug {
    /// The configuration name, also used in the journal.
    fn name(&self) -> &'static str;
    /// What its connections speak.
    fn application(&self) -> Application {
        Application::Http1
    }
    /// Whether it can carry a protocol.
    fn carries(&self, _protocol: &dyn Protocol) -> bool {
        true
    }
    /// Whether the server keeps the conversation's state on the connection.
    fn keeps_state(&self) -> bool {
        false
    }
    /// Whether messages can be compressed.
    fn compresses(&self) -> bool {
        false
    }
    /// The transport to go on with where a server refuses this one.
    fn fallback(&self) -> Option<&'static dyn Transport> {
        None
    }
    /// A link for one conversation; nothing is opened yet.
    fn link(&self) -> Box<dyn Link>;
    /// Connections that conversations of one endpoint share, where the protocol lets them.
    fn pool(&self, _protocol: &dyn Protocol) -> Option<Arc<dyn Pool>> {
        None
    }
}

/// Connections that the conversations of one endpoint share.
pub trait Pool: Send + Sync + Debug {
    /// A link for one conversation; nothing is opened yet.
    fn link(self: Arc<Self>) -> Box<dyn Link>;
}

/// One conversation's way to the server, opened when it is needed.
pub trait Link: Send + Debug {
    /// Settles what a request has to name, before it is written and sent.
    fn prepare(&mut self) {}
    /// The lane of a shared connection this conversation has.
    fn lane(&self) -> Option<&str> {
        None
    }
    /// Whether a connection is open, as far as known without asking it.
    fn is_open(&self) -> bool;
    /// Times and counts of the open connection, if it is this conversation's own.
    fn probe(&self) -> Option<&Probe>;
    /// Makes sure a connection is open; false when it is not the one, or not the lane, of
    /// the exchange before. Fails with [`Failure::Connect`], [`Failure::Status`] or
    /// [`Failure::Idle`].
    fn connect<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<bool, Failure>>;
    /// Sends a body of the conversation with the id `session`, and feeds the response to
    /// the recorder until its terminal event. After a failure the connection is of no
    /// further use.
    fn send<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        session: &'a str,
        body: Vec<u8>,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<(), Failure>>;
    /// Keeps an idle connection alive, and drops it once the server has. Ends only when
    /// there is nothing to keep.
    fn tend(&mut self) -> Boxed<'_, ()>;
    /// Stops the exchange that was given up in the middle, by what the transport has for
    /// that, and sees to it that nothing of it reaches the next one. What comes back of the
    /// stop is waited for with `patience`; what still comes of the answer is the recorder's.
    fn stop<'a>(
        &'a mut self,
        patience: Duration,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, StopSeen>;
    /// Drops the connection.
    fn close(&mut self);
}

/// The transports; the first is the default.
pub static TRANSPORTS: &[&dyn Transport] = &[
    &http_sse::HttpSse,
    &http2_sse::Http2Sse,
    &websocket::WebSocket,
];

/// The names of the transports, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    TRANSPORTS.iter().map(|transport| transport.name())
}

/// Finds a transport by its configuration name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Transport> {
    TRANSPORTS
        .iter()
        .copied()
        .find(|transport| transport.name() == name)
}

/// Headers that depend on the endpoint alone.
fn headers(endpoint: &Endpoint) -> impl Iterator<Item = (String, String)> + '_ {
    let key = endpoint.key.as_ref().map(|key| key.0.as_str());
    let own = endpoint.protocol.headers(key, &endpoint.extra).into_iter();
    let extra = endpoint.headers.iter();
    own.map(|(name, value)| (name.to_owned(), value))
        .chain(extra.map(|(name, value)| (name.clone(), value.0.clone())))
}

/// Opens a connection within the endpoint's longest silence.
async fn open(endpoint: &Endpoint, application: Application) -> Result<Connection, Failure> {
    let opening = connection::open(&endpoint.target, application);
    tokio::time::timeout(endpoint.idle_timeout, opening)
        .await
        .map_err(|_| Failure::Idle(endpoint.idle_timeout))?
        .map_err(Failure::Connect)
}
