//! How events are framed: the same answer travels as server-sent events, as lines or
//! as messages.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// What separates one event from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    ServerSentEvents,
    /// One JSON object a line.
    Lines,
    /// The elements of one JSON array.
    Array,
    /// WebSocket messages.
    Messages,
    /// One JSON object, alone.
    Whole,
}

impl Framing {
    /// The media type of a body framed this way.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Framing::ServerSentEvents => "text/event-stream; charset=utf-8",
            Framing::Lines => "application/x-ndjson",
            Framing::Array | Framing::Messages | Framing::Whole => "application/json",
        }
    }
}

/// What carries an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// How its events are framed.
    pub framing: Framing,
    /// The connection speaks HTTP/2.
    pub http2: bool,
}

impl Carrier {
    /// Its name in the emission log.
    #[must_use]
    pub fn transport(self) -> &'static str {
        match (self.framing, self.http2) {
            (Framing::ServerSentEvents, false) => "http-sse",
            (Framing::ServerSentEvents, true) => "http2-sse",
            (Framing::Lines, false) => "http-lines",
            (Framing::Lines, true) => "http2-lines",
            (Framing::Array, false) => "http-array",
            (Framing::Array, true) => "http2-array",
            (Framing::Messages, _) => "websocket",
            (Framing::Whole, false) => "http",
            (Framing::Whole, true) => "http2",
        }
    }
}

/// What goes out in one write.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    bytes: Bytes,
    ends: Vec<usize>,
}

impl Chunk {
    /// The first half of it.
    #[must_use]
    pub fn half(mut self) -> Self {
        self.bytes.truncate(self.bytes.len() / 2);
        self.ends.clear();
        self
    }

    /// All of it, for a byte stream.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The single messages; an empty one stands for a ping.
    pub fn messages(&self) -> impl Iterator<Item = Bytes> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        std::iter::zip(starts, &self.ends).map(|(start, end)| self.bytes.slice(start..*end))
    }
}

/// Collects the events of one write.
#[derive(Debug)]
pub struct Wire {
    framing: Framing,
    buffer: BytesMut,
    ends: Vec<usize>,
    /// An element of the array has been written.
    begun: bool,
}

impl Wire {
    /// An empty one.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Wire {
            framing,
            buffer: BytesMut::new(),
            ends: Vec::new(),
            begun: false,
        }
    }

    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.ends.is_empty()
    }

    /// Adds an event that has a name where the framing knows names.
    pub fn named(&mut self, name: &str, data: &impl Serialize) {
        if self.framing == Framing::ServerSentEvents {
            self.put(&["event: ", name, "\n"]);
        }
        self.event(data);
    }

    /// Adds an event.
    pub fn event(&mut self, data: &impl Serialize) {
        match self.framing {
            Framing::ServerSentEvents => self.put(&["data: "]),
            Framing::Array if std::mem::replace(&mut self.begun, true) => self.put(&[",\r\n"]),
            Framing::Array => self.put(&["["]),
            Framing::Lines | Framing::Messages | Framing::Whole => {}
        }
        // Strings, numbers and maps with string keys: nothing that could fail.
        let _ = serde_json::to_writer((&mut self.buffer).writer(), data);
        self.end();
    }

    /// Adds an event that is no JSON, such as `[DONE]`.
    pub fn literal(&mut self, text: &str) {
        if self.framing == Framing::ServerSentEvents {
            self.put(&["data: "]);
        }
        self.put(&[text]);
        self.end();
    }

    /// Adds what keeps an idle connection open and means nothing; lines have no such thing.
    pub fn keep_alive(&mut self) {
        match self.framing {
            Framing::ServerSentEvents => self.put(&[": keep-alive\n\n"]),
            Framing::Messages => self.ends.push(self.buffer.len()),
            Framing::Lines | Framing::Array | Framing::Whole => {}
        }
    }

    /// Ends the stream, where the framing has an end of its own.
    pub fn close(&mut self) {
        if self.framing == Framing::Array {
            self.put(&[if self.begun { "]" } else { "[]" }]);
        }
    }

    /// Hands over what has been collected.
    pub fn take(&mut self) -> Chunk {
        Chunk {
            bytes: self.buffer.split().freeze(),
            ends: std::mem::take(&mut self.ends),
        }
    }

    fn end(&mut self) {
        match self.framing {
            Framing::ServerSentEvents => self.put(&["\n\n"]),
            Framing::Lines => self.put(&["\n"]),
            Framing::Messages => self.ends.push(self.buffer.len()),
            Framing::Array | Framing::Whole => {}
        }
    }

    fn put(&mut self, words: &[&str]) {
        for word in words {
            self.buffer.put_slice(word.as_bytes());
        }
    }
}
