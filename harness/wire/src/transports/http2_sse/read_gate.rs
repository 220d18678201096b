//! What lies between HTTP/2 and its connection, so that times mean what they say.
//!
//! Inward it lets one read through and then none until it is told to go on: a library
//! that reads until nothing is left would hand out frames whose arrival nobody knows.
//! Outward it follows the frames, because only the one that ends a request tells when
//! the request was sent: settings, window updates and pings are written, too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Duplex, Probe};

/// What a client says before its first frame.
const PREFACE: usize = 24;
const HEADER: usize = 9;
const DATA: u8 = 0;
/// What a server says first: its settings, or that it goes away.
const FIRST: [u8; 2] = [4, 7];
/// Where a frame says what it is.
const KIND: usize = 3;
const END_STREAM: u8 = 1;

/// What the two sides of the connection tell each other.
#[derive(Debug, Default)]
pub(super) struct Gate {
    has_read: AtomicBool,
    request_sent: AtomicU64,
    foreign: AtomicBool,
}

impl Gate {
    /// Lets the next read through.
    pub(super) fn open(&self) {
        self.has_read.store(false, Relaxed);
    }

    /// Whether a read went through since [`Gate::open`], and the next one waits.
    pub(super) fn has_read(&self) -> bool {
        self.has_read.load(Relaxed)
    }

    /// Whether what came first is no HTTP/2.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign.load(Relaxed)
    }

    /// Forgets the previous request.
    pub(super) fn arm(&self) {
        self.request_sent.store(0, Relaxed);
    }

    /// When the last byte of the request was handed to the kernel.
    pub(super) fn request_sent(&self) -> Option<u64> {
        Some(self.request_sent.load(Relaxed)).filter(|at| *at > 0)
    }
}

/// A connection behind a gate.
pub(super) struct Gated {
    inner: Box<dyn Duplex>,
    probe: Arc<Probe>,
    gate: Arc<Gate>,
    written: Frames,
    /// Nothing has been read yet.
    fresh: bool,
    /// A request ended with what was written; some of it may still wait beneath, in TLS.
    unflushed: bool,
}

impl Gated {
    pub(super) fn new(inner: Box<dyn Duplex>, probe: Arc<Probe>) -> (Self, Arc<Gate>) {
        let gate = Arc::<Gate>::default();
        let gated = Gated {
            inner,
            probe,
            gate: Arc::clone(&gate),
            written: Frames::default(),
            fresh: true,
            unflushed: false,
        };
        (gated, gate)
    }

    fn note_written<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, mut count: usize) {
        for slice in slices {
            let part = &slice[..slice.len().min(count)];
            count -= part.len();
            self.unflushed |= self.written.take(part);
        }
    }
}

/// Where in the outgoing frames the connection is.
#[derive(Debug)]
struct Frames {
    /// Bytes still to come of the preface, or of a frame's payload.
    payload: usize,
    /// The payload ends a request.
    ends: bool,
    header: [u8; HEADER],
    filled: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Frames {
            payload: PREFACE,
            ends: false,
            header: [0; HEADER],
            filled: 0,
        }
    }
}

impl Frames {
    /// Takes bytes as they are written; true when a request ended among them.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
            } else {
                self.header[self.filled] = bytes[0];
                self.filled += 1;
                bytes = &bytes[1..];
                if self.filled < HEADER {
                    continue;
                }
                self.filled = 0;
                let [high, middle, low, kind, flags, ..] = self.header;
                self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.ends = kind == DATA && flags & END_STREAM != 0;
            }
            if self.payload == 0 {
                ended |= std::mem::take(&mut self.ends);
            }
        }
        ended
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gate.has_read() {
            // Whoever opens the gate asks again.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() > before;
        if read && std::mem::take(&mut self.fresh) {
            let kind = buf.filled()[before..].get(KIND);
            let foreign = kind.is_some_and(|kind| !FIRST.contains(kind));
            self.gate.foreign.store(foreign, Relaxed);
        }
        self.gate.has_read.store(read, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.note_written(std::iter::once(buf), written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.note_written(bufs.iter().map(|slice| &**slice), written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if std::mem::take(&mut self.unflushed) {
            let at = self.probe.last_write().unwrap_or_default();
            self.gate.request_sent.store(at, Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Timed;
    use tokio::io::AsyncWriteExt;

    /// Writes nothing before it is flushed, as TLS does when the kernel has no room.
    struct Held {
        inner: Timed,
        waiting: Vec<u8>,
    }

    impl AsyncRead for Held {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Held {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.waiting.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let waiting = std::mem::take(&mut self.waiting);
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &waiting))?;
            assert_eq!(written, waiting.len());
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn a_request_is_sent_when_the_kernel_has_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
        let timed = Timed::new(near.await.unwrap());
        let probe = timed.probe();
        let held = Held {
            inner: timed,
            waiting: Vec::new(),
        };
        let (mut gated, gate) = Gated::new(Box::new(held), Arc::clone(&probe));
        gated.write_all(&[b'P'; PREFACE]).await.unwrap();
        gated.flush().await.unwrap();
        assert_eq!(gate.request_sent(), None, "no request yet");
        let request = frame(DATA, END_STREAM, b"{}");
        gated.write_all(&request).await.unwrap();
        assert_eq!(gate.request_sent(), None, "it waits");
        let before = crate::clock::now();
        gated.flush().await.unwrap();
        assert!(gate.request_sent() >= Some(before));
        assert_eq!(gate.request_sent(), probe.last_write());
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    /// However the bytes are cut, requests end where their last data frame does.
    #[test]
    fn requests_end_with_their_data() {
        const SETTINGS: u8 = 4;
        let parts = [
            vec![b'P'; PREFACE],
            frame(SETTINGS, 0, &[0; 12]),
            frame(SETTINGS, END_STREAM, &[]),
            frame(1, 4, &[DATA, END_STREAM, DATA, END_STREAM]),
            frame(DATA, 0, &[7; 300]),
            frame(DATA, END_STREAM, &[7; 20]),
            frame(6, 0, &[0; 8]),
            frame(DATA, END_STREAM, &[]),
            frame(6, END_STREAM, &[0; 8]),
        ];
        let ends = [6, 8].map(|count| parts[..count].concat().len());
        let bytes = parts.concat();
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            let mut at = 0;
            let mut found = Vec::new();
            for chunk in bytes.chunks(size) {
                let ended = frames.take(chunk);
                let expected = ends
                    .iter()
                    .any(|end| (at + 1..=at + chunk.len()).contains(end));
                assert_eq!(ended, expected, "{size} {at}");
                at += chunk.len();
                found.push(ended);
            }
            assert!(found.contains(&true));
        }
    }
}
