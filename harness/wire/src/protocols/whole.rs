//! Answers that were not streamed, taken apart into what a stream would have brought.

use serde_json::{Map, Value};

use super::fields::parse;
use super::mend::mended;
use crate::framing::MAX_PAYLOAD;

/// The body as a JSON value, unless it is none or too large to be held as values.
pub(super) fn document(body: &[u8]) -> Option<Value> {
    if body.len() > MAX_PAYLOAD {
        return None;
    }
    mended(body, |body| parse("answer", body)).ok()
}

/// The body as the JSON object of an answer, which has its output in the list `field`.
pub(super) fn answer(body: &[u8], field: &str) -> Option<Map<String, Value>> {
    match document(body)? {
        Value::Object(fields) if fields.get(field).is_some_and(Value::is_array) => Some(fields),
        _ => None,
    }
}

/// Events as payloads.
pub(super) fn payloads(events: impl IntoIterator<Item = Value>) -> Vec<Vec<u8>> {
    let events = events.into_iter();
    events.map(|event| event.to_string().into_bytes()).collect()
}
