//! The simulated tokenizer: a token is up to four bytes, cut between characters.
//! Real tokenizers average close to four characters of code or English; here only
//! that usage and stream agree exactly matters.

/// Bytes of a token.
pub const BYTES: usize = 4;

/// Splits a text into tokens.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = BYTES.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (token, tail) = rest.split_at(end);
        rest = tail;
        Some(token)
    })
}

/// A text of exactly so many tokens.
#[must_use]
pub fn text(tokens: u64) -> String {
    (1..=tokens)
        .map(|number| format!("{:03} ", number % 1000))
        .collect()
}

/// Tokens in a prompt of so many bytes.
#[must_use]
pub fn of_bytes(bytes: usize) -> u64 {
    bytes.div_ceil(BYTES) as u64
}
