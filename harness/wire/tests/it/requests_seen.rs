//! What requests say, read from the other side.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use timeslip_wire::protocols::{
    self, Item, ItemKind, PROTOCOLS, Request, RequestForm, RequestSeen, ToolSpec,
};

use crate::any_json::any_json;
use crate::recorded;

fn seen(path: &str, body: &Value) -> (&'static str, RequestSeen) {
    let read = RequestSeen::read(path, body.to_string().as_bytes());
    let (protocol, seen) = read.unwrap_or_else(|| panic!("{path} {body}"));
    (protocol.name(), seen)
}

/// The kinds of a conversation's items, a letter each.
fn kinds(seen: &RequestSeen) -> String {
    let letter = |kind: &ItemKind| match kind {
        ItemKind::System(_) => 's',
        ItemKind::User(_) => 'u',
        ItemKind::Assistant(_) => 'a',
        ItemKind::Call(_) => 'c',
        ItemKind::Result { .. } => 'r',
        ItemKind::Reasoning => '~',
        ItemKind::Other(_) => '?',
    };
    seen.items.iter().map(|item| letter(&item.kind)).collect()
}

/// Requests of a recording: path and body.
fn recording(name: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recordings");
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let asked = lines.filter(|line| {
        line["request"]
            .as_object()
            .is_some_and(|body| !body.is_empty())
    });
    let path = |line: &Value| match line["line"].as_str().unwrap().split(' ').nth(1) {
        // A message of a WebSocket.
        Some("text") | None => "/v1/responses".to_owned(),
        Some(path) => path.to_owned(),
    };
    asked
        .map(|line| (path(&line), line["request"].clone()))
        .collect()
}

/// Every turn repeats the items of the turn before, however the client wrote them then, and
/// goes on with the model's answer and the tools' results.
#[test]
fn a_later_request_repeats_the_items_of_an_earlier_one() {
    for (name, protocol, expected) in [
        (
            "claude-slow",
            "anthropic-messages",
            "uus ~acr ~cr cr ~cr ~cr",
        ),
        ("codex-sse-slow", "responses", "sssuu ~acr ~cr cr ~cr"),
        ("gemini-slow", "gemini", "uu acr cr cr cr cr"),
        ("goose-slow", "chat-completions", "su ~acr ~cr cr ~cr ~cr"),
        ("mini-slow", "chat-completions", "su ~acr ~cr cr ~cr ~cr"),
        (
            "opencode-slow",
            "chat-completions",
            "su ~acr ~cr cr ~cr ~cr",
        ),
        ("pi-slow", "chat-completions", "su ~acr ~cr cr ~cr ~cr"),
        (
            "qwen-slow",
            "chat-completions",
            "suuuuu ~acr ~cr cr ~cr ~cr",
        ),
    ] {
        let mut grown = Vec::new();
        let mut before: Option<RequestSeen> = None;
        // What names a session offers no tools.
        let turns = recording(name)
            .into_iter()
            .filter(|(_, body)| !body["tools"].is_null());
        for (path, body) in turns {
            let (of, seen) = seen(&path, &body);
            assert_eq!(of, protocol, "{name}");
            assert_eq!(seen.model.as_deref(), Some("simulated"), "{name}");
            assert_eq!(seen.streams, name != "mini-slow", "{name}");
            assert!(seen.system.is_some(), "{name}");
            let mut tools = seen.tools.iter();
            assert!(
                tools.len() > 0 && tools.all(|tool| !tool.name.is_empty()),
                "{name}"
            );
            let mut old = 0;
            if let Some(before) = before {
                let hashes = |seen: &RequestSeen| -> Vec<_> {
                    seen.items.iter().map(|item| item.hash).collect()
                };
                old = before.items.len();
                assert_eq!(hashes(&seen)[..old], hashes(&before), "{name}");
                assert_eq!(
                    (before.system, before.tools),
                    (seen.system.clone(), seen.tools.clone()),
                    "{name}"
                );
            }
            grown.push(kinds(&seen)[old..].to_owned());
            before = Some(seen);
        }
        assert_eq!(grown.join(" "), expected, "{name}");
    }
}

#[test]
fn a_websocket_goes_on_with_what_is_new() {
    let frames = recording("codex-ws-slow");
    let read: Vec<RequestSeen> = frames
        .iter()
        .map(|(path, body)| seen(path, body).1)
        .collect();
    let kinds: Vec<String> = read.iter().map(kinds).collect();
    assert_eq!(kinds, ["s", "ssuu", "r", "r", "r", "r", "r"]);
    assert_eq!(
        read.iter()
            .map(|seen| seen.generates)
            .filter(|generates| !generates)
            .count(),
        1
    );
    assert!(!read[0].generates && read[0].previous_response.is_none() && read[0].system.is_some());
    let previous: BTreeSet<_> = read[1..]
        .iter()
        .map(|seen| seen.previous_response.clone().unwrap())
        .collect();
    assert_eq!(previous.len(), 6);
    for seen in &read {
        assert!(seen.streams);
        for id in [
            "client_metadata.thread_id",
            "client_metadata.x-codex-turn-metadata.request_kind",
            "prompt_cache_key",
        ] {
            assert!(seen.ids.contains_key(id), "{:?}", seen.ids);
        }
    }
    let ItemKind::Result { call_id, text, .. } = &read[2].items[0].kind else {
        panic!()
    };
    assert!(
        call_id.as_deref().unwrap().starts_with("call_") && text.contains("Wall time: 1.0"),
        "{text}"
    );
}

#[test]
fn cache_markers_and_the_way_of_writing_make_no_difference() {
    let items = |body: Value| seen("/v1/messages", &body).1.items;
    let marked = items(json!({ "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "do it", "cache_control": { "type": "ephemeral" } }] },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": { "x": 1, "y": 2 }, "cache_control": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": [{ "type": "text", "text": "ok", "cache_control": {} }], "cache_control": {} }] },
    ] }));
    let plain = items(json!({ "messages": [
        { "role": "user", "content": "do it\n" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": { "y": 2, "x": 1 } }] },
        { "role": "user", "content": [{ "tool_use_id": "a", "type": "tool_result", "content": "ok", "is_error": false }] },
    ] }));
    let hashes = |items: &[Arc<protocols::ItemSeen>]| -> Vec<_> {
        items.iter().map(|item| item.hash).collect()
    };
    assert_eq!(hashes(&marked), hashes(&plain));
    // What means something else has another hash.
    let other = items(json!({ "messages": [
        { "role": "user", "content": "do it!" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": { "x": 1, "y": 3 } }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "b", "content": "ok" }] },
        { "role": "assistant", "content": "do it" },
    ] }));
    assert!(
        hashes(&other)
            .iter()
            .all(|hash| !hashes(&plain).contains(hash))
    );
    let arguments = |text: &str| {
        let call = json!({ "id": "a", "function": { "name": "f", "arguments": text } });
        seen("/v1/chat/completions", &json!({ "messages": [{ "role": "assistant", "content": null, "tool_calls": [call] }] })).1.items[0].hash
    };
    assert_eq!(
        arguments(r#"{"a":1,"b":"x"}"#),
        arguments("{ \"b\": \"x\", \"a\": 1 }")
    );
    assert_ne!(arguments("{broken"), arguments("{broken}"));
}

#[test]
fn the_protocol_follows_from_the_path_or_else_from_the_body() {
    let message = json!([{ "role": "user", "content": "x" }]);
    for (path, body, expected) in [
        (
            "/v1/responses?x=/messages",
            json!({ "input": "x" }),
            "responses",
        ),
        (
            "/backend-api/codex/responses",
            json!({ "input": [], "instructions": "i" }),
            "responses",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=1",
            json!({ "messages": message }),
            "chat-completions",
        ),
        (
            "/v1/messages?beta=true",
            json!({ "messages": message }),
            "anthropic-messages",
        ),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            json!({ "contents": [] }),
            "gemini",
        ),
        (
            "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
            json!({ "contents": [] }),
            "gemini",
        ),
        ("/api/chat", json!({ "messages": message }), "ollama"),
        (
            "/x",
            json!({ "messages": message, "tools": [] }),
            "chat-completions",
        ),
        (
            "/x",
            json!({ "messages": message, "max_tokens": 1, "system": "s" }),
            "anthropic-messages",
        ),
        (
            "/x",
            json!({ "messages": message, "options": {}, "keep_alive": 1 }),
            "ollama",
        ),
        (
            "/x",
            json!({ "contents": message, "generationConfig": {} }),
            "gemini",
        ),
        ("/x", json!({ "input": "x", "store": false }), "responses"),
    ] {
        assert_eq!(seen(path, &body).0, expected, "{path} {body}");
    }
    for (path, body) in [
        ("/v1/models", "{}"),
        ("/x", r#"{"model":"m","prompt":"x"}"#),
        ("/v1/responses", "[]"),
        ("/v1/responses", r#"{"type":"response.steer","input":[]}"#),
        ("/v1/chat/completions", r#"{"messages":7}"#),
        ("/v1/messages", "{"),
    ] {
        assert!(
            RequestSeen::read(path, body.as_bytes()).is_none(),
            "{path} {body}"
        );
    }
    // Half a surrogate pair costs a character.
    let damaged = br#"{"messages":[{"role":"user","content":"a\ud83d"}]}"#;
    let (_, seen) = RequestSeen::read("/v1/messages", damaged).unwrap();
    assert_eq!(seen.items[0].kind, ItemKind::User("a\u{fffd}".into()));
}

#[test]
fn whatever_a_conversation_holds_has_its_kind() {
    let (_, chat) = seen(
        "/v1/chat/completions",
        &json!({ "stream": true, "messages": [
        { "role": "developer", "content": "s" },
        { "role": "user", "content": [{ "type": "text", "text": "t" }, { "type": "image_url", "image_url": { "url": "data:" } }] },
        { "role": "assistant", "reasoning_content": "r", "content": "a", "tool_calls": [
            { "id": "1", "type": "custom", "custom": { "name": "patch", "input": "*** Begin" } },
        ] },
        { "role": "tool", "tool_call_id": "1", "content": [{ "type": "text", "text": "ok" }] },
        { "role": "assistant", "function_call": { "name": "f", "arguments": "{}" } },
        { "role": "function", "name": "f", "content": "old" },
        { "role": "assistant", "content": null, "refusal": "no" },
    ], "functions": [{ "name": "f" }] }),
    );
    assert_eq!(kinds(&chat), "su?~acrcra");
    assert_eq!(chat.tools[0].name, "f");
    let result = |seen: &RequestSeen, at: usize| match &seen.items[at].kind {
        ItemKind::Result {
            call_id,
            name,
            text,
        } => (call_id.clone(), name.clone(), text.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(result(&chat, 6), (Some("1".into()), None, "ok".into()));
    assert_eq!(result(&chat, 8), (None, Some("f".into()), "old".into()));
    let (_, gemini) = seen(
        "/v1beta/models/g-1:generateContent",
        &json!({
            "system_instruction": { "parts": [{ "text": "s" }] },
            "tools": [{ "function_declarations": [{ "name": "f" }, { "name": "g" }] }, { "googleSearch": {} }],
            "contents": [
                { "parts": [{ "text": "u" }, { "inline_data": { "data": "x" } }] },
                { "role": "model", "parts": [{ "text": "r", "thought": true }, { "text": "a" }, { "function_call": { "name": "f", "args": {} } }] },
                { "role": "function", "parts": [{ "function_response": { "name": "f", "response": { "output": "o" } } }, { "functionResponse": { "id": "i", "name": "g", "response": { "n": 1 } } }] },
            ],
        }),
    );
    assert_eq!(kinds(&gemini), "u?~acrr");
    assert_eq!(
        (gemini.model.as_deref(), gemini.streams),
        (Some("g-1"), false)
    );
    let names: Vec<&str> = gemini.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["f", "g", ""]);
    assert_eq!(result(&gemini, 5), (None, Some("f".into()), "o".into()));
    assert_eq!(
        result(&gemini, 6),
        (Some("i".into()), Some("g".into()), r#"{"n":1}"#.into())
    );
    let (_, responses) = seen(
        "/v1/responses",
        &json!({ "instructions": "i", "input": [
        { "role": "system", "content": "s" },
        { "role": "user", "content": [{ "type": "input_text", "text": "u" }, { "type": "input_image", "image_url": "x" }] },
        { "type": "reasoning", "summary": [], "encrypted_content": "x" },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "a" }] },
        { "type": "local_shell_call", "call_id": "l", "action": { "command": ["ls"] } },
        { "type": "local_shell_call_output", "call_id": "l", "output": "o" },
        { "type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** Begin" },
        { "type": "custom_tool_call_output", "call_id": "c", "output": [{ "type": "input_text", "text": "o" }] },
        { "type": "item_reference", "id": "x" },
    ], "tools": [{ "type": "function", "name": "f" }, { "type": "web_search" }] }),
    );
    assert_eq!(kinds(&responses), "su?~acrcr?");
    assert_eq!(responses.system.unwrap().text, "i\ns");
    assert_eq!(responses.tools[1].name, "web_search");
}

/// What the built-in agent writes is read as it was meant, by every protocol.
#[test]
fn a_request_of_our_own_is_read_as_it_was_meant() {
    let parameters = json!({ "type": "object", "properties": { "command": { "type": "string" } } });
    let tools = [ToolSpec {
        name: "shell",
        description: "d",
        parameters,
    }];
    for protocol in PROTOCOLS {
        let (_, answer) = recorded::with_calls(*protocol);
        let mut items = vec![Item::User("do it".into())];
        items.extend(answer.items.iter().cloned().map(Item::Output));
        items.extend(answer.calls.iter().map(|call| Item::ToolResult {
            call_id: call.call_id.clone(),
            output: "done".into(),
        }));
        let extra = serde_json::Map::new();
        let request = Request {
            model: "m",
            instructions: "be brief",
            tools: &tools,
            items: &items,
            previous: None,
            cache_key: "key",
            extra: &extra,
            warm_up: false,
            lane: None,
        };
        let body = protocol.encode(&request, RequestForm::Http);
        let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
        let (of, seen) = RequestSeen::read(&path, &body).unwrap();
        assert_eq!(of.name(), protocol.name());
        assert_eq!(seen.model.as_deref(), Some("m"), "{}", of.name());
        assert!(seen.streams && seen.generates, "{}", of.name());
        assert_eq!(
            seen.system.as_ref().unwrap().text,
            "be brief",
            "{}",
            of.name()
        );
        assert_eq!(seen.tools.len(), 1, "{}", of.name());
        assert_eq!(seen.tools[0].name, "shell", "{}", of.name());
        let conversation: Vec<_> = seen
            .items
            .iter()
            .filter(|item| !matches!(item.kind, ItemKind::System(_) | ItemKind::Reasoning))
            .collect();
        assert_eq!(
            conversation[0].kind,
            ItemKind::User("do it".into()),
            "{}",
            of.name()
        );
        let calls = conversation
            .iter()
            .filter(|item| matches!(item.kind, ItemKind::Call(_)));
        assert_eq!(calls.count(), answer.calls.len(), "{}", of.name());
        let results = conversation
            .iter()
            .filter(|item| matches!(&item.kind, ItemKind::Result { text, .. } if text == "done"));
        assert_eq!(results.count(), answer.calls.len(), "{}", of.name());
        // It is found by what it says, too.
        let (by_body, _) = RequestSeen::read("/somewhere/else", &body).unwrap();
        assert!(
            by_body.name() == of.name() || of.name() == "ollama",
            "{}",
            by_body.name()
        );
    }
}

/// JSON that nobody would send, with the names that requests use.
fn anything() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "messages",
        "input",
        "contents",
        "parts",
        "content",
        "role",
        "type",
        "text",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "call_id",
        "output",
        "tool_use",
        "tool_result",
        "tool_use_id",
        "function_call",
        "functionCall",
        "functionResponse",
        "response",
        "system",
        "assistant",
        "tool",
        "instructions",
        "tools",
        "functionDeclarations",
        "metadata",
        "client_metadata",
        "thought",
        "stream",
        "generate",
        "previous_response_id",
        "message",
    ];
    any_json(NAMES)
}

proptest! {
    #[test]
    fn no_request_is_too_strange(body in anything(), list in prop::collection::vec(anything(), 0..5), cut in any::<prop::sample::Index>()) {
        let mut bodies = vec![body.clone()];
        for field in ["messages", "input", "contents"] {
            let mut body = body.clone();
            if let Some(fields) = body.as_object_mut() {
                fields.insert(field.to_owned(), json!(list));
                bodies.push(body);
            }
        }
        for protocol in PROTOCOLS {
            let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
            for body in &bodies {
                let body = body.to_string().into_bytes();
                let read = RequestSeen::read(&path, &body);
                prop_assert_eq!(&read.map(|(_, seen)| seen), &RequestSeen::read(&path, &body).map(|(_, seen)| seen));
                let _ = RequestSeen::read(&path, &body[..cut.index(body.len())]);
                let _ = RequestSeen::read("/", &body);
            }
        }
    }
}
