//! Responses over a persistent WebSocket: one message a turn, chained by
//! `previous_response_id` in memory that lives as long as the connection.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use http_body_util::combinators::BoxBody;
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

use super::Service;
use super::engine::{Arrival, Sink};
use super::http::error_body;
use super::responses::{Call, Script, new_id};
use crate::clock;

/// A connection lives this long.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
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
    service: Arc<Service>,
) -> Response<BoxBody<Bytes, std::convert::Infallible>> {
    let mut response = Response::new(Empty::new().boxed());
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
            converse(socket, &service, timing).await;
        }
    });
    response
}

/// Reads requests and answers them in order. Reading goes on while an answer
/// streams, because that is what answers pings.
async fn converse(socket: Socket, service: &Service, timing: bool) {
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
            if sender.send((clock::now(), data)).await.is_err() {
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
            expires: Instant::now() + LIFETIME,
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
            .map_err(|problem| ("invalid_json", problem.to_string()))
            .and_then(|body| self.accept(body, &lane));
        let (call, mut items) = match accepted {
            Ok(accepted) => accepted,
            Err((code, message)) => {
                // An error evicts what the lane could have continued from.
                self.latest.remove(&lane);
                return self.refuse(400, code, &message, lane).await;
            }
        };
        items.extend(call.input.iter().cloned());
        let id = new_id();
        items.extend(self.play(&call, &id, &items, received_ns).await?);
        self.latest.insert(lane, (id, items));
        Ok(())
    }

    /// Checks a request and finds what it continues from; an error is a code and a message.
    fn accept(
        &mut self,
        body: Value,
        lane: &Option<String>,
    ) -> Result<(Call, Vec<Value>), (&'static str, String)> {
        if body["type"] != "response.create" {
            return Err((
                "unknown_event",
                "Only response.create is understood.".into(),
            ));
        }
        let call = Call::parse(body).map_err(|problem| ("missing_required_parameter", problem))?;
        if call.stream_id != *lane {
            let message = "A stream_id has 1 to 256 letters, digits, '_', '.' or '-'.";
            return Err(("invalid_stream_id", message.into()));
        }
        if Instant::now() >= self.expires {
            let message = "This connection has reached its 60 minutes; open a new one.";
            return Err(("websocket_connection_limit_reached", message.into()));
        }
        let named = self.latest.keys().filter(|lane| lane.is_some()).count();
        if lane.is_some() && named >= MAX_LANES && !self.latest.contains_key(lane) {
            let message = "Too many lanes on one connection.";
            return Err(("websocket_stream_limit_reached", message.into()));
        }
        let items = match (&call.previous, self.latest.remove(lane)) {
            (None, _) => Vec::new(),
            (Some(wanted), Some((id, items))) if *wanted == id => items,
            (Some(wanted), _) => {
                let message = format!("Previous response with id '{wanted}' not found.");
                return Err(("previous_response_not_found", message));
            }
        };
        Ok((call, items))
    }

    async fn play(
        &mut self,
        call: &Call,
        id: &str,
        items: &[Value],
        received_ns: u64,
    ) -> io::Result<Vec<Value>> {
        let engine = &self.service.engine;
        let parts: Vec<&Value> = call.preamble.iter().chain(items).collect();
        let prompt = engine.prompt(&call.cache_key, &parts);
        let outputs = if call.generate {
            self.service.model.next(items, &call.cache_key)
        } else {
            Vec::new()
        };
        let (script, frames) = Script::new(
            id,
            &call.model,
            prompt,
            &outputs,
            engine.profile().tokens_per_event,
        );
        let arrival = Arrival {
            response_id: id,
            received_ns,
            prompt,
            noise: &call.cache_key,
        };
        let link_ms = engine.profile().link_round_trip_ms;
        let wanted = self.timing;
        let finish = |timing| script.completion(wanted.then_some((timing, link_ms)));
        let mut sink = Lane {
            write: &mut self.write,
            stream_id: call.stream_id.as_deref(),
        };
        let emission = engine
            .play(arrival, |_| script.admission(), frames, finish, &mut sink)
            .await?;
        self.service.log(emission);
        Ok(script.items().to_vec())
    }

    async fn refuse(
        &mut self,
        status: u16,
        code: &str,
        message: &str,
        lane: Option<String>,
    ) -> io::Result<()> {
        let mut event = error_body(code, message);
        event["type"] = json!("error");
        event["status"] = json!(status);
        Lane {
            write: &mut self.write,
            stream_id: lane.as_deref(),
        }
        .send(event)
        .await
    }
}

fn is_lane(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=256).contains(&name.len()) && name.bytes().all(allowed)
}

/// One lane's events into the socket.
struct Lane<'a> {
    write: &'a mut SplitSink<Socket, Message>,
    stream_id: Option<&'a str>,
}

impl Sink for Lane<'_> {
    async fn send(&mut self, mut event: Value) -> io::Result<()> {
        if let Some(lane) = self.stream_id {
            event["stream_id"] = json!(lane);
        }
        self.write
            .send(Message::text(event.to_string()))
            .await
            .map_err(io::Error::other)
    }
}
