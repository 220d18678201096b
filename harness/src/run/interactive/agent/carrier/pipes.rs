//! An agent's standard input and output.

use std::io;
use std::os::fd::OwnedFd;

use serde_json::Value;
use timeslip_wire::clock;
use timeslip_wire::framing::{Splitter, StreamFormat};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Arrived, What, payloads};

/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// Reads what an agent prints, on the thread of `measuring`.
pub(super) fn listen(
    output: OwnedFd,
    measuring: &Handle,
    arrived: mpsc::Sender<Arrived>,
) -> io::Result<()> {
    let on_it = measuring.enter();
    let mut output = pipe::Receiver::from_owned_fd(output)?;
    drop(on_it);
    measuring.spawn(async move {
        let mut splitter = Splitter::new(StreamFormat::JsonLines);
        let mut bytes = vec![0; READ];
        let why = loop {
            let read = output.read(&mut bytes).await;
            let at = clock::now();
            let mut came = Vec::new();
            let more = match read {
                Ok(0) => break "it closed its standard output".to_owned(),
                Ok(read) => splitter.feed(&bytes[..read], payloads(at, &mut came)),
                Err(error) => break format!("its standard output: {error}"),
            };
            for one in came {
                if arrived.send(one).await.is_err() {
                    return;
                }
            }
            if more.is_err() {
                break "a line of its standard output is too long".to_owned();
            }
        };
        let over = Arrived {
            at: clock::now(),
            what: What::Over(why),
        };
        // Whoever does not listen any more needs nothing told.
        let _ = arrived.send(over).await;
    });
    Ok(())
}

/// Writes a line.
pub(super) async fn write(input: &mut pipe::Sender, line: &Value) -> io::Result<()> {
    input.write_all(format!("{line}\n").as_bytes()).await
}
