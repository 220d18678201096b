//! Where heads, bodies and messages of HTTP/1.1 end in a stream of bytes.
//!
//! Nothing is taken out or changed: every byte is in exactly one piece.

/// No head is read that is longer.
pub const MAX_HEAD: usize = 64 << 10;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// So many bytes, then the next head.
    Length(u64),
    /// Chunks and trailers, then the next head.
    Chunks,
    /// A body that ends with the connection.
    UntilClose,
    /// Another head of the same message.
    Head,
    /// What is no HTTP any more.
    Foreign,
}

/// A part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A head is whole; [`Messages::head`] has it.
    Head,
    /// A part of a body.
    Data(&'a [u8]),
    /// What frames a body: sizes of chunks, trailers.
    Framing(&'a [u8]),
    /// A message is over.
    End,
    /// What is not read as HTTP.
    Foreign(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Length(u64),
    /// In the line with a chunk's size.
    Size {
        size: u64,
        /// Whether the digits are over.
        over: bool,
        any: bool,
    },
    Chunk(u64),
    /// In the line that ends a chunk.
    AfterChunk,
    /// In a line of trailers, which has something in it so far or not.
    Trailer {
        empty: bool,
    },
    UntilClose,
    Foreign,
}

/// One direction of a connection.
#[derive(Debug)]
pub struct Messages {
    place: Place,
    head: Vec<u8>,
    /// What `next` has to say before it reads on.
    ended: bool,
    problem: Option<&'static str>,
}

impl Messages {
    /// The beginning of a stream.
    pub fn new() -> Self {
        Messages {
            place: Place::Head,
            head: Vec::new(),
            ended: false,
            problem: None,
        }
    }

    /// The head that is whole, or what there is of one.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether nothing of the next message has come yet.
    pub fn is_between(&self) -> bool {
        self.place == Place::Head && self.head.is_empty()
    }

    /// Whether what comes is not read as HTTP.
    pub fn is_foreign(&self) -> bool {
        self.place == Place::Foreign
    }

    /// Whether the body ends with the connection.
    pub fn ends_with_connection(&self) -> bool {
        self.place == Place::UntilClose
    }

    /// Why the stream is not read as HTTP any more, where it is broken.
    pub fn problem(&self) -> Option<&'static str> {
        self.problem
    }

    /// Says what follows the head that was whole, and forgets it.
    pub fn follow(&mut self, following: Following) {
        self.head.clear();
        self.place = match following {
            Following::Length(0) => {
                self.ended = true;
                Place::Head
            }
            Following::Length(length) => Place::Length(length),
            Following::Chunks => Place::size(),
            Following::UntilClose => Place::UntilClose,
            Following::Head => Place::Head,
            Following::Foreign => Place::Foreign,
        };
    }

    /// Hands over what was held back of a head that is not read.
    pub fn take_head_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// Gives up reading: what comes is foreign.
    pub fn give_up(&mut self, problem: &'static str) {
        self.problem = Some(problem);
        self.place = Place::Foreign;
    }

    /// Takes the next piece off the bytes; `None` when all are taken. After [`Piece::Head`]
    /// comes [`Messages::follow`] or [`Messages::give_up`].
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if std::mem::take(&mut self.ended) {
            return Some(Piece::End);
        }
        if bytes.is_empty() {
            return None;
        }
        match self.place {
            Place::Head => self.take_head(bytes),
            Place::Length(left) | Place::Chunk(left) => {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - now as u64;
                self.place = match (self.place, left) {
                    (Place::Length(_), 0) => {
                        self.ended = true;
                        Place::Head
                    }
                    (Place::Length(_), left) => Place::Length(left),
                    (_, 0) => Place::AfterChunk,
                    (_, left) => Place::Chunk(left),
                };
                Some(Piece::Data(take(bytes, now)))
            }
            Place::UntilClose => Some(Piece::Data(take(bytes, bytes.len()))),
            Place::Foreign => Some(Piece::Foreign(take(bytes, bytes.len()))),
            Place::Size { .. } | Place::AfterChunk | Place::Trailer { .. } => {
                let framing = self.framing(bytes);
                Some(Piece::Framing(take(bytes, framing)))
            }
        }
    }

    fn take_head<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if self.head.is_empty() && matches!(bytes[0], b'\r' | b'\n') {
            // Some clients send an empty line after a body.
            return Some(Piece::Framing(take(bytes, 1)));
        }
        let seen = self.head.len();
        let room = (MAX_HEAD + 1).saturating_sub(seen).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let from = seen.saturating_sub(3);
        let end = self.head[from..]
            .windows(2)
            .enumerate()
            .find_map(|(at, pair)| {
                let rest = &self.head[from + at + 1..];
                match (pair[0], rest) {
                    (b'\n', [b'\n', ..]) => Some(from + at + 2),
                    (b'\n', [b'\r', b'\n', ..]) => Some(from + at + 3),
                    _ => None,
                }
            });
        match end {
            Some(end) => {
                self.head.truncate(end);
                take(bytes, end - seen);
                Some(Piece::Head)
            }
            None if self.head.len() > MAX_HEAD => {
                self.give_up("its head is too long");
                take(bytes, room);
                // What was held back of it is in `head`.
                Some(Piece::Foreign(&[]))
            }
            None => {
                take(bytes, room);
                None
            }
        }
    }

    /// How many of the bytes frame a body.
    fn framing(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            match (&mut self.place, byte) {
                (Place::Size { size: 0, any, .. }, b'\n') if *any => {
                    self.place = Place::Trailer { empty: true };
                }
                (Place::Size { size, any, .. }, b'\n') if *any => {
                    self.place = Place::Chunk(*size);
                    return at + 1;
                }
                (Place::Size { size, over, any }, byte) => {
                    match (char::from(*byte).to_digit(16), *over) {
                        (Some(digit), false) if *size >> 56 == 0 => {
                            *size = *size << 4 | u64::from(digit);
                            *any = true;
                        }
                        (None, _) if *any => *over = true,
                        (Some(_), true) => {}
                        _ => {
                            self.give_up("a chunk has no size");
                            return at;
                        }
                    }
                }
                (Place::AfterChunk, b'\n') => self.place = Place::size(),
                (Place::AfterChunk, b'\r') => {}
                (Place::AfterChunk, _) => {
                    self.give_up("a chunk is longer than its size");
                    return at;
                }
                (Place::Trailer { empty: true }, b'\n') => {
                    self.place = Place::Head;
                    self.ended = true;
                    return at + 1;
                }
                (Place::Trailer { empty }, b'\n') => *empty = true,
                (Place::Trailer { .. }, b'\r') => {}
                (Place::Trailer { empty }, _) => *empty = false,
                // No other place has framing.
                _ => return at,
            }
        }
        bytes.len()
    }
}

impl Place {
    fn size() -> Self {
        Place::Size {
            size: 0,
            over: false,
            any: false,
        }
    }
}

/// Takes the first `count` bytes off.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a stream that is cut into parts of `size` bytes, where heads say what
    /// follows them by their first letter.
    fn read(stream: &[u8], size: usize) -> (String, Vec<u8>) {
        let mut messages = Messages::new();
        let (mut found, mut raw) = (String::new(), Vec::new());
        for mut part in stream.chunks(size) {
            while let Some(piece) = messages.next(&mut part) {
                match piece {
                    Piece::Head => {
                        raw.extend_from_slice(messages.head());
                        let following = match messages.head()[0] {
                            b'L' => Following::Length(5),
                            b'C' => Following::Chunks,
                            b'0' => Following::Length(0),
                            b'U' => Following::UntilClose,
                            _ => Following::Foreign,
                        };
                        found.push('|');
                        messages.follow(following);
                    }
                    Piece::Data(data) => {
                        raw.extend_from_slice(data);
                        found.push_str(std::str::from_utf8(data).unwrap());
                    }
                    Piece::Framing(framing) => raw.extend_from_slice(framing),
                    Piece::End => found.push('.'),
                    Piece::Foreign(foreign) => {
                        raw.extend_from_slice(foreign);
                        found.push_str(&"?".repeat(foreign.len()));
                    }
                }
            }
        }
        (found, raw)
    }

    #[test]
    fn messages_end_where_they_do_however_they_are_cut() {
        let stream: &[u8] = b"L a\r\nx: y\r\n\r\nhello0 b\n\n\r\nC c\r\n\r\n3;ext=\"1\"\r\nabc\r\n0B \r\ndefghijklmn\r\n0\r\nt: u\r\n\r\nC d\r\n\r\n0\r\n\r\nL e\n\r\nworldX f\r\n\r\nabc";
        for size in 1..=stream.len() {
            let (found, raw) = read(stream, size);
            assert_eq!(found, "|hello.|.|abcdefghijklmn.|.|world.|???", "by {size}");
            assert_eq!(raw, stream, "by {size}");
        }
    }

    #[test]
    fn broken_chunks_are_foreign() {
        for broken in ["\r\n\r\nxyz", "3\r\nabcd", "fffffffffffffffff\r\n"] {
            let stream = format!("C\r\n\r\n{broken}");
            for size in [1, stream.len()] {
                let (found, raw) = read(stream.as_bytes(), size);
                assert!(found.ends_with('?'), "{broken:?}: {found}");
                assert_eq!(raw, stream.as_bytes());
            }
        }
    }

    #[test]
    fn an_endless_head_is_given_up() {
        let stream = vec![b'a'; MAX_HEAD * 2];
        let mut messages = Messages::new();
        for mut part in stream.chunks(1000) {
            while messages.next(&mut part).is_some() {}
        }
        assert_eq!(messages.problem(), Some("its head is too long"));
        assert_eq!(messages.head().len(), MAX_HEAD + 1);
    }
}
