//! A persistent WebSocket: one message a turn, events back as messages.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::MAX_RESPONSE_MIB;
use super::earlier::Earlier;
use super::upgrade::{self, MESSAGE_COST, Messages, Opening};
use crate::clock;
use crate::connection::Probe;
use crate::exchange::{Endpoint, Failure, Recorder};

/// An open WebSocket.
pub struct Connected {
    socket: Messages,
    opening: Opening,
    earlier: Earlier,
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
        let (socket, opening) = upgrade::open(endpoint, recorder).await?;
        let earlier = Earlier::default();
        Ok(Connected {
            socket,
            opening,
            earlier,
        })
    }

    pub(super) fn probe(&self) -> &Probe {
        &self.opening.probe
    }

    /// Whether the server would end the connection soon anyway.
    pub(super) fn is_old(&self) -> bool {
        self.opening.is_old()
    }

    /// Answers pings until the connection is of no further use.
    pub(super) async fn tend(&mut self) {
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
