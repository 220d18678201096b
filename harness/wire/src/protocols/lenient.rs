//! Values as servers write them, read leniently: what is of another type than it should be
//! costs itself, never the stream, and nothing that every event carries is copied.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::clock;

/// Objects of the same sort in one answer; no honest one has more.
pub(super) const MAX_PARTS: usize = 1000;

/// A string, borrowed from the payload unless it holds escapes. A number is its digits;
/// anything else is no text, and no reason to give up a stream.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar { structured: false };
        Ok(Text(deserializer.deserialize_any(scalar)?.text()))
    }
}

/// A string, or the JSON text of what came in its place.
#[derive(Debug, Default)]
pub(super) struct Literal<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Literal<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar { structured: true };
        Ok(Literal(deserializer.deserialize_any(scalar)?.text()))
    }
}

/// The JSON text of an optional field; empty when there is none.
pub(super) fn literal<'a>(field: &'a Option<Literal<'_>>) -> &'a str {
    field.as_ref().map_or("", |literal| &literal.0)
}

/// What came where a string should.
enum Written<'a> {
    Text(Cow<'a, str>),
    Structure(Value),
}

impl<'a> Written<'a> {
    const NOTHING: Self = Written::Text(Cow::Borrowed(""));

    /// The text, or the JSON text of what came in its place.
    fn text(self) -> Cow<'a, str> {
        match self {
            Written::Text(text) => text,
            Written::Structure(value) => Cow::Owned(value.to_string()),
        }
    }
}

/// Reads any value: a list or an object as it is where it is wanted `structured`, as
/// nothing where not.
struct Scalar {
    structured: bool,
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Written<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Written::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Written::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Written::Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Written::Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Written::Text(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Written::NOTHING)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Written::NOTHING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.structured {
            let list = Value::deserialize(SeqAccessDeserializer::new(list))?;
            return Ok(Written::Structure(list));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Written::NOTHING)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.structured {
            let map = Value::deserialize(MapAccessDeserializer::new(map))?;
            return Ok(Written::Structure(map));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Written::NOTHING)
    }
}

/// What an answer says: a text, or a list of parts.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub text: Cow<'a, str>,
    pub parts: Vec<Value>,
}

impl Said<'_> {
    /// The text of a value that is a text or a list of parts with texts.
    pub fn of(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list.iter().map(Said::of).collect(),
            Value::Object(part) => part.get("text").map(Said::of).unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar { structured: true };
        let nothing = Cow::Borrowed("");
        let (text, parts) = match deserializer.deserialize_any(scalar)? {
            Written::Text(text) => (text, Vec::new()),
            Written::Structure(Value::Array(list)) => (nothing, list),
            Written::Structure(part) => (nothing, vec![part]),
        };
        Ok(Said { text, parts })
    }
}

/// An object; what is none costs itself, not the stream.
#[derive(Debug)]
pub(super) struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Object(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Lenient<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                let object = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Object(Some(object)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Object<T>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
        }

        deserializer.deserialize_any(Lenient(PhantomData))
    }
}

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

/// A list of objects that nearly always holds one, which then needs no allocation. An
/// object by itself is a list of one; what is no object is left out.
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

            fn visit_str<E>(self, _: &str) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Few<T>, E> {
                Ok(Few::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Few<T>, A::Error> {
                let first = Some(T::deserialize(MapAccessDeserializer::new(map))?);
                let rest = Vec::new();
                Ok(Few { first, rest })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let mut few = Few::default();
                while let Some(Object(element)) = list.next_element::<Object<T>>()? {
                    let Some(element) = element else { continue };
                    if few.first.is_none() {
                        few.first = Some(element);
                        continue;
                    }
                    if few.rest.len() + 1 == MAX_PARTS {
                        let problem = format!("more than {MAX_PARTS} elements of a list");
                        return Err(A::Error::custom(problem));
                    }
                    few.rest.push(element);
                }
                Ok(few)
            }
        }

        deserializer.deserialize_any(List(PhantomData))
    }
}

/// Every whole number up to here is exact as a floating-point number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as servers write it: a number, or a string that holds one. Anything else
/// is no number, and no reason to give up a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(Option<f64>);

impl Number {
    /// A count.
    pub fn of(count: u64) -> Self {
        Number(Some(count as f64))
    }

    /// As a count of something.
    pub fn count(self) -> Option<u64> {
        // Beyond this bound numbers are not exact, and no honest count is there.
        let count = self.0.filter(|number| (0.0..=EXACT).contains(number))?;
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
    fn plain_strings_are_borrowed() {
        #[derive(Deserialize)]
        struct Holder<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
            #[serde(borrow, default)]
            list: Few<Inner<'a>>,
        }
        #[derive(Deserialize)]
        struct Inner<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
        }
        let said = r#"{"text":"a","list":[{"text":"b"},null,7,{"text":"c"}]}"#;
        let holder: Holder<'_> = serde_json::from_str(said).unwrap();
        assert!(matches!(holder.text.unwrap().0, Cow::Borrowed("a")));
        let list: Vec<Text<'_>> = holder.list.into_iter().filter_map(|one| one.text).collect();
        assert!(matches!(
            list.as_slice(),
            [Text(Cow::Borrowed("b")), Text(Cow::Borrowed("c"))]
        ));
        for none in [r#"{"list":null}"#, r#"{"list":"x","text":[{}]}"#] {
            let holder: Holder<'_> = serde_json::from_str(none).unwrap();
            assert!(text(&holder.text).is_empty() && holder.list.first.is_none());
        }
    }
}
