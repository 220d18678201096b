//! The recorded streams of each protocol: every protocol has a folder of them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use timeslip_wire::framing::{Piece, Splitter};
use timeslip_wire::protocols::{Answer, Protocol};

/// The files of one protocol, sorted by name.
pub fn files(protocol: &dyn Protocol) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/protocol_streams")
        .join(protocol.name());
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("no streams in {}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no streams in {}", folder.display());
    files
}

/// A stream of a protocol in which the model reasons and calls tools, and its answer.
pub fn with_calls(protocol: &dyn Protocol) -> (String, Answer) {
    let streams = files(protocol).into_iter().map(|file| {
        let stream = std::fs::read_to_string(file).unwrap();
        let answer = answer(protocol, &stream);
        (stream, answer)
    });
    let mut whole = streams.filter_map(|(stream, answer)| Some((stream, answer?)));
    let found = whole.find(|(_, answer)| !answer.calls.is_empty() && !answer.reasoning.is_empty());
    found.unwrap_or_else(|| panic!("no stream of {} reasons and calls", protocol.name()))
}

/// The answer of a stream, unless something is wrong with it.
fn answer(protocol: &dyn Protocol, stream: &str) -> Option<Answer> {
    let mut decoder = protocol.decoder();
    let mut sound = true;
    let fed = Splitter::new(protocol.format()).feed(stream.as_bytes(), |piece| {
        if let Piece::Payload(data) = piece {
            sound &= decoder.payload(data).is_ok();
        }
    });
    (fed.is_ok() && sound).then(|| decoder.answer())
}
