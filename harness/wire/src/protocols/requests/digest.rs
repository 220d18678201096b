//! SHA-256 of texts and of JSON by what it means.

use std::fmt;

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Fields that change while what they are part of stays the same: markers for a cache, and
/// what a server gave to an item for its own use.
const PASSING: &[&str] = &[
    "cache_control",
    "encrypted_content",
    "id",
    "internal_chat_message_metadata_passthrough",
    "signature",
    "status",
    "thoughtSignature",
    "thought_signature",
];

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Digest(Sha256::digest(text).into())
    }

    /// Of several texts, each for itself.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// Of this one and another after it.
    #[must_use]
    pub fn then(self, next: Digest) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(next.0);
        Digest(hasher.finalize().into())
    }

    /// Of what a JSON value means: the order of fields makes no difference, nor do markers for
    /// a cache, and ids at its top.
    pub(super) fn of_json(value: &Value) -> Self {
        let mut hasher = Sha256::new();
        update(&mut hasher, value, true);
        Digest(hasher.finalize().into())
    }
}

fn update(hasher: &mut Sha256, value: &Value, top: bool) {
    let text = |hasher: &mut Sha256, text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    match value {
        Value::Object(fields) => {
            let passing = |name: &str| name == "cache_control" || top && PASSING.contains(&name);
            let mut names: Vec<&String> = fields.keys().filter(|name| !passing(name)).collect();
            names.sort_unstable();
            hasher.update(b"{");
            for name in names {
                text(hasher, name);
                update(hasher, &fields[name], false);
            }
            hasher.update(b"}");
        }
        Value::Array(list) => {
            hasher.update(b"[");
            list.iter().for_each(|value| update(hasher, value, false));
            hasher.update(b"]");
        }
        Value::String(said) => {
            hasher.update(b"\"");
            text(hasher, said);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => text(hasher, &value.to_string()),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..6]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_means_something_counts() {
        let of = |value: Value| Digest::of_json(&value);
        let image = of(json!({ "type": "image", "source": { "id": 1, "data": "x" } }));
        let again = json!({ "source": { "data": "x", "id": 1 }, "cache_control": {}, "type": "image", "id": "7" });
        assert_eq!(of(again), image);
        assert_ne!(
            of(json!({ "type": "image", "source": { "id": 2, "data": "x" } })),
            image
        );
        assert_ne!(of(json!(["a", "b"])), of(json!(["ab"])));
        assert_ne!(of(json!("1")), of(json!(1)));
        assert_ne!(Digest::of(&["a", "b"]), Digest::of(&["ab", ""]));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of_text("").to_string(), empty);
    }
}
