//! A persistent WebSocket: one message a turn, events back as messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use hyper::header;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{MAX_RESPONSE_MIB, http};
use crate::clock;
use crate::connection::{Duplex, Probe};
use crate::exchange::{Endpoint, Failure, Recorder, split};

/// Servers end a connection after an hour, whatever is being said on it; one that is
/// nearly there is replaced between two exchanges rather than within one.
const MAX_AGE: Duration = Duration::from_secs(55 * 60);

/// An open WebSocket.
pub struct Connected {
    socket: WebSocketStream<Box<dyn Duplex>>,
    probe: Arc<Probe>,
    opened: Instant,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

impl Connected {
    pub(super) async fn open(
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<Self, Failure> {
        let connection = super::open(endpoint).await?;
        recorder.connected(connection.steps, None);
        let request = upgrade_request(endpoint).map_err(Failure::Connect)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(split::MAX_PAYLOAD))
            .max_frame_size(Some(split::MAX_PAYLOAD));
        let handshake =
            tokio_tungstenite::client_async_with_config(request, connection.stream, Some(config));
        let (socket, _response) = tokio::time::timeout(endpoint.idle_timeout, handshake)
            .await
            .map_err(|_| Failure::Idle(endpoint.idle_timeout))?
            .map_err(upgrade_failure)?;
        recorder.connected(connection.steps, Some(clock::now()));
        Ok(Connected {
            socket,
            probe: connection.probe,
            opened: Instant::now(),
        })
    }

    pub(super) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Whether the server would end the connection soon anyway.
    pub(super) fn is_old(&self) -> bool {
        self.opened.elapsed() > MAX_AGE
    }

    /// Answers pings until the connection is of no further use.
    pub(super) async fn tend(&mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            if message.is_close() {
                break;
            }
        }
    }

    /// Sends a body and feeds the response to the recorder until its terminal event.
    pub(super) async fn converse(
        &mut self,
        endpoint: &Endpoint,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let text = String::from_utf8(body)
            .map_err(|_| Failure::Connect("the request is not UTF-8".into()))?;
        let idle = endpoint.idle_timeout;
        let sending = async {
            self.socket.send(Message::text(text)).await?;
            recorder.sent(self.probe.last_write());
            // The pong comes back while the server works: a round trip that costs nothing.
            let pinged = clock::now();
            let ping = Message::Ping(pinged.to_be_bytes().to_vec().into());
            self.socket.send(ping).await.map(|()| pinged)
        };
        let pinged = tokio::time::timeout(idle, sending)
            .await
            .map_err(|_| Failure::Idle(idle))?
            .map_err(closed)?;
        let mut total = 0;
        loop {
            let message = tokio::time::timeout(idle, self.socket.next())
                .await
                .map_err(|_| Failure::Idle(idle))?
                .ok_or_else(|| Failure::Closed("connection closed".into()))?
                .map_err(closed)?;
            let arrival = self.probe.arrival();
            total += message.len();
            if total > MAX_RESPONSE_MIB << 20 {
                return Err(Failure::TooLarge(MAX_RESPONSE_MIB));
            }
            if matches!(message, Message::Text(_) | Message::Binary(_)) {
                recorder.responding(arrival);
            }
            match message {
                Message::Text(text) => {
                    if recorder.payload(arrival, text.as_bytes())? {
                        return Ok(());
                    }
                }
                Message::Binary(data) => {
                    if recorder.payload(arrival, &data)? {
                        return Ok(());
                    }
                }
                Message::Pong(data) if *data == pinged.to_be_bytes() => {
                    recorder.ping(arrival.at().saturating_sub(pinged));
                }
                Message::Close(frame) => {
                    let why = frame.map_or_else(
                        || "closed by the server".into(),
                        |frame| format!("closed by the server: {} {}", frame.code, frame.reason),
                    );
                    return Err(Failure::Closed(why));
                }
                Message::Pong(_) | Message::Ping(_) | Message::Frame(_) => {}
            }
        }
    }
}

fn upgrade_request(endpoint: &Endpoint) -> Result<tungstenite::handshake::client::Request, String> {
    let target = &endpoint.target;
    let scheme = if target.tls { "wss" } else { "ws" };
    let url = format!(
        "{scheme}://{}{}{}",
        target.authority(),
        target.path,
        endpoint.protocol.path(&endpoint.model)
    );
    let mut request = url
        .into_client_request()
        .map_err(|error| error.to_string())?;
    let ours = [
        (
            "openai-beta".to_owned(),
            "responses_websockets=2026-02-06".to_owned(),
        ),
        (
            "x-responsesapi-include-timing-metrics".to_owned(),
            "true".to_owned(),
        ),
        (header::USER_AGENT.to_string(), super::USER_AGENT.to_owned()),
    ];
    for (name, value) in ours.into_iter().chain(super::headers(endpoint)) {
        let bad = |what: &str| format!("endpoint {}: header {name}: {what}", endpoint.name);
        let header = header::HeaderName::try_from(&name).map_err(|_| bad("not a header name"))?;
        let value = header::HeaderValue::try_from(value).map_err(|_| bad("not a header value"))?;
        request.headers_mut().insert(header, value);
    }
    Ok(request)
}

fn upgrade_failure(error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let mut failure = http::refusal(response.status().as_u16(), response.headers(), body);
            if let Failure::Status { message, .. } = &mut failure
                && message.is_empty()
            {
                *message = "the server refuses the WebSocket upgrade".into();
            }
            failure
        }
        other => Failure::Connect(format!("WebSocket upgrade failed: {other}")),
    }
}

fn closed(error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Capacity(_) => Failure::TooLarge(split::MAX_PAYLOAD >> 20),
        other => Failure::Closed(other.to_string()),
    }
}
