//! Credentials in a configuration. They are taken from the environment and never written
//! down: `run.json` holds what is configured.

use serde_json::Value;

/// What to do instead.
pub const INSTEAD: &str = "write \"$NAME\" to take it from the environment variable NAME";

/// Parts of the names of headers and parameters that carry a credential.
const NAMES: [&str; 10] = [
    "auth",
    "key",
    "token",
    "secret",
    "cookie",
    "signature",
    "password",
    "passwd",
    "credential",
    "jwt",
];

/// Whole words of such names.
const WORDS: [&str; 4] = ["sig", "pass", "pwd", "pat"];

/// How the keys begin that providers give out.
const KEYS: [&str; 16] = [
    "sk-",
    "sk_",
    "csk-",
    "gsk_",
    "xai-",
    "pplx-",
    "nvapi-",
    "fw_",
    "tgp_",
    "hf_",
    "r8_",
    "ghp_",
    "github_pat_",
    "AIza",
    "AKIA",
    "eyJ",
];

/// Characters that such a key has at least.
const KEY_LENGTH: usize = 16;

/// Schemes of an `Authorization` header, before a credential.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The environment variable that a value refers to, `$NAME` or `Bearer $NAME`, and what
/// stands before it.
#[must_use]
pub fn reference(value: &str) -> Option<(&str, &str)> {
    let at = value.find('$')?;
    let before = &value[..at];
    (before.is_empty() || before.ends_with(' ')).then(|| (before, &value[at + 1..]))
}

/// Refuses the value of a header or parameter that is a credential by its name or by how it
/// looks.
///
/// # Errors
/// What is wrong; the value is not repeated.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let lower = value.to_ascii_lowercase();
    let literal = reference(value).is_none()
        && (named(name) || SCHEMES.iter().any(|scheme| lower.starts_with(scheme)));
    match literal || holds_key(value) {
        true => Err(format!("looks like a secret; {INSTEAD}")),
        false => Ok(()),
    }
}

/// Refuses a base URL with a credential in it: it takes nothing from the environment.
///
/// # Errors
/// As [`check`].
pub fn check_url(url: &str, query: &str) -> Result<(), String> {
    let parameters = query.split('&').filter_map(|part| part.split_once('='));
    for (name, value) in parameters {
        if check(name, value).is_err() {
            return Err(format!(
                "its '{name}' looks like a secret; write query = {{ {name} = \"$NAME\" }} \
                 instead, to take it from the environment variable NAME"
            ));
        }
    }
    match holds_key(url) {
        true => Err(format!(
            "holds what looks like a key; take it out of the URL and name its environment \
             variable in `api_key_env`, or in `query` or `headers`: {INSTEAD}"
        )),
        false => Ok(()),
    }
}

/// Refuses a field of a request with a key in it, however deep.
///
/// # Errors
/// As [`check`].
pub fn check_body(value: &Value) -> Result<(), &'static str> {
    let held = match value {
        Value::String(text) => holds_key(text),
        Value::Array(values) => return values.iter().try_for_each(check_body),
        Value::Object(fields) => return fields.values().try_for_each(check_body),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    match held {
        true => Err(
            "looks like a secret, and a request's fields are kept with the run; send it as a \
             header, headers = { NAME = \"$NAME\" }, or name its environment variable in \
             `api_key_env`",
        ),
        false => Ok(()),
    }
}

/// Whether a line of a file may hold a credential.
#[must_use]
pub fn in_line(line: &str) -> bool {
    named(line) || holds_key(line)
}

fn named(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    NAMES.iter().any(|part| name.contains(part)) || words.any(|word| WORDS.contains(&word))
}

/// Whether any word of a text looks like a key that a provider gave out.
fn holds_key(text: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(|c| !within(c)).any(|word| {
        word.len() >= KEY_LENGTH
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && KEYS.iter().any(|start| word.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_credential_by_its_name_or_its_looks_is_not_written_down() {
        for (name, value) in [
            ("x-api-key", "abc"),
            ("Authorization", "Bearer abc"),
            ("x-forward", "Basic dXNlcjpwYXNz"),
            ("X-Amz-Signature", "0"),
            ("sig", "0"),
            ("x-team", "sk-proj-0123456789abcdef"),
            // One that is named beside one that is not.
            ("x-api-key", "gsk_0123456789abcdef $NAME"),
        ] {
            let problem = check(name, value).unwrap_err();
            assert!(problem.contains("\"$NAME\""), "{name}: {problem}");
        }
        for (name, value) in [
            ("x-api-key", "$NAME"),
            ("authorization", "Bearer $NAME"),
            ("api-version", "2024-10-21"),
            ("x-team", "sk-learn"),
            ("signal", "a"),
            ("x-price", "a$b"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_reference_may_follow_the_scheme() {
        assert_eq!(reference("$A"), Some(("", "A")));
        assert_eq!(reference("Bearer $A_1"), Some(("Bearer ", "A_1")));
        // No name of a variable, which is said where it is looked up.
        assert_eq!(reference("$A b"), Some(("", "A b")));
        assert_eq!((reference("a$b"), reference("a")), (None, None));
    }

    #[test]
    fn fields_are_searched_to_the_bottom() {
        let deep = |text: &str| serde_json::json!({"a": [{"b": text}], "max_tokens": 3});
        assert!(check_body(&deep("xai-0123456789abcdef")).is_err());
        assert!(check_body(&deep("priority")).is_ok());
    }
}
