//! How fields of a payload are read: borrowed where that is possible, leniently where
//! servers disagree, and never with an allocation for what every event carries.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::{StreamError, ToolSpec};
use crate::clock;
use crate::retry_after;

/// A string, borrowed from the payload unless it holds escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The text of an optional field; empty when there is none.
pub(super) fn text<'a>(field: &'a Option<Text<'_>>) -> &'a str {
    field.as_deref().unwrap_or_default()
}

/// A list that nearly always holds one element, which then needs no allocation.
/// `null` is an empty list.
#[derive(Debug)]
pub(super) struct Few<T> {
    pub first: Option<T>,
    pub rest: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few {
            first: None,
            rest: Vec::new(),
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let first = list.next_element()?;
                let mut rest = Vec::new();
                while let Some(element) = list.next_element()? {
                    if rest.len() + 1 == MAX_PARTS {
                        let problem = format!("more than {MAX_PARTS} elements of a list");
                        return Err(A::Error::custom(problem));
                    }
                    rest.push(element);
                }
                Ok(Few { first, rest })
            }
        }

        deserializer.deserialize_any(List(PhantomData))
    }
}

/// A number as servers write it: a number, or a string that holds one. Anything else
/// is no number, and no reason to give up a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(Option<f64>);

impl Number {
    /// As a count of something.
    pub fn count(self) -> Option<u64> {
        let count = self
            .0
            .filter(|number| number.is_finite() && *number >= 0.0)?;
        // The cast saturates at the type's bound, which no honest count reaches.
        Some(count as u64)
    }

    /// Seconds, as nanoseconds.
    pub fn seconds(self) -> Option<u64> {
        clock::from_milliseconds(self.0? * 1e3)
    }

    /// Milliseconds, as nanoseconds.
    pub fn milliseconds(self) -> Option<u64> {
        clock::from_milliseconds(self.0?)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient;

        impl<'de> Visitor<'de> for Lenient {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.trim().parse().ok()))
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Number, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }
        }

        deserializer.deserialize_any(Lenient)
    }
}

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
    serde_json::from_slice(data).map_err(|error| StreamError::Malformed {
        event: event.to_owned(),
        problem: error.to_string(),
    })
}

/// Length of a text as events count it.
pub(super) fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// An error as a server describes it: an object of the usual fields, or a text alone.
/// Nothing is cut here, because secrets can be taken out of whole texts only.
pub(crate) fn server_error(error: &Value, status: Option<u16>) -> StreamError {
    let field = |name: &str| error[name].as_str().map(str::to_owned);
    let number = |name: &str| {
        let number = u16::try_from(error[name].as_u64()?).ok()?;
        (100..600).contains(&number).then_some(number)
    };
    let code = ["code", "type", "status"].into_iter().find_map(field);
    let message = field("message")
        .or_else(|| error.as_str().map(str::to_owned))
        .unwrap_or_else(|| "no message".into());
    let statuses = ["status", "status_code", "code"];
    StreamError::Server {
        status: status.or_else(|| statuses.into_iter().find_map(number)),
        code: code.unwrap_or_else(|| "error".into()),
        retry_after: retry_after::in_words(&message),
        message,
    }
}

/// The arguments of a call as the object that tools take. Models write other things,
/// too; servers that take objects only must still be told what was said.
#[must_use]
pub fn arguments(text: &str) -> Map<String, Value> {
    let parsed = if text.len() > MAX_HELD {
        None
    } else {
        serde_json::from_str(text).ok()
    };
    match parsed {
        Some(Value::Object(arguments)) => arguments,
        _ if text.trim().is_empty() => Map::new(),
        _ => Map::from_iter([("malformed".to_owned(), text.into())]),
    }
}

/// Objects of the same sort in one answer; no honest one has more.
pub(super) const MAX_PARTS: usize = 1000;

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
    use serde_json::json;

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let read = |value: Value| Number::deserialize(&value).unwrap().seconds();
        assert_eq!(read(json!(0.25)), Some(250_000_000));
        assert_eq!(read(json!("0.25")), Some(250_000_000));
        assert_eq!(read(json!(2)), Some(2_000_000_000));
        for none in [
            json!(null),
            json!("soon"),
            json!(-1),
            json!({"a": [1]}),
            json!([1]),
            json!(true),
        ] {
            assert_eq!(read(none), None);
        }
    }

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

    #[test]
    fn plain_strings_are_borrowed() {
        #[derive(Deserialize)]
        struct Holder<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
            #[serde(borrow, default)]
            list: Few<Text<'a>>,
        }
        let holder: Holder<'_> = serde_json::from_str(r#"{"text":"a","list":["b","c"]}"#).unwrap();
        assert!(matches!(holder.text.unwrap().0, Cow::Borrowed("a")));
        let list: Vec<Text<'_>> = holder.list.into_iter().collect();
        assert!(matches!(
            list.as_slice(),
            [Text(Cow::Borrowed("b")), Text(Cow::Borrowed("c"))]
        ));
        let holder: Holder<'_> = serde_json::from_str(r#"{"list":null}"#).unwrap();
        assert!(holder.text.is_none() && holder.list.first.is_none());
    }
}
