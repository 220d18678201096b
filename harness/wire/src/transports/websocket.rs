//! A persistent WebSocket: one message a turn, events back as messages.

mod lanes;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Bytes;
use serde_json::Value;
use timeslip_datasets::run::journal::StopWay;
use tokio_tungstenite::tungstenite::Message;

use super::earlier::Earlier;
use super::http_sse::HttpSse;
use super::own::{Connected, Own};
use super::{Endpoint, Link, MAX_RESPONSE_MIB, Pool, Transport};
use crate::clock;
use crate::connection::Probe;
use crate::failure::Failure;
use crate::live::{Heard, Steered, StopSeen};
use crate::protocols::Protocol;
use crate::recorder::Recorder;
use lanes::Shared;
use upgrade::{MESSAGE_COST, Messages, Opening};

/// Bytes of a message within which it says its type.
const STEERING_WITHIN: usize = 64;
/// Characters that are kept of what a server says to a redirection.
const MAX_WORDS: usize = 200;

/// One message a turn on a persistent WebSocket.
#[derive(Debug)]
pub(super) struct WebSocket;

impl Transport for WebSocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn carries(&self, protocol: &dyn Protocol) -> bool {
        protocol.websocket().is_some()
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn compresses(&self) -> bool {
        true
    }

    fn fallback(&self) -> Option<&'static dyn Transport> {
        Some(&HttpSse)
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(Own::<OpenSocket>::new())
    }

    fn pool(&self, protocol: &dyn Protocol) -> Option<Arc<dyn Pool>> {
        Some(Arc::new(Shared::new(protocol.websocket()?.lanes?)))
    }
}

/// An open WebSocket.
struct OpenSocket {
    socket: Messages,
    opening: Opening,
    earlier: Earlier,
}

impl std::fmt::Debug for OpenSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSocket").finish_non_exhaustive()
    }
}

impl Connected for OpenSocket {
    async fn open(endpoint: &Endpoint, recorder: &mut Recorder) -> Result<Self, Failure> {
        let (socket, opening) = upgrade::open(endpoint, recorder).await?;
        let earlier = Earlier::default();
        Ok(OpenSocket {
            socket,
            opening,
            earlier,
        })
    }

    fn probe(&self) -> &Probe {
        &self.opening.probe
    }

    async fn settle(&mut self) -> bool {
        !self.opening.is_old()
    }

    /// Closes it, and reads on until the server has closed it, too. What comes meanwhile was
    /// sent before the server knew.
    async fn stop(
        mut self,
        patience: Duration,
        recorder: &mut Recorder,
    ) -> (Option<Self>, StopSeen) {
        let mut seen = StopSeen::silent(StopWay::SocketClose);
        let closing = async {
            self.socket.close(None).await.ok()?;
            let mut budget = MAX_RESPONSE_MIB << 20;
            while let Some(Ok(message)) = self.socket.next().await {
                budget = budget.checked_sub(message.len().max(MESSAGE_COST))?;
                tokio::task::coop::consume_budget().await;
                let arrival = self.opening.probe.arrival();
                let data: Bytes = match message {
                    Message::Text(text) => text.into(),
                    Message::Binary(data) => data,
                    Message::Close(_) => return Some(arrival.at),
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                };
                if !seen.ended && !is_steering(&data) {
                    // What is wrong in it does not matter any more.
                    seen.ended = recorder.message(arrival, &data).unwrap_or(false);
                }
            }
            None
        };
        let confirmed = tokio::time::timeout(patience, closing).await;
        seen.confirmed = confirmed.ok().flatten();
        (None, seen)
    }

    /// Answers pings until the connection is of no further use.
    async fn tend(&mut self) {
        let mut budget = MAX_RESPONSE_MIB << 20;
        while let Some(Ok(message)) = self.socket.next().await {
            let cost = message.len().max(MESSAGE_COST);
            let Some(left) = budget.checked_sub(cost).filter(|_| !message.is_close()) else {
                break;
            };
            budget = left;
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn converse(
        &mut self,
        endpoint: &Endpoint,
        _session: &str,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let text = String::from_utf8(body)
            .map_err(|_| Failure::Connect("the request is not UTF-8".into()))?;
        let idle = endpoint.idle_timeout;
        recorder.set_compressed(self.opening.compressed);
        if text.is_empty() {
            // The server begins by itself: it goes on another way than before.
            self.earlier.tell(recorder);
            let result = self.answer(endpoint, 0, recorder).await;
            self.earlier.answered(recorder);
            return result;
        }
        let sending = async {
            self.socket.send(Message::text(text)).await?;
            recorder.sent(self.opening.probe.last_write());
            // The pong comes back while the server works: a round trip that costs nothing.
            let pinged = clock::now();
            let ping = Message::Ping(pinged.to_be_bytes().to_vec().into());
            self.socket.send(ping).await.map(|()| pinged)
        };
        let pinged = tokio::time::timeout(idle, sending)
            .await
            .map_err(|_| Failure::Idle(idle))?
            .map_err(upgrade::closed)?;
        self.earlier.tell(recorder);
        let result = self.answer(endpoint, pinged, recorder).await;
        self.earlier.answered(recorder);
        result
    }
}

/// Whether a message is the answer to a redirection, which is no part of a response.
fn is_steering(data: &[u8]) -> bool {
    // Everything else says its type early, too.
    let head = &data[..data.len().min(STEERING_WITHIN)];
    memchr::memmem::find(head, b"response.steer.").is_some()
}

/// What the server says to a redirection.
fn steered(data: &[u8]) -> Option<Steered> {
    let event: Value = serde_json::from_slice(data).ok()?;
    let text = |value: &Value| -> String {
        let text = value.as_str().unwrap_or_default();
        text.chars().take(MAX_WORDS).collect()
    };
    Some(match event["type"].as_str()? {
        "response.steer.accepted" => Steered::Accepted,
        "response.steer.pending" => Steered::Pending,
        "response.steer.failed" => {
            let error = &event["error"];
            Steered::Failed(text(&error["code"]), text(&error["message"]))
        }
        _ => return None,
    })
}

impl OpenSocket {
    /// Feeds what comes to the recorder until the terminal event.
    async fn answer(
        &mut self,
        endpoint: &Endpoint,
        pinged: u64,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let idle = endpoint.idle_timeout;
        let mut total = 0;
        // What is to be said once the response has a name.
        let mut word: Option<String> = None;
        loop {
            if word.is_some()
                && let Some(id) = recorder.response_id()
                && let Some(word) = word.take()
                && let Some(steer) = endpoint.protocol.steer(&id, &word)
            {
                let sent = self.socket.send(Message::text(steer)).await;
                sent.map_err(upgrade::closed)?;
            }
            let patience = recorder.patience(idle);
            let message = tokio::select! {
                biased;
                next = recorder.word(), if word.is_none() => {
                    word = Some(next);
                    continue;
                }
                message = tokio::time::timeout(patience, self.socket.next()) => message,
            };
            let Ok(message) = message else {
                return recorder.give_up(idle);
            };
            // However fast messages come, the trial's own time goes on.
            tokio::task::coop::consume_budget().await;
            let message = message
                .ok_or_else(|| upgrade::closed_by_server(None))?
                .map_err(upgrade::closed)?;
            let arrival = self.opening.probe.arrival();
            total += message.len().max(MESSAGE_COST);
            if total > MAX_RESPONSE_MIB << 20 {
                return Err(Failure::TooLarge(MAX_RESPONSE_MIB));
            }
            let data = match message {
                Message::Text(text) => text.into(),
                Message::Binary(data) => data,
                Message::Pong(data) if *data == pinged.to_be_bytes() => {
                    recorder.pong(arrival, pinged);
                    continue;
                }
                Message::Ping(_) => {
                    recorder.keep_alive();
                    continue;
                }
                Message::Close(frame) => {
                    return Err(upgrade::closed_by_server(frame.as_ref()));
                }
                Message::Pong(_) | Message::Frame(_) => continue,
            };
            if is_steering(&data)
                && let Some(answer) = steered(&data)
            {
                let at = arrival.at;
                recorder.tell(Heard::Steered { at, answer });
                continue;
            }
            recorder.responding(arrival);
            if recorder.message(arrival, &data)? {
                return Ok(());
            }
        }
    }
}
