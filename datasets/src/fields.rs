//! Fields as people and tools write them: null for an absent one, a number where text is
//! meant, a number inside a string, a list inside a string.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::python_list;

/// What stands in a field, by what it is.
enum Written {
    Absent,
    Flag(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    /// A list, or a table with its keys, as texts.
    Parts(Vec<String>),
}

/// Text; other scalars are their text, a list or table is its parts with commas between
/// them, null is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// Several texts; a scalar is a list of one, null is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts(pub(crate) Vec<String>);

/// A number, also inside a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

/// A whole number that is not negative, also as `2048.0` or inside a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

/// Yes or no, also as a word or as 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

/// Names in a list, or in a list that was printed into a string as JSON or as Python;
/// null is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(pub(crate) Vec<String>);

impl Written {
    fn text(self) -> String {
        match self {
            Written::Absent => String::new(),
            Written::Flag(flag) => flag.to_string(),
            Written::Whole(number) => number.to_string(),
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
            Written::Parts(parts) => parts.join(", "),
        }
    }
}

/// What the `toml` crate calls a date's only part.
const TOML_DATE: &str = "$__toml_private_datetime";

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Written, E> {
        Ok(Written::Absent)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Written, E> {
        Ok(Written::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Written, E> {
        Ok(Written::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Written, E> {
        Ok(Written::Whole(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Written, E> {
        Ok(Written::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut parts = Vec::new();
        while let Some(Text(text)) = list.next_element()? {
            parts.push(text);
        }
        Ok(Written::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Written, A::Error> {
        let mut parts = Vec::new();
        while let Some((key, Text(text))) = table.next_entry::<String, Text>()? {
            parts.push(match key.as_str() {
                TOML_DATE => text,
                _ => format!("{key}: {text}"),
            });
        }
        Ok(Written::Parts(parts))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a number";
        let written = deserializer.deserialize_any(WrittenVisitor)?;
        let number = match &written {
            Written::Whole(number) => Some(*number as f64),
            Written::Number(number) => Some(*number),
            Written::Text(text) => text.trim().parse().ok(),
            Written::Absent | Written::Flag(_) | Written::Parts(_) => None,
        };
        number
            .map(Number)
            .ok_or_else(|| mismatch(written, expected))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a whole number that is not negative";
        let written = deserializer.deserialize_any(WrittenVisitor)?;
        let number = match &written {
            Written::Whole(number) => u64::try_from(*number).ok(),
            Written::Number(number) => whole(*number),
            Written::Text(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| whole(text.parse().ok()?))
            }
            Written::Absent | Written::Flag(_) | Written::Parts(_) => None,
        };
        number.map(Whole).ok_or_else(|| mismatch(written, expected))
    }
}

/// The number, if nothing of it is lost.
fn whole(number: f64) -> Option<u64> {
    let fits = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    fits.then_some(number as u64)
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "true or false";
        let written = deserializer.deserialize_any(WrittenVisitor)?;
        let flag = match &written {
            Written::Flag(flag) => Some(*flag),
            Written::Whole(0) => Some(false),
            Written::Whole(1) => Some(true),
            Written::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.map(Flag).ok_or_else(|| mismatch(written, expected))
    }
}

fn mismatch<E: Error>(written: Written, expected: &'static str) -> E {
    E::custom(format!("{:?} is not {expected}", written.text()))
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Texts(
            match deserializer.deserialize_any(WrittenVisitor)? {
                Written::Absent => Vec::new(),
                Written::Parts(parts) => parts,
                scalar => vec![scalar.text()],
            },
        ))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Text(deserializer.deserialize_any(WrittenVisitor)?.text()))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor).map(Names)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        python_list::parse(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = parts.next_element()? {
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read<T: for<'a> Deserialize<'a>>(json: &str) -> Result<T, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_what_was_written_whatever_its_type() {
        let text = |json: &str| read::<Text>(json).unwrap().0;
        assert_eq!(
            [
                "\"a\"",
                "3",
                "2.5",
                "true",
                "null",
                "[1, \"b\"]",
                "{\"k\": 1}"
            ]
            .map(text),
            ["a", "3", "2.5", "true", "", "1, b", "k: 1"]
        );
        let texts = |json: &str| read::<Texts>(json).unwrap().0;
        assert_eq!(texts("[1, \"b\"]"), ["1", "b"]);
        assert_eq!(texts("\"a\""), ["a"]);
        let date: BTreeMap<String, Text> = toml::from_str("day = 2026-11-29").unwrap();
        assert_eq!(date["day"].0, "2026-11-29");
        assert!(texts("null").is_empty());
    }

    #[test]
    fn numbers_may_stand_in_strings() {
        let number = |json: &str| read::<Number>(json).map(|number| number.0);
        assert_eq!(number("\" 2.5 \""), Ok(2.5));
        assert_eq!(number("2"), Ok(2.0));
        assert!(
            number("\"soon\"")
                .unwrap_err()
                .contains("\"soon\" is not a number")
        );
        let whole = |json: &str| read::<Whole>(json).map(|number| number.0);
        assert_eq!(whole("2048.0"), Ok(2048));
        assert_eq!(whole("\"2048\""), Ok(2048));
        assert!(whole("-1").is_err() && whole("1.5").is_err() && whole("1e30").is_err());
        let flag = |json: &str| read::<Flag>(json).map(|flag| flag.0);
        assert_eq!((flag("\"No\""), flag("1")), (Ok(false), Ok(true)));
        assert!(flag("\"perhaps\"").is_err());
    }

    #[test]
    fn names_come_as_a_list_or_as_one_in_a_string() {
        let names = |json: &str| read::<Names>(json).map(|names| names.0);
        for json in [r#"["a", "b"]"#, r#""[\"a\", \"b\"]""#, r#""['a', 'b']""#] {
            assert_eq!(
                names(json),
                Ok(vec!["a".to_owned(), "b".to_owned()]),
                "{json}"
            );
        }
        assert_eq!(
            (names("null"), names("\"\"")),
            (Ok(Vec::new()), Ok(Vec::new()))
        );
        assert!(names("\"a\"").unwrap_err().contains("is not a list"));
        assert!(names("[1]").is_err());
    }
}
