//! What a request and a response say, as the parts of which shapes are kept.

use timeslip_datasets::run::shapes::{Part, Said, Text};
use timeslip_proxy::Body;
use timeslip_wire::protocols::{Answer, ItemKind, ItemSeen, RequestSeen, ToolCall, ToolSeen};

/// A request: instructions, tools, conversation.
pub fn of_request<'a>(body: &Body, said: Option<&'a RequestSeen>) -> Said<'a> {
    let instructions = said
        .and_then(instructions)
        .map(|text| whole("system", text));
    let tools = said.iter().flat_map(|said| &said.tools).map(tool);
    let items = said.iter().flat_map(|said| &said.items);
    Said {
        bytes: body.bytes.len() as u64,
        model: said.and_then(|said| said.model.as_deref()),
        parts: instructions
            .into_iter()
            .chain(tools)
            .chain(items.map(|one| item(one)))
            .collect(),
    }
}

/// A response: reasoning, text, calls.
pub fn of_response<'a>(body: &Body, answer: Option<&'a Answer>) -> Said<'a> {
    let texts = answer.into_iter().flat_map(|answer| {
        let reasoning = ("reasoning", answer.reasoning.as_str());
        [reasoning, ("assistant", answer.text.as_str())]
    });
    let texts = texts.filter(|(_, text)| !text.is_empty());
    let calls = answer.into_iter().flat_map(|answer| &answer.calls);
    Said {
        bytes: body.bytes.len() as u64,
        model: None,
        parts: texts
            .map(|(kind, text)| whole(kind, text))
            .chain(calls.map(call))
            .collect(),
    }
}

/// Instructions outside the conversation: those at its beginning are among its items.
fn instructions(said: &RequestSeen) -> Option<&str> {
    let mut outside = said.system.as_ref()?.text.as_str();
    if said.previous_response.is_none() {
        let mut within = Vec::new();
        for item in &said.items {
            match &item.kind {
                ItemKind::System(text) => within.push(text.as_str()),
                _ => break,
            }
        }
        for text in within.into_iter().rev().filter(|text| !text.is_empty()) {
            outside = outside.strip_suffix(text)?;
            outside = outside.strip_suffix('\n').unwrap_or(outside);
        }
    }
    (!outside.is_empty()).then_some(outside)
}

fn whole<'a>(kind: &'a str, text: &'a str) -> Part<'a> {
    Part {
        kind,
        call_id: None,
        name: None,
        text: Text::Whole(text),
    }
}

fn tool(tool: &ToolSeen) -> Part<'_> {
    Part {
        kind: "tool",
        call_id: None,
        name: Some(&tool.name),
        text: Text::Known {
            by: tool.sha256.to_string(),
            bytes: Some(tool.bytes),
        },
    }
}

fn call(call: &ToolCall) -> Part<'_> {
    Part {
        kind: "call",
        call_id: Some(&call.call_id),
        name: Some(&call.name),
        text: Text::Whole(&call.arguments),
    }
}

fn item(item: &ItemSeen) -> Part<'_> {
    let known = |kind| Part {
        kind,
        call_id: None,
        name: None,
        text: Text::Known {
            by: item.hash.to_string(),
            bytes: None,
        },
    };
    match &item.kind {
        ItemKind::System(text) => whole("system", text),
        ItemKind::User(text) => whole("user", text),
        ItemKind::Assistant(text) => whole("assistant", text),
        ItemKind::Call(one) => call(one),
        ItemKind::Result {
            call_id,
            name,
            text,
        } => Part {
            kind: "result",
            call_id: call_id.as_deref(),
            name: name.as_deref(),
            text: Text::Whole(text),
        },
        ItemKind::Reasoning => known("reasoning"),
        ItemKind::Other(kind) => known(kind),
    }
}
