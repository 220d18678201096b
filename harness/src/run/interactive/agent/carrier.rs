//! What carries the messages of a control protocol, and when each of them came.

mod pipes;
mod server;

use std::io;

use timeslip_wire::framing::Piece;
use timeslip_wire::{Measuring, clock};
use tokio::sync::mpsc;

use crate::control::Message;
use crate::run::agent::Ends;

/// What waits to be taken from an agent. One that says more has to wait.
const WAITING: usize = 1024;

/// Something that came.
#[derive(Debug, PartialEq)]
pub(super) struct Arrived {
    /// When it was read, on [`clock`].
    pub at: u64,
    /// What.
    pub what: What,
}

/// What came.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// A message of the agent's.
    Message(Vec<u8>),
    /// The answer to a request.
    Answer {
        call: u64,
        status: u16,
        body: Vec<u8>,
    },
    /// Nothing more will come, and why.
    Over(String),
}

/// The way to an agent and back.
#[derive(Debug)]
pub(super) struct Carrier {
    writer: Writer,
    arrivals: mpsc::Receiver<Arrived>,
    /// Reads what comes, and nothing else: it lies nowhere before it is dated.
    _measuring: Measuring,
}

#[derive(Debug)]
enum Writer {
    Pipe(tokio::net::unix::pipe::Sender),
    Server(server::Server),
}

impl Carrier {
    /// Begins to listen. A server is waited for.
    pub async fn over(ends: Ends) -> io::Result<Self> {
        let measuring =
            Measuring::start_relaying(timeslip_datasets::run::journal::StampSource::Read)?;
        let (arrived, arrivals) = mpsc::channel(WAITING);
        let writer = match ends {
            Ends::Pipes { input, output } => {
                pipes::listen(output, measuring.handle(), arrived)?;
                Writer::Pipe(tokio::net::unix::pipe::Sender::from_owned_fd(input)?)
            }
            Ends::Server { address, sockets } => {
                let handle = measuring.handle().clone();
                let server = server::Server::reach(address, sockets, handle, arrived);
                Writer::Server(server.await?)
            }
        };
        Ok(Carrier {
            writer,
            arrivals,
            _measuring: measuring,
        })
    }

    /// Hands messages over; gives when it began to.
    pub async fn write(&mut self, messages: Vec<Message>) -> io::Result<u64> {
        let at = clock::now();
        for message in messages {
            match (&mut self.writer, message) {
                (Writer::Pipe(pipe), Message::Line(line)) => pipes::write(pipe, &line).await?,
                (Writer::Server(server), Message::Post { call, path, body }) => {
                    server.post(call, &path, &body);
                }
                (Writer::Pipe(_), Message::Post { .. }) | (Writer::Server(_), Message::Line(_)) => {
                    return Err(io::Error::other("the protocol has another carrier"));
                }
            }
        }
        Ok(at)
    }

    /// What came next; `None` once nothing more can.
    pub async fn next(&mut self) -> Option<Arrived> {
        self.arrivals.recv().await
    }
}

/// The payloads among pieces of a stream.
fn payloads(at: u64, into: &mut Vec<Arrived>) -> impl FnMut(Piece<'_>) {
    move |piece| match piece {
        Piece::Payload(bytes) | Piece::Error(bytes) => into.push(Arrived {
            at,
            what: What::Message(bytes.to_vec()),
        }),
        Piece::KeepAlive => {}
    }
}
