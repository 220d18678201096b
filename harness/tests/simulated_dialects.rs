//! What the embedded server says in each protocol beside Responses, read without our
//! own client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use timeslip::server::{self, Model, Options, Profile, Running};

/// A server whose model knows no task: it says so, and runs one harmless command if it can.
fn start() -> Running {
    let profile = Profile {
        request_overhead_ms: 0.0,
        link_round_trip_ms: 0.0,
        decode_tokens_per_second: 50_000.0,
        ..Profile::load("spark-sim").unwrap()
    };
    server::start(Options::new(
        profile,
        Model::new(Vec::new(), "test", 1, 1.0),
    ))
    .unwrap()
}

/// Head and body of the response to a request.
fn post(server: &Running, path: &str, body: &Value) -> (String, String) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

fn ok(server: &Running, path: &str, body: &Value) -> String {
    let (head, body) = post(server, path, body);
    assert!(head.starts_with("http/1.0 200"), "{head}\n{body}");
    assert!(head.contains("server-timing: queue;dur="), "{head}");
    body
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn data(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("data: "))
}

fn joined<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.filter_map(Value::as_str).collect()
}

fn parameters() -> Value {
    json!({ "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] })
}

const SAYS: &str =
    "I am a simulated model and only know the bundled tasks; this is not one of them.";

fn chat(extra: Value) -> Value {
    let function = json!({ "name": "bash", "parameters": parameters() });
    let mut body = json!({
        "model": "m",
        "messages": [{ "role": "system", "content": "s" }, { "role": "user", "content": "hello" }],
        "tools": [{ "type": "function", "function": function }],
    });
    for (name, value) in extra.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    body
}

#[test]
fn chat_streams_role_text_call_reason_usage_and_done() {
    let server = start();
    let path = "/v1/chat/completions";
    let options = json!({ "include_usage": true });
    let body = json!({ "stream": true, "stream_options": options, "include_metrics": true, "timings_per_token": true });
    let text = ok(&server, path, &chat(body));
    let mut lines: Vec<&str> = data(&text).collect();
    assert_eq!(lines.pop(), Some("[DONE]"));
    let chunks: Vec<Value> = lines.into_iter().map(parse).collect();
    let delta = |chunk: &Value, at: &str| chunk.pointer(&format!("/choices/0/delta{at}")).cloned();
    assert_eq!(
        delta(&chunks[0], ""),
        Some(json!({ "role": "assistant", "content": "" }))
    );
    let all =
        |at: &str| -> Vec<Value> { chunks.iter().filter_map(|chunk| delta(chunk, at)).collect() };
    assert_eq!(joined(all("/content").iter()), SAYS);
    let calls = all("/tool_calls/0");
    assert_eq!(
        (&calls[0]["index"], &calls[0]["type"]),
        (&json!(0), &json!("function"))
    );
    assert_eq!(
        calls[0]["function"],
        json!({ "name": "bash", "arguments": "" })
    );
    assert!(calls[0]["id"].as_str().unwrap().starts_with("call_"));
    let arguments = joined(all("/tool_calls/0/function/arguments").iter());
    assert_eq!(parse(&arguments), json!({ "command": "echo timeslip" }));

    let [.., finish, last] = &chunks[..] else {
        panic!("{text}")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(last["choices"], json!([]));
    let usage = &last["usage"];
    // The role chunk and the name of the call carry no tokens.
    let events = all("/content").len() + calls.len() - 2;
    assert_eq!(usage["completion_tokens"], events, "one token an event");
    let sum = usage["prompt_tokens"].as_u64().unwrap() + events as u64;
    assert_eq!(usage["total_tokens"], sum);
    assert!(last["metrics"]["generation_time_ms"].is_f64());
    assert_eq!(last["timings"]["predicted_n"], events);
    let decode_ms = last["timings"]["predicted_ms"].as_f64().unwrap();
    assert!(decode_ms >= events as f64 * 0.02 * 0.5, "{decode_ms} ms");
}

#[test]
fn chat_without_a_stream_is_one_object_and_ends_after_the_tool() {
    let server = start();
    let path = "/v1/chat/completions";
    let whole = parse(&ok(&server, path, &chat(json!({}))));
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["content"], SAYS);
    assert_eq!(message["tool_calls"][0]["function"]["name"], "bash");
    assert!(whole["usage"]["completion_tokens"].as_u64().unwrap() > 20);

    let mut next = chat(json!({}));
    let messages = next["messages"].as_array_mut().unwrap();
    messages.push(message.clone());
    let id = &message["tool_calls"][0]["id"];
    messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "timeslip" }));
    let whole = parse(&ok(&server, path, &next));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert!(whole["choices"][0]["message"]["tool_calls"].is_null());
    let cached = &whole["usage"]["prompt_tokens_details"]["cached_tokens"];
    assert!(cached.as_u64().unwrap() > 0, "the same beginning is cached");
}

fn messages(extra: Value) -> Value {
    let mut body = json!({
        "model": "m",
        "max_tokens": 100,
        "system": [{ "type": "text", "text": "s" }],
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hello" }] }],
        "tools": [{ "name": "Bash", "input_schema": parameters() }],
    });
    for (name, value) in extra.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    body
}

#[test]
fn anthropic_streams_blocks_between_start_and_stop() {
    let server = start();
    let body = messages(json!({ "stream": true, "speed": "fast" }));
    let text = ok(&server, "/v1/messages?beta=true", &body);
    let events: Vec<Value> = data(&text).map(parse).collect();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    let types: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(names, types, "names and types agree");
    let mut outline = types;
    outline.dedup();
    let block = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let mut expected = vec!["message_start", "ping"];
    expected.extend(block.iter().chain(&block));
    expected.extend(["message_delta", "message_stop"]);
    assert_eq!(outline, expected);

    let deltas = |field: &str| joined(events.iter().map(|event| &event["delta"][field]));
    assert_eq!(deltas("text"), SAYS);
    assert_eq!(
        parse(&deltas("partial_json")),
        json!({ "command": "echo timeslip" })
    );
    let count = events
        .iter()
        .filter(|event| event["type"] == "content_block_delta")
        .count();
    let last = &events[events.len() - 2];
    assert_eq!(last["delta"]["stop_reason"], "tool_use");
    assert_eq!(last["usage"]["output_tokens"], count, "one token an event");
    assert_eq!(last["usage"]["speed"], "fast");
    let start = &events[0]["message"];
    assert!(start["id"].as_str().unwrap().starts_with("msg_"));
    assert!(start["usage"]["input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn anthropic_without_a_stream_and_its_token_count() {
    let server = start();
    let whole = parse(&ok(&server, "/v1/messages", &messages(json!({}))));
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][0], json!({ "type": "text", "text": SAYS }));
    assert_eq!(
        whole["content"][1]["input"],
        json!({ "command": "echo timeslip" })
    );

    let (head, counted) = post(&server, "/v1/messages/count_tokens", &messages(json!({})));
    assert!(head.starts_with("http/1.0 200"), "{head}");
    let usage = &whole["usage"];
    assert_eq!(parse(&counted)["input_tokens"], usage["input_tokens"]);

    let mut next = messages(json!({}));
    let conversation = next["messages"].as_array_mut().unwrap();
    conversation.push(json!({ "role": "assistant", "content": whole["content"] }));
    let result = json!({ "type": "tool_result", "tool_use_id": whole["content"][1]["id"], "content": "timeslip" });
    conversation.push(json!({ "role": "user", "content": [result] }));
    let whole = parse(&ok(&server, "/v1/messages", &next));
    assert_eq!(whole["stop_reason"], "end_turn");
    assert!(whole["usage"]["cache_read_input_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn refusals_speak_the_protocol_of_their_path() {
    let server = start();
    for (path, body, status, pointer, value) in [
        (
            "/v1/chat/completions",
            json!({}),
            400,
            "/error/code",
            "missing_required_parameter",
        ),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": 3}),
            400,
            "/error/code",
            "missing_required_parameter",
        ),
        (
            "/v1/chat/nothing",
            json!({}),
            404,
            "/error/code",
            "not_found",
        ),
        (
            "/v1/messages",
            json!({"model": "m"}),
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "/v1/messages",
            json!([1]),
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "/v1/messages/batches",
            json!({}),
            404,
            "/error/type",
            "not_found_error",
        ),
    ] {
        let (head, answer) = post(&server, path, &body);
        assert!(
            head.starts_with(&format!("http/1.0 {status}")),
            "{path} {body}: {head}"
        );
        assert_eq!(
            parse(&answer).pointer(pointer),
            Some(&json!(value)),
            "{path} {body}"
        );
    }
}
