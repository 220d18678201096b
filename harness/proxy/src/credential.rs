//! Which headers and parameters say who asks.

/// Words in the name of a header or of a query's parameter whose value says who asks, or
/// lets others ask. Names are read word by word: `x-ratelimit-remaining-tokens` is none.
const WORDS: &[&str] = &[
    "account",
    "apikey",
    "auth",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "organization",
    "password",
    "project",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Names that have such a word and say nothing of who asks, and one that has none and does.
const NAMES: &[(&str, bool)] = &[
    ("idempotency-key", false),
    ("sec-websocket-key", false),
    ("sec-websocket-protocol", true),
];

/// Whether a header or a query's parameter of this name says who asks, or lets others ask.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if let Some((_, known)) = NAMES.iter().find(|(known, _)| *known == name) {
        return *known;
    }
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| WORDS.contains(&word) || word.ends_with("token") || word.ends_with("apikey"))
}
