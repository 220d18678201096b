//! Texts with places that are filled in when an agent is started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// A text with places such as `{base_url}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

/// What the places of a [`Template`] stand for.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// Where the paths of the protocol begin, as `http://127.0.0.1:7717`.
    pub origin: &'a str,
    /// The base URL, as endpoints have it: mostly the origin and `/v1`.
    pub base_url: &'a str,
    /// The model's id.
    pub model: &'a str,
    /// Tokens of a conversation that it takes.
    pub context_tokens: u64,
    /// What the agent is given as its key.
    pub key: &'a str,
    /// The agent's home directory.
    pub home: &'a str,
    /// Where its programs are.
    pub layer: &'a str,
    /// Where it listens, if it is a server itself.
    pub port: &'a str,
    /// What it is to do.
    pub instruction: &'a str,
}

/// The places that every adapter has.
pub(super) const PLACES: [&str; 9] = [
    "origin",
    "base_url",
    "model",
    "context_tokens",
    "key",
    "home",
    "layer",
    "port",
    INSTRUCTION,
];

/// The place of what the agent is to do.
pub(super) const INSTRUCTION: &str = "instruction";

impl Values<'_> {
    /// What each of [`PLACES`] stands for.
    fn of_places(&self) -> [String; 9] {
        let context_tokens = self.context_tokens.to_string();
        [
            self.origin,
            self.base_url,
            self.model,
            &context_tokens,
            self.key,
            self.home,
            self.layer,
            self.port,
            self.instruction,
        ]
        .map(str::to_owned)
    }
}

impl Template {
    /// The names of its places.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        places(&self.0).map(|(name, _)| name)
    }

    /// Whether it is a path below the agent's home directory.
    pub(super) fn is_below_home(&self) -> bool {
        let below = self.0.strip_prefix("{home}/");
        below.is_some_and(|path| {
            let mut parts = Path::new(path).components();
            parts.all(|part| matches!(part, Component::Normal(_)))
        })
    }

    /// The text, filled in; `own` are places of the adapter's own.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>, own: &BTreeMap<String, Template>) -> String {
        self.fill_with(values, own, str::to_owned)
    }

    /// The text of a file in JSON or TOML, whose places are inside quotation marks: what would
    /// end a string is escaped.
    #[must_use]
    pub fn fill_quoted(&self, values: &Values<'_>, own: &BTreeMap<String, Template>) -> String {
        self.fill_with(values, own, |value| {
            let quoted = serde_json::Value::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        })
    }

    fn fill_with(
        &self,
        values: &Values<'_>,
        own: &BTreeMap<String, Template>,
        write: impl Fn(&str) -> String,
    ) -> String {
        let of_places = std::iter::zip(PLACES, values.of_places());
        let mut known: BTreeMap<&str, String> = of_places.collect();
        let plain = BTreeMap::new();
        let own = own.iter();
        known.extend(own.map(|(name, text)| (name.as_str(), text.fill(values, &plain))));
        let (mut filled, mut done) = (String::with_capacity(self.0.len()), 0);
        for (name, start) in places(&self.0) {
            filled.push_str(&self.0[done..start]);
            filled.push_str(
                &known
                    .get(name)
                    .map(|value| write(value))
                    .unwrap_or_default(),
            );
            done = start + name.len() + 2;
        }
        filled.push_str(&self.0[done..]);
        filled
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names in braces, each with where its brace opens. What is no small word is no place, so
/// that JSON can be written as it is; neither is a shell's `${name}`.
fn places(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.match_indices('{').filter_map(|(start, _)| {
        let name = text[start + 1..].split('}').next()?;
        let word = |c: char| c.is_ascii_lowercase() || c == '_';
        let whole = text[start + 1 + name.len()..].starts_with('}');
        let place = whole && !name.is_empty() && name.chars().all(word);
        (place && !text[..start].ends_with('$')).then_some((name, start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: Values<'static> = Values {
        origin: "http://h",
        base_url: "http://h/v1",
        model: "a\"b",
        context_tokens: 8000,
        key: "none",
        home: "/home/agent",
        layer: "/layer",
        port: "1",
        instruction: "do {model}",
    };

    #[test]
    fn places_are_filled_in_once_and_json_stays() {
        let own = BTreeMap::from([("api".to_owned(), Template("{base_url}/chat".to_owned()))]);
        let fill = |text: &str| Template(text.to_owned()).fill(&VALUES, &own);
        assert_eq!(fill("{api} {instruction}"), "http://h/v1/chat do {model}");
        assert_eq!(fill(r#"{"a": {"b": "{key}"}}"#), r#"{"a": {"b": "none"}}"#);
        assert_eq!(fill("${home} {} {A} {"), "${home} {} {A} {");
        let file = Template(r#"{"model": "{model}"}"#.to_owned());
        assert_eq!(file.fill_quoted(&VALUES, &own), r#"{"model": "a\"b"}"#);
    }

    proptest! {
        #[test]
        fn never_panics(text in "([{}$a-z\"é]|\\{home\\}){0,30}") {
            let template = Template(text);
            let _ = template.fill(&VALUES, &BTreeMap::new());
            let _ = template.fill_quoted(&VALUES, &BTreeMap::new());
        }
    }
}
