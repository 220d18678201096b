//! What protocols have in common: how fields are read, what of an answer may be held, and
//! how bodies are put together.

use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) use super::lenient::{
    Few, Literal, MAX_PARTS, Number, Object, Said, Text, literal, text,
};
use super::mend::mend;
use super::{StreamError, ToolSpec, room};

/// Tools as functions, in the shape that Chat Completions gave them.
pub(super) fn function_tools(tools: &[ToolSpec]) -> Value {
    let tools = tools.iter().map(|tool| {
        let function = json!({
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        });
        json!({ "type": "function", "function": function })
    });
    tools.collect()
}

/// Parses a payload.
pub(super) fn parse<'de, T: Deserialize<'de>>(
    event: &str,
    data: &'de [u8],
) -> Result<T, StreamError> {
    if !room::fits(data) {
        return Err(StreamError::Malformed {
            event: event.to_owned(),
            problem: "there are more values in it than in any answer".to_owned(),
        });
    }
    serde_json::from_slice(data).map_err(|error| StreamError::Malformed {
        event: event.to_owned(),
        problem: match std::str::from_utf8(data) {
            // Whole or not at all: a secret in it can only be found as a whole.
            Ok(said) if said.len() <= MAX_QUOTED => format!("{error}: {said}"),
            _ => error.to_string(),
        },
    })
}

/// Takes a field out of a value; of one that is no object, nothing. Indexing would panic there.
pub(super) fn taken(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}

/// Longest payload that is quoted when it cannot be read.
const MAX_QUOTED: usize = 500;

/// A name that a server gives; an empty one is none.
pub(super) fn named(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// JSON text of a value that is to be a text: of a string itself, of `null` nothing.
pub(super) fn literal_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Length of a text as events count it.
pub(super) fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// The arguments of a call as the object that tools take. Models write other things,
/// too; servers that take objects only must still be told what was said.
#[must_use]
pub fn arguments(text: &str) -> Map<String, Value> {
    let read = |text: &str| serde_json::from_str(text).ok();
    let parsed = if text.len() > MAX_HELD {
        None
    } else {
        read(text).or_else(|| read(&mend(text.as_bytes())?))
    };
    match parsed {
        Some(Value::Object(arguments)) => arguments,
        _ if text.trim().is_empty() => Map::new(),
        _ => Map::from_iter([("malformed".to_owned(), text.into())]),
    }
}

/// The failure of an answer with more than [`MAX_PARTS`] of something.
pub(super) fn too_many(what: &str) -> StreamError {
    StreamError::Malformed {
        event: "answer".into(),
        problem: format!("more than {MAX_PARTS} {what}"),
    }
}

/// Most bytes of JSON that one answer may hold as values, which take many times the room
/// of their text.
const MAX_HELD: usize = 4 << 20;

/// How much of an answer is held as values, to be sent back.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

impl Held {
    /// Counts a payload of which something is held.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when it is more than any honest answer has.
    pub fn add(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        self.0 = self.0.saturating_add(payload.len());
        if self.0 <= MAX_HELD {
            return Ok(());
        }
        Err(StreamError::Malformed {
            event: "answer".into(),
            problem: format!("more than {} MiB of output to hold", MAX_HELD >> 20),
        })
    }
}

/// Sets the field at the end of a path of objects, unless it is set. What was configured
/// where an object belongs stays as it is: the server will say what is wrong with it.
pub(super) fn bound(extra: &mut Map<String, Value>, path: &[&str], tokens: u32) {
    let Some((field, objects)) = path.split_last() else {
        return;
    };
    let mut inner = extra;
    for name in objects {
        let object = inner.entry(*name).or_insert_with(|| Map::new().into());
        let Some(object) = object.as_object_mut() else {
            return;
        };
        inner = object;
    }
    inner.entry(*field).or_insert_with(|| tokens.into());
}

/// A request body: what the protocol says, with the configured fields over it. Objects
/// are merged, so that one field of `stream_options` leaves the others alone.
pub(super) fn body(mut body: Value, extra: &Map<String, Value>) -> Vec<u8> {
    for (name, value) in extra {
        overlay(&mut body[name.as_str()], value);
    }
    body.to_string().into_bytes()
}

fn overlay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                overlay(under.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_fields_go_over_the_protocols_own_and_objects_are_merged() {
        let over = json!({ "a": { "y": 3 }, "b": [1], "c": { "n": { "m": 1 } } });
        let body = body(
            json!({ "a": { "x": 1, "y": 2 }, "b": { "z": 1 } }),
            over.as_object().unwrap(),
        );
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap(),
            json!({ "a": { "x": 1, "y": 3 }, "b": [1], "c": { "n": { "m": 1 } } })
        );
    }
}
