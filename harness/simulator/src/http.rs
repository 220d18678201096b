//! HTTP, versions 1.1 and 2: routing, and bodies that are written as they are paced.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::catalogue::{self, Catalogue, Provider};
use super::dialect::{Dialect, ModelReply, Problem, Refusal};
use super::line::Line;
use super::places::{self, Place};
use super::playback::Playback;
use super::service::{Peer, Service};
use super::wire::{Carrier, Framing};
use super::{background, dialects, websocket};

/// Largest request body accepted.
const MAX_BODY: usize = 64 << 20;

/// The header that tells conversations apart where a protocol's body does not.
const SESSION: &str = "x-session-id";

type Body = BoxBody<Bytes, io::Error>;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    service: Arc<Service>,
) {
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        let peer = peer.clone();
        async move { Ok::<_, Infallible>(route(request, peer, service).await) }
    });
    // A connection that breaks is the client's business, not the server's.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), handler)
        .await;
}

async fn route(request: Request<Incoming>, peer: Peer, service: Arc<Service>) -> Response<Body> {
    let path = decoded(request.uri().path()).into_owned();
    let mut response = match places::at(&path) {
        None => refuse(dialects::of_path(&path), &no_route()),
        Some(place) if request.method() == Method::OPTIONS => preflight(&request, place),
        Some(Place::Responses(_))
            if request.method() == Method::GET && websocket::is_upgrade(&request) =>
        {
            let response = websocket::upgrade(request, peer, service);
            return response.map(|empty| empty.map_err(|never| match never {}).boxed());
        }
        // A method of a model that there is not.
        Some(Place::Model(name)) if request.method() == Method::POST && name.contains(':') => {
            refuse(dialects::of_path(&path), &no_route())
        }
        Some(place) if !place.allows(request.method()) => {
            let message = format!("Method not allowed; allowed are {}.", place.allowed());
            let refusal = Refusal::new(405, "method_not_allowed", message);
            let mut response = refuse(dialects::of_path(&path), &refusal);
            let allowed = header::HeaderValue::from_static(place.allowed());
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
        Some(place) => visit(place, &path, request, &peer, &service).await,
    };
    let headers = response.headers_mut();
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        // Nothing here is secret: pages of every origin may ask.
        headers.insert(name, header::HeaderValue::from_static("*"));
    }
    response
}

/// A path with its `%3A` and the like written out.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Tells a browser what its pages may ask for here.
fn preflight(request: &Request<Incoming>, place: Place<'_>) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allowed = header::HeaderValue::from_static(place.allowed());
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let any = header::HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, allowed.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allowed);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        asked.cloned().unwrap_or(any),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        header::HeaderValue::from_static("86400"),
    );
    response
}

async fn visit(
    place: Place<'_>,
    path: &str,
    request: Request<Incoming>,
    peer: &Peer,
    service: &Service,
) -> Response<Body> {
    let catalogue = Catalogue {
        names: service.models(),
        since: service.started_at,
    };
    let ok = |value: &Value| plain(StatusCode::OK, value);
    match place {
        Place::Health => ok(&json!({ "server": "timeslip, simulated" })),
        Place::Models => ok(&catalogue.list(provider_of(path, &request))),
        Place::Model(name) => {
            let provider = provider_of(path, &request);
            let dialect = dialects::of_path(provider.home());
            match service.check_model(dialect, name) {
                Ok(()) => ok(&catalogue.model(provider, name)),
                Err(refusal) => refuse(dialect, &refusal),
            }
        }
        Place::Tags => ok(&catalogue.tags()),
        Place::Loaded => ok(&catalogue.loaded()),
        Place::Version => ok(&catalogue::version()),
        Place::Show => {
            let dialect = dialects::of_path(path);
            match show(dialect, request, service).await {
                Ok(()) => ok(&catalogue.show()),
                Err(refusal) => refuse(dialect, &refusal),
            }
        }
        Place::Response(id) => kept(service.background.object(id)),
        Place::Cancel(id) => kept(service.background.cancel(id)),
        Place::Responses(dialect) | Place::Ask(dialect) => {
            let answer = answer(dialect, path, request, peer, service).await;
            answer.unwrap_or_else(|refusal| refuse(dialect, &refusal))
        }
    }
}

/// What is kept of a response that is made in the background.
fn kept(object: Result<Value, Refusal>) -> Response<Body> {
    match object {
        Ok(object) => plain(StatusCode::OK, &object),
        Err(refusal) => refuse(dialects::of_path("/v1/responses"), &refusal),
    }
}

/// A body of chunks that are made elsewhere.
fn streamed(chunks: background::Chunks, framing: Framing) -> Response<Body> {
    let mut response = Response::new(chunks.boxed());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(framing.content_type()),
    );
    response
}

/// Refuses to describe a model that is not named, or not there.
async fn show(
    dialect: &dyn Dialect,
    request: Request<Incoming>,
    service: &Service,
) -> Result<(), Refusal> {
    let body = object(&read(request.into_body()).await?)?;
    let mut names = ["model", "name"].iter();
    let name = names.find_map(|field| body[*field].as_str());
    let missing = || dialect.word(&Problem::Missing, &["model"]);
    service.check_model(dialect, catalogue::untagged(name.ok_or_else(missing)?))
}

/// Whose words a list of models is asked for in.
fn provider_of(path: &str, request: &Request<Incoming>) -> Provider {
    let has = |name| request.headers().contains_key(name);
    let mut query = request.uri().query().unwrap_or_default().split('&');
    let google = !path.starts_with("/v1/") || has("x-goog-api-key");
    if google || query.any(|parameter| parameter.starts_with("key=")) {
        Provider::Gemini
    } else if has("anthropic-version") {
        Provider::Anthropic
    } else {
        Provider::OpenAi
    }
}

fn no_route() -> Refusal {
    let message = "No such route on this simulated endpoint.";
    Refusal::new(404, "not_found", message)
}

fn plain(status: StatusCode, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

fn refuse(dialect: &dyn Dialect, refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = plain(status, &dialect.error(refusal));
    if let Some(seconds) = refusal.retry_after {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Reads a body to its end.
async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, MAX_BODY).collect().await;
    let broken = |_| Refusal::new(413, "too_large", "The body is too large or broken.");
    Ok(body.map_err(broken)?.to_bytes())
}

/// The JSON object that a body is.
fn object(body: &[u8]) -> Result<Value, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|problem| Refusal::bad_request("invalid_json", problem.to_string()))?;
    if !body.is_object() {
        let message = "The body must be a JSON object.";
        return Err(Refusal::bad_request("invalid_json", message));
    }
    Ok(body)
}

async fn answer(
    dialect: &dyn Dialect,
    path: &str,
    request: Request<Incoming>,
    peer: &Peer,
    service: &Service,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = "This simulated endpoint takes request bodies as they are, not compressed.";
        return Err(Refusal::new(415, "unsupported_content_encoding", message));
    }
    let body = read(body).await?;
    let received_ns = peer.received.at();
    let (mut call, voice) = dialect.read(path, object(&body)?)?;
    if let (true, Some(session)) = (call.cache_key.is_empty(), head.headers.get(SESSION)) {
        call.cache_key = String::from_utf8_lossy(session.as_bytes()).into_owned();
    }
    if dialect.counts_tokens(path) {
        service.check_model(dialect, &call.model)?;
        let tokens = service.engine.count(&call.prompt);
        return Ok(plain(StatusCode::OK, &dialect.count(tokens)));
    }
    let framing = if call.stream {
        dialect.framing(head.uri.query())
    } else {
        Framing::Whole
    };
    let http2 = head.version == hyper::Version::HTTP_2;
    let carrier = Carrier { framing, http2 };
    let playback = service
        .respond(&call, dialect, voice, carrier, received_ns)
        .await?;
    if call.background {
        let running = service.background.run(playback);
        return Ok(match call.stream {
            true => streamed(running.chunks, framing),
            false => plain(StatusCode::OK, &running.object),
        });
    }
    let line = peer.line.clone();
    let mut paced = Paced { playback, line };
    let mut headers = header::HeaderMap::new();
    for (name, value) in [
        ("content-type", framing.content_type()),
        ("cache-control", "no-cache"),
        (dialect.request_id_header(), &paced.playback.answer().id),
        ("server-timing", &server_timing(paced.playback.answer())),
    ] {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    let body = if call.stream {
        paced.boxed()
    } else {
        // Headers and body of a whole answer leave together, at its end.
        let whole = paced.frame().await.and_then(Result::ok);
        let whole = whole.and_then(|frame| frame.into_data().ok());
        let whole = Full::new(whole.unwrap_or_default());
        whole.map_err(|never| match never {}).boxed()
    };
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    Ok(response)
}

fn server_timing(answer: &ModelReply) -> String {
    let ms = |ns: u64| ns as f64 / 1e6;
    let queue = ms(answer.timing.queue_ns);
    let prefill = ms(answer.timing.prefill_ns);
    let link = answer.link_ms.map(|ms| format!(", link;dur={ms}"));
    let link = link.unwrap_or_default();
    format!("queue;dur={queue}, prefill;dur={prefill}{link}")
}

/// A response body that yields its chunks when they are due.
struct Paced {
    playback: Playback,
    line: Line,
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Paced { playback, line } = self.get_mut();
        let chunk = ready!(playback.poll_chunk(context));
        let resets = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        if matches!(&chunk, Some(Err(error)) if resets(error)) && line.reset().is_ok() {
            // The connection finds out by itself. Were it told, it would say good-bye.
            return Poll::Pending;
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk?.into_bytes()))))
    }
}
