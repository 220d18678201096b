//! HTTP/1.1 with server-sent events, one request a turn on a kept-alive connection.
//!
//! The connection is driven by the task that reads the body, not by a task of its
//! own, so that a payload is stamped with the read that brought it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use timeslip_datasets::run::journal::StopWay;

use super::http::{self, Body, MAX_REST, MAX_SETTLING};
use super::own::{Connected, Own};
use super::{Endpoint, Link, Transport};
use crate::connection::{Application, Duplex, Probe};
use crate::failure::Failure;
use crate::live::StopSeen;
use crate::recorder::Recorder;

/// One HTTP request a turn, answered by a stream of events.
#[derive(Debug)]
pub(super) struct HttpSse;

impl Transport for HttpSse {
    fn name(&self) -> &'static str {
        "http-sse"
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(Own::<HttpConnection>::new())
    }
}

/// What moves the bytes of a connection; gone once the connection has ended.
type Driver = Box<http1::Connection<TokioIo<Box<dyn Duplex>>, Full<Bytes>>>;

/// An open HTTP connection.
struct HttpConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Driver>,
    probe: Arc<Probe>,
    /// A body whose terminal event was read, but not yet its end.
    unfinished: Option<Incoming>,
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConnection")
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}

impl Connected for HttpConnection {
    async fn open(endpoint: &Endpoint, recorder: &mut Recorder) -> Result<Self, Failure> {
        let connection = super::open(endpoint, Application::Http1).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(connection.stream))
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        recorder.connected(connection.steps, None);
        connection
            .remark
            .into_iter()
            .for_each(|what| recorder.remark(what));
        Ok(HttpConnection {
            sender,
            driver: Some(Box::new(driver)),
            probe: connection.probe,
            unfinished: None,
        })
    }

    /// False when the connection has ended, or when the previous response does not end.
    async fn settle(&mut self) -> bool {
        if let Some(body) = &mut self.unfinished {
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
            self.unfinished = None;
        }
        self.is_usable()
    }

    async fn tend(&mut self) {
        if self.settle().await
            && let Some(driver) = &mut self.driver
        {
            // An error ends the connection as its regular end does.
            let _ = driver.await;
            self.driver = None;
        }
    }

    fn is_unsettled(&self) -> bool {
        self.unfinished.is_some()
    }

    fn probe(&self) -> &Probe {
        &self.probe
    }

    /// There is nothing but closing: the server has no word for an answer in the middle.
    async fn stop(self, _: Duration, _: &mut Recorder) -> (Option<Self>, StopSeen) {
        drop(self);
        (None, StopSeen::silent(StopWay::Close))
    }

    async fn converse(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let idle = endpoint.idle_timeout;
        let request = build(endpoint, session, body)?;
        let response = self.sender.send_request(request);
        let mut response = drive(&mut self.driver, idle, response)
            .await?
            .map_err(|error| Failure::Closed(error.to_string()))?;
        recorder.sent(self.probe.last_write());
        recorder.responding(self.probe.arrival());
        http::take_headers(response.headers(), recorder);
        if !response.status().is_success() {
            return Err(self.refusal(endpoint, response).await);
        }
        http::check_headers(response.headers())?;
        let mut body = Body::new(endpoint.protocol);
        loop {
            let patience = recorder.patience(idle);
            let Ok(frame) = drive(&mut self.driver, patience, response.frame()).await else {
                self.unfinished = Some(response.into_body());
                return recorder.give_up(idle);
            };
            let arrival = self.probe.arrival();
            let Some(frame) = frame else {
                return body.end(arrival, recorder);
            };
            let frame = frame.map_err(|error| Failure::Closed(error.to_string()))?;
            if let Some(data) = frame.data_ref()
                && body.take(data, arrival, recorder)?
            {
                // The answer is whole; the end of the body can come while tools run.
                self.unfinished = Some(response.into_body());
                return Ok(());
            }
        }
    }
}

impl HttpConnection {
    fn is_usable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }

    async fn refusal(&mut self, endpoint: &Endpoint, mut response: Response<Incoming>) -> Failure {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let idle = endpoint.idle_timeout.min(http::MAX_ERROR_WAIT);
        let mut body = Vec::new();
        while body.len() < http::MAX_ERROR_BODY
            && let Ok(Some(Ok(frame))) = drive(&mut self.driver, idle, response.frame()).await
        {
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        http::refusal(endpoint.protocol, status, &headers, &body)
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

fn build(
    endpoint: &Endpoint,
    session: &str,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = http::head(endpoint, session, "")?;
    let host = header::HeaderValue::try_from(endpoint.target.authority())
        .map_err(|_| Failure::Connect(format!("endpoint {}: bad host", endpoint.name)))?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request.map(|()| Full::new(body.into())))
}
