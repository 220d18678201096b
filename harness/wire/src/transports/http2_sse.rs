//! HTTP/2 with server-sent events, one stream a turn on a kept-alive connection.
//!
//! As with HTTP/1.1 the task that reads the body drives the connection, one read at a
//! time, so that a payload is stamped with the read that brought it. The library is
//! used directly because it lets the client ping.

mod read_gate;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, RecvStream};
use hyper::Response;
use hyper::body::Bytes;
use timeslip_datasets::run::journal::StopWay;

use super::http::{self, Body, MAX_REST, MAX_SETTLING};
use super::own::{Connected, Own};
use super::{Endpoint, Link, Transport};
use crate::clock;
use crate::connection::{Application, Probe};
use crate::failure::Failure;
use crate::live::StopSeen;
use crate::recorder::Recorder;
use read_gate::{Gate, Gated};

/// Bytes a server may send before it hears that they were read: more than any path's
/// delay needs at the rate of a model's output.
const WINDOW: u32 = 1 << 20;
/// No honest response has longer headers.
const MAX_HEADERS: u32 = 64 << 10;

/// One HTTP/2 stream a turn, on which a stream of events answers.
#[derive(Debug)]
pub(super) struct Http2Sse;

impl Transport for Http2Sse {
    fn name(&self) -> &'static str {
        "http2-sse"
    }

    fn application(&self) -> Application {
        Application::Http2
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(Own::<Http2Connection>::new())
    }
}

/// An open HTTP/2 connection.
struct Http2Connection {
    sender: SendRequest<Bytes>,
    wire: Wire,
    /// A body whose terminal event was read, but not yet its end.
    unfinished: Option<RecvStream>,
}

impl std::fmt::Debug for Http2Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2Connection")
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}

impl Http2Connection {
    fn is_usable(&self) -> bool {
        self.wire.driver.is_some()
    }
}

impl Connected for Http2Connection {
    async fn open(endpoint: &Endpoint, recorder: &mut Recorder) -> Result<Self, Failure> {
        let connection = super::open(endpoint, Application::Http2).await?;
        recorder.connected(connection.steps, None);
        connection
            .remark
            .into_iter()
            .for_each(|what| recorder.remark(what));
        let (stream, gate) = Gated::new(connection.stream, Arc::clone(&connection.probe));
        let (sender, mut driver) = Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .handshake(stream)
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        Ok(Http2Connection {
            sender,
            wire: Wire {
                pings: driver.ping_pong(),
                pinged: None,
                driver: Some(Box::new(driver)),
                probe: connection.probe,
                gate,
            },
            unfinished: None,
        })
    }

    async fn settle(&mut self) -> bool {
        self.is_usable()
    }

    fn probe(&self) -> &Probe {
        &self.wire.probe
    }

    /// The stream was reset when its body was dropped. A ping that follows the reset comes
    /// back once the server has read both.
    async fn stop(mut self, patience: Duration, _: &mut Recorder) -> (Option<Self>, StopSeen) {
        let confirmed = tokio::time::timeout(patience, self.wire.round_trip()).await;
        let seen = StopSeen {
            confirmed: confirmed.ok().flatten(),
            ..StopSeen::silent(StopWay::Reset)
        };
        let waited = !patience.is_zero();
        let usable = self.is_usable() && (seen.confirmed.is_some() || !waited);
        (usable.then_some(self), seen)
    }

    /// Reads what is left of the previous response, or cancels it where that does not
    /// end soon, answers pings, and waits until the connection is of no further use.
    async fn tend(&mut self) {
        let unfinished = &mut self.unfinished;
        let rest = async {
            if let Some(body) = unfinished {
                // Reading for longer would take the processor from the tools.
                let _ = tokio::time::timeout(MAX_SETTLING, read_over(body)).await;
            }
            // Dropped before its end, the stream is cancelled.
            *unfinished = None;
            std::future::pending::<()>().await;
        };
        let mut rest = pin!(rest);
        poll_fn(|cx| {
            let _ = self.wire.poll(cx, &mut rest, None);
            match self.wire.driver {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            }
        })
        .await;
    }

    async fn converse(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let idle = endpoint.idle_timeout;
        let scheme = if endpoint.target.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", endpoint.target.authority());
        let head = http::head(endpoint, session, &origin)?;
        self.unfinished = None;
        self.wire.gate.arm();
        let (sender, wire) = (&mut self.sender, &mut self.wire);
        let ready = poll_fn(|cx| sender.poll_ready(cx));
        let ready = wire.drive(idle, ready, recorder).await?;
        ready.map_err(|error| wire.failed(error))?;
        wire.ping();
        let sending = sender.send_request(head, false);
        let (response, mut stream) = sending.map_err(|error| wire.failed(error))?;
        stream.send_data(body.into(), true).map_err(closed)?;
        let response = wire.drive(idle, response, recorder).await;
        recorder.sent(wire.gate.request_sent());
        let mut response = response?.map_err(|error| wire.failed(error))?;
        recorder.responding(wire.probe.arrival());
        http::take_headers(response.headers(), recorder);
        if !response.status().is_success() {
            return Err(refusal(wire, endpoint, response, recorder).await);
        }
        http::check_headers(response.headers())?;
        let mut body = Body::new(endpoint.protocol);
        loop {
            let stream = response.body_mut();
            let patience = recorder.patience(idle);
            let Ok(data) = wire.drive(patience, stream.data(), recorder).await else {
                // Dropped before its end, the stream is cancelled.
                return recorder.give_up(idle);
            };
            let arrival = wire.probe.arrival();
            let Some(data) = data else {
                return body.end(arrival, recorder);
            };
            let data = data.map_err(closed)?;
            stream
                .flow_control()
                .release_capacity(data.len())
                .map_err(closed)?;
            if body.take(&data, arrival, recorder)? {
                // The answer is whole; the end of the body can come while tools run.
                self.unfinished = Some(response.into_body());
                return Ok(());
            }
        }
    }
}

/// Reads a body to its end, or to the most that any honest one still has.
async fn read_over(body: &mut RecvStream) {
    let mut total = 0;
    while total <= MAX_REST
        && let Some(Ok(data)) = body.data().await
    {
        total += data.len();
        // Without room for more there would be no end.
        let _ = body.flow_control().release_capacity(data.len());
    }
}

async fn refusal(
    wire: &mut Wire,
    endpoint: &Endpoint,
    response: Response<RecvStream>,
    recorder: &mut Recorder,
) -> Failure {
    let (head, mut stream) = response.into_parts();
    let idle = endpoint.idle_timeout.min(http::MAX_ERROR_WAIT);
    let mut body = Vec::new();
    while body.len() < http::MAX_ERROR_BODY
        && let Ok(Some(Ok(data))) = wire.drive(idle, stream.data(), recorder).await
    {
        body.extend_from_slice(&data);
    }
    let status = head.status.as_u16();
    http::refusal(endpoint.protocol, status, &head.headers, &body)
}

fn closed(error: h2::Error) -> Failure {
    Failure::Closed(error.to_string())
}

/// What moves the bytes.
struct Wire {
    /// Gone once the connection has ended.
    driver: Option<Box<h2::client::Connection<Gated, Bytes>>>,
    probe: Arc<Probe>,
    gate: Arc<Gate>,
    pings: Option<PingPong>,
    /// When the ping that is on its way was sent.
    pinged: Option<u64>,
}

impl Wire {
    /// A failure before a response: perhaps the other side speaks something else.
    fn failed(&self, error: h2::Error) -> Failure {
        match self.gate.is_foreign() {
            true => Failure::Unsuitable(
                "the server does not speak HTTP/2 here: it answered in another protocol; use \
                 transport http-sse"
                    .into(),
            ),
            false => closed(error),
        }
    }

    /// Sends a ping with the next frames, unless one is still on its way. It goes
    /// ahead of the request, so that it waits for nothing but the path.
    fn ping(&mut self) {
        if let Some(pings) = &mut self.pings
            && self.pinged.is_none()
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.pinged = Some(clock::now());
        }
    }

    /// Runs a future while driving the connection under it.
    async fn drive<F: Future>(
        &mut self,
        idle: Duration,
        future: F,
        recorder: &mut Recorder,
    ) -> Result<F::Output, Failure> {
        let mut future = pin!(future);
        let driven = poll_fn(|cx| self.poll(cx, &mut future, Some(recorder)));
        tokio::time::timeout(idle, driven)
            .await
            .map_err(|_| Failure::Idle(idle))
    }

    /// The future goes first: what it can take has been read already, and must be
    /// stamped before the next read.
    fn poll<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        future: &mut Pin<&mut F>,
        mut recorder: Option<&mut Recorder>,
    ) -> Poll<F::Output> {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            let Some(driver) = &mut self.driver else {
                return Poll::Pending;
            };
            self.gate.open();
            if Pin::new(driver).poll(cx).is_ready() {
                self.driver = None;
                continue;
            }
            self.take_pong(cx, recorder.as_deref_mut());
            if !self.gate.has_read() {
                // What it wrote may be all that the future waited for.
                return future.as_mut().poll(cx);
            }
        }
    }

    /// Writes what is to be written, then a ping, and waits for its pong; when that came.
    async fn round_trip(&mut self) -> Option<u64> {
        // The one of the request may still be on its way.
        if !self.has_pong().await {
            return None;
        }
        self.ping();
        let asked = self.pinged.is_some();
        (asked && self.has_pong().await).then(|| self.probe.arrival().at)
    }

    /// Moves the bytes until no ping is on its way; false where the connection ends before.
    async fn has_pong(&mut self) -> bool {
        poll_fn(|cx| {
            let mut never = pin!(std::future::pending::<()>());
            let _ = self.poll(cx, &mut never, None);
            match (&self.driver, self.pinged) {
                (None, _) => Poll::Ready(false),
                (Some(_), None) => Poll::Ready(true),
                (Some(_), Some(_)) => Poll::Pending,
            }
        })
        .await
    }

    fn take_pong(&mut self, cx: &mut Context<'_>, recorder: Option<&mut Recorder>) {
        if let (Some(pings), Some(pinged)) = (&mut self.pings, self.pinged)
            && let Poll::Ready(pong) = pings.poll_pong(cx)
        {
            self.pinged = None;
            if let (Ok(_), Some(recorder)) = (pong, recorder) {
                recorder.pong(self.probe.arrival(), pinged);
            }
        }
    }
}
