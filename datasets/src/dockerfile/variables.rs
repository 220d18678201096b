//! Variables in a Dockerfile's instructions.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What images search for programs in, all but a few.
pub const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Room for the values that a Dockerfile's variables are replaced by, together. A variable
/// that is set to itself twice doubles with every line.
const MOST_BYTES: usize = 1024 * 1024;

/// What `ENV` has set so far. What nothing has set is empty.
#[derive(Debug)]
pub(super) struct Variables {
    values: BTreeMap<String, String>,
    substituted: Cell<usize>,
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            values: BTreeMap::from([("PATH".to_owned(), USUAL_PATH.to_owned())]),
            substituted: Cell::new(0),
        }
    }
}

impl Variables {
    /// Takes over what one instruction sets.
    pub(super) fn set(&mut self, pairs: &[(String, String)]) {
        self.values.extend(pairs.iter().cloned());
    }

    /// A text with the values of the variables in it.
    pub(super) fn substitute(&self, text: &str) -> Result<String, String> {
        let mut result = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '$' => result.push_str(&self.after_dollar(&mut characters)?),
                _ => result.push(character),
            }
        }
        Ok(result)
    }

    /// The value of the variable whose name follows a `$`; without a name, the `$`.
    pub(super) fn after_dollar(
        &self,
        characters: &mut Peekable<Chars<'_>>,
    ) -> Result<String, String> {
        if characters.next_if_eq(&'{').is_none() {
            let name = name(characters);
            return match name.is_empty() {
                true => Ok("$".to_owned()),
                false => self.counted(self.value(&name)),
            };
        }
        let name = name(characters);
        let rest = up_to_brace(characters)?;
        let value = self.value(&name);
        if let Some(fallback) = rest.strip_prefix(":-") {
            return self.counted(if value.is_empty() { fallback } else { value });
        }
        if let Some(instead) = rest.strip_prefix(":+") {
            return self.counted(if value.is_empty() { "" } else { instead });
        }
        if !rest.is_empty() || name.is_empty() {
            return Err(format!(
                "${{{name}{rest}}} needs Docker; without it $NAME, ${{NAME}}, ${{NAME:-else}} and ${{NAME:+then}} are understood"
            ));
        }
        self.counted(value)
    }

    /// A value, if there is room for it.
    fn counted(&self, value: &str) -> Result<String, String> {
        let substituted = self.substituted.get().saturating_add(value.len());
        self.substituted.set(substituted);
        if substituted > MOST_BYTES {
            return Err(format!(
                "its variables are replaced by more than {MOST_BYTES} bytes"
            ));
        }
        Ok(value.to_owned())
    }

    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

fn name(characters: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(next) = characters.next_if(|next| {
        let digit = next.is_ascii_digit() && !name.is_empty();
        next.is_ascii_alphabetic() || *next == '_' || digit
    }) {
        name.push(next);
    }
    name
}

/// What is left before a closing brace, which is taken as well.
fn up_to_brace(characters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    for next in characters {
        match next {
            '}' => return Ok(text),
            _ => text.push(next),
        }
    }
    Err("has a '${' that is never closed".to_owned())
}
