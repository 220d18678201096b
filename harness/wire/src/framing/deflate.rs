//! Compressed messages (`permessage-deflate`, RFC 7692), beneath a WebSocket that knows
//! nothing of them.
//!
//! Frames are followed in both directions: a compressed one is handed up inflated, and
//! once the other side has agreed, messages are compressed on their way down. It works
//! on what one read brought, so that arrivals keep their meaning.

mod codec;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use codec::{Codec, Compression};

/// What a client offers, and a server accepts. Window sizes are left alone: the usual
/// ones are used.
pub(crate) const OFFER: &str = "permessage-deflate";

const READ: usize = 16 << 10;

/// What the two sides agreed on, once they have.
#[derive(Clone, Debug, Default)]
pub struct Agreement(Arc<AtomicU8>);

impl Agreement {
    const PLAIN: u8 = 0;
    const COMPRESSED: u8 = 1;
    const WITHOUT_CONTEXT: u8 = 2;

    /// Takes the extensions a server chose; true when messages are compressed.
    ///
    /// # Errors
    /// A sentence on what it chose that was not offered.
    pub(crate) fn settle(&self, chosen: Option<&str>) -> Result<bool, String> {
        let Some(chosen) = chosen else {
            return Ok(false);
        };
        let mut parts = chosen.split(';').map(str::trim);
        let mut agreed = Self::COMPRESSED;
        let mut known = parts.next() == Some(OFFER);
        for parameter in parts {
            match parameter.split('=').next().unwrap_or_default().trim() {
                "client_no_context_takeover" => agreed = Self::WITHOUT_CONTEXT,
                // What is inflated is whatever comes.
                "server_no_context_takeover" | "server_max_window_bits" => {}
                _ => known = false,
            }
        }
        if !known {
            let chosen: String = chosen.chars().take(100).collect();
            return Err(format!(
                "the server chose extensions that were not offered: {chosen}"
            ));
        }
        self.0.store(agreed, Relaxed);
        Ok(true)
    }

    /// As a server: takes the first of the offers that can be kept, and the words that
    /// say so.
    #[must_use]
    pub fn accept(offers: &str) -> Option<(Self, &'static str)> {
        let (agreed, words) = offers.split(',').find_map(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            if parts.next() != Some(OFFER) {
                return None;
            }
            parts.try_fold((Self::COMPRESSED, OFFER), |agreed, parameter| {
                match parameter.split('=').next().unwrap_or_default().trim() {
                    // What is inflated is whatever comes.
                    "client_no_context_takeover" | "client_max_window_bits" => Some(agreed),
                    "server_no_context_takeover" => Some((
                        Self::WITHOUT_CONTEXT,
                        "permessage-deflate; server_no_context_takeover",
                    )),
                    _ => None,
                }
            })
        })?;
        Some((Agreement(Arc::new(agreed.into())), words))
    }

    fn compression(&self) -> Compression {
        match self.0.load(Relaxed) {
            Self::PLAIN => Compression::Leave,
            Self::COMPRESSED => Compression::Deflate { keep_context: true },
            _ => Compression::Deflate {
                keep_context: false,
            },
        }
    }
}

/// One direction of a WebSocket whose handshake is over, inflated frame by frame.
pub(super) struct Inflating(Codec);

impl Inflating {
    /// No frame is read that is longer than `max_payload`, or inflates to more.
    pub(super) fn new(max_payload: usize) -> Self {
        Inflating(Codec::past_the_head().up_to(max_payload))
    }

    /// Takes bytes as they come, and appends what is whole of them to `frames`.
    ///
    /// # Errors
    /// What is wrong with a frame; those before it have been appended.
    pub(super) fn take(&mut self, bytes: &[u8], frames: &mut BytesMut) -> io::Result<()> {
        let taken = self.0.take(bytes, Compression::Inflate);
        frames.unsplit(self.0.output.split());
        taken
    }

    /// Bytes of a frame that is not whole yet.
    pub(super) fn unread(&self) -> usize {
        self.0.unread()
    }
}

/// A stream whose frames are inflated and deflated on their way.
pub struct Deflated<S> {
    inner: S,
    agreement: Agreement,
    reading: Codec,
    /// What is wrong with the bytes after those that can still be handed out.
    broken: Option<io::Error>,
    writing: Codec,
}

impl<S> Deflated<S> {
    pub(crate) fn new(inner: S, agreement: Agreement) -> Self {
        Deflated {
            inner,
            agreement,
            reading: Codec::default(),
            broken: None,
            writing: Codec::default(),
        }
    }

    /// A stream whose handshake is over.
    pub fn upgraded(inner: S, agreement: Agreement) -> Self {
        Deflated {
            reading: Codec::past_the_head(),
            writing: Codec::past_the_head(),
            ..Deflated::new(inner, agreement)
        }
    }
}

impl<S: AsyncWrite + Unpin> Deflated<S> {
    /// Writes what waits to be written.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting: &mut BytesMut = &mut self.writing.output;
        while !waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deflated<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.reading.output.is_empty() {
            if let Some(error) = this.broken.take() {
                return Poll::Ready(Err(error));
            }
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let taken = this.reading.take(read.filled(), Compression::Inflate);
            this.broken = taken.err();
        }
        let ready = &mut this.reading.output;
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        ready.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deflated<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        let compression = this.agreement.compression();
        this.writing.take(buf, compression)?;
        // What cannot go now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |buf| buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    #[test]
    fn only_what_was_offered_is_agreed_on() {
        let settle = |chosen| Agreement::default().settle(chosen);
        assert_eq!(settle(None), Ok(false));
        assert_eq!(settle(Some("permessage-deflate")), Ok(true));
        let parameters =
            "permessage-deflate; server_max_window_bits=10; client_no_context_takeover";
        assert_eq!(settle(Some(parameters)), Ok(true));
        for bad in [
            "x-other",
            "permessage-deflate; client_max_window_bits=9",
            "",
        ] {
            settle(Some(bad)).unwrap_err();
        }
    }

    #[test]
    fn a_server_accepts_what_it_can_keep() {
        let accept = |offers| Agreement::accept(offers).map(|(_, words)| words);
        let plain = Some("permessage-deflate");
        assert_eq!(accept(OFFER), plain);
        assert_eq!(accept("permessage-deflate; client_max_window_bits"), plain);
        assert_eq!(
            accept("permessage-deflate; server_max_window_bits=9, permessage-deflate"),
            plain
        );
        assert_eq!(
            accept("permessage-deflate; server_no_context_takeover"),
            Some("permessage-deflate; server_no_context_takeover")
        );
        for other in [
            "",
            "x-other",
            "permessage-deflate; server_max_window_bits=9",
        ] {
            assert_eq!(accept(other), None, "{other}");
        }
    }

    /// Both ends of a connection, past their handshake, in pieces of any size.
    #[tokio::test]
    async fn messages_come_through_in_both_directions() {
        for chosen in [
            "permessage-deflate",
            "permessage-deflate;client_no_context_takeover",
        ] {
            let (near, far) = tokio::io::duplex(700);
            let ends = [(near, Role::Client), (far, Role::Server)].map(|(stream, role)| {
                let agreement = Agreement::default();
                agreement.settle(Some(chosen)).unwrap();
                let stream = Deflated::upgraded(stream, agreement);
                WebSocketStream::from_raw_socket(stream, role, None)
            });
            let [near, far] = ends;
            let (mut near, mut far) = tokio::join!(near, far);
            for length in [0, 5, 126, 5_000, 80_000, 5_000] {
                let text: String = (0..length)
                    .map(|at: usize| (b'a' + (at % 23) as u8) as char)
                    .collect();
                let echo = async {
                    let message = loop {
                        match far.next().await.unwrap().unwrap() {
                            Message::Pong(_) => {}
                            message => break message,
                        }
                    };
                    far.send(Message::Ping(b"x".to_vec().into())).await.unwrap();
                    far.send(message).await.unwrap();
                };
                let talk = async {
                    near.send(Message::text(text.clone())).await.unwrap();
                    assert!(near.next().await.unwrap().unwrap().is_ping());
                    near.next().await.unwrap().unwrap()
                };
                let (answer, ()) = tokio::join!(talk, echo);
                assert_eq!(answer, Message::text(text));
            }
        }
    }
}
