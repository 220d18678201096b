//! Output items of Responses: what they show, and which of them were streamed.

use serde_json::Value;
use timeslip_datasets::run::journal::EventKind;

use super::PayloadMeaning;
use super::fields::{MAX_PARTS, length, literal_text};

/// An item of which a piece came, by what names it: its index, its id, or neither.
#[derive(Debug)]
struct Begun {
    index: Option<u64>,
    id: String,
    number: usize,
}

/// Items of which pieces came and that are not whole yet. All items are numbered, in the
/// order in which the first of each came.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    begun: Vec<Begun>,
    numbers: usize,
}

impl Streamed {
    /// A piece of an item came; returns the item's number, unless there are too many.
    pub fn mark(&mut self, index: Option<u64>, id: &str) -> Option<usize> {
        let known = self.known(index, id);
        if known.is_some() || self.begun.len() == MAX_PARTS {
            return known;
        }
        let (id, number) = (id.to_owned(), self.next());
        self.begun.push(Begun { index, id, number });
        Some(number)
    }

    /// The number of an item of which a piece came.
    pub fn known(&self, index: Option<u64>, id: &str) -> Option<usize> {
        // The latest is looked at first: most items are streamed one after the other.
        let mut begun = self.begun.iter().rev();
        let known = begun.find(|known| known.index == index && known.id == id)?;
        Some(known.number)
    }

    /// The item came whole; returns its number, and whether it had come in pieces.
    pub fn take(&mut self, index: Option<u64>, id: &str) -> (usize, bool) {
        let same = |known: &Begun| match (index, known.index) {
            (Some(index), Some(known)) => index == known,
            _ if id.is_empty() || known.id.is_empty() => true,
            _ => id == known.id,
        };
        match self.begun.iter().rposition(same) {
            Some(at) => (self.begun.remove(at).number, true),
            None => (self.next(), false),
        }
    }

    fn next(&mut self) -> usize {
        self.numbers += 1;
        self.numbers - 1
    }
}

/// The field that holds the arguments of a call, by the type of its item; `None` for an
/// item that is no call of a tool of the client's.
pub(super) fn arguments_field(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "function_call" => "arguments",
        "custom_tool_call" => "input",
        "local_shell_call" | "shell_call" | "computer_call" => "action",
        "apply_patch_call" => "operation",
        _ => return None,
    })
}

/// The output an item carries; `None` for an item of a kind that is not known.
pub(super) fn content(item: &Value) -> Option<PayloadMeaning> {
    let kind = item["type"].as_str().unwrap_or_default();
    if let Some(field) = arguments_field(kind) {
        let bytes = length(&literal_text(&item[field]));
        return Some(PayloadMeaning::output(EventKind::ToolArguments, bytes));
    }
    let (kind, bytes) = match kind {
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
        assert_eq!(streamed.mark(Some(1), "b"), Some(0));
        assert_eq!(streamed.mark(Some(0), "a"), Some(1));
        assert_eq!(streamed.mark(Some(1), "b"), Some(0));
        assert_eq!(streamed.take(Some(0), "x"), (1, true));
        assert_eq!(streamed.take(Some(0), "x"), (2, false));
        assert_eq!(streamed.take(None, "b"), (0, true));
        assert_eq!(streamed.take(None, "b"), (3, false));
        assert_eq!(streamed.mark(None, ""), Some(4));
        assert_eq!(streamed.take(Some(3), "c"), (4, true));
        assert_eq!(streamed.take(None, ""), (5, false));
    }
}
