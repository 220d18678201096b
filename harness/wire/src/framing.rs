//! A response body, split into the payloads of its protocol as bytes come in.

pub mod deflate;
mod json_lines;
mod messages;
mod sse;

pub use messages::MessageReader;

/// How payloads are told apart in an HTTP response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// Server-sent events.
    ServerSentEvents,
    /// One JSON value a line.
    JsonLines,
}

/// No honest payload is larger; a larger one ends the exchange.
pub const MAX_PAYLOAD: usize = 4 << 20;

/// A payload grew past [`MAX_PAYLOAD`].
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// One thing found in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole payload.
    Payload(&'a [u8]),
    /// What an event says whose name is `error`.
    Error(&'a [u8]),
    /// Something that only keeps the connection alive.
    KeepAlive,
}

/// An incremental splitter for one response body.
#[derive(Debug)]
pub struct Splitter(Parser);

#[derive(Debug)]
enum Parser {
    ServerSentEvents(sse::Parser),
    JsonLines(json_lines::Parser),
}

impl Splitter {
    /// A splitter at the start of a body.
    #[must_use]
    pub fn new(format: StreamFormat) -> Self {
        Splitter(match format {
            StreamFormat::ServerSentEvents => Parser::ServerSentEvents(sse::Parser::default()),
            StreamFormat::JsonLines => Parser::JsonLines(json_lines::Parser::default()),
        })
    }

    /// Feeds bytes as they were read, calling `piece` for each thing that is whole.
    ///
    /// # Errors
    /// [`TooLarge`]; the splitter is then of no further use.
    pub fn feed(&mut self, bytes: &[u8], piece: impl FnMut(Piece<'_>)) -> Result<(), TooLarge> {
        match &mut self.0 {
            Parser::ServerSentEvents(parser) => parser.feed(bytes, piece),
            Parser::JsonLines(parser) => parser.feed(bytes, piece),
        }
    }

    /// The body ended by itself: the last piece counts although its end is missing.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn end(&mut self, piece: impl FnMut(Piece<'_>)) -> Result<(), TooLarge> {
        match &mut self.0 {
            Parser::ServerSentEvents(parser) => parser.end(piece),
            Parser::JsonLines(parser) => {
                parser.end(piece);
                Ok(())
            }
        }
    }
}
