//! `shapes.jsonl`, what recorded clients and their servers said, without a word of it: one JSON
//! object a line, appended.
//!
//! A text is its length and its blocks, each of them a number that stands for the text up to
//! the block's end. Numbers are given in the order in which texts come, and say what is equal
//! to what: unlike a hash, they do not tell whoever guesses a text that the guess was right.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lines::{self, Appending};
use super::without_text::{is_name, name_or_text};

/// Bytes of a block: some 64 tokens.
pub const BLOCK: usize = 256;
/// Longest line that is read: the blocks of the longest text that is kept.
const MAX_LINE: u64 = 64 << 20;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    /// A part of what was said.
    Part {
        /// Its number.
        part: u64,
        /// `system`, `tool`, `user`, `assistant`, `reasoning`, `call`, `result`, or the
        /// client's own name for what is none of these.
        kind: String,
        /// The call that it is, or the result of.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        call_id: Option<String>,
        /// The tool.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// Length of its text, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bytes: Option<u64>,
        /// Its blocks; the last one is what is left.
        blocks: Vec<u64>,
    },
    /// A request or a response.
    Shape {
        /// Its number.
        shape: u64,
        /// Length of its body.
        bytes: u64,
        /// Model asked for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        model: Option<String>,
        /// Its parts, in order.
        parts: Vec<u64>,
    },
}

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// Length of its body.
    pub bytes: u64,
    /// Model asked for.
    pub model: Option<&'a str>,
    /// Its parts, in order; none of what is no model call.
    pub parts: Vec<Part<'a>>,
}

/// A part of what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What it is.
    pub kind: &'a str,
    /// The call that it is, or the result of.
    pub call_id: Option<&'a str>,
    /// The tool.
    pub name: Option<&'a str>,
    /// What it says.
    pub text: Text<'a>,
}

/// What a part says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// The text itself.
    Whole(&'a str),
    /// What tells it from others.
    Known {
        /// The same for what is equal.
        by: String,
        /// Its length, where that is known.
        bytes: Option<u64>,
    },
}

/// Numbers of what is equal.
#[derive(Debug, Default)]
struct Numbers {
    given: HashMap<[u8; 32], u64>,
    last: u64,
}

impl Numbers {
    /// The number of what hashes so, and whether it is new.
    fn of(&mut self, hash: [u8; 32]) -> (u64, bool) {
        if let Some(known) = self.given.get(&hash) {
            return (*known, false);
        }
        self.last += 1;
        self.given.insert(hash, self.last);
        (self.last, true)
    }

    /// Gives none of these again.
    fn pass(&mut self, number: u64) {
        self.last = self.last.max(number);
    }
}

/// Keeps shapes, for whoever has a clone of it.
#[derive(Clone, Debug)]
pub struct ShapeWriter(Arc<Mutex<Keeping>>);

#[derive(Debug)]
struct Keeping {
    file: Appending,
    blocks: Numbers,
    parts: Numbers,
    shapes: Numbers,
}

impl ShapeWriter {
    /// Goes on with a file, or begins one. What was numbered before gets new numbers: nothing
    /// in the file tells what it was.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::InvalidData`], with its number, for a
    /// line that is none of this format.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (mut blocks, mut parts, mut shapes) = <(Numbers, Numbers, Numbers)>::default();
        let file = Appending::open(path, MAX_LINE, |_, line| {
            match serde_json::from_slice(line)? {
                Line::Part {
                    part, blocks: of, ..
                } => {
                    parts.pass(part);
                    of.into_iter().for_each(|block| blocks.pass(block));
                }
                Line::Shape { shape, .. } => shapes.pass(shape),
            }
            Ok(())
        })?;
        Ok(ShapeWriter(Arc::new(Mutex::new(Keeping {
            file,
            blocks,
            parts,
            shapes,
        }))))
    }

    /// Keeps the shape of what was said, and gives its number.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn keep(&self, said: &Said<'_>) -> io::Result<String> {
        let mut keeping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = keeping.keep(said);
        if kept.is_err() {
            // What has a number and no line must get another one.
            for numbers in keeping.numbers() {
                numbers.given.clear();
            }
        }
        kept
    }
}

impl Keeping {
    fn numbers(&mut self) -> [&mut Numbers; 3] {
        [&mut self.blocks, &mut self.parts, &mut self.shapes]
    }

    fn keep(&mut self, said: &Said<'_>) -> io::Result<String> {
        let mut text = Vec::new();
        let mut parts = Vec::with_capacity(said.parts.len());
        for part in &said.parts {
            parts.push(self.part(part, &mut text)?);
        }
        let model = said.model.filter(|model| is_name(model));
        let hash = hash(&[
            &said.bytes.to_le_bytes(),
            model.unwrap_or_default().as_bytes(),
            format!("{parts:?}").as_bytes(),
        ]);
        let (shape, is_new) = self.shapes.of(hash);
        if is_new {
            let line = Line::Shape {
                shape,
                bytes: said.bytes,
                model: model.map(str::to_owned),
                parts,
            };
            lines::add(&mut text, &line)?;
        }
        self.file.append(&text)?;
        Ok(shape.to_string())
    }

    /// The number of a part, whose line is added where it is new.
    fn part(&mut self, part: &Part<'_>, lines: &mut Vec<u8>) -> io::Result<u64> {
        let (kind, tag) = (name_or_text(part.kind), part.kind.as_bytes());
        let call_id = part.call_id.filter(|id| is_name(id));
        let name = part.name.map(name_or_text);
        let (bytes, said) = match &part.text {
            Text::Whole(text) => (Some(text.len() as u64), text.as_bytes()),
            Text::Known { by, bytes } => (*bytes, by.as_bytes()),
        };
        let hash = hash(&[
            tag,
            call_id.unwrap_or_default().as_bytes(),
            name.unwrap_or_default().as_bytes(),
            said,
        ]);
        let (number, is_new) = self.parts.of(hash);
        if is_new {
            let blocks = match &part.text {
                Text::Whole(text) => self.blocks_of(text.as_bytes()),
                Text::Known { by, .. } => vec![self.blocks.of(self::hash(&[tag, by.as_bytes()])).0],
            };
            let line = Line::Part {
                part: number,
                kind: kind.to_owned(),
                call_id: call_id.map(str::to_owned),
                name: name.map(str::to_owned),
                bytes,
                blocks,
            };
            self::lines::add(lines, &line)?;
        }
        Ok(number)
    }

    /// The blocks of a text, each the number of the text up to its end.
    fn blocks_of(&mut self, text: &[u8]) -> Vec<u64> {
        let mut so_far = Sha256::new();
        let blocks = text.chunks(BLOCK).map(|block| {
            so_far.update(block);
            self.blocks.of(so_far.clone().finalize().into()).0
        });
        blocks.collect()
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn user(text: &str) -> Part<'_> {
        Part {
            kind: "user",
            call_id: None,
            name: None,
            text: Text::Whole(text),
        }
    }

    fn said<'a>(parts: &[Part<'a>]) -> Said<'a> {
        Said {
            bytes: 1000,
            model: Some("gpt-5"),
            parts: parts.to_vec(),
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    #[test]
    fn numbers_tell_what_is_equal_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shapes.jsonl");
        let writer = ShapeWriter::open(&path).unwrap();
        let long = "b".repeat(2 * BLOCK);
        let (one, other) = (format!("{long}and so on"), format!("{long}and not"));
        let first = said(&[user(&one)]);
        assert_eq!(writer.keep(&first).unwrap(), "1");
        let call = Part {
            kind: "call",
            call_id: Some("call_1"),
            name: Some("a file of mine"),
            text: Text::Known {
                by: "x".into(),
                bytes: None,
            },
        };
        let second = said(&[user(&one), user(&other), call]);
        assert_eq!(writer.clone().keep(&second).unwrap(), "2");
        assert_eq!(writer.keep(&first).unwrap(), "1");
        assert_eq!(
            lines(&path),
            [
                json!({ "part": 1, "kind": "user", "bytes": one.len(), "blocks": [1, 2, 3] }),
                json!({ "shape": 1, "bytes": 1000, "model": "gpt-5", "parts": [1] }),
                json!({ "part": 2, "kind": "user", "bytes": other.len(), "blocks": [1, 2, 4] }),
                json!({ "part": 3, "kind": "call", "call_id": "call_1", "name": "(text)", "blocks": [5] }),
                json!({ "shape": 2, "bytes": 1000, "model": "gpt-5", "parts": [1, 2, 3] }),
            ]
        );
    }

    #[test]
    fn what_was_numbered_before_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shapes.jsonl");
        ShapeWriter::open(&path)
            .unwrap()
            .keep(&said(&[user("a")]))
            .unwrap();
        let mut whole = std::fs::read(&path).unwrap();
        let before = lines(&path);
        whole.extend_from_slice(b"{\"part\":7");
        std::fs::write(&path, whole).unwrap();
        let writer = ShapeWriter::open(&path).unwrap();
        assert_eq!(lines(&path), before);
        assert_eq!(writer.keep(&said(&[user("a")])).unwrap(), "2");
        let added = &lines(&path)[before.len()..];
        assert_eq!(
            (&added[0]["part"], &added[0]["blocks"]),
            (&json!(2), &json!([2]))
        );
        std::fs::write(&path, "{\"other\":1}\n").unwrap();
        let error = ShapeWriter::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 1: "), "{error}");
    }
}
