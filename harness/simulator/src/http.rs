//! HTTP, versions 1.1 and 2: routing, and bodies that are written as they are paced.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::dialect::{Dialect, ModelReply, Refusal};
use super::playback::Playback;
use super::service::{Received, Service};
use super::wire::Framing;
use super::{dialects, websocket};

/// Largest request body accepted.
const MAX_BODY: usize = 64 << 20;

/// The header that tells conversations apart where a protocol's body does not.
const SESSION: &str = "x-session-id";

type Body = BoxBody<Bytes, io::Error>;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    received: Received,
    service: Arc<Service>,
) {
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        let received = received.clone();
        async move { Ok::<_, Infallible>(route(request, received, service).await) }
    });
    // A connection that breaks is the client's business, not the server's.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), handler)
        .await;
}

async fn route(
    request: Request<Incoming>,
    received: Received,
    service: Arc<Service>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/v1/responses") if websocket::is_upgrade(&request) => {
            let response = websocket::upgrade(request, received, service);
            response.map(|empty| empty.map_err(|never| match never {}).boxed())
        }
        (&Method::GET, "/v1/models") => {
            let own = service.engine.profile().model.as_str();
            let models: Vec<Value> = std::iter::once(own)
                .chain(service.model.ids())
                .map(|id| json!({ "id": id, "object": "model" }))
                .collect();
            let list = json!({ "object": "list", "data": models });
            plain(StatusCode::OK, &list)
        }
        (&Method::GET | &Method::HEAD, "/" | "/health") => {
            plain(StatusCode::OK, &json!({ "server": "timeslip, simulated" }))
        }
        (method, _) => {
            let dialect = dialects::of_path(&path);
            let answer = if method == Method::POST && dialect.takes(&path) {
                answer(dialect, request, &received, &service).await
            } else {
                Err(Refusal {
                    status: 404,
                    code: "not_found",
                    message: "No such route on this simulated endpoint.".into(),
                })
            };
            answer.unwrap_or_else(|refusal| refuse(dialect, &refusal))
        }
    }
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
    plain(status, &dialect.error(refusal))
}

async fn answer(
    dialect: &dyn Dialect,
    request: Request<Incoming>,
    received: &Received,
    service: &Service,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Refusal {
            status: 415,
            code: "unsupported_content_encoding",
            message: "This simulated endpoint takes request bodies as they are, not compressed."
                .into(),
        });
    }
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|_| Refusal {
        status: 413,
        code: "too_large",
        message: "The body is too large or broken.".into(),
    })?;
    let received_ns = received.at();
    let body: Value = serde_json::from_slice(&body.to_bytes())
        .map_err(|problem| Refusal::bad_request("invalid_json", problem.to_string()))?;
    if !body.is_object() {
        let message = "The body must be a JSON object.";
        return Err(Refusal::bad_request("invalid_json", message));
    }
    let failed = |_| Refusal {
        status: 500,
        code: "server_error",
        message: "The response could not be started.".into(),
    };
    let (mut call, voice) = dialect.read(&head.uri, body)?;
    if let (true, Some(session)) = (call.cache_key.is_empty(), head.headers.get(SESSION)) {
        call.cache_key = String::from_utf8_lossy(session.as_bytes()).into_owned();
    }
    if dialect.counts_tokens(head.uri.path()) {
        let tokens = service.engine.count(&call.prompt);
        return Ok(plain(StatusCode::OK, &json!({ "input_tokens": tokens })));
    }
    let framing = if call.stream {
        dialect.framing()
    } else {
        Framing::Whole
    };
    let playback = service
        .respond(&call, voice, framing, received_ns)
        .await
        .map_err(failed)?;
    let mut paced = Paced(playback);
    let mut headers = header::HeaderMap::new();
    for (name, value) in [
        ("content-type", framing.content_type()),
        ("cache-control", "no-cache"),
        (dialect.request_id_header(), &paced.0.answer().id),
        ("server-timing", &server_timing(paced.0.answer())),
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
struct Paced(Playback);

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let chunk = ready!(self.get_mut().0.poll_chunk(context));
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk?.into_bytes()))))
    }
}
