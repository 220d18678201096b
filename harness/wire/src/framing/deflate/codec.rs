//! Frames in, frames out, with their payloads inflated or deflated.

use std::io;

use bytes::{Buf, BytesMut};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use crate::framing::MAX_PAYLOAD;

/// Ends a compressed message, and is left out on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const MASKED: u8 = 0x80;
/// Room made at a time for what is inflated or deflated.
const STEP: usize = 8 << 10;
/// How the head of an answer begins that accepts an upgrade; the digit of HTTP's
/// version may be any.
const ACCEPTED: &[u8; 12] = b"HTTP/1.? 101";

/// What is done to the payloads of messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Compression {
    Leave,
    Inflate,
    Deflate { keep_context: bool },
}

/// What the bytes that come next belong to.
enum Part {
    Head(Head),
    Frames,
    /// The body of an answer that refuses the upgrade.
    Refusal,
}

/// An HTTP head as far as it was seen.
#[derive(Default)]
struct Head {
    start: [u8; ACCEPTED.len()],
    length: usize,
    end: [u8; 4],
}

impl Head {
    /// Takes one byte; once the head is whole, what follows it.
    fn take(&mut self, byte: u8) -> Option<Part> {
        if let Some(place) = self.start.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
        self.end.rotate_left(1);
        self.end[3] = byte;
        let answers = self.start.starts_with(&ACCEPTED[..5]);
        let accepts = std::iter::zip(self.start, *ACCEPTED)
            .all(|(found, expected)| found == expected || expected == b'?');
        (self.end == *b"\r\n\r\n").then_some(match answers && !accepts {
            true => Part::Refusal,
            false => Part::Frames,
        })
    }
}

/// One direction of a connection: an HTTP head, then frames, unless it is the head of an
/// answer that refuses them.
pub(super) struct Codec {
    part: Part,
    incoming: BytesMut,
    pub(super) output: BytesMut,
    /// Longest payload of a frame that is believed, and most that a message inflates to.
    max_payload: usize,
    /// A fragmented message is compressed.
    inflating: bool,
    inflate: Decompress,
    deflate: Compress,
}

impl Default for Codec {
    fn default() -> Self {
        Codec {
            part: Part::Head(Head::default()),
            incoming: BytesMut::new(),
            output: BytesMut::new(),
            max_payload: MAX_PAYLOAD,
            inflating: false,
            inflate: Decompress::new(false),
            deflate: Compress::new(flate2::Compression::default(), false),
        }
    }
}

/// Where a frame's parts are.
struct Frame {
    payload: usize,
    length: usize,
    mask: Option<[u8; 4]>,
}

fn broken(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

impl Codec {
    /// Begins with frames: the head is past.
    pub(super) fn past_the_head() -> Self {
        Codec {
            part: Part::Frames,
            ..Codec::default()
        }
    }

    /// The same with another limit.
    pub(super) fn up_to(self, max_payload: usize) -> Self {
        Codec {
            max_payload,
            ..self
        }
    }

    /// Bytes of a frame that is not whole yet.
    pub(super) fn unread(&self) -> usize {
        self.incoming.len()
    }

    /// Takes bytes as they come; what is whole of them is in `output` afterwards, also
    /// when an error follows it.
    pub(super) fn take(&mut self, mut bytes: &[u8], compression: Compression) -> io::Result<()> {
        while let Part::Head(head) = &mut self.part {
            let [byte, rest @ ..] = bytes else {
                return Ok(());
            };
            self.output.extend_from_slice(&[*byte]);
            bytes = rest;
            if let Some(next) = head.take(*byte) {
                self.part = next;
            }
        }
        if let Part::Refusal = self.part {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.incoming.extend_from_slice(bytes);
        let max_payload = match compression {
            Compression::Inflate => self.max_payload,
            // What writes here is our own, and knows what it does.
            Compression::Leave | Compression::Deflate { .. } => usize::MAX,
        };
        while let Some(frame) = frame(&self.incoming, max_payload)? {
            if self.incoming.len() < frame.payload + frame.length {
                break;
            }
            self.pass(&frame, compression)?;
            self.incoming.advance(frame.payload + frame.length);
        }
        Ok(())
    }

    fn pass(&mut self, frame: &Frame, compression: Compression) -> io::Result<()> {
        let whole = &self.incoming[..frame.payload + frame.length];
        let (first, opcode) = (whole[0], whole[0] & 0x0f);
        let data = opcode < 8;
        if data && opcode != 0 {
            self.inflating = first & COMPRESSED != 0;
        }
        let change = data
            && match compression {
                Compression::Leave => false,
                Compression::Inflate => self.inflating,
                Compression::Deflate { .. } => true,
            };
        if !change {
            self.output.extend_from_slice(whole);
            return Ok(());
        }
        let mut payload = whole[frame.payload..].to_vec();
        mask(&mut payload, frame.mask);
        let last = first & FINAL != 0;
        let (first, mut payload) = match compression {
            Compression::Deflate { keep_context } => {
                // What writes here writes whole messages.
                let payload = deflate(&mut self.deflate, &payload)?;
                if !keep_context {
                    self.deflate.reset();
                }
                (first | COMPRESSED, payload)
            }
            _ => {
                if last {
                    payload.extend_from_slice(&TAIL);
                }
                let message = inflate(&mut self.inflate, &payload, self.max_payload)?;
                (first & !COMPRESSED, message)
            }
        };
        mask(&mut payload, frame.mask);
        self.output.extend_from_slice(&[first]);
        let masked = if frame.mask.is_some() { MASKED } else { 0 };
        match payload.len() {
            length @ ..126 => self.output.extend_from_slice(&[masked | length as u8]),
            length @ ..65_536 => {
                self.output.extend_from_slice(&[masked | 126]);
                self.output
                    .extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.output.extend_from_slice(&[masked | 127]);
                self.output
                    .extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.output
            .extend_from_slice(&frame.mask.map_or_else(Vec::new, |key| key.to_vec()));
        self.output.extend_from_slice(&payload);
        Ok(())
    }
}

/// Finds the parts of a frame, once its header is whole.
fn frame(bytes: &[u8], max_payload: usize) -> io::Result<Option<Frame>> {
    let [_, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let (length, extra) = match second & !MASKED {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), 8),
            None => return Ok(None),
        },
        length => (u64::from(length), 0),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > max_payload {
        return Err(broken("a frame is too large"));
    }
    let mut payload = 2 + extra;
    let mut mask = None;
    if second & MASKED != 0 {
        let Some(key) = rest[extra..].first_chunk::<4>() else {
            return Ok(None);
        };
        mask = Some(*key);
        payload += 4;
    }
    Ok(Some(Frame {
        payload,
        length,
        mask,
    }))
}

fn mask(payload: &mut [u8], key: Option<[u8; 4]>) {
    if let Some(key) = key {
        for (byte, key) in payload.iter_mut().zip(key.into_iter().cycle()) {
            *byte ^= key;
        }
    }
}

fn deflate(deflate: &mut Compress, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::with_capacity(payload.len() / 2 + 64);
    let before = deflate.total_in();
    loop {
        let taken = (deflate.total_in() - before) as usize;
        compressed.reserve(STEP);
        deflate.compress_vec(&payload[taken..], &mut compressed, FlushCompress::Sync)?;
        let taken = (deflate.total_in() - before) as usize;
        // Room to spare means that nothing is left to be written.
        if taken == payload.len() && compressed.len() < compressed.capacity() {
            break;
        }
    }
    if compressed.ends_with(&TAIL) {
        compressed.truncate(compressed.len() - TAIL.len());
    }
    Ok(compressed)
}

fn inflate(
    inflate: &mut Decompress,
    mut payload: &[u8],
    max_payload: usize,
) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity((payload.len() * 4).min(max_payload) + STEP);
    loop {
        let (before, length) = (inflate.total_in(), message.len());
        message.reserve(STEP);
        let status = inflate.decompress_vec(payload, &mut message, FlushDecompress::Sync)?;
        let taken = (inflate.total_in() - before) as usize;
        if taken == 0 && message.len() == length && !payload.is_empty() {
            return Err(broken("a compressed message cannot be read"));
        }
        payload = &payload[taken..];
        if message.len() > max_payload {
            return Err(broken("a message inflates to more than any honest one has"));
        }
        if status == Status::StreamEnd {
            // A server may end its stream with a message and begin a new one.
            inflate.reset(false);
        }
        if payload.is_empty() && message.len() < message.capacity() {
            return Ok(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec() -> Codec {
        let mut codec = Codec::default();
        let head = b"HTTP/1.1 101 Switching Protocols\r\na: b\r\n\r\n";
        codec.take(head, Compression::Inflate).unwrap();
        assert_eq!(codec.output, head.as_slice());
        codec.output.clear();
        codec
    }

    fn inflated(frames: &[u8], size: usize) -> Vec<u8> {
        let mut codec = codec();
        for chunk in frames.chunks(size) {
            codec.take(chunk, Compression::Inflate).unwrap();
        }
        codec.output.to_vec()
    }

    /// The examples of RFC 7692, 7.2.3, however they are cut.
    #[test]
    fn the_standards_examples() {
        let hello = b"\x81\x05Hello".as_slice();
        for (frames, expected) in [
            (&b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..], hello.to_vec()),
            (
                b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
                b"\x01\x03Hel\x80\x02lo".to_vec(),
            ),
            (
                b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00",
                [hello, hello].concat(),
            ),
            (
                b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
                hello.to_vec(),
            ),
            (b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", hello.to_vec()),
            (
                b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
                hello.to_vec(),
            ),
            (b"\x81\x05Hello\x89\x00", b"\x81\x05Hello\x89\x00".to_vec()),
        ] {
            for size in 1..=frames.len() {
                let found = inflated(frames, size);
                // Where a fragment's last bytes come out is the library's choice.
                let text = |bytes: &[u8]| -> Vec<u8> {
                    bytes
                        .iter()
                        .copied()
                        .filter(u8::is_ascii_alphabetic)
                        .collect()
                };
                if frames[0] & FINAL != 0 {
                    assert_eq!(found, expected, "{frames:x?} by {size}");
                }
                assert_eq!(text(&found), text(&expected), "{frames:x?} by {size}");
            }
        }
    }

    #[test]
    fn what_inflates_without_end_is_refused() {
        let mut compress = Compress::new(flate2::Compression::best(), false);
        let bomb = deflate(&mut compress, &vec![0; MAX_PAYLOAD + 1]).unwrap();
        let mut frame = vec![0xc1, 127];
        frame.extend_from_slice(&(bomb.len() as u64).to_be_bytes());
        frame.extend_from_slice(&bomb);
        let error = codec().take(&frame, Compression::Inflate).unwrap_err();
        assert!(error.to_string().contains("honest"), "{error}");
        let endless = [0x81, 127, 0x7f, 0, 0, 0, 0, 0, 0, 0];
        codec().take(&endless, Compression::Inflate).unwrap_err();
        let garbage = [0xc1, 4, 0xff, 0xff, 0xff, 0xff];
        codec().take(&garbage, Compression::Inflate).unwrap_err();
        let mut large = vec![0x81, 127];
        large.extend_from_slice(&(MAX_PAYLOAD as u64 + 1).to_be_bytes());
        codec().take(&large, Compression::Inflate).unwrap_err();
    }

    #[test]
    fn what_comes_before_a_broken_frame_is_handed_out() {
        let mut codec = codec();
        let bytes = b"\x81\x05Hello\xc1\x04\xff\xff\xff\xff";
        codec.take(bytes, Compression::Inflate).unwrap_err();
        assert_eq!(codec.output, b"\x81\x05Hello".as_slice());
    }

    /// A refusal's body looks like frames to who expects frames.
    #[test]
    fn a_refusal_passes_as_it_is() {
        let json =
            r#"{"error":{"message":"WebSocket is not supported for this model; use HTTP."}}"#;
        for start in [
            "HTTP/1.1 426 Upgrade Required",
            "HTTP/1.0 200 OK",
            "HTTP/2 101",
        ] {
            let answer = format!("{start}\r\na: b\r\n\r\n{json}\r\n\r\n{json}");
            for size in 1..=answer.len() {
                let mut codec = Codec::default();
                for chunk in answer.as_bytes().chunks(size) {
                    codec.take(chunk, Compression::Inflate).unwrap();
                }
                assert_eq!(codec.output, answer.as_bytes(), "by {size}");
            }
        }
    }
}
