//! Output items of Responses: what they show, and which of them were streamed.

use serde_json::Value;
use timeslip_datasets::run::journal::EventKind;

use super::PayloadMeaning;
use super::fields::{MAX_PARTS, length, literal_text};

/// Items of which pieces came, by what names them: their index, their id, or neither.
#[derive(Debug, Default)]
pub(super) struct Streamed(Vec<(Option<u64>, String)>);

impl Streamed {
    /// A piece of an item came.
    pub fn mark(&mut self, index: Option<u64>, id: &str) {
        // The latest is looked at first: most items are streamed one after the other.
        let known = self
            .0
            .iter()
            .rev()
            .any(|(known, name)| *known == index && name == id);
        if !known && self.0.len() < MAX_PARTS {
            self.0.push((index, id.to_owned()));
        }
    }

    /// The item came whole; true when it had come in pieces.
    pub fn take(&mut self, index: Option<u64>, id: &str) -> bool {
        let same = |(known, name): &(Option<u64>, String)| match (index, known) {
            (Some(index), Some(known)) => index == *known,
            _ if id.is_empty() || name.is_empty() => true,
            _ => id == name,
        };
        let found = self.0.iter().rposition(same);
        found.map(|at| self.0.remove(at)).is_some()
    }
}

/// The output an item carries; `None` for an item of a kind that is not known.
pub(super) fn content(item: &Value) -> Option<PayloadMeaning> {
    let (kind, bytes) = match item["type"].as_str().unwrap_or_default() {
        "function_call" | "custom_tool_call" => {
            let arguments = literal_text(&item["arguments"]);
            let input = literal_text(&item["input"]);
            let bytes = length(&arguments).saturating_add(length(&input));
            (EventKind::ToolArguments, bytes)
        }
        "message" => (EventKind::Text, parts(&item["content"])),
        "reasoning" => (
            EventKind::Reasoning,
            parts(&item["summary"]).saturating_add(parts(&item["content"])),
        ),
        _ => return None,
    };
    Some(PayloadMeaning::output(kind, bytes))
}

/// Bytes of text in a list of content parts.
fn parts(list: &Value) -> u32 {
    texts(list).map(length).fold(0, u32::saturating_add)
}

/// The texts of a list of content parts, or of a text in its place.
fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let alone = list.as_str().into_iter();
    let parts = list.as_array().into_iter().flatten();
    alone.chain(parts.filter_map(|part| {
        let text = part["text"].as_str().or_else(|| part["refusal"].as_str());
        text.or_else(|| part.as_str())
    }))
}

/// Adds the texts of a list of content parts, a line each.
pub(super) fn append(to: &mut String, list: &Value) {
    for text in texts(list).filter(|text| !text.is_empty()) {
        if !to.is_empty() {
            to.push('\n');
        }
        to.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_found_by_whatever_names_it() {
        let mut streamed = Streamed::default();
        streamed.mark(Some(1), "b");
        streamed.mark(Some(0), "a");
        streamed.mark(Some(1), "b");
        assert!(streamed.take(Some(0), "x") && !streamed.take(Some(0), "x"));
        assert!(streamed.take(None, "b") && !streamed.take(None, "b"));
        streamed.mark(None, "");
        assert!(streamed.take(Some(3), "c") && !streamed.take(None, ""));
    }
}
