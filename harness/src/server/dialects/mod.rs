//! The wire protocols spoken here: one file each.

mod anthropic;
mod chat;
mod gemini;
mod ollama;
mod reading;
pub(super) mod responses;

use super::dialect::Dialect;

/// Every dialect; the first also speaks where no dialect is at home.
const DIALECTS: &[&dyn Dialect] = &[
    &responses::Responses,
    &chat::Chat,
    &anthropic::Anthropic,
    &ollama::Ollama,
    &gemini::Gemini,
];

/// The dialect in which a path is answered, if only to say that there is nothing.
pub(super) fn of_path(path: &str) -> &'static dyn Dialect {
    let mut dialects = DIALECTS.iter();
    let home = dialects.find(|dialect| path.starts_with(dialect.home()));
    *home.unwrap_or(&DIALECTS[0])
}
