//! Where in a TOML file a value stands.

/// The line, from 1, of a byte of the text; an offset comes from [`toml::Spanned`].
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}
