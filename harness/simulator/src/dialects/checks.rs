//! What providers refuse: fields that are missing, of another type, out of range, and
//! roles that nobody has. Each protocol brings its table and its words.

use serde_json::Value;

use crate::dialect::{Dialect, Problem, Refusal};

/// What a field may hold. Null is as good as absent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Text,
    Flag,
    List,
    Object,
    TextOrList,
    TextOrObject,
    FlagOrText,
    TextOrNumber,
    /// A number between these, both allowed.
    Number(f64, f64),
    /// The same, without a fraction.
    Integer(f64, f64),
}

/// Without an upper bound.
pub(super) const ANY: f64 = f64::INFINITY;

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Wanted::Text => "a string",
            Wanted::Flag => "a boolean",
            Wanted::List => "an array",
            Wanted::Object => "an object",
            Wanted::TextOrList => "a string or an array",
            Wanted::TextOrObject => "a string or an object",
            Wanted::FlagOrText => "a boolean or a string",
            Wanted::TextOrNumber => "a string or a number",
            Wanted::Number(..) => "a decimal",
            Wanted::Integer(..) => "an integer",
        }
    }

    fn check(self, value: &Value) -> Option<Problem<'_>> {
        let fits = match self {
            Wanted::Text => value.is_string(),
            Wanted::Flag => value.is_boolean(),
            Wanted::List => value.is_array(),
            Wanted::Object => value.is_object(),
            Wanted::TextOrList => value.is_string() || value.is_array(),
            Wanted::TextOrObject => value.is_string() || value.is_object(),
            Wanted::FlagOrText => value.is_boolean() || value.is_string(),
            Wanted::TextOrNumber => value.is_string() || value.is_number(),
            Wanted::Number(..) => value.is_number(),
            Wanted::Integer(..) => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        };
        if !fits {
            let wanted = self.name();
            return Some(Problem::WrongType {
                wanted,
                found: value,
            });
        }
        let (Wanted::Number(low, high) | Wanted::Integer(low, high)) = self else {
            return None;
        };
        let found = value.as_f64()?;
        let outside = !(low..=high).contains(&found);
        outside.then_some(Problem::OutOfRange { low, high, found })
    }
}

/// A field of a request, by the names on the way to it.
pub(super) type Field = (&'static [&'static str], Wanted);

/// What a protocol asks of a request.
#[derive(Debug)]
pub(super) struct Rules {
    /// Fields that must be there, and those that may.
    pub(super) required: &'static [Field],
    pub(super) optional: &'static [Field],
    /// The field with the conversation.
    pub(super) conversation: &'static str,
    /// Who may speak in it.
    pub(super) roles: &'static [&'static str],
    /// What every entry of it must say of itself.
    pub(super) role_required: bool,
    /// Where an entry says what it says, and how.
    pub(super) content: (&'static str, Wanted),
    /// It may have no entry at all.
    pub(super) may_be_empty: bool,
}

impl Rules {
    /// Refuses what the provider would refuse, in its words.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn check(&self, dialect: &dyn Dialect, body: &Value) -> Result<(), Refusal> {
        let find = |path: &[&str]| path.iter().fold(body, |value, name| &value[*name]);
        for (path, _) in self.required {
            if find(path).is_null() {
                return Err(dialect.word(&Problem::Missing, path));
            }
        }
        for (path, wanted) in self.required.iter().chain(self.optional) {
            let value = find(path);
            if let Some(problem) = Some(value)
                .filter(|value| !value.is_null())
                .and_then(|value| wanted.check(value))
            {
                return Err(dialect.word(&problem, path));
            }
        }
        self.check_conversation(dialect, body)
    }

    fn check_conversation(&self, dialect: &dyn Dialect, body: &Value) -> Result<(), Refusal> {
        let Some(entries) = body[self.conversation].as_array() else {
            return Ok(());
        };
        if entries.is_empty() && !self.may_be_empty {
            return Err(dialect.word(&Problem::Empty, &[self.conversation]));
        }
        for (index, entry) in entries.iter().enumerate() {
            if let Some((problem, field)) = self.problem_of(entry) {
                let index = index.to_string();
                let at = [self.conversation, &index, field];
                let at = if field.is_empty() { &at[..2] } else { &at[..] };
                return Err(dialect.word(&problem, at));
            }
        }
        Ok(())
    }

    /// What is wrong with an entry of the conversation, and in which of its fields.
    fn problem_of<'a>(&self, entry: &'a Value) -> Option<(Problem<'a>, &'static str)> {
        if let Some(problem) = Wanted::Object.check(entry) {
            return Some((problem, ""));
        }
        let role = &entry["role"];
        let problem = match role.as_str() {
            Some(found) if !self.roles.contains(&found) => Some(Problem::UnknownWord {
                found,
                known: self.roles,
            }),
            None if !role.is_null() => Wanted::Text.check(role),
            None if self.role_required => Some(Problem::Missing),
            _ => None,
        };
        let (field, wanted) = self.content;
        let content = || Some(&entry[field]).filter(|content| !content.is_null());
        let said = || Some((wanted.check(content()?)?, field));
        problem.map(|problem| (problem, "role")).or_else(said)
    }
}

/// A value's type, with its article.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A place as `messages[0].role`.
pub(super) fn bracketed(at: &[&str]) -> String {
    let step = |(depth, name): (usize, &&str)| match name.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) if depth == 0 => (*name).to_owned(),
        Err(_) => format!(".{name}"),
    };
    at.iter().enumerate().map(step).collect()
}

/// Words in quotation marks, with commas between.
pub(super) fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    words.join(", ")
}

/// A number without a fraction, whether it was written with one or not.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let float = || {
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && *number >= 0.0)
    };
    value
        .as_u64()
        .or_else(|| float().map(|number| number as u64))
}
