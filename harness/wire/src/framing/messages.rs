//! The messages of one direction of a WebSocket, read from a copy of its bytes.

use std::io::{self, Read, Write};

use bytes::BytesMut;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::deflate::Inflating;

/// Reads messages, compressed or not, fragmented or not, from whatever part of them comes.
pub struct MessageReader {
    inflating: Inflating,
    socket: WebSocket<Copied>,
    /// Bytes of frames since the last whole message.
    fed: usize,
}

impl MessageReader {
    /// What a client says (`from_client`), or a server, after the handshake; no message is
    /// read that is longer than `max_message`.
    #[must_use]
    pub fn new(from_client: bool, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message))
            .accept_unmasked_frames(true);
        // Whoever listens to a client is a server.
        let role = if from_client {
            Role::Server
        } else {
            Role::Client
        };
        MessageReader {
            inflating: Inflating::new(max_message),
            socket: WebSocket::from_raw_socket(Copied::default(), role, Some(config)),
            fed: 0,
        }
    }

    /// Feeds bytes as they were read, calling `message` for each that is whole.
    ///
    /// # Errors
    /// What cannot be read; the reader is then of no further use.
    pub fn feed(&mut self, bytes: &[u8], mut message: impl FnMut(Message)) -> Result<(), String> {
        let frames = &mut self.socket.get_mut().0;
        let before = frames.len();
        let inflated = self.inflating.take(bytes, frames);
        self.fed += frames.len() - before;
        loop {
            match self.socket.read() {
                Ok(whole) => {
                    self.fed = 0;
                    message(whole);
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What follows a close frame is no message.
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        inflated.map_err(|error| error.to_string())
    }

    /// Bytes that are kept of a message that is not whole yet.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.inflating.unread() + self.fed
    }
}

/// Frames that came, as a socket; what is answered to them is forgotten.
#[derive(Debug, Default)]
struct Copied(BytesMut);

impl Read for Copied {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.0.len());
        into[..count].copy_from_slice(&self.0.split_to(count));
        Ok(count)
    }
}

impl Write for Copied {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a stream that is cut into parts of `size` bytes.
    fn messages(stream: &[u8], size: usize) -> (Vec<Message>, Result<(), String>) {
        let mut reader = MessageReader::new(false, 1 << 20);
        let mut found = Vec::new();
        for part in stream.chunks(size) {
            if let Err(problem) = reader.feed(part, |message| found.push(message)) {
                return (found, Err(problem));
            }
        }
        let unread = reader.unread();
        (found, (unread == 0).then_some(()).ok_or("unread".into()))
    }

    #[test]
    fn messages_are_whole_however_they_are_cut() {
        let stream = b"\x81\x05Hello\x01\x03Hel\x89\x01!\x80\x02lo\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x88\x02\x03\xe8";
        for size in 1..=stream.len() {
            let (found, end) = messages(stream, size);
            let words: Vec<String> = found.iter().map(|one| format!("{one:?}")).collect();
            assert_eq!(found.len(), 5, "{words:?}");
            assert_eq!(found[0], Message::text("Hello"));
            assert!(found[1].is_ping());
            assert_eq!(found[2], Message::text("Hello"));
            assert_eq!(found[3], Message::text("Hello"), "inflated");
            assert!(found[4].is_close());
            assert_eq!(end, Ok(()));
        }
    }

    #[test]
    fn what_is_no_frame_says_so() {
        let (_, end) = messages(b"\x81\x02hi\xff\xff\xff\xff\xff\xff", 3);
        end.unwrap_err();
        let endless = [&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0][..], &[b'x'; 64]].concat();
        messages(&endless, 7).1.unwrap_err();
        assert_eq!(messages(b"\x81\x05Hel", 2).1, Err("unread".into()));
    }
}
