//! One JSON value a line, as Ollama streams: bytes in, lines out.
//!
//! Blank lines keep the connection alive. Memory is bounded by [`MAX_PAYLOAD`].

use memchr::memchr;

use super::{MAX_PAYLOAD, Piece, TooLarge};

/// An incremental parser.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
}

impl Parser {
    /// Feeds bytes as they were read, calling `piece` once per whole line.
    ///
    /// # Errors
    /// [`TooLarge`] when a line exceeds [`MAX_PAYLOAD`]; the parser is then of no further use.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut piece: impl FnMut(Piece<'_>),
    ) -> Result<(), TooLarge> {
        let mut take = |line: &[u8]| match line.trim_ascii() {
            [] => piece(Piece::KeepAlive),
            line => piece(Piece::Payload(line)),
        };
        while let Some(end) = memchr(b'\n', bytes) {
            if self.line.is_empty() {
                take(&bytes[..end]);
            } else {
                self.line.extend_from_slice(&bytes[..end]);
                take(&self.line);
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
        }
        if self.line.len() + bytes.len() > MAX_PAYLOAD {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// The stream ended by itself: a line that only lacks its end counts.
    pub fn end(&mut self, mut piece: impl FnMut(Piece<'_>)) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        if !line.is_empty() {
            piece(Piece::Payload(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_any_pieces() {
        let stream = b"{\"a\":1}\r\n\n{\"b\":2}\n{\"cut";
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                parser
                    .feed(part, |piece| {
                        found.push(match piece {
                            Piece::Payload(line) => String::from_utf8_lossy(line).into_owned(),
                            Piece::Error(_) | Piece::KeepAlive => String::new(),
                        });
                    })
                    .unwrap();
            }
            assert_eq!(found, [r#"{"a":1}"#, "", r#"{"b":2}"#]);
        }
    }
}
