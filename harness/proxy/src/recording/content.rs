//! A body as it is kept: with its encoding undone, up to a bound.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::NO_ROOM;
use crate::budget::Held;
use crate::seen::Body;

/// The largest window that a zstd body may ask for, as a power of two (RFC 9659).
const MAX_ZSTD_WINDOW: u32 = 23;
const BROTLI_BUFFER: usize = 4 << 10;

/// Undoes an encoding: what is written to it comes out in its sink.
trait Undo: Write + Send {
    fn sink(&mut self) -> &mut Sink;
}

/// Where decoded bytes go; it takes no more than its room.
#[derive(Debug, Default)]
struct Sink {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Undo for MultiGzDecoder<Sink> {
    fn sink(&mut self) -> &mut Sink {
        self.get_mut()
    }
}

impl Undo for zstd::stream::write::Decoder<'static, Sink> {
    fn sink(&mut self) -> &mut Sink {
        self.get_mut()
    }
}

impl Undo for brotli_decompressor::DecompressorWriter<Sink> {
    fn sink(&mut self) -> &mut Sink {
        self.get_mut()
    }
}

/// `deflate`, which is zlib's form by the standard and bare with some servers.
enum Deflate {
    /// The first byte tells.
    Unread(Sink),
    Zlib(ZlibDecoder<Sink>),
    Bare(DeflateDecoder<Sink>),
}

impl Write for Deflate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// The method that zlib's first byte names: deflate, with a window of 32 KiB at most.
        const METHOD: u8 = 8;
        if let (Deflate::Unread(sink), Some(first)) = (&mut *self, bytes.first()) {
            let sink = std::mem::take(sink);
            *self = match first & 0x0f == METHOD && first >> 4 <= 7 {
                true => Deflate::Zlib(ZlibDecoder::new(sink)),
                false => Deflate::Bare(DeflateDecoder::new(sink)),
            };
        }
        match self {
            Deflate::Unread(_) => Ok(0),
            Deflate::Zlib(decoder) => decoder.write(bytes),
            Deflate::Bare(decoder) => decoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Deflate::Unread(_) => Ok(()),
            Deflate::Zlib(decoder) => decoder.flush(),
            Deflate::Bare(decoder) => decoder.flush(),
        }
    }
}

impl Undo for Deflate {
    fn sink(&mut self) -> &mut Sink {
        match self {
            Deflate::Unread(sink) => sink,
            Deflate::Zlib(decoder) => decoder.get_mut(),
            Deflate::Bare(decoder) => decoder.get_mut(),
        }
    }
}

type Undoing = io::Result<Box<dyn Undo>>;

/// Begins to undo an encoding.
type Begin = fn() -> Undoing;

/// The encodings that are undone.
const ENCODINGS: &[(&str, Begin)] = &[
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("deflate", || Ok(Box::new(Deflate::Unread(Sink::default())))),
    ("zstd", || {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        let window = zstd::stream::raw::DParameter::WindowLogMax(MAX_ZSTD_WINDOW);
        decoder.set_parameter(window)?;
        let sink = Sink::default();
        Ok(Box::new(zstd::stream::write::Decoder::with_decoder(
            sink, decoder,
        )))
    }),
    ("br", || {
        let sink = Sink::default();
        Ok(Box::new(brotli_decompressor::DecompressorWriter::new(
            sink,
            BROTLI_BUFFER,
        )))
    }),
];

fn gzip() -> Undoing {
    Ok(Box::new(MultiGzDecoder::new(Sink::default())))
}

/// A body on its way into the record.
pub struct Content {
    body: Body,
    undo: Option<Box<dyn Undo>>,
    limit: usize,
    held: Held,
}

impl Content {
    /// The beginning of a body of which `limit` bytes are kept.
    pub fn new(limit: usize, held: Held) -> Self {
        Content {
            body: Body::default(),
            undo: None,
            limit,
            held,
        }
    }

    /// Its encoding, as a header names it.
    pub fn encoded(&mut self, encoding: Option<&str>) {
        let name = encoding.unwrap_or_default().trim();
        if name.is_empty() || name.eq_ignore_ascii_case("identity") {
            return;
        }
        let known = ENCODINGS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        match known.map(|(_, undo)| undo()) {
            Some(Ok(undo)) => self.undo = Some(undo),
            Some(Err(error)) => self.cut(format!("{name} cannot be undone: {error}")),
            None => {
                let name: String = name.chars().take(40).collect();
                self.cut(format!("no encoding is known of the name '{name}'"));
            }
        }
    }

    /// Keeps no more of it.
    pub fn cut(&mut self, why: String) {
        self.body.cut.get_or_insert(why);
    }

    /// Why it is not kept whole.
    pub fn why_cut(&self) -> Option<&str> {
        self.body.cut.as_deref()
    }

    /// So many bytes were sent that cannot be kept.
    pub fn pass_over(&mut self, size: usize, why: &str) {
        self.body.wire_bytes += size as u64;
        self.cut(why.to_owned());
    }

    /// Takes bytes as they were sent; what they add to the content.
    pub fn take(&mut self, bytes: &[u8]) -> &[u8] {
        self.body.wire_bytes += bytes.len() as u64;
        let before = self.body.bytes.len();
        if self.body.cut.is_some() {
            return &[];
        }
        let room = self.limit.saturating_sub(before);
        let mut problem = None;
        match &mut self.undo {
            Some(undo) => {
                undo.sink().room = room;
                let undone = undo.write_all(bytes).and_then(|()| undo.flush());
                self.body.bytes.append(&mut undo.sink().bytes);
                problem = undone.err().map(|error| match error.kind() {
                    io::ErrorKind::StorageFull => self.beyond(),
                    _ => format!("its encoding is broken: {error}"),
                });
            }
            None => {
                let kept = bytes.len().min(room);
                self.body.bytes.extend_from_slice(&bytes[..kept]);
                if kept < bytes.len() {
                    problem = Some(self.beyond());
                }
            }
        }
        if !self.held.resize(self.body.bytes.len()) {
            self.body.bytes.truncate(before);
            self.body.bytes.shrink_to_fit();
            problem = Some(NO_ROOM.into());
        }
        if let Some(problem) = problem {
            self.cut(problem);
        }
        &self.body.bytes[before..]
    }

    fn beyond(&self) -> String {
        format!("only its first {} MiB are kept", self.limit >> 20)
    }

    /// What there is of it.
    pub fn bytes(&self) -> &[u8] {
        &self.body.bytes
    }

    /// What is kept.
    pub fn into_body(self) -> Body {
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use proptest::prelude::*;
    use std::io::Read;

    const LIMIT: usize = 1 << 20;

    fn content(encoding: &str) -> Content {
        let mut content = Content::new(LIMIT, Budget::new(4 * LIMIT).place());
        content.encoded(Some(encoding));
        content
    }

    fn encode(encoding: &str, text: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        let mut out = Vec::new();
        match encoding {
            "gzip" => drop(flate2::read::GzEncoder::new(text, level).read_to_end(&mut out)),
            "deflate" => drop(flate2::read::ZlibEncoder::new(text, level).read_to_end(&mut out)),
            "bare" => drop(flate2::read::DeflateEncoder::new(text, level).read_to_end(&mut out)),
            "zstd" => out = zstd::encode_all(text, 3).unwrap(),
            _ => out = text.to_vec(),
        }
        out
    }

    proptest! {
        #[test]
        fn encodings_are_undone_however_they_are_cut(
            text in proptest::collection::vec(0_u8..8, 0..5000),
            size in 1_usize..700,
        ) {
            for (name, form) in [("gzip", "gzip"), ("deflate", "deflate"), ("Deflate", "bare"),
                                 ("zstd", "zstd"), ("identity", "")] {
                let encoded = encode(form, &text);
                let mut content = content(name);
                let mut pieces = Vec::new();
                for part in encoded.chunks(size) {
                    pieces.extend_from_slice(content.take(part));
                }
                let body = content.into_body();
                prop_assert_eq!(&body.bytes, &text, "{}", form);
                prop_assert_eq!(&pieces, &text);
                prop_assert_eq!((body.wire_bytes, body.cut), (encoded.len() as u64, None));
            }
        }

        #[test]
        fn what_is_not_encoded_so_is_cut_and_no_more(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            for (name, _) in ENCODINGS {
                let mut content = content(name);
                for part in bytes.chunks(7) {
                    content.take(part);
                }
                prop_assert_eq!(content.into_body().wire_bytes, bytes.len() as u64);
            }
        }
    }

    /// As Node's `zlib.brotliCompressSync` writes three events.
    #[test]
    fn brotli_is_undone() {
        const ENCODED: &[u8] = b"\x1b\x5c\x00\xf8\x8d\xc4\x38\x86\xf2\x16\x8f\x94\x1a\x84\xac\x0c\x4d\x2b\xe8\xb0\xbd\x49\x41\xbe\x99\x27\x0f\xb0\xc0\x05\x1d\xb9\x5a\x07\x0e";
        let text = "data: hello hello hello hello\n\n".repeat(3);
        for size in 1..=ENCODED.len() {
            let mut content = content("br");
            for part in ENCODED.chunks(size) {
                content.take(part);
            }
            let body = content.into_body();
            assert_eq!((body.bytes, body.cut), (text.clone().into_bytes(), None));
        }
    }

    #[test]
    fn a_bomb_goes_off_within_its_bounds() {
        let zeros = vec![0; 64 << 20];
        for form in ["gzip", "deflate", "zstd", ""] {
            let encoded = encode(form, &zeros);
            let mut content = content(form);
            for part in encoded.chunks(4096) {
                content.take(part);
            }
            assert!(content.body.bytes.capacity() <= 4 * LIMIT, "{form}");
            let body = content.into_body();
            assert_eq!(body.bytes.len(), LIMIT, "{form}");
            assert_eq!(body.cut.as_deref(), Some("only its first 1 MiB are kept"));
            assert_eq!(body.wire_bytes, encoded.len() as u64);
        }
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let budget = Budget::new(100);
        let mut content = Content::new(LIMIT, budget.place());
        assert_eq!(content.take(&[1; 80]).len(), 80);
        assert_eq!(content.take(&[1; 80]).len(), 0);
        let body = content.into_body();
        assert_eq!((body.bytes.len(), body.wire_bytes), (80, 160));
        assert_eq!(body.cut.as_deref(), Some(NO_ROOM));
        assert!(budget.hold(100).is_some());
    }

    #[test]
    fn an_unknown_encoding_is_named() {
        let mut content = content("x-own");
        assert_eq!(content.take(b"abc"), b"");
        assert!(content.why_cut().unwrap().contains("x-own"));
    }
}
