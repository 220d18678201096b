//! `bodies.jsonl`, what recorded clients and their servers said: one JSON object a line,
//! appended.
//!
//! A body is known by its SHA-256 and kept as a list of chunks, each compressed and kept once.
//! Chunks end where the content says (FastCDC), so that a request that repeats a whole
//! conversation costs what is new in it. A body's line follows those of its chunks: what a
//! crash cuts off is nobody's.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, HEXLOWER};
use fastcdc::v2020::FastCDC;
use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lines::{self, Appending};

/// Bytes of the smallest, the usual and the largest chunk.
const CHUNK: (u32, u32, u32) = (1 << 10, 4 << 10, 64 << 10);
/// Longest line that is read: a list of the chunks of a body of a gigabyte.
const MAX_LINE: u64 = 64 << 20;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    /// A part of bodies.
    Chunk {
        /// SHA-256 of its content, in hexadecimal digits.
        chunk: String,
        /// The content, compressed (RFC 1951) and in Base64.
        deflate: String,
    },
    /// A body.
    Body {
        /// SHA-256 of it, in hexadecimal digits.
        body: String,
        /// Its length in bytes.
        bytes: u64,
        /// Its chunks in order.
        chunks: Vec<String>,
    },
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Keeps bodies, for whoever has a clone of it.
#[derive(Clone, Debug)]
pub struct BodyWriter(Arc<Mutex<Keeping>>);

#[derive(Debug)]
struct Keeping {
    file: Appending,
    /// What is kept, chunks and bodies alike.
    kept: HashSet<String>,
}

impl BodyWriter {
    /// Goes on with a file, or begins one.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`], with its number, for a
    /// line that is none of this format.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut kept = HashSet::new();
        let file = Appending::open(path, MAX_LINE, |_, line| {
            kept.insert(match serde_json::from_slice(line)? {
                Line::Chunk { chunk, .. } => chunk,
                Line::Body { body, .. } => of_body(&body),
            });
            Ok(())
        })?;
        Ok(BodyWriter(Arc::new(Mutex::new(Keeping { file, kept }))))
    }

    /// Keeps a body, and gives what it is known by.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn keep(&self, body: &[u8]) -> io::Result<String> {
        // What a panic leaves is at worst something that is written a second time.
        let mut keeping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keeping.keep(body)
    }
}

/// What a body is called among what is kept: one of a single chunk has the chunk's own SHA-256.
fn of_body(name: &str) -> String {
    format!("body {name}")
}

impl Keeping {
    fn keep(&mut self, body: &[u8]) -> io::Result<String> {
        let name = sha256(body);
        if self.kept.contains(&of_body(&name)) {
            return Ok(name);
        }
        let (mut text, mut new) = (Vec::new(), vec![of_body(&name)]);
        let (smallest, usual, largest) = CHUNK;
        let mut chunks = Vec::new();
        for chunk in FastCDC::new(body, smallest, usual, largest) {
            let content = &body[chunk.offset..chunk.offset + chunk.length];
            let chunk = sha256(content);
            if !self.kept.contains(&chunk) && !new.contains(&chunk) {
                let mut deflated = Vec::new();
                DeflateEncoder::new(content, Compression::default()).read_to_end(&mut deflated)?;
                let line = Line::Chunk {
                    chunk: chunk.clone(),
                    deflate: BASE64.encode(&deflated),
                };
                lines::add(&mut text, &line)?;
                new.push(chunk.clone());
            }
            chunks.push(chunk);
        }
        let line = Line::Body {
            body: name.clone(),
            bytes: body.len() as u64,
            chunks,
        };
        lines::add(&mut text, &line)?;
        self.file.append(&text)?;
        self.kept.extend(new);
        Ok(name)
    }
}

/// Finds bodies again.
#[derive(Debug)]
pub struct BodyReader {
    file: File,
    /// Where the lines of chunks begin.
    chunks: HashMap<String, u64>,
    bodies: HashMap<String, (u64, Vec<String>)>,
}

impl BodyReader {
    /// Reads where everything is; the content stays on disk. A last line without its end is
    /// ignored.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`], with its number, for a
    /// line that is none of this format.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let (mut chunks, mut bodies) = (HashMap::new(), HashMap::new());
        lines::each(&file, MAX_LINE, |at, line| {
            match serde_json::from_slice(line)? {
                Line::Chunk { chunk, .. } => {
                    chunks.insert(chunk, at);
                }
                Line::Body {
                    body,
                    bytes,
                    chunks,
                } => {
                    bodies.insert(body, (bytes, chunks));
                }
            }
            Ok(())
        })?;
        Ok(BodyReader {
            file,
            chunks,
            bodies,
        })
    }

    /// The body of a SHA-256, in hexadecimal digits; `None` where it was not kept.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`] when the content is not
    /// what it is known by.
    pub fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((bytes, chunks)) = self.bodies.get(name).cloned() else {
            return Ok(None);
        };
        let mut content = Vec::new();
        for chunk in chunks {
            content.extend(self.chunk(&chunk)?);
            if content.len() as u64 > bytes {
                break;
            }
        }
        if content.len() as u64 != bytes || sha256(&content) != name {
            let problem = format!("the body {name} is not what its line says");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(Some(content))
    }

    fn chunk(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let missing = || {
            let problem = format!("the chunk {name} is missing");
            io::Error::new(io::ErrorKind::InvalidData, problem)
        };
        let at = *self.chunks.get(name).ok_or_else(missing)?;
        self.file.seek(SeekFrom::Start(at))?;
        let mut text = Vec::new();
        BufReader::new(&self.file)
            .take(MAX_LINE)
            .read_until(b'\n', &mut text)?;
        let Line::Chunk { deflate, .. } = serde_json::from_slice(&text)? else {
            return Err(missing());
        };
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let deflated = BASE64.decode(deflate.as_bytes()).map_err(wrong)?;
        let mut content = Vec::new();
        // No chunk is larger, whatever it claims.
        let most = u64::from(CHUNK.2) + 1;
        DeflateDecoder::new(&*deflated)
            .take(most)
            .read_to_end(&mut content)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn bodies_come_back_as_they_were(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20_000), 0..4)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("bodies.jsonl");
            let writer = BodyWriter::open(&path).unwrap();
            let names: Vec<String> = bodies.iter().map(|body| writer.keep(body).unwrap()).collect();
            let mut reader = BodyReader::open(&path).unwrap();
            for (name, body) in names.iter().zip(&bodies) {
                prop_assert_eq!(&reader.read(name).unwrap().unwrap(), body);
            }
            prop_assert_eq!(reader.read("0").unwrap(), None);
        }
    }

    /// Text that does not repeat itself.
    fn text(bytes: usize) -> Vec<u8> {
        let words = (0_u64..).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        words
            .flat_map(|word| format!("{word:x} ").into_bytes())
            .take(bytes)
            .collect()
    }

    #[test]
    fn a_conversation_that_grows_costs_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bodies.jsonl");
        let writer = BodyWriter::open(&path).unwrap();
        let whole = text(400_000);
        for turn in 1..=40 {
            writer.keep(&whole[..turn * 10_000]).unwrap();
        }
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 1_000_000, "{size} bytes for 8.2 million");
    }

    #[test]
    fn what_was_kept_before_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bodies.jsonl");
        let (first, second) = (text(30_000), text(60_000));
        let name = BodyWriter::open(&path).unwrap().keep(&first).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Killed while it wrote.
        for torn in [&b"{\"chunk\""[..], b"", b"\xff"] {
            std::fs::write(&path, [&whole[..], torn].concat()).unwrap();
            let writer = BodyWriter::open(&path).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            assert_eq!(writer.keep(&first).unwrap(), name);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            let later = writer.clone().keep(&second).unwrap();
            let mut reader = BodyReader::open(&path).unwrap();
            assert_eq!(reader.read(&name).unwrap().unwrap(), first);
            assert_eq!(reader.read(&later).unwrap().unwrap(), second);
        }
        std::fs::write(&path, "no JSON\n").unwrap();
        let error = BodyWriter::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 1: expected"), "{error}");
    }

    #[test]
    fn what_a_crash_or_a_stranger_left_is_no_body() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bodies.jsonl");
        let name = BodyWriter::open(&path)
            .unwrap()
            .keep(&text(50_000))
            .unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(BodyReader::open(&path).unwrap().read(&name).unwrap(), None);
        let first = whole.split_once('\n').unwrap().1;
        std::fs::write(&path, first).unwrap();
        let error = BodyReader::open(&path).unwrap().read(&name).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");
        std::fs::write(&path, format!("{whole}no JSON\n")).unwrap();
        let error = BodyReader::open(&path).unwrap_err().to_string();
        assert!(
            error.starts_with("line ") && error.contains("expected"),
            "{error}"
        );
        // A chunk that says it is another one.
        let mut lines: Vec<&str> = whole.lines().collect();
        let other = lines[1].replacen(&lines[1][10..74], &lines[0][10..74], 1);
        lines[0] = &other;
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let error = BodyReader::open(&path).unwrap().read(&name).unwrap_err();
        assert!(error.to_string().contains("is not what"), "{error}");
    }
}
