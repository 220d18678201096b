//! A persistent WebSocket: one message a turn, events back as messages.

mod lanes;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::earlier::Earlier;
use super::http_sse::HttpSse;
use super::own::{Connected, Own};
use super::{Endpoint, Link, MAX_RESPONSE_MIB, Pool, Transport};
use crate::clock;
use crate::connection::Probe;
use crate::failure::Failure;
use crate::protocols::Protocol;
use crate::recorder::Recorder;
use lanes::Shared;
use upgrade::{MESSAGE_COST, Messages, Opening};

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
        let result = self.answer(idle, pinged, recorder).await;
        self.earlier.answered(recorder);
        result
    }
}

impl OpenSocket {
    /// Feeds what comes to the recorder until the terminal event.
    async fn answer(
        &mut self,
        idle: Duration,
        pinged: u64,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let mut total = 0;
        loop {
            let patience = recorder.patience(idle);
            let Ok(message) = tokio::time::timeout(patience, self.socket.next()).await else {
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
            recorder.responding(arrival);
            if recorder.message(arrival, &data)? {
                return Ok(());
            }
        }
    }
}
