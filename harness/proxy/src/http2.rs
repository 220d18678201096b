//! HTTP/2, spoken by the client without TLS and without asking for it first.
//!
//! Heads and frames are the library's: each connection of a client has one of its own to the
//! upstream, each stream one on it, and what ends or resets one ends or resets the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http2::SendRequest;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use timeslip_wire::clock;
use timeslip_wire::connection::{Application, Probe, Timed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::head::{RequestHead, ResponseHead};
use crate::messages::{Following, MAX_HEAD};
use crate::seen::Headers;
use crate::told::{Copied, Event, Id, Opened, Passed, Teller};
use crate::way::Way;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes one side may send before it hears that they were passed on.
const WINDOW: u32 = 1 << 20;
/// Streams of one connection at once.
const MAX_STREAMS: u32 = 256;

/// The transport, as the journal names it.
const TRANSPORT: &str = "http2-sse";
/// How long a client is told that there is no upstream.
const REFUSING: Duration = Duration::from_secs(30);
/// How long the end of the client's connection waits for the upstream's.
const LINGER: Duration = Duration::from_secs(1);

/// Why a stream is reset.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Path(#[from] hyper::http::Error),
    #[error(transparent)]
    Upstream(#[from] hyper::Error),
}

/// One connection on both sides.
struct Streams {
    way: Way,
    sender: SendRequest<Passing>,
    upstream: Arc<Probe>,
    opened: std::sync::Mutex<Option<Opened>>,
}

/// Passes on what a client says whose first bytes have been read.
pub async fn serve(way: Way, client: Timed, first: BytesMut) {
    let (read, write) = tokio::io::split(client);
    let client = tokio::io::join(std::io::Cursor::new(first).chain(read), write);
    let connection = match way.open(Application::Http2).await {
        Ok(connection) => connection,
        Err(problem) => return refuse(way, client, problem).await,
    };
    let upstream = connection.probe;
    let opened = Opened {
        steps: connection.steps,
        remark: connection.remark,
        probe: Arc::clone(&upstream),
    };
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        .handshake(TokioIo::new(connection.stream))
        .await;
    let Ok((sender, driver)) = handshake else {
        return;
    };
    let mut driver = tokio::spawn(driver);
    let streams = Arc::new(Streams {
        way,
        sender,
        upstream: Arc::clone(&upstream),
        opened: std::sync::Mutex::new(Some(opened)),
    });
    let handler = service_fn(move |request| {
        let streams = Arc::clone(&streams);
        async move { streams.pass_on(request).await }
    });
    // A connection that breaks is the client's business.
    let _ = server()
        .serve_connection(TokioIo::new(client), handler)
        .await;
    // Its streams are cancelled, and the connection ends once that is said.
    if tokio::time::timeout(LINGER, &mut driver).await.is_err() {
        driver.abort();
        let _ = upstream.reset();
    }
}

fn server() -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32);
    server
}

/// Answers a client that cannot be connected to the upstream.
async fn refuse(way: Way, client: impl AsyncRead + AsyncWrite + Unpin, problem: String) {
    let refusal = service_fn(|request: Request<Incoming>| {
        let id = way.next();
        let (head, _) = request.into_parts();
        let start = way.client.arrival().at;
        way.teller.request(id, start, told(&head), TRANSPORT, None);
        let (at, problem) = (clock::now(), problem.clone());
        let mut response = Response::new(Full::new(Bytes::from(format!("{problem}\n"))));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        way.teller
            .tell(id, Event::OwnAnswer(response.status().as_u16()));
        let problem = Some(problem);
        way.teller.tell(id, Event::Over { at, problem });
        async { Ok::<_, std::convert::Infallible>(response) }
    });
    // A connection that breaks is the client's business.
    let serving = server().serve_connection(TokioIo::new(client), refusal);
    let _ = tokio::time::timeout(REFUSING, serving).await;
}

/// The parts of a request's head that are told.
fn told(head: &hyper::http::request::Parts) -> RequestHead {
    let asked = head.uri.path_and_query();
    RequestHead {
        method: head.method.to_string(),
        target: asked.map_or("/", |asked| asked.as_str()).to_owned(),
        headers: owned(&head.headers),
        following: Following::Head,
        upgrades: false,
    }
}

impl Streams {
    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Passing>, Failure> {
        let id = self.way.next();
        let teller = &self.way.teller;
        let (mut head, body) = request.into_parts();
        let asked = told(&head);
        let resource = self.way.upstream.resource(&asked.target);
        let opened = self.opened.lock().map_or(None, |mut opened| opened.take());
        let start = self.way.client.arrival().at;
        teller.request(id, start, asked, TRANSPORT, opened);
        let mut unfinished = Unfinished {
            id,
            teller: teller.clone(),
            ended: false,
        };
        let target = &self.way.upstream.target;
        head.uri = Uri::builder()
            .scheme(if target.tls { "https" } else { "http" })
            .authority(target.authority())
            .path_and_query(resource)
            .build()?;
        head.headers.remove(HOST);
        let upstream = &self.way.upstream;
        let names: Vec<HeaderName> = head.headers.keys().cloned().collect();
        for name in names.iter().filter(|name| upstream.replaces(name.as_str())) {
            head.headers.remove(name);
        }
        for (name, value) in upstream.own_headers() {
            let name = HeaderName::try_from(name).map_err(hyper::http::Error::from)?;
            let value = HeaderValue::try_from(value).map_err(hyper::http::Error::from)?;
            head.headers.append(name, value);
        }
        let tap = Tap {
            id,
            teller: teller.clone(),
            from: Arc::clone(&self.way.client),
            is_request: true,
            ended: false,
            unfinished: None,
        };
        let request = Request::from_parts(head, Passing::new(body, tap));
        let mut sender = self.sender.clone();
        let sent = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = sent.await;
        let response = response
            .inspect_err(|error| unfinished.over(format!("the upstream broke off: {error}")))?;
        let (head, body) = response.into_parts();
        let event = Event::Response(
            Box::new(ResponseHead {
                status: head.status.as_u16(),
                headers: owned(&head.headers),
                following: Following::Head,
            }),
            passed(&self.upstream),
        );
        teller.tell(id, event);
        let tap = Tap {
            id,
            teller: teller.clone(),
            from: Arc::clone(&self.upstream),
            is_request: false,
            ended: false,
            unfinished: Some(unfinished),
        };
        Ok(Response::from_parts(head, Passing::new(body, tap)))
    }
}

fn owned(headers: &HeaderMap) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect()
}

/// What came last on a connection and is handed on now. Frames that one read brought share
/// its time.
fn passed(from: &Probe) -> Passed {
    Passed {
        arrival: from.arrival(),
        handed_on: clock::now(),
    }
}

/// Tells that a stream is over where it did not end.
struct Unfinished {
    id: Id,
    teller: Teller,
    ended: bool,
}

impl Unfinished {
    fn over(&mut self, problem: String) {
        if !std::mem::replace(&mut self.ended, true) {
            let (at, problem) = (clock::now(), Some(problem));
            self.teller.tell(self.id, Event::Over { at, problem });
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.ended {
            self.teller.tell(self.id, Event::ClientLeft(clock::now()));
            self.over("the client left: it reset the stream".into());
        }
    }
}

/// Tells of a body's frames.
struct Tap {
    id: Id,
    teller: Teller,
    /// The connection that they come from.
    from: Arc<Probe>,
    is_request: bool,
    ended: bool,
    unfinished: Option<Unfinished>,
}

impl Tap {
    fn data(&self, data: &[u8]) {
        let copied: Copied = self.teller.copy(data);
        let event = match self.is_request {
            true => Event::RequestData(copied),
            false => Event::ResponseData(copied, passed(&self.from)),
        };
        self.teller.tell(self.id, event);
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.ended = true;
        }
        let passed = passed(&self.from);
        let event = match self.is_request {
            true => Event::RequestEnd(passed),
            false => Event::ResponseEnd(passed, None),
        };
        self.teller.tell(self.id, event);
    }
}

/// A body on its way to the other side.
struct Passing {
    body: Incoming,
    tap: Tap,
}

impl Passing {
    fn new(body: Incoming, mut tap: Tap) -> Self {
        if body.is_end_stream() {
            tap.end();
        }
        Passing { body, tap }
    }
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.tap.data(data);
                }
                if frame.is_trailers() || this.body.is_end_stream() {
                    this.tap.end();
                }
            }
            Some(Err(error)) => {
                if let Some(unfinished) = &mut this.tap.unfinished {
                    unfinished.over(format!("the upstream broke off: {error}"));
                }
            }
            None => this.tap.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.tap.ended && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
