//! HTTP: routing, and Responses as server-sent events.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Bytes, Frame as BodyFrame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Arrival, Sink, Timing};
use super::responses::{Call, Script};
use super::{Service, websocket};
use crate::clock;

/// Largest request body accepted.
const MAX_BODY: usize = 64 << 20;
/// Events on their way to the socket at once.
const IN_FLIGHT: usize = 64;

type Body = BoxBody<Bytes, Infallible>;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: Arc<Service>,
) {
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(route(request, service).await) }
    });
    // A connection that breaks is the client's business, not the server's.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), handler)
        .with_upgrades()
        .await;
}

async fn route(request: Request<Incoming>, service: Arc<Service>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/responses") if websocket::is_upgrade(&request) => {
            websocket::upgrade(request, service)
        }
        (&Method::POST, "/v1/responses") => responses(request, service).await,
        (&Method::GET, "/v1/models") => plain(
            StatusCode::OK,
            &json!({ "object": "list", "data": [{ "id": service.engine.profile().model, "object": "model" }] }),
        ),
        (&Method::GET | &Method::HEAD, "/") => {
            plain(StatusCode::OK, &json!({ "server": "timeslip, simulated" }))
        }
        _ => error(
            StatusCode::NOT_FOUND,
            "not_found",
            "No such route on this simulated endpoint.",
        ),
    }
}

fn plain(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(BoxBody::new(Full::new(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    plain(status, &error_body(code, message))
}

/// The error object both transports use.
pub(super) fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "type": "invalid_request_error", "code": code, "message": message, "param": null } })
}

async fn responses(request: Request<Incoming>, service: Arc<Service>) -> Response<Body> {
    let body = match Limited::new(request.into_body(), MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "The body is too large or broken.",
            );
        }
    };
    let received_ns = clock::now();
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(problem) => {
            return error(
                StatusCode::BAD_REQUEST,
                "invalid_json",
                &problem.to_string(),
            );
        }
    };
    if body["stream"] != true {
        return error(
            StatusCode::BAD_REQUEST,
            "unsupported",
            "This simulated endpoint only streams.",
        );
    }
    let call = match Call::parse(body) {
        Ok(call) => call,
        Err(problem) => {
            return error(
                StatusCode::BAD_REQUEST,
                "missing_required_parameter",
                &problem,
            );
        }
    };
    if call.previous.is_some() {
        let message = "Nothing is stored on this endpoint; resend the whole conversation.";
        return error(
            StatusCode::BAD_REQUEST,
            "previous_response_not_found",
            message,
        );
    }
    let (events, receiver) = mpsc::channel(IN_FLIGHT);
    let (admitted, admission) = oneshot::channel();
    let link_ms = service.engine.profile().link_round_trip_ms;
    tokio::spawn(async move {
        if let Ok(emission) =
            play(&service, &call, received_ns, admitted, &mut Events(events)).await
        {
            service.log(emission);
        }
    });
    let Ok(timing) = admission.await else {
        return error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "The response could not be started.",
        );
    };
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver
            .recv()
            .await
            .map(|bytes| (Ok(BodyFrame::data(bytes)), receiver))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    if let Ok(value) = header::HeaderValue::try_from(server_timing(timing, link_ms)) {
        headers.insert("server-timing", value);
    }
    response
}

fn server_timing(timing: Timing, link_ms: f64) -> String {
    let ms = |ns: u64| ns as f64 / 1e6;
    format!(
        "queue;dur={}, prefill;dur={}, link;dur={link_ms}",
        ms(timing.queue_ns),
        ms(timing.prefill_ns)
    )
}

async fn play(
    service: &Service,
    call: &Call,
    received_ns: u64,
    admitted: oneshot::Sender<Timing>,
    sink: &mut Events,
) -> io::Result<super::Emission> {
    let engine = &service.engine;
    let parts: Vec<&Value> = call.preamble.iter().chain(&call.input).collect();
    let prompt = engine.prompt(&call.cache_key, &parts);
    let id = super::responses::new_id();
    let outputs = service.model.next(&call.input, &call.cache_key);
    let (script, frames) = Script::new(
        &id,
        &call.model,
        prompt,
        &outputs,
        engine.profile().tokens_per_event,
    );
    let arrival = Arrival {
        response_id: &id,
        received_ns,
        prompt,
        noise: &call.cache_key,
    };
    let admit = |timing| {
        // The client has gone if nobody waits for the headers; the send will notice.
        let _ = admitted.send(timing);
        script.admission()
    };
    engine
        .play(arrival, admit, frames, |_| script.completion(None), sink)
        .await
}

/// Server-sent events into a response body.
struct Events(mpsc::Sender<Bytes>);

impl Sink for Events {
    async fn send(&mut self, event: Value) -> io::Result<()> {
        let kind = event["type"].as_str().unwrap_or_default();
        let text = format!("event: {kind}\ndata: {event}\n\n");
        self.0
            .send(text.into())
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
