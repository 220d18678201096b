//! Answers that are not streamed, as servers send them whole.

use proptest::prelude::*;
use serde_json::{Value, json};
use timeslip_datasets::run::journal::{CallArrival, EventKind, Exchange};
use timeslip_wire::Recorder;
use timeslip_wire::connection::Arrival;
use timeslip_wire::protocols::{self, Answer, PROTOCOLS, StreamError};

use crate::any_json::any_json;

/// When the whole answer came.
const AT: u64 = 1_000;

/// What a whole body came to: whether it is an answer, and what was recorded.
fn taken(protocol: &str, body: &[u8]) -> Result<(bool, Exchange, Answer), StreamError> {
    let protocol = protocols::by_name(protocol).unwrap();
    let mut recorder = Recorder::new(protocol.decoder(), 0, 1, 0);
    let is_answer = recorder.whole(Arrival::read(AT), protocol, body)?;
    let (exchange, answer) = recorder.finish("http");
    Ok((is_answer, exchange, answer))
}

/// The same answer by every protocol: reasoning, text, two calls, 7 of 20 prompt tokens from
/// a cache, 30 output tokens.
fn whole_answers() -> Vec<(&'static str, Value)> {
    let ls = r#"{"command":"ls"}"#;
    let function = |arguments: Value| json!({ "name": "shell", "arguments": arguments });
    let item = |id: &str| json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "shell", "arguments": ls });
    vec![
        (
            "responses",
            json!({
                "id": "r", "object": "response", "model": "m", "status": "completed", "error": null,
                "output": [
                    { "type": "reasoning", "id": "rs", "summary": [{ "type": "summary_text", "text": "why" }] },
                    { "type": "message", "id": "msg", "role": "assistant", "content": [{ "type": "output_text", "text": "so" }] },
                    item("a"), item("b"),
                ],
                "usage": { "input_tokens": 20, "input_tokens_details": { "cached_tokens": 7 }, "output_tokens": 30, "total_tokens": 50 },
            }),
        ),
        (
            "chat-completions",
            json!({
                "id": "r", "object": "chat.completion", "model": "m",
                "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
                    "role": "assistant", "reasoning_content": "why", "content": "so",
                    "tool_calls": [
                        { "id": "a", "type": "function", "function": function(json!(ls)) },
                        { "id": "b", "type": "function", "function": function(json!(ls)) },
                    ],
                } }],
                "usage": { "prompt_tokens": 20, "prompt_tokens_details": { "cached_tokens": 7 }, "completion_tokens": 30, "total_tokens": 50 },
            }),
        ),
        (
            "anthropic-messages",
            json!({
                "id": "r", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
                "content": [
                    { "type": "thinking", "thinking": "why", "signature": "SIG" },
                    { "type": "text", "text": "so" },
                    { "type": "tool_use", "id": "a", "name": "shell", "input": { "command": "ls" } },
                    { "type": "tool_use", "id": "b", "name": "shell", "input": { "command": "ls" } },
                ],
                "usage": { "input_tokens": 13, "cache_read_input_tokens": 7, "output_tokens": 30 },
            }),
        ),
        (
            "gemini",
            json!({
                "responseId": "r", "modelVersion": "m",
                "candidates": [{ "finishReason": "STOP", "content": { "role": "model", "parts": [
                    { "text": "why", "thought": true },
                    { "text": "so" },
                    { "functionCall": { "id": "a", "name": "shell", "args": { "command": "ls" } } },
                    { "functionCall": { "id": "b", "name": "shell", "args": { "command": "ls" } } },
                ] } }],
                "usageMetadata": { "promptTokenCount": 20, "cachedContentTokenCount": 7, "candidatesTokenCount": 30, "totalTokenCount": 50 },
            }),
        ),
        (
            "ollama",
            json!({
                "model": "m", "done": true, "done_reason": "stop",
                "message": { "role": "assistant", "thinking": "why", "content": "so", "tool_calls": [
                    { "id": "a", "function": function(json!({ "command": "ls" })) },
                    { "id": "b", "function": function(json!({ "command": "ls" })) },
                ] },
                "prompt_eval_count": 20, "prompt_eval_cached_count": 7, "eval_count": 30,
            }),
        ),
    ]
}

#[test]
fn a_whole_answer_is_one_arrival_of_everything_in_it() {
    let answers = whole_answers();
    assert!(
        PROTOCOLS
            .iter()
            .all(|protocol| answers.iter().any(|(name, _)| *name == protocol.name()))
    );
    for (protocol, body) in answers {
        // As it is sent, and as somebody else would write it.
        for body in [body.to_string(), format!("\u{feff}{body:#}\n")] {
            let (is_answer, exchange, answer) = taken(protocol, body.as_bytes()).unwrap();
            assert!(is_answer, "{protocol}");
            assert_eq!(
                (answer.reasoning.as_str(), answer.text.as_str()),
                ("why", "so"),
                "{protocol}"
            );
            let calls: Vec<_> = answer
                .calls
                .iter()
                .map(|call| (&*call.call_id, &*call.name, &*call.arguments))
                .collect();
            let ls = r#"{"command":"ls"}"#;
            assert_eq!(
                calls,
                [("a", "shell", ls), ("b", "shell", ls)],
                "{protocol}"
            );
            let usage = exchange.usage.unwrap();
            assert_eq!(
                (usage.input(), usage.cached_tokens, usage.output()),
                (Some(20), Some(7), Some(30)),
                "{protocol}"
            );
            assert_eq!(
                (exchange.incomplete, exchange.served_model.as_deref()),
                (None, Some("m")),
                "{protocol}"
            );
            assert_eq!(
                answer.id.as_deref(),
                (protocol != "ollama").then_some("r"),
                "{protocol}"
            );
            let arrival = |id: &str| CallArrival {
                call_id: id.into(),
                name: "shell".into(),
                at: AT,
            };
            assert_eq!(exchange.calls, [arrival("a"), arrival("b")], "{protocol}");
            let events = exchange.events.as_slice();
            assert!(events.iter().all(|event| event.at == AT), "{protocol}");
            for (kind, bytes) in [
                (EventKind::Reasoning, 3),
                (EventKind::Text, 2),
                (EventKind::ToolArguments, 32),
            ] {
                let of_kind = events.iter().filter(|event| event.kind == kind);
                assert_eq!(
                    of_kind.map(|event| event.bytes).sum::<u32>(),
                    bytes,
                    "{protocol}"
                );
            }
            assert_eq!(exchange.shape.output_reads, 1, "{protocol}");
            assert_eq!(exchange.marks.first_token, Some(AT), "{protocol}");
        }
    }
}

#[test]
fn a_whole_answer_that_was_cut_short_says_why() {
    for (protocol, body, expected) in [
        (
            "responses",
            json!({ "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" }, "output": [] }),
            "max_output_tokens",
        ),
        (
            "chat-completions",
            json!({ "choices": [{ "finish_reason": "length", "message": { "content": "x" } }] }),
            "length",
        ),
        (
            "anthropic-messages",
            json!({ "content": [], "stop_reason": "max_tokens" }),
            "max_tokens",
        ),
        (
            "gemini",
            json!({ "candidates": [{ "finishReason": "MAX_TOKENS" }] }),
            "MAX_TOKENS",
        ),
        (
            "ollama",
            json!({ "message": {}, "done": true, "done_reason": "length" }),
            "length",
        ),
    ] {
        let (is_answer, exchange, _) = taken(protocol, body.to_string().as_bytes()).unwrap();
        assert!(is_answer, "{protocol}");
        assert_eq!(exchange.incomplete.as_deref(), Some(expected), "{protocol}");
    }
}

#[test]
fn an_error_in_place_of_an_answer_is_one() {
    for (protocol, body) in [
        (
            "responses",
            json!({ "id": "r", "status": "failed", "output": [], "error": { "code": "boom", "message": "m" } }),
        ),
        (
            "responses",
            json!({ "error": { "code": "boom", "message": "m" } }),
        ),
        (
            "chat-completions",
            json!({ "error": { "code": "boom", "message": "m" } }),
        ),
        (
            "anthropic-messages",
            json!({ "type": "error", "error": { "type": "boom", "message": "m" } }),
        ),
        (
            "gemini",
            json!({ "error": { "status": "boom", "message": "m" } }),
        ),
        (
            "gemini",
            json!([{ "error": { "status": "boom", "message": "m" } }]),
        ),
        ("ollama", json!({ "error": "boom: m" })),
    ] {
        let error = taken(protocol, body.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("boom: m"), "{protocol}: {error}");
    }
}

#[test]
fn what_is_no_answer_is_none() {
    let list = format!("[{}0]", "0,".repeat(3 << 20));
    let large = format!(r#"{{"output":{list},"choices":{list},"content":{list}}}"#);
    for protocol in PROTOCOLS {
        for body in [
            "{}",
            "[]",
            "null",
            "7",
            r#"{"id":"x"}"#,
            r#"{"choices":[],"usage":{}}"#,
            &large,
            "",
        ] {
            let taken = taken(protocol.name(), body.as_bytes());
            assert!(
                !matches!(taken, Ok((true, ..))),
                "{} {:.40}",
                protocol.name(),
                body
            );
        }
    }
    // It is answered in the background, later.
    let queued = json!({ "id": "r", "status": "queued", "output": [] }).to_string();
    assert!(!taken("responses", queued.as_bytes()).unwrap().0);
}

#[test]
fn a_gemini_stream_that_came_as_a_list_is_read_to_its_end() {
    let chunk =
        |text: &str| json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] });
    let end = json!({ "candidates": [{ "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 2 } });
    let body = json!([chunk("a"), chunk("b"), end]).to_string();
    let (is_answer, exchange, answer) = taken("gemini", body.as_bytes()).unwrap();
    assert!(is_answer && answer.text == "ab");
    assert_eq!(exchange.usage.unwrap().output_tokens, 2);
}

/// JSON that nobody would send, with the names that answers use.
fn anything() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "output",
        "choices",
        "content",
        "candidates",
        "message",
        "parts",
        "type",
        "text",
        "tool_use",
        "function_call",
        "functionCall",
        "tool_calls",
        "function",
        "arguments",
        "input",
        "id",
        "index",
        "usage",
        "status",
        "stop_reason",
        "thinking",
        "reasoning",
        "error",
        "done",
        "args",
        "name",
    ];
    any_json(NAMES)
}

proptest! {
    #[test]
    fn no_body_is_too_strange(body in anything(), cut in any::<proptest::sample::Index>()) {
        let body = body.to_string().into_bytes();
        for protocol in PROTOCOLS {
            for body in [&body[..], &body[..cut.index(body.len())]] {
                let _ = taken(protocol.name(), body);
            }
        }
    }
}
