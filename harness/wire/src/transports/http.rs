//! What HTTP/1.1 and HTTP/2 have in common: the request's head, the response's
//! headers, and a body that is a stream of payloads.

use std::time::Duration;

use hyper::header::{self, HeaderMap};
use hyper::{Method, Request};
use serde_json::Value;

use super::{Endpoint, MAX_RESPONSE_MIB};
use crate::connection::Arrival;
use crate::failure::Failure;
use crate::framing::{self, Piece, Splitter};
use crate::protocols::{Protocol, server_error};
use crate::recorder::Recorder;
use crate::retry_after::{in_words, retry_after};

/// Bytes of an error body that are read: some say much before what matters.
pub(super) const MAX_ERROR_BODY: usize = 16 << 10;
/// Longest silence inside an error body.
pub(super) const MAX_ERROR_WAIT: Duration = Duration::from_secs(2);
/// Bytes after a terminal event that are read over to keep a connection.
pub(super) const MAX_REST: usize = 64 << 10;
/// Time the end of a response may take before doing without it is cheaper.
pub(super) const MAX_SETTLING: Duration = Duration::from_millis(50);

/// The request without its body, of the conversation with the id `session`; its URI begins
/// with `origin`.
pub(super) fn head(
    endpoint: &Endpoint,
    session: &str,
    origin: &str,
) -> Result<Request<()>, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!(
            "{origin}{}{}",
            endpoint.target.path,
            endpoint.protocol.path(&endpoint.model)
        ))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::USER_AGENT, super::USER_AGENT);
    for (name, value) in super::headers(endpoint) {
        request = request.header(name, value);
    }
    let is_set = |name| {
        let headers = request.headers_ref();
        headers.is_some_and(|headers| headers.contains_key(name))
    };
    if let Some(name) = endpoint.protocol.session_header()
        && !is_set(name)
    {
        request = request.header(name, session);
    }
    request.body(()).map_err(|error| {
        Failure::Connect(format!("endpoint {}: bad header: {error}", endpoint.name))
    })
}

/// Hands the headers of a response to the recorder.
pub(super) fn take_headers(headers: &HeaderMap, recorder: &mut Recorder) {
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            recorder.header(name.as_str(), value);
        }
    }
}

/// A response whose status is no success, in its own words where it has some.
pub(super) fn refusal(
    protocol: &dyn Protocol,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Failure {
    let body = &body[..body.len().min(MAX_ERROR_BODY)];
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    // Some servers wrap it in a list.
    let wrapped = said.get(0).unwrap_or(&said);
    let error = &wrapped["error"];
    let message = error["message"].as_str().or(error.as_str());
    let message = message.map_or_else(|| one_line(body), str::to_owned);
    let in_headers = retry_after(|name| Some(headers.get(name)?.to_str().ok()?.into()));
    Failure::Status {
        status,
        retry_after: in_headers
            .or_else(|| protocol.asked_wait(error))
            .or_else(|| in_words(&message)),
        message,
    }
}

/// A response body on its way into a recorder.
pub(super) struct Body {
    splitter: Splitter,
    bytes: usize,
    /// The start of a body in which no payload has been found yet: when none ever is,
    /// it is what the server said instead.
    unread: Option<Vec<u8>>,
}

impl Body {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Body {
            splitter: Splitter::new(endpoint.protocol.format()),
            bytes: 0,
            unread: Some(Vec::new()),
        }
    }

    /// Takes bytes that arrived together; true at the terminal event.
    pub(super) fn take(
        &mut self,
        data: &[u8],
        arrival: Arrival,
        recorder: &mut Recorder,
    ) -> Result<bool, Failure> {
        self.bytes += data.len();
        if self.bytes > MAX_RESPONSE_MIB << 20 {
            return Err(Failure::TooLarge(MAX_RESPONSE_MIB));
        }
        if let Some(unread) = &mut self.unread {
            let room = MAX_ERROR_BODY.saturating_sub(unread.len());
            unread.extend_from_slice(&data[..data.len().min(room)]);
        }
        let mut done = false;
        let mut failure = None;
        let unread = &mut self.unread;
        self.splitter
            .feed(data, |piece| match piece {
                _ if done || failure.is_some() => {}
                Piece::KeepAlive => recorder.keep_alive(),
                Piece::Payload(payload) => {
                    *unread = None;
                    match recorder.payload(arrival, payload) {
                        Ok(end) => done = end,
                        Err(error) => failure = Some(error),
                    }
                }
            })
            .map_err(|_| Failure::TooLarge(framing::MAX_PAYLOAD >> 20))?;
        failure.map_or(Ok(done), |error| Err(error.into()))
    }

    /// The body ended.
    pub(super) fn end(self, recorder: &mut Recorder) -> Result<(), Failure> {
        if recorder.end() {
            return Ok(());
        }
        let unread = self.unread.unwrap_or_default();
        if let Ok(said) = serde_json::from_slice::<Value>(&unread)
            && !said["error"].is_null()
        {
            return Err(server_error(&said["error"], None).into());
        }
        let why = match one_line(&unread) {
            said if said.is_empty() => "no terminal event".to_owned(),
            said => format!("no event in it, but: {said}"),
        };
        Err(Failure::Closed(why))
    }
}

/// The text of a body that is no stream.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
