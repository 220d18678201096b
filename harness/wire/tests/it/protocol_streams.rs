//! Byte streams of every protocol, as real servers send them: what they mean does not
//! depend on how the network cuts them.

use std::fmt::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use timeslip_wire::Failure;
use timeslip_wire::framing::{Piece, Splitter};
use timeslip_wire::protocols::{PROTOCOLS, PayloadMeaning, Protocol};

use crate::recorded;

/// Feeds the reads of one stream and writes down what they meant, up to the end of the
/// exchange.
fn meaning<'a>(protocol: &dyn Protocol, reads: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut splitter = Splitter::new(protocol.format());
    let mut decoder = protocol.decoder();
    let mut text = String::new();
    let mut over = false;
    for read in reads {
        let fed = splitter.feed(read, |piece| {
            if over {
                return;
            }
            match piece {
                Piece::KeepAlive => text.push_str("keep-alive comment\n"),
                Piece::Payload(payload) | Piece::Error(payload) => match decoder.payload(payload) {
                    Ok(step) => {
                        over = step.done;
                        describe(step, &mut text);
                    }
                    Err(error) => {
                        over = true;
                        let again = Failure::from(error.clone()).retryable();
                        writeln!(text, "error: {error:?}, another try: {again}").unwrap();
                    }
                },
            }
        });
        assert!(fed.is_ok());
    }
    if !over {
        writeln!(text, "stream ends; whole: {}", decoder.may_end()).unwrap();
    }
    for (kind, count) in decoder.unknown() {
        writeln!(text, "unknown: {count} of {kind}").unwrap();
    }
    write!(text, "{:#?}", decoder.answer()).unwrap();
    text
}

fn describe(step: PayloadMeaning, text: &mut String) {
    let mut words = Vec::new();
    for (name, is) in [("admitted", step.admitted), ("keep-alive", step.keep_alive)] {
        if is {
            words.push(name.to_owned());
        }
    }
    for (kind, bytes) in step.outputs() {
        words.push(format!("{kind:?} {bytes}"));
    }
    if let Some(tokens) = step.tokens {
        words.push(format!("{tokens} tokens"));
    }
    if step.done {
        words.push("done".to_owned());
    }
    if words.is_empty() {
        words.push("nothing timed".to_owned());
    }
    writeln!(text, "{}", words.join(", ")).unwrap();
}

#[test]
fn every_stream_means_what_it_should() {
    for &protocol in PROTOCOLS {
        for file in recorded::files(protocol) {
            let stream = std::fs::read(&file).unwrap();
            let snapshot = format!(
                "{}-{}",
                protocol.name(),
                file.file_stem().unwrap().display()
            );
            insta::with_settings!({ snapshot_path => "protocol_streams/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(snapshot, meaning(protocol, [stream.as_slice()]));
            });
        }
    }
}

#[test]
fn no_cut_changes_the_meaning() {
    for &protocol in PROTOCOLS {
        for file in recorded::files(protocol) {
            let stream = std::fs::read(&file).unwrap();
            let whole = meaning(protocol, [stream.as_slice()]);
            assert_eq!(meaning(protocol, stream.chunks(1)), whole, "{file:?}");
            for cut in 1..stream.len() {
                let (head, tail) = stream.split_at(cut);
                let cut_up = meaning(protocol, [head, tail]);
                assert_eq!(cut_up, whole, "{file:?} cut at byte {cut}");
            }
        }
    }
}

#[test]
fn no_line_ending_changes_the_meaning() {
    for &protocol in PROTOCOLS {
        for file in recorded::files(protocol) {
            let stream = std::fs::read_to_string(&file).unwrap();
            let whole = meaning(protocol, [stream.as_bytes()]);
            let windows = stream.replace('\n', "\r\n");
            assert_eq!(meaning(protocol, [windows.as_bytes()]), whole, "{file:?}");
            for size in [1, 2, 7] {
                let reads = windows.as_bytes().chunks(size);
                assert_eq!(meaning(protocol, reads), whole, "{file:?} by {size}");
            }
        }
    }
}

/// The stream with `value` for every number of its payloads, and as a further field of every
/// object.
fn with_everywhere(stream: &str, value: &str) -> String {
    let mut changed = String::new();
    for line in stream.split_inclusive('\n') {
        let payload = line.find('{').filter(|_| !line.starts_with(':'));
        let (head, payload) = line.split_at(payload.unwrap_or(line.len()));
        changed.push_str(head);
        let (mut quoted, mut escaped, mut number) = (false, false, false);
        let mut characters = payload.chars().peekable();
        while let Some(c) = characters.next() {
            let digit =
                !quoted && (c.is_ascii_digit() || number && ".eE+-".contains(c) || c == '-');
            if digit && !number {
                changed.push_str(value);
            }
            number = digit;
            if !digit {
                changed.push(c);
            }
            if c == '{' && !quoted {
                changed.push_str(&format!("\"excess\":{value}"));
                if characters.peek() != Some(&'}') {
                    changed.push(',');
                }
            }
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
        }
    }
    changed
}

#[test]
fn a_value_that_no_reader_holds_costs_itself_alone() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let digits = "9".repeat(400);
    for &protocol in PROTOCOLS {
        let mut compared = 0;
        for file in recorded::files(protocol) {
            let stream = std::fs::read_to_string(&file).unwrap();
            let meant =
                |value: &str| meaning(protocol, [with_everywhere(&stream, value).as_bytes()]);
            let without = meant("null");
            if without.contains("error: Malformed") {
                continue;
            }
            compared += 1;
            for value in ["1e999", "-1e999", &digits] {
                assert_eq!(meant(value), without, "{file:?}");
            }
            let nested = meant(&deep);
            assert!(!nested.contains("error: Malformed"), "{file:?} {nested}");
        }
        assert!(compared > 0, "{}", protocol.name());
    }
}

/// A change somewhere in a stream; places are parts of its length.
#[derive(Clone, Debug)]
enum Damage {
    Replace(f64, u8),
    Remove(f64, f64),
    Repeat(f64, f64),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        let place = || 0.0..1.0_f64;
        let byte = prop_oneof![
            any::<u8>(),
            proptest::sample::select(&b"\"\\{}[],:0\n\r "[..])
        ];
        prop_oneof![
            (place(), byte).prop_map(|(at, byte)| Damage::Replace(at, byte)),
            (place(), 0.0..0.2).prop_map(|(at, part)| Damage::Remove(at, part)),
            (place(), 0.0..0.2).prop_map(|(at, part)| Damage::Repeat(at, part)),
        ]
    }

    fn done_to(&self, stream: &mut Vec<u8>) {
        let length = stream.len() as f64;
        let range = |at: f64, part: f64| {
            let from = (at * length) as usize;
            from..(from + (part * length) as usize).min(length as usize)
        };
        match *self {
            Damage::Replace(at, byte) => {
                if let Some(place) = stream.get_mut((at * length) as usize) {
                    *place = byte;
                }
            }
            Damage::Remove(at, part) => drop(stream.drain(range(at, part))),
            Damage::Repeat(at, part) => {
                let range = range(at, part);
                let piece = stream[range.clone()].to_vec();
                stream.splice(range.start..range.start, piece);
            }
        }
    }
}

proptest! {
    /// Whatever happens to a stream, it is read without a panic and however it is cut.
    #[test]
    fn damage_is_survived(
        which in any::<proptest::sample::Index>(),
        damages in proptest::collection::vec(Damage::any(), 1..6),
        size in 1_usize..400,
    ) {
        let of_protocol = |protocol| {
            recorded::files(protocol).into_iter().map(move |file| (protocol, file))
        };
        let protocols = PROTOCOLS.iter().copied();
        let all: Vec<(&dyn Protocol, PathBuf)> = protocols.flat_map(of_protocol).collect();
        let (protocol, file) = which.get(&all);
        let mut stream = std::fs::read(file).unwrap();
        for damage in &damages {
            damage.done_to(&mut stream);
        }
        let whole = meaning(*protocol, [stream.as_slice()]);
        prop_assert_eq!(meaning(*protocol, stream.chunks(size)), whole);
    }
}
