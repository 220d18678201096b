//! Responses over a persistent WebSocket: one message a turn, chained by
//! `previous_response_id` in memory that lives as long as the connection.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::dialect::{Call, Refusal};
use super::dialects::responses::{self, PREAMBLE, ResponsesVoice};
use super::http::Body;
use super::service::{Received, Service};
use super::wire::Framing;

/// Lanes whose latest response is kept.
const MAX_LANES: usize = 32;
/// Requests read ahead of the one being answered.
const READ_AHEAD: usize = 16;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(super) fn is_upgrade(request: &Request<Incoming>) -> bool {
    request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub(super) fn upgrade(
    mut request: Request<Incoming>,
    received: Received,
    service: Arc<Service>,
) -> Response<Body> {
    let empty = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(empty.boxed());
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let accept = header::HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(
        header::CONNECTION,
        header::HeaderValue::from_static("Upgrade"),
    );
    headers.insert(
        header::UPGRADE,
        header::HeaderValue::from_static("websocket"),
    );
    if let Ok(accept) = accept {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    let timing = request
        .headers()
        .get("x-responsesapi-include-timing-metrics")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            let socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            converse(socket, &received, &service, timing).await;
        }
    });
    response
}

/// Reads requests and answers them in order. Reading goes on while an answer
/// streams, because that is what answers pings.
async fn converse(socket: Socket, received: &Received, service: &Service, timing: bool) {
    let (write, mut read) = socket.split();
    let (sender, mut requests) = mpsc::channel::<(u64, Vec<u8>)>(READ_AHEAD);
    let reader = async move {
        while let Some(Ok(message)) = read.next().await {
            let data = match message {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(data) => data.to_vec(),
                Message::Close(_) => break,
                _ => continue,
            };
            if sender.send((received.at(), data)).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut lanes = Lanes {
            service,
            timing,
            write,
            latest: HashMap::new(),
            expires: Instant::now() + service.websocket_lifetime,
        };
        while let Some((received_ns, data)) = requests.recv().await {
            if lanes.answer(received_ns, &data).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reader, answers);
}

/// The connection's memory: the latest response of every lane.
struct Lanes<'a> {
    service: &'a Service,
    /// The client asked for timing messages.
    timing: bool,
    write: SplitSink<Socket, Message>,
    latest: HashMap<Option<String>, (String, Vec<Value>)>,
    expires: Instant,
}

impl Lanes<'_> {
    async fn answer(&mut self, received_ns: u64, data: &[u8]) -> io::Result<()> {
        let parsed = serde_json::from_slice::<Value>(data);
        let named = parsed
            .as_ref()
            .ok()
            .and_then(|body| body["stream_id"].as_str());
        let lane = named.filter(|name| is_lane(name)).map(str::to_owned);
        let accepted = parsed
            .map_err(|problem| Refusal::bad_request("invalid_json", problem.to_string()))
            .and_then(|body| self.accept(body, &lane));
        let call = match accepted {
            Ok(call) => call,
            Err(refusal) => {
                // An error evicts what the lane could have continued from.
                self.latest.remove(&lane);
                return self.refuse(&refusal, lane).await;
            }
        };
        let voice = Box::new(ResponsesVoice::over_websocket(self.timing, lane.clone()));
        let mut playback = self
            .service
            .respond(&call, voice, Framing::Messages, received_ns)
            .await?;
        while let Some(chunk) = poll_fn(|context| playback.poll_chunk(context)).await {
            for message in chunk?.messages() {
                self.feed(message).await?;
            }
            self.write.flush().await.map_err(io::Error::other)?;
        }
        let answer = playback.answer();
        let mut items = call.prompt;
        // Instructions and tools come anew with every request.
        items.drain(..PREAMBLE);
        items.extend(responses::items(answer));
        self.latest.insert(lane, (answer.id.clone(), items));
        Ok(())
    }

    /// Checks a request and finds what it continues from.
    fn accept(&mut self, body: Value, lane: &Option<String>) -> Result<Call, Refusal> {
        let refuse = Refusal::bad_request;
        if body["type"] != "response.create" {
            return Err(refuse(
                "unknown_event",
                "Only response.create is understood.",
            ));
        }
        if body["stream_id"].as_str() != lane.as_deref() {
            let message = "A stream_id has 1 to 256 letters, digits, '_', '.' or '-'.";
            return Err(refuse("invalid_stream_id", message));
        }
        if Instant::now() >= self.expires {
            let message = "This connection has reached its 60 minutes; open a new one.";
            return Err(refuse("websocket_connection_limit_reached", message));
        }
        let named = self.latest.keys().filter(|lane| lane.is_some()).count();
        if lane.is_some() && named >= MAX_LANES && !self.latest.contains_key(lane) {
            let message = "Too many lanes on one connection.";
            return Err(refuse("websocket_stream_limit_reached", message));
        }
        let items = match (
            body["previous_response_id"].as_str(),
            self.latest.remove(lane),
        ) {
            (None, _) => Vec::new(),
            (Some(wanted), Some((id, items))) if *wanted == id => items,
            (Some(wanted), _) => {
                let message = format!("Previous response with id '{wanted}' not found.");
                return Err(Refusal::bad_request("previous_response_not_found", message));
            }
        };
        responses::call(body, items)
    }

    async fn refuse(&mut self, refusal: &Refusal, lane: Option<String>) -> io::Result<()> {
        let mut event = responses::error(refusal);
        event["type"] = json!("error");
        event["status"] = json!(refusal.status);
        if let Some(lane) = lane {
            event["stream_id"] = json!(lane);
        }
        self.feed(event.to_string().into()).await?;
        self.write.flush().await.map_err(io::Error::other)
    }

    /// Buffers a message; an empty one is a ping.
    async fn feed(&mut self, message: Bytes) -> io::Result<()> {
        let message = if message.is_empty() {
            Message::Ping(message)
        } else {
            Message::Text(message.try_into().map_err(io::Error::other)?)
        };
        self.write.feed(message).await.map_err(io::Error::other)
    }
}

fn is_lane(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=256).contains(&name.len()) && name.bytes().all(allowed)
}
