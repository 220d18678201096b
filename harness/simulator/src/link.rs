//! The simulated link: every byte waits one way before it goes on.
//!
//! It sits between the socket and the server, so that upgrades, pings, headers and
//! events are all late by the same round trip, whatever the protocol.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use timeslip_wire::clock;
use timeslip_wire::timer::Timer;

/// Chunks on the way at once; a sender that outruns this waits.
const IN_FLIGHT: usize = 4096;

/// Puts a link in front of a socket and returns the server's end of it.
///
/// # Errors
/// When the system has no timer left.
pub fn delay(socket: TcpStream, one_way_ns: u64) -> io::Result<DuplexStream> {
    let (near, far) = tokio::io::duplex(256 << 10);
    let (socket_read, socket_write) = socket.into_split();
    let (far_read, far_write) = tokio::io::split(far);
    one_direction(socket_read, far_write, one_way_ns)?;
    one_direction(far_read, socket_write, one_way_ns)?;
    Ok(near)
}

fn one_direction(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
    one_way_ns: u64,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(u64, Bytes)>(IN_FLIGHT);
    let mut timer = Timer::new()?;
    tokio::spawn(async move {
        let mut buffer = bytes::BytesMut::new();
        while let Ok(1..) = {
            buffer.reserve(16 << 10);
            from.read_buf(&mut buffer).await
        } {
            let due = clock::now() + one_way_ns;
            if sender.send((due, buffer.split().freeze())).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, chunk)) = receiver.recv().await {
            if timer.sleep_until(due).await.is_err() || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // A peer that already left needs no goodbye.
        let _ = to.shutdown().await;
    });
    Ok(())
}
