//! What a request says, whatever protocol it is in: whoever stands between a client and its
//! model tells conversations, turns and tools from it.
//!
//! All of it is untrusted. A request that cannot be read is none, and nothing of it is kept
//! beyond bounds.

mod digest;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

pub use digest::Digest;

use super::fields::literal_text;
use super::lenient::Said;
use super::{PROTOCOLS, Protocol, ToolCall, room};

/// Longest body that is read; the longest contexts of today have a third of it.
const MAX_BODY: usize = 16 << 20;
/// Most items of a conversation.
const MAX_ITEMS: usize = 20_000;
/// Most tools that are told apart.
const MAX_TOOLS: usize = 1_000;
/// Most ids that a body names.
const MAX_IDS: usize = 64;
/// Most characters of a name or an id.
const MAX_NAME: usize = 200;

/// Fields of a body that may say whose request it is.
const ID_FIELDS: &[&str] = &[
    "client_metadata",
    "conversation",
    "labels",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "session_id",
    "stream_id",
    "user",
];

/// A request for model output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestSeen {
    /// Model asked for.
    pub model: Option<String>,
    /// The answer is wanted as a stream.
    pub streams: bool,
    /// False for a warm-up, which only has the prompt read.
    pub generates: bool,
    /// Instructions: those outside the conversation, and those at its beginning.
    pub system: Option<Arc<TextSeen>>,
    /// Tools on offer, in order.
    pub tools: Vec<ToolSeen>,
    /// The conversation, in order; of one that goes on from a previous response what is new.
    pub items: Vec<Arc<ItemSeen>>,
    /// The response from which the conversation goes on.
    pub previous_response: Option<String>,
    /// What the body names the request by: `prompt_cache_key`, `client_metadata.thread_id` …
    /// JSON in a text is read as if it were none.
    pub ids: BTreeMap<String, String>,
}

/// A text and what tells whether another one is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSeen {
    /// The text.
    pub text: String,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSeen {
    /// Its name.
    pub name: String,
    /// SHA-256 of its definition, cache markers left out.
    pub sha256: Digest,
    /// Bytes of its definition, written without spaces.
    pub bytes: u64,
}

/// One item of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemSeen {
    /// What it is.
    pub kind: ItemKind,
    /// The same for whatever means the same: cache markers, ids of items that are no calls,
    /// the way in which JSON or a text alone is written, and space around it make no
    /// difference.
    pub hash: Digest,
}

impl ItemSeen {
    /// Bytes that it takes in memory, at least.
    fn bytes(&self) -> usize {
        let text = match &self.kind {
            ItemKind::System(text)
            | ItemKind::User(text)
            | ItemKind::Assistant(text)
            | ItemKind::Result { text, .. }
            | ItemKind::Other(text) => text.len(),
            ItemKind::Call(call) => call.arguments.len(),
            ItemKind::Reasoning => 0,
        };
        size_of::<Self>() + text
    }
}

/// What an item of a conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// Instructions within the conversation.
    System(String),
    /// The user says something, or the client in the user's place.
    User(String),
    /// The model said something.
    Assistant(String),
    /// The model called a tool.
    Call(ToolCall),
    /// The result of a call.
    Result {
        /// The call's id, where the protocol has one.
        call_id: Option<String>,
        /// The tool, where the protocol repeats it.
        name: Option<String>,
        /// What the tool said.
        text: String,
    },
    /// The model reasoned.
    Reasoning,
    /// Anything else, by its type: a picture, a reference.
    Other(String),
}

impl RequestSeen {
    /// Reads the body of a request to `path`, or a message of a WebSocket that was opened
    /// there, and says which protocol it is in; `None` where it is no request for output.
    #[must_use]
    pub fn read(path: &str, body: &[u8]) -> Option<(&'static dyn Protocol, RequestSeen)> {
        let body = parsed(body)?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let protocol = of_path(path).or_else(|| of_body(&body))?;
        Some((protocol, protocol.request_seen(path, &body)?))
    }
}

/// What requests have in common, so that it is held once: each repeats all those before it.
#[derive(Debug, Default)]
pub struct CommonItems {
    items: HashMap<Digest, Arc<ItemSeen>>,
    systems: HashMap<Digest, Arc<TextSeen>>,
}

impl CommonItems {
    /// Replaces what a request repeats by what is held already; the rest will be. Gives the
    /// bytes of what was not.
    pub fn share(&mut self, seen: &mut RequestSeen) -> usize {
        let mut new = size_of_val(&*seen.items) + size_of_val(&*seen.tools);
        for item in &mut seen.items {
            match self.items.get(&item.hash) {
                Some(known) => *item = Arc::clone(known),
                None => {
                    new += item.bytes();
                    self.items.insert(item.hash, Arc::clone(item));
                }
            }
        }
        if let Some(system) = &mut seen.system {
            match self.systems.get(&system.sha256) {
                Some(known) => *system = Arc::clone(known),
                None => {
                    new += system.text.len();
                    self.systems.insert(system.sha256, Arc::clone(system));
                }
            }
        }
        new
    }
}

/// The protocol in which a path is asked, as far as the path tells; its query does not count.
#[must_use]
pub fn of_path(path: &str) -> Option<&'static dyn Protocol> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut protocols = PROTOCOLS.iter().copied();
    protocols.find(|protocol| protocol.is_asked_at(path))
}

/// The protocol whose fields a body has most of.
fn of_body(body: &Value) -> Option<&'static dyn Protocol> {
    let has = |field: &&&str| !body[**field].is_null();
    let known = |protocol: &dyn Protocol| {
        let fields = protocol.request_fields();
        let conversation = fields.first().filter(has).is_some();
        usize::from(conversation) * fields.iter().filter(has).count()
    };
    let protocols = PROTOCOLS.iter().copied();
    // Of several the first: `max_by_key` would take the last.
    let best = protocols.rev().max_by_key(|protocol| known(*protocol))?;
    (known(best) > 0).then_some(best)
}

fn parsed(body: &[u8]) -> Option<Value> {
    if body.len() > MAX_BODY || !room::fits(body) {
        return None;
    }
    let read = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
    let body = read(body).or_else(|| read(super::mend(body)?.as_bytes()))?;
    body.is_object().then_some(body)
}

/// Who says a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    /// By the name that most protocols give it.
    pub fn of(name: &Value) -> Role {
        match name.as_str() {
            Some("system" | "developer") => Role::System,
            Some("assistant" | "model") => Role::Assistant,
            _ => Role::User,
        }
    }
}

/// A request in the reading.
#[derive(Debug)]
pub(super) struct Reading {
    seen: RequestSeen,
    /// Instructions outside the conversation.
    instructions: String,
    /// There is more than any honest request has.
    too_much: bool,
}

impl Reading {
    /// Takes over what all protocols have in common.
    pub fn new(body: &Value) -> Self {
        let mut seen = RequestSeen {
            model: name(&body["model"]),
            streams: body["stream"] == true,
            generates: true,
            ..RequestSeen::default()
        };
        for field in ID_FIELDS {
            take_ids(&mut seen.ids, field, &body[*field], 0);
        }
        Reading {
            seen,
            instructions: String::new(),
            too_much: false,
        }
    }

    /// The request itself.
    pub fn seen(&mut self) -> &mut RequestSeen {
        &mut self.seen
    }

    /// Takes instructions outside the conversation: a text, or parts.
    pub fn instructions(&mut self, said: &Value) {
        add(&mut self.instructions, &Said::of(said));
    }

    /// Takes tools, in whichever of the shapes there are.
    pub fn tools(&mut self, tools: &Value) {
        for tool in list(tools) {
            let declared = ["functionDeclarations", "function_declarations"];
            match declared.into_iter().find(|field| tool[*field].is_array()) {
                Some(field) => list(&tool[field]).for_each(|tool| self.tool(tool)),
                None => self.tool(tool),
            }
        }
    }

    fn tool(&mut self, tool: &Value) {
        let names = [&tool["function"]["name"], &tool["name"], &tool["type"]];
        let named = names.into_iter().find_map(name);
        if self.seen.tools.len() < MAX_TOOLS {
            self.seen.tools.push(ToolSeen {
                name: named.unwrap_or_default(),
                sha256: Digest::of_json(tool),
                bytes: tool.to_string().len() as u64,
            });
        }
    }

    /// Takes what somebody says: a text, or parts of which some are texts.
    pub fn content(&mut self, role: Role, content: &Value) {
        for part in list(content) {
            match (part.as_str(), part["text"].as_str()) {
                (Some(text), _) | (None, Some(text)) => self.text(role, text),
                (None, None) if part["refusal"].is_string() => {
                    self.text(role, part["refusal"].as_str().unwrap_or_default());
                }
                (None, None) => self.other(part),
            }
        }
    }

    /// Takes a text; an empty one says nothing.
    pub fn text(&mut self, role: Role, text: &str) {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return;
        }
        let (tag, kind) = match role {
            Role::System => ("system", ItemKind::System(text.to_owned())),
            Role::User => ("user", ItemKind::User(text.to_owned())),
            Role::Assistant => ("assistant", ItemKind::Assistant(text.to_owned())),
        };
        self.item(kind, Digest::of(&[tag, trimmed]));
    }

    /// Takes a call.
    pub fn call(&mut self, id: &Value, tool: &Value, arguments: &Value) {
        let call = ToolCall {
            call_id: name(id).unwrap_or_default(),
            name: name(tool).unwrap_or_default(),
            arguments: literal_text(arguments),
        };
        let value = match arguments {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        let written = match value {
            Value::Null => Digest::of(&[&call.arguments]),
            value => Digest::of_json(&value),
        };
        let hash = Digest::of(&["call", &call.call_id, &call.name, &written.to_string()]);
        self.item(ItemKind::Call(call), hash);
    }

    /// Takes the result of a call: a text, parts, or any JSON.
    pub fn result(&mut self, id: &Value, tool: &Value, result: &Value) {
        let text = match Said::of(result) {
            none if none.is_empty() => literal_text(result),
            text => text,
        };
        let (call_id, name) = (name(id), name(tool));
        let id = call_id.as_deref().or(name.as_deref()).unwrap_or_default();
        let hash = Digest::of(&["result", id, text.trim()]);
        let kind = ItemKind::Result {
            call_id,
            name,
            text,
        };
        self.item(kind, hash);
    }

    /// Takes reasoning.
    pub fn reasoning(&mut self, reasoning: &Value) {
        self.item(ItemKind::Reasoning, Digest::of_json(reasoning));
    }

    /// Takes what is nothing of the above.
    pub fn other(&mut self, item: &Value) {
        let kind = name(&item["type"]).or_else(|| {
            let mut fields = item.as_object()?.keys();
            fields.next().map(|field| cut(field))
        });
        let kind = kind.unwrap_or_default();
        self.item(ItemKind::Other(kind), Digest::of_json(item));
    }

    fn item(&mut self, kind: ItemKind, hash: Digest) {
        self.too_much |= self.seen.items.len() == MAX_ITEMS;
        if !self.too_much {
            self.seen.items.push(Arc::new(ItemSeen { kind, hash }));
        }
    }

    /// Takes messages as Chat Completions shapes them, and Ollama likewise.
    pub fn chat_messages(&mut self, messages: &Value) {
        for message in messages.as_array().into_iter().flatten() {
            let role = &message["role"];
            if role == "tool" || role == "function" {
                let tool = [&message["name"], &message["tool_name"]];
                let tool = tool.into_iter().find(|name| name.is_string());
                let tool = tool.unwrap_or(&Value::Null);
                self.result(&message["tool_call_id"], tool, &message["content"]);
                continue;
            }
            let reasoning = ["reasoning_content", "reasoning", "thinking"];
            let reasoning = reasoning.into_iter().map(|field| &message[field]);
            for reasoning in reasoning.filter(|said| !Said::of(said).is_empty()).take(1) {
                self.reasoning(reasoning);
            }
            self.content(Role::of(role), &message["content"]);
            self.content(Role::of(role), &message["refusal"]);
            let calls = list(&message["tool_calls"]);
            for call in calls.filter(|call| call.is_object()) {
                let (function, custom) = (&call["function"], &call["custom"]);
                match custom.is_object() {
                    true => self.call(&call["id"], &custom["name"], &custom["input"]),
                    false => self.call(&call["id"], &function["name"], &function["arguments"]),
                }
            }
            let call = &message["function_call"];
            if call.is_object() {
                self.call(&Value::Null, &call["name"], &call["arguments"]);
            }
        }
    }

    /// The request; `None` where there is more in it than any honest one has.
    pub fn finish(self) -> Option<RequestSeen> {
        let Reading {
            mut seen,
            mut instructions,
            too_much,
        } = self;
        // What a conversation goes on with are no new instructions.
        if seen.previous_response.is_none() {
            for item in &seen.items {
                let ItemKind::System(text) = &item.kind else {
                    break;
                };
                add(&mut instructions, text);
            }
        }
        let system = (!instructions.is_empty()).then(|| TextSeen {
            sha256: Digest::of_text(&instructions),
            text: instructions,
        });
        seen.system = system.map(Arc::new);
        (!too_much).then_some(seen)
    }
}

/// The elements of a list, a value alone, or nothing.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    let list = match value {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        alone => std::slice::from_ref(alone),
    };
    list.iter()
}

/// A name, cut to what is kept of one; an empty one is none.
fn name(value: &Value) -> Option<String> {
    let name = match value {
        Value::String(name) => cut(name),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!name.is_empty()).then_some(name)
}

fn cut(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

fn add(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

/// Adds what a field names, and what the fields in it do.
fn take_ids(ids: &mut BTreeMap<String, String>, field: &str, value: &Value, depth: u32) {
    // No client nests its ids deeper than an object in a text in an object.
    if ids.len() == MAX_IDS || depth > 2 {
        return;
    }
    let in_text = value.as_str().filter(|text| text.starts_with('{'));
    let in_text: Option<Value> = in_text.and_then(|text| serde_json::from_str(text).ok());
    match in_text.as_ref().unwrap_or(value) {
        Value::Object(fields) => {
            for (name, value) in fields {
                take_ids(ids, &cut(&format!("{field}.{name}")), value, depth + 1);
            }
        }
        value => {
            if let Some(id) = name(value) {
                ids.insert(field.to_owned(), id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_too_large_is_not_read() {
        let list = |element: &str, count: usize| {
            let list = vec![element; count].join(",");
            format!(r#"{{"model":"m","messages":[{list}]}}"#)
        };
        let read = |body: &str| RequestSeen::read("/v1/chat/completions", body.as_bytes());
        assert!(read(&list(r#"{"role":"user","content":"x"}"#, MAX_ITEMS)).is_some());
        assert!(read(&list(r#"{"role":"user","content":"x"}"#, MAX_ITEMS + 1)).is_none());
        assert!(read(&list("0", 2 << 20)).is_none());
        assert!(read(&list(&"x".repeat(1 << 20), 17)).is_none());
    }

    #[test]
    fn what_is_repeated_is_held_once() {
        let message = |text: &str| json!({ "role": "user", "content": text });
        let read = |messages: Value| {
            let body = json!({ "system": "s", "messages": messages });
            RequestSeen::read("/messages", body.to_string().as_bytes())
                .unwrap()
                .1
        };
        let mut first = read(json!([message("a")]));
        let mut second = read(json!([message("a"), message("b")]));
        let before = second.clone();
        let mut common = CommonItems::default();
        common.share(&mut first);
        common.share(&mut second);
        assert_eq!(second, before);
        assert!(Arc::ptr_eq(&first.items[0], &second.items[0]));
        assert!(Arc::ptr_eq(
            first.system.as_ref().unwrap(),
            second.system.as_ref().unwrap()
        ));
    }

    #[test]
    fn ids_are_found_where_clients_hide_them() {
        let body = json!({
            "messages": [],
            "user": "u",
            "metadata": { "user_id": "{\"device_id\":\"d\",\"session_id\":\"s\"}", "n": 7 },
            "client_metadata": { "x-codex-turn-metadata": "{\"thread_id\":\"t\",\"deep\":{\"er\":1}}" },
            "session_id": "x".repeat(1_000),
        });
        let (_, seen) =
            RequestSeen::read("/chat/completions", body.to_string().as_bytes()).unwrap();
        let long = "x".repeat(MAX_NAME);
        let expected = [
            ("client_metadata.x-codex-turn-metadata.thread_id", "t"),
            ("metadata.n", "7"),
            ("metadata.user_id.device_id", "d"),
            ("metadata.user_id.session_id", "s"),
            ("session_id", long.as_str()),
            ("user", "u"),
        ];
        let found: Vec<_> = seen
            .ids
            .iter()
            .map(|(name, id)| (name.as_str(), id.as_str()))
            .collect();
        assert_eq!(found, expected);
    }
}
