//! Servers put anything anywhere: whatever value of a recorded stream is replaced by one of
//! another type, nothing crashes, and what was made of it can be sent again.

use std::collections::HashSet;

use serde_json::{Value, json};
use timeslip_wire::framing::{Piece, Splitter};
use timeslip_wire::protocols::{Item, PROTOCOLS, Protocol, Request, RequestForm};

use crate::recorded;

/// Pointers (RFC 6901) to all values in a value, itself included.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let mut below = |name: &str, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        pointers(value, &format!("{at}/{name}"), all);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| below(&index.to_string(), value));
        }
        _ => {}
    }
}

fn payloads(protocol: &dyn Protocol, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let fed = Splitter::new(protocol.format()).feed(stream, |piece| {
        if let Piece::Payload(payload) = piece {
            payloads.push(payload.to_vec());
        }
    });
    assert!(fed.is_ok());
    payloads
}

/// Reads a stream and says it again as context.
fn read<'a>(protocol: &dyn Protocol, payloads: impl Iterator<Item = &'a [u8]>) {
    let mut decoder = protocol.decoder();
    for payload in payloads {
        // As an event may be unreadable and the stream go on, no error ends it here.
        let _ = decoder.payload(payload);
    }
    let items: Vec<Item> = decoder
        .answer()
        .items
        .into_iter()
        .map(Item::Output)
        .collect();
    let request = Request {
        model: "m",
        instructions: "i",
        tools: &[],
        items: &items,
        previous: None,
        cache_key: "k",
        extra: &serde_json::Map::new(),
        warm_up: false,
        lane: None,
    };
    let body = protocol.encode(&request, RequestForm::Http);
    assert!(serde_json::from_slice::<Value>(&body).is_ok());
}

#[test]
fn any_value_may_be_another() {
    let others = [
        json!(null),
        json!(4),
        json!("x"),
        json!([4]),
        json!({ "x": 4 }),
    ];
    for &protocol in PROTOCOLS {
        // Of payloads with the same fields one is enough.
        let mut seen = HashSet::new();
        for file in recorded::files(protocol) {
            let payloads = payloads(protocol, &std::fs::read(&file).unwrap());
            for (place, payload) in payloads.iter().enumerate() {
                let Ok(value) = serde_json::from_slice::<Value>(payload) else {
                    continue;
                };
                let mut all = Vec::new();
                pointers(&value, "", &mut all);
                if !seen.insert((value["type"].to_string(), all.clone())) {
                    continue;
                }
                for pointer in all {
                    for other in &others {
                        let mut changed = value.clone();
                        *changed.pointer_mut(&pointer).unwrap() = other.clone();
                        let changed = changed.to_string();
                        let before = payloads[..place].iter().map(Vec::as_slice);
                        let after = payloads[place + 1..].iter().map(Vec::as_slice);
                        read(protocol, before.chain([changed.as_bytes()]).chain(after));
                    }
                }
            }
        }
    }
}
