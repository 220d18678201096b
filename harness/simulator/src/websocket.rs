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
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::dialect::{Dialect, ModelRequest, Refusal};
use super::dialects::responses::{self, PREAMBLE, Responses, ResponsesVoice};
use super::lanes::{self, Lane, LaneRequest as Turn, Lanes, Parent, Steer};
use super::line::Line;
use super::playback::Playback;
use super::service::{Peer, Service};
use super::steering::{Steering, accepted, failed, pending, successor};
use super::wire::{Carrier, Framing};
use timeslip_wire::clock;
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
    peer: Peer,
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
            converse(socket, &peer, &service, timing).await;
        }
    });
    response
}

/// Reads requests and has them answered, until either side is gone. Reading goes on
/// while answers stream, because that is what answers pings.
async fn converse(socket: Socket, peer: &Peer, service: &Service, timing: bool) {
    let (write, mut read) = socket.split();
    let connection = Connection {
        service,
        line: &peer.line,
        timing,
        write: Mutex::new(write),
        steering: Steering::default(),
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
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                };
                match lanes.receive(peer.received.at(), data) {
                    lanes::Message::Waits => None,
                    lanes::Message::Turn(turn) => Some(Work::Answer(turn)),
                    lanes::Message::Steer(steer) => connection.steer(steer, &lanes).map(Work::Tell),
                }
            }
            Some((lane, answered)) = answers.next() => match answered {
                Ok(parent) => lanes
                    .finish(lane, parent)
                    .map(|turn| Work::Answer(Box::new(turn))),
                Err(_) => return,
            },
        };
        if let Some(work) = next {
            answers.push(connection.work(work));
        }
    }
    // What is being answered learns of it before the good-bye is said.
    drop(answers);
    let _ = connection.write.lock().await.close().await;
}

/// What all lanes share.
struct Connection<'a> {
    service: &'a Service,
    line: &'a Line,
    /// The client asked for timing messages.
    timing: bool,
    write: Mutex<SplitSink<Socket, Message>>,
    steering: Steering,
}

/// What is to be done for a connection, beside all else that is.
enum Work {
    /// A request is answered.
    Answer(Box<Turn>),
    /// An event is sent.
    Tell(Value),
}

impl Connection<'_> {
    async fn work(&self, work: Work) -> (Option<Lane>, io::Result<Option<Parent>>) {
        match work {
            Work::Answer(turn) => self.answer(*turn).await,
            Work::Tell(event) => (None, self.tell(&event).await.map(|()| None)),
        }
    }

    async fn tell(&self, event: &Value) -> io::Result<()> {
        self.send(std::iter::once(event.to_string().into())).await
    }

    /// Answers a request; what comes next in its lane may continue from the answer.
    async fn answer(&self, turn: Turn) -> (Option<Lane>, io::Result<Option<Parent>>) {
        let Turn {
            lane,
            stream_id,
            received_ns,
            call,
        } = turn;
        let answered = match call {
            Ok(call) => self.converse(call, stream_id, received_ns).await,
            Err(refusal) => self.refuse(&refusal, stream_id).await.map(|()| None),
        };
        (lane, answered)
    }

    /// Answers a request, and whatever it is redirected to while it is being answered.
    async fn converse(
        &self,
        mut call: ModelRequest,
        stream_id: Option<String>,
        mut received_ns: u64,
    ) -> io::Result<Option<Parent>> {
        loop {
            let redirected = call.clone();
            let (call_, playback) = match self.begin(call, stream_id.clone(), received_ns).await {
                Ok(begun) => begun,
                Err(refusal) => {
                    self.refuse(&refusal, stream_id).await?;
                    return Ok(None);
                }
            };
            let (parent, steered) = self.play(call_, playback, stream_id.as_deref()).await?;
            let Some((input, at)) = steered else {
                return Ok(Some(parent));
            };
            match successor(redirected, parent, input) {
                Ok(next) => (call, received_ns) = (next, at),
                Err(refusal) => {
                    self.refuse(&refusal, stream_id).await?;
                    return Ok(None);
                }
            }
        }
    }

    /// Hands on what is said while a response is being made; what to answer where it cannot
    /// be.
    fn steer(&self, steer: Steer, lanes: &Lanes) -> Option<Value> {
        let steer = self.steering.hand_on(steer).err()?;
        let owed = lanes.latest(&steer.response_id).map(Parent::owed);
        Some(match owed {
            Some(owed) if !owed.is_empty() => pending(&steer, &owed),
            known => failed(&steer, known.is_some()),
        })
    }

    async fn begin(
        &self,
        mut call: ModelRequest,
        stream_id: Option<String>,
        received_ns: u64,
    ) -> Result<(ModelRequest, Playback), Refusal> {
        let echo = call.echo.take();
        let voice = Box::new(ResponsesVoice::over_websocket(self.timing, stream_id, echo));
        let carrier = Carrier {
            framing: Framing::Messages,
            http2: false,
        };
        let playback = self
            .service
            .respond(&call, &Responses, voice, carrier, received_ns)
            .await?;
        Ok((call, playback))
    }

    /// Plays an answer to its end; what it was redirected to, and when, comes with it.
    async fn play(
        &self,
        call: ModelRequest,
        mut playback: Playback,
        stream_id: Option<&str>,
    ) -> io::Result<(Parent, Option<(Value, u64)>)> {
        let mut told = self.steering.open(&playback.answer().id);
        let mut steered = None;
        loop {
            let chunk = tokio::select! {
                biased;
                Some(input) = told.next(), if steered.is_none() => {
                    steered = Some((input, clock::now()));
                    let accepted = accepted(&playback.answer().id, stream_id);
                    self.tell(&accepted).await?;
                    playback.redirect();
                    continue;
                }
                chunk = poll_fn(|context| playback.poll_chunk(context)) => chunk,
            };
            let Some(chunk) = chunk else { break };
            let chunk = chunk.inspect_err(|error| {
                if error.kind() == io::ErrorKind::ConnectionReset {
                    // Where it cannot be reset, it is closed without a word.
                    let _ = self.line.reset();
                }
            })?;
            self.send(chunk.messages()).await?;
        }
        if !playback.ended() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer = playback.answer();
        let mut items = call.prompt;
        // Instructions and tools come anew with every request.
        items.drain(..PREAMBLE);
        items.extend(responses::items(answer));
        let parent = Parent {
            id: answer.id.clone(),
            items,
        };
        Ok((parent, steered))
    }

    async fn refuse(&self, refusal: &Refusal, stream_id: Option<String>) -> io::Result<()> {
        let mut event = Responses.error(refusal);
        event["type"] = json!("error");
        event["status"] = json!(refusal.status);
        if let Some(seconds) = refusal.retry_after {
            event["headers"] = json!({ "retry-after": seconds.to_string() });
        }
        if let Some(lane) = stream_id {
            event["stream_id"] = json!(lane);
        }
        self.tell(&event).await
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
