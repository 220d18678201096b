//! Responses over a persistent WebSocket: one message a turn, in lanes that are answered
//! side by side.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use futures_util::SinkExt;
use futures_util::stream::{FuturesUnordered, SplitSink, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::dialect::{ModelRequest, Refusal};
use super::dialects::responses::{self, PREAMBLE, ResponsesVoice};
use super::lanes::{Lane, LaneRequest as Turn, Lanes, Parent};
use super::service::{Received, Service};
use super::wire::Framing;
use timeslip_wire::connection::Duplex;
use timeslip_wire::framing::deflate::{Agreement, Deflated};

type Socket = WebSocketStream<Box<dyn Duplex>>;

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
) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
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
    let offers = request.headers().get(header::SEC_WEBSOCKET_EXTENSIONS);
    let compression = offers.and_then(|offers| Agreement::accept(offers.to_str().ok()?));
    let (agreement, words) = compression.unzip();
    if let Some(words) = words {
        headers.insert(
            header::SEC_WEBSOCKET_EXTENSIONS,
            header::HeaderValue::from_static(words),
        );
    }
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            let upgraded = TokioIo::new(upgraded);
            let stream: Box<dyn Duplex> = match agreement {
                Some(agreement) => Box::new(Deflated::upgraded(upgraded, agreement)),
                None => Box::new(upgraded),
            };
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            converse(socket, &received, &service, timing).await;
        }
    });
    response
}

/// Reads requests and has them answered, until either side is gone. Reading goes on
/// while answers stream, because that is what answers pings.
async fn converse(socket: Socket, received: &Received, service: &Service, timing: bool) {
    let (write, mut read) = socket.split();
    let connection = Connection {
        service,
        timing,
        write: Mutex::new(write),
    };
    let mut lanes = Lanes::new(service.websocket_lifetime);
    let mut answers = FuturesUnordered::new();
    loop {
        let next = tokio::select! {
            message = read.next() => {
                let data = match &message {
                    Some(Ok(Message::Text(text))) => text.as_bytes(),
                    Some(Ok(Message::Binary(data))) => data,
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                lanes.receive(received.at(), data)
            }
            Some((lane, answered)) = answers.next() => match answered {
                Ok(parent) => lanes.finish(lane, parent),
                Err(_) => return,
            },
        };
        if let Some(turn) = next {
            answers.push(connection.answer(turn));
        }
    }
}

/// What all lanes share.
struct Connection<'a> {
    service: &'a Service,
    /// The client asked for timing messages.
    timing: bool,
    write: Mutex<SplitSink<Socket, Message>>,
}

impl Connection<'_> {
    /// Answers a request; what comes next in its lane may continue from the answer.
    async fn answer(&self, turn: Turn) -> (Option<Lane>, io::Result<Option<Parent>>) {
        let Turn {
            lane,
            stream_id,
            received_ns,
            call,
        } = turn;
        let answered = match call {
            Ok(call) => self.play(call, stream_id, received_ns).await.map(Some),
            Err(refusal) => self.refuse(&refusal, stream_id).await.map(|()| None),
        };
        (lane, answered)
    }

    async fn play(
        &self,
        call: ModelRequest,
        stream_id: Option<String>,
        received_ns: u64,
    ) -> io::Result<Parent> {
        let voice = Box::new(ResponsesVoice::over_websocket(self.timing, stream_id));
        let mut playback = self
            .service
            .respond(&call, voice, Framing::Messages, received_ns)
            .await?;
        while let Some(chunk) = poll_fn(|context| playback.poll_chunk(context)).await {
            self.send(chunk?.messages()).await?;
        }
        let answer = playback.answer();
        let mut items = call.prompt;
        // Instructions and tools come anew with every request.
        items.drain(..PREAMBLE);
        items.extend(responses::items(answer));
        Ok(Parent {
            id: answer.id.clone(),
            items,
        })
    }

    async fn refuse(&self, refusal: &Refusal, stream_id: Option<String>) -> io::Result<()> {
        let mut event = responses::error(refusal);
        event["type"] = json!("error");
        event["status"] = json!(refusal.status);
        if let Some(lane) = stream_id {
            event["stream_id"] = json!(lane);
        }
        self.send(std::iter::once(event.to_string().into())).await
    }

    /// Sends messages in one write; an empty one is a ping.
    async fn send(&self, messages: impl Iterator<Item = Bytes>) -> io::Result<()> {
        let mut write = self.write.lock().await;
        for message in messages {
            let message = if message.is_empty() {
                Message::Ping(message)
            } else {
                Message::Text(message.try_into().map_err(io::Error::other)?)
            };
            write.feed(message).await.map_err(io::Error::other)?;
        }
        write.flush().await.map_err(io::Error::other)
    }
}
