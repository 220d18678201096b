//! A persistent WebSocket: one message a turn, events back as messages.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::MAX_RESPONSE_MIB;
use super::upgrade::{self, Messages, Opening};
use crate::clock;
use crate::connection::Probe;
use crate::exchange::{Endpoint, Failure, Recorder};

/// An open WebSocket.
pub struct Connected {
    socket: Messages,
    opening: Opening,
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
        Ok(Connected { socket, opening })
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
        let mut total = 0;
        loop {
            let message = tokio::time::timeout(idle, self.socket.next())
                .await
                .map_err(|_| Failure::Idle(idle))?
                .ok_or_else(|| upgrade::closed_by_server(None))?
                .map_err(upgrade::closed)?;
            let arrival = self.opening.probe.arrival();
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
                    recorder.pong(arrival, pinged);
                }
                Message::Ping(_) => recorder.keep_alive(),
                Message::Close(frame) => {
                    return Err(upgrade::closed_by_server(frame.as_ref()));
                }
                Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}
