//! HTTP/1.1 with server-sent events, one request a turn on a kept-alive connection.
//!
//! The connection is driven by the task that reads the body, not by a task of its
//! own, so that a payload is stamped with the read that brought it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;

use super::MAX_RESPONSE_MIB;
use crate::connection::{Duplex, Probe};
use crate::exchange::split::{self, Piece, Splitter};
use crate::exchange::{Endpoint, Failure, Recorder};

/// Bytes of an error body that are kept.
const MAX_ERROR_BODY: usize = 2_000;
/// Longest silence inside an error body.
const MAX_ERROR_WAIT: Duration = Duration::from_secs(2);
/// Bytes after a terminal event that are read over to keep a connection.
const MAX_REST: usize = 64 << 10;
/// Time the end of a response may take before a new connection is cheaper.
const MAX_SETTLING: Duration = Duration::from_millis(50);

/// What moves the bytes of a connection; gone once the connection has ended.
type Driver = Box<http1::Connection<TokioIo<Box<dyn Duplex>>, Full<Bytes>>>;

/// An open HTTP connection.
pub struct Connected {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Driver>,
    probe: Arc<Probe>,
    /// A body whose terminal event was read, but not yet its end.
    unfinished: Option<Incoming>,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected")
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}

impl Connected {
    pub(super) async fn open(
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<Self, Failure> {
        let connection = super::open(endpoint).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(connection.stream))
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        recorder.connected(connection.steps, None);
        Ok(Connected {
            sender,
            driver: Some(Box::new(driver)),
            probe: connection.probe,
            unfinished: None,
        })
    }

    /// Reads what is left of the previous response. False when the connection
    /// cannot be used again: it has ended, or that response does not.
    pub(super) async fn settle(&mut self) -> bool {
        if let Some(mut body) = self.unfinished.take() {
            let driver = &mut self.driver;
            let rest = async {
                let mut total = 0;
                while total <= MAX_REST {
                    match drive(driver, MAX_SETTLING, body.frame()).await {
                        Ok(None) => return true,
                        Ok(Some(Ok(frame))) => total += frame.data_ref().map_or(0, Bytes::len),
                        _ => break,
                    }
                }
                false
            };
            if !tokio::time::timeout(MAX_SETTLING, rest)
                .await
                .unwrap_or(false)
            {
                return false;
            }
        }
        self.is_usable()
    }

    fn is_usable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    pub(super) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Sends a body and feeds the response to the recorder until its terminal event.
    pub(super) async fn converse(
        &mut self,
        endpoint: &Endpoint,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let idle = endpoint.idle_timeout;
        let request = build(endpoint, body)?;
        let response = self.sender.send_request(request);
        let mut response = drive(&mut self.driver, idle, response)
            .await?
            .map_err(|error| Failure::Closed(error.to_string()))?;
        recorder.sent(&self.probe);
        recorder.responding(self.probe.arrival());
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                recorder.header(name.as_str(), value);
            }
        }
        if !response.status().is_success() {
            return Err(self.error_status(idle, response).await);
        }
        let mut splitter = Splitter::new(endpoint.protocol.format());
        let mut done = false;
        let mut total = 0;
        while let Some(frame) = drive(&mut self.driver, idle, response.frame()).await? {
            let frame = frame.map_err(|error| Failure::Closed(error.to_string()))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            total += data.len();
            if total > MAX_RESPONSE_MIB << 20 {
                return Err(Failure::TooLarge(MAX_RESPONSE_MIB));
            }
            let arrival = self.probe.arrival();
            let mut failure = None;
            splitter
                .feed(data, |piece| match piece {
                    _ if done || failure.is_some() => {}
                    Piece::KeepAlive => recorder.keep_alive(),
                    Piece::Payload(payload) => match recorder.payload(arrival, payload) {
                        Ok(end) => done = end,
                        Err(error) => failure = Some(error),
                    },
                })
                .map_err(|_| Failure::TooLarge(split::MAX_PAYLOAD >> 20))?;
            if let Some(error) = failure {
                return Err(error.into());
            }
            if done {
                // The answer is whole; the end of the body can come while tools run.
                self.unfinished = Some(response.into_body());
                return Ok(());
            }
        }
        if recorder.end() {
            return Ok(());
        }
        Err(Failure::Closed("no terminal event".into()))
    }

    async fn error_status(&mut self, idle: Duration, mut response: Response<Incoming>) -> Failure {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        let idle = idle.min(MAX_ERROR_WAIT);
        while body.len() < MAX_ERROR_BODY
            && let Ok(Some(Ok(frame))) = drive(&mut self.driver, idle, response.frame()).await
        {
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        body.truncate(MAX_ERROR_BODY);
        let text = String::from_utf8_lossy(&body);
        let message = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|value| Some(value["error"]["message"].as_str()?.to_owned()))
            .unwrap_or_else(|| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Failure::Status {
            status,
            message,
            retry_after,
        }
    }
}

/// Runs a future while driving the connection under it. The future goes first: what
/// it can take has been read already, and must be stamped before the next read.
async fn drive<F: Future>(
    driver: &mut Option<Driver>,
    idle: Duration,
    future: F,
) -> Result<F::Output, Failure> {
    let mut future = pin!(future);
    let driven = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            let Some(connection) = driver else {
                return Poll::Pending;
            };
            match Pin::new(connection).poll(cx) {
                Poll::Ready(_) => *driver = None,
                Poll::Pending => break,
            }
        }
        // The connection may just have produced what the future waits for; it has
        // been woken, but asking now saves a trip through the scheduler.
        future.as_mut().poll(cx)
    });
    tokio::time::timeout(idle, driven)
        .await
        .map_err(|_| Failure::Idle(idle))
}

fn build(endpoint: &Endpoint, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!(
            "{}{}",
            endpoint.target.path,
            endpoint.protocol.path(&endpoint.model)
        ))
        .header(header::HOST, endpoint.target.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::USER_AGENT, super::USER_AGENT);
    for (name, value) in super::headers(endpoint) {
        request = request.header(name, value);
    }
    request.body(Full::new(body.into())).map_err(|error| {
        Failure::Connect(format!("endpoint {}: bad header: {error}", endpoint.name))
    })
}
