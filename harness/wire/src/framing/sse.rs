//! Server-sent events: bytes in, `data` payloads out.
//!
//! Splits as the WHATWG HTML standard says ("Interpreting an event stream"), for
//! the one field that matters here, and for the name of an event that is an error.
//! Comments and events without data are told apart, because servers use them to keep
//! connections alive; other fields are skipped. Memory is bounded by [`MAX_PAYLOAD`].

use memchr::memchr2;

use super::{MAX_PAYLOAD, Piece, TooLarge};

/// An incremental parser.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    skip_line_feed: bool,
    /// Past the first bytes, which may be a byte order mark.
    begun: bool,
}

/// The event in the making.
#[derive(Debug, Default)]
struct Event {
    data: Vec<u8>,
    has_data: bool,
    is_error: bool,
}

impl Parser {
    /// Feeds bytes as they were read, calling `piece` once per whole event or comment.
    ///
    /// # Errors
    /// [`TooLarge`] when one event exceeds [`MAX_PAYLOAD`]; the parser is then of no further use.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut piece: impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        if self.skip_line_feed && !bytes.is_empty() {
            self.skip_line_feed = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (head, rest) = bytes.split_at(end);
            if self.line.is_empty() && !self.event.has_data && self.begun {
                // Nearly every event is one line and a blank one, whole in one read:
                // its data need not be copied.
                if let (Some(data), [b'\n', b'\n', after @ ..]) = (value(b"data", head), rest) {
                    piece(self.event.piece(data));
                    self.event.is_error = false;
                    bytes = after;
                    continue;
                }
            }
            if self.line.is_empty() {
                self.event
                    .take_line(without_mark(head, &mut self.begun), &mut piece)?;
            } else {
                self.line.extend_from_slice(head);
                let line = without_mark(&self.line, &mut self.begun);
                self.event.take_line(line, &mut piece)?;
                self.line.clear();
            }
            bytes = &rest[1..];
            if rest[0] == b'\r' {
                self.skip_line_feed = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        if self.line.len() + bytes.len() > MAX_PAYLOAD {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The stream ended by itself: an event that only lacks the line after it counts.
    ///
    /// # Errors
    /// [`TooLarge`] as in [`Parser::feed`].
    pub fn end(&mut self, mut piece: impl FnMut(Piece<'_>)) -> Result<(), TooLarge> {
        let line = std::mem::take(&mut self.line);
        self.event
            .take_line(without_mark(&line, &mut self.begun), &mut piece)?;
        self.event.take_line(b"", &mut piece)
    }
}

/// The first line without a byte order mark before it.
fn without_mark<'a>(line: &'a [u8], begun: &mut bool) -> &'a [u8] {
    match std::mem::replace(begun, true) {
        false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
        true => line,
    }
}

impl Event {
    fn take_line(
        &mut self,
        line: &[u8],
        piece: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        if line.is_empty() {
            if self.has_data || self.is_error {
                piece(self.piece(&self.data));
            }
            self.data.clear();
            self.has_data = false;
            self.is_error = false;
            return Ok(());
        }
        if line[0] == b':' {
            piece(Piece::KeepAlive);
            return Ok(());
        }
        if let Some(name) = value(b"event", line) {
            self.is_error = name == b"error";
            return Ok(());
        }
        let Some(value) = value(b"data", line) else {
            return Ok(());
        };
        if self.data.len() + value.len() > MAX_PAYLOAD {
            return Err(TooLarge);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn piece<'a>(&self, data: &'a [u8]) -> Piece<'a> {
        match (self.is_error, data.trim_ascii().is_empty()) {
            (true, _) => Piece::Error(data),
            (false, true) => Piece::KeepAlive,
            (false, false) => Piece::Payload(data),
        }
    }
}

/// The value of a line with a field of this name.
fn value<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser
                .feed(chunk, |piece| {
                    events.push(match piece {
                        Piece::Payload(data) => String::from_utf8_lossy(data).into_owned(),
                        Piece::Error(data) => format!("!{}", String::from_utf8_lossy(data)),
                        Piece::KeepAlive => ":".into(),
                    })
                })
                .unwrap();
        }
        events
    }

    #[test]
    fn comments_fields_and_line_ends() {
        let stream = b": keep-alive\n\nevent: x\r\ndata: one\r\n\r\ndata:two\rdata: lines\r\rid: 3\n\ndata\n\ndata: cut off";
        assert_eq!(parse(&[stream]), [":", "one", "two\nlines", ":"]);
    }

    #[test]
    fn a_mark_before_the_first_line_is_none_of_it_and_errors_are_told_apart() {
        let stream =
            b"\xef\xbb\xbfdata: a\n\nevent: error\ndata: boom\n\ndata: b\n\nevent: error\n\n";
        assert_eq!(parse(&[stream]), ["a", "!boom", "b", "!"]);
        let drops: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(parse(&drops), ["a", "!boom", "b", "!"]);
    }

    #[test]
    fn the_last_event_counts_without_its_blank_line() {
        for (stream, expected) in [
            (&b"data: a\n\ndata: b"[..], Some("b")),
            (b"data: b\n", Some("b")),
            (b"data: b\r\n", Some("b")),
            (b"data: b\n\n", None),
            (b": c\n", None),
        ] {
            let mut parser = Parser::default();
            parser.feed(stream, |_| {}).unwrap();
            let mut last = None;
            let kept = |piece: Piece<'_>| match piece {
                Piece::Payload(data) => last = Some(String::from_utf8_lossy(data).into_owned()),
                Piece::Error(_) | Piece::KeepAlive => {}
            };
            parser.end(kept).unwrap();
            assert_eq!(last.as_deref(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let stream = b"data: {\"a\":1}\r\n\r\n: c\n\ndata: x\n\ndata: b\ndata: c\n\nevent: e\rdata: d\r\r";
            let whole = parse(&[stream]);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                parts.push(&stream[from..cut]);
                from = cut;
            }
            prop_assert_eq!(parse(&parts), whole);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::default().feed(&bytes, |_| {});
        }
    }
}
