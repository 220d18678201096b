//! Variables in a Dockerfile's instructions.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What images search for programs in, all but a few.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What `ENV` has set so far. What nothing has set is empty.
#[derive(Debug)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Default for Variables {
    fn default() -> Self {
        Self(BTreeMap::from([("PATH".to_owned(), USUAL_PATH.to_owned())]))
    }
}

impl Variables {
    /// Takes over what one instruction sets.
    pub(super) fn set(&mut self, pairs: &[(String, String)]) {
        self.0.extend(pairs.iter().cloned());
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
            return Ok(match name.is_empty() {
                true => "$".to_owned(),
                false => self.value(&name).to_owned(),
            });
        }
        let name = name(characters);
        let rest = up_to_brace(characters)?;
        let value = self.value(&name);
        if let Some(fallback) = rest.strip_prefix(":-") {
            return Ok(if value.is_empty() { fallback } else { value }.to_owned());
        }
        if let Some(instead) = rest.strip_prefix(":+") {
            return Ok(if value.is_empty() { "" } else { instead }.to_owned());
        }
        if !rest.is_empty() || name.is_empty() {
            return Err(format!(
                "${{{name}{rest}}} needs Docker; without it $NAME, ${{NAME}}, ${{NAME:-else}} and ${{NAME:+then}} are understood"
            ));
        }
        Ok(value.to_owned())
    }

    fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
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
