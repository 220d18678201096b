//! Server-sent events: bytes in, `data` payloads out.
//!
//! Splits as the WHATWG HTML standard says ("Interpreting an event stream"), for
//! the one field that matters here. Comments are told apart, because servers use them
//! to keep connections alive; other fields are skipped. Memory is bounded by
//! [`MAX_PAYLOAD`].

use memchr::memchr2;

use super::{MAX_PAYLOAD, Piece, TooLarge};

/// An incremental parser.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    skip_line_feed: bool,
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
            if self.line.is_empty() && !self.has_data {
                // Nearly every event is one line and a blank one, whole in one read:
                // its data need not be copied.
                if let (Some(data), [b'\n', b'\n', after @ ..]) = (value(head), rest) {
                    piece(Piece::Payload(data));
                    bytes = after;
                    continue;
                }
            }
            if self.line.is_empty() {
                Self::take_line(head, &mut self.data, &mut self.has_data, &mut piece)?;
            } else {
                self.line.extend_from_slice(head);
                Self::take_line(&self.line, &mut self.data, &mut self.has_data, &mut piece)?;
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

    fn take_line(
        line: &[u8],
        data: &mut Vec<u8>,
        has_data: &mut bool,
        piece: &mut impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        if line.is_empty() {
            if std::mem::take(has_data) {
                piece(Piece::Payload(data));
                data.clear();
            }
            return Ok(());
        }
        if line[0] == b':' {
            piece(Piece::KeepAlive);
            return Ok(());
        }
        let Some(value) = value(line) else {
            return Ok(());
        };
        if data.len() + value.len() > MAX_PAYLOAD {
            return Err(TooLarge);
        }
        if std::mem::replace(has_data, true) {
            data.push(b'\n');
        }
        data.extend_from_slice(value);
        Ok(())
    }
}

/// The value of a `data` line.
fn value(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
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
        assert_eq!(parse(&[stream]), [":", "one", "two\nlines", ""]);
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
