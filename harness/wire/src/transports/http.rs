//! What HTTP/1.1 and HTTP/2 have in common: the request's head, the response's
//! headers, and a body that is a stream of payloads.

use std::time::Duration;

use hyper::header::{self, HeaderMap};
use hyper::{Method, Request};
use serde_json::Value;

use super::{Endpoint, MAX_RESPONSE_MIB};
use crate::connection::Arrival;
use crate::failure::Failure;
use crate::framing::{self, MAX_PAYLOAD, Piece, Splitter};
use crate::protocols::{Protocol, StreamError, failure_in};
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

/// The encoding that is none.
const IDENTITY: &str = "identity";

/// The encoding of a body that is one.
fn encoding(headers: &HeaderMap) -> Option<&str> {
    let encoding = headers.get(header::CONTENT_ENCODING)?;
    let encoding = encoding.to_str().unwrap_or("an unknown encoding").trim();
    let none = encoding.is_empty() || encoding.eq_ignore_ascii_case(IDENTITY);
    (!none).then_some(encoding)
}

/// Checks that a response can be read as a stream.
///
/// # Errors
/// [`Failure::Unsuitable`] for an encoding that was not asked for.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Failure> {
    encoding(headers).map_or(Ok(()), |encoding| {
        let encoding: String = encoding.chars().take(40).collect();
        Err(Failure::Unsuitable(format!(
            "the server sends its answer encoded as {encoding} although it was asked for \
             identity; turn compression off there or in the proxy before it"
        )))
    })
}

/// The request without its body, of the conversation with the id `session`; its URI begins
/// with `origin`.
pub(super) fn head(
    endpoint: &Endpoint,
    session: &str,
    origin: &str,
) -> Result<Request<()>, Failure> {
    let path = endpoint.protocol.path(&endpoint.model);
    head_at(endpoint, session, origin, &path)
}

/// The same, of a request to another path below the base URL.
pub(super) fn head_at(
    endpoint: &Endpoint,
    session: &str,
    origin: &str,
    path: &str,
) -> Result<Request<()>, Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{origin}{}", endpoint.target.resource(path)))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream")
        .header(header::USER_AGENT, super::USER_AGENT);
    for (name, value) in super::headers(endpoint) {
        request = request.header(name, value);
    }
    let given = request.headers_ref().cloned().unwrap_or_default();
    let is_set = |name: &str| given.contains_key(name);
    if let Some(name) = endpoint.protocol.session_header()
        && !is_set(name)
    {
        request = request.header(name, session);
    }
    if !is_set(header::ACCEPT_ENCODING.as_str()) {
        // Compressed bytes wait in the compressor: their times would be its own.
        request = request.header(header::ACCEPT_ENCODING, IDENTITY);
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
#[must_use]
pub fn refusal(protocol: &dyn Protocol, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
    let body = &body[..body.len().min(MAX_ERROR_BODY)];
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    // Some servers wrap it in a list.
    let wrapped = said.get(0).unwrap_or(&said);
    let error = &wrapped["error"];
    let message = match (encoding(headers), failure_in(wrapped)) {
        (Some(encoding), _) => format!("(a text encoded as {encoding}, which was not asked for)"),
        (None, Some(StreamError::Server { message, .. })) => message,
        (None, Some(StreamError::Malformed { .. }) | None) => one_line(body),
    };
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
pub struct Body {
    protocol: &'static dyn Protocol,
    splitter: Splitter,
    bytes: usize,
    /// The start of a body in which no payload has been found yet: when none ever is,
    /// it is what the server said instead. Of a JSON document it is all.
    unread: Option<Vec<u8>>,
    /// The arrival of the latest bytes.
    latest: Option<Arrival>,
}

impl Body {
    /// The beginning of a body.
    #[must_use]
    pub fn new(protocol: &'static dyn Protocol) -> Self {
        Body {
            protocol,
            splitter: Splitter::new(protocol.format()),
            bytes: 0,
            unread: Some(Vec::new()),
            latest: None,
        }
    }

    /// Takes bytes that arrived together; true at the terminal event.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn take(
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
            let begun = if unread.is_empty() { data } else { &**unread };
            let most = if is_document(begun) {
                MAX_PAYLOAD
            } else {
                MAX_ERROR_BODY
            };
            let room = most.saturating_sub(unread.len());
            unread.extend_from_slice(&data[..data.len().min(room)]);
        }
        self.latest = Some(arrival);
        recorder.heard(arrival);
        let mut taken = Taken::default();
        let unread = &mut self.unread;
        self.splitter
            .feed(data, |piece| taken.piece(piece, arrival, recorder, unread))
            .map_err(|_| Failure::TooLarge(framing::MAX_PAYLOAD >> 20))?;
        taken.result()
    }

    /// The body ended by itself.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn end(mut self, arrival: Arrival, recorder: &mut Recorder) -> Result<(), Failure> {
        let mut taken = Taken::default();
        let mut unread = self.unread.clone();
        self.splitter
            .end(|piece| taken.piece(piece, arrival, recorder, &mut unread))
            .map_err(|_| Failure::TooLarge(framing::MAX_PAYLOAD >> 20))?;
        // A last line that is no whole event was cut off, and a body without any is read below.
        let cut = matches!(taken.failure, Some(StreamError::Malformed { .. }));
        if !cut && taken.result()? || recorder.end() {
            return Ok(());
        }
        let unread = self.unread.unwrap_or_default();
        if let Some(failure) = error_in(&unread) {
            return Err(failure.into());
        }
        if is_document(&unread)
            && recorder.whole(self.latest.unwrap_or(arrival), self.protocol, &unread)?
        {
            recorder.remark("the server did not stream: it answered with one JSON document".into());
            return Ok(());
        }
        Err(no_stream(&unread))
    }
}

/// What the pieces of one read came to.
#[derive(Default)]
struct Taken {
    done: bool,
    failure: Option<StreamError>,
}

impl Taken {
    fn piece(
        &mut self,
        piece: Piece<'_>,
        arrival: Arrival,
        recorder: &mut Recorder,
        unread: &mut Option<Vec<u8>>,
    ) {
        if self.done || self.failure.is_some() {
            return;
        }
        match piece {
            Piece::KeepAlive => recorder.keep_alive(),
            Piece::Error(said) => self.failure = Some(recorder.error_event(said)),
            Piece::Payload(payload) => {
                *unread = None;
                match recorder.payload(arrival, payload) {
                    Ok(end) => self.done = end,
                    Err(error) => self.failure = Some(error),
                }
            }
        }
    }

    fn result(self) -> Result<bool, Failure> {
        self.failure
            .map_or(Ok(self.done), |error| Err(error.into()))
    }
}

/// The bytes without what may stand before a text.
fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(body)
        .trim_ascii()
}

/// Whether a body begins as a JSON document and not as a stream.
fn is_document(body: &[u8]) -> bool {
    matches!(trimmed(body).first(), Some(b'{' | b'['))
}

/// The error that a body is instead of a stream.
fn error_in(body: &[u8]) -> Option<StreamError> {
    let said: Value = serde_json::from_slice(trimmed(body)).ok()?;
    failure_in(said.get(0).unwrap_or(&said))
}

/// A body that ended before an answer did, by what it holds instead of events.
fn no_stream(unread: &[u8]) -> Failure {
    if is_document(unread) {
        let problem = "the server answered with one JSON document that is no answer of this \
                       protocol; check the endpoint's protocol and base_url";
        return Failure::Unsuitable(problem.into());
    }
    let why = match one_line(unread) {
        said if said.is_empty() => "no terminal event".to_owned(),
        said => format!("no event in it, but: {said}"),
    };
    Failure::Closed(why)
}

/// The text of a body that is no stream.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
