//! What the embedded server says in each protocol beside Responses, read without our
//! own client.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use timeslip_simulator::{
    self, Emission, Model, Moment, Options, Profile, Running, Scenario, ScenarioEvent,
};

use crate::quick::start;

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
    let body = chat(json!({ "include_metrics": true }));
    let whole = parse(&ok(&server, path, &body));
    let metrics = &whole["metrics"];
    assert!(
        metrics["generation_time_ms"].as_f64().unwrap() > 0.0,
        "{metrics}"
    );
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

fn native(endpoint: &str, extra: Value) -> Value {
    let function = json!({ "name": "bash", "parameters": parameters() });
    let mut body = match endpoint {
        "ollama" => json!({
            "model": "m",
            "messages": [{ "role": "user", "content": "hello" }],
            "tools": [{ "type": "function", "function": function }],
        }),
        _ => json!({
            "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }],
            "tools": [{ "functionDeclarations": [function] }],
        }),
    };
    for (name, value) in extra.as_object().unwrap() {
        body[name.as_str()] = value.clone();
    }
    body
}

#[test]
fn ollama_streams_lines_and_ends_with_its_durations() {
    let server = start();
    let text = ok(&server, "/api/chat", &native("ollama", json!({})));
    let lines: Vec<Value> = text.lines().map(parse).collect();
    let content = joined(lines.iter().map(|line| &line["message"]["content"]));
    assert_eq!(content, SAYS);
    let calls: Vec<&Value> = lines
        .iter()
        .filter_map(|line| line["message"]["tool_calls"].get(0))
        .collect();
    let function = json!({ "name": "bash", "arguments": { "command": "echo timeslip" } });
    assert_eq!(calls, [&json!({ "function": function })], "whole, and once");
    let last = lines.last().unwrap();
    assert_eq!(last["done"], true);
    let bytes = SAYS.len().div_ceil(4) + r#"{"command":"echo timeslip"}"#.len().div_ceil(4);
    assert_eq!(last["eval_count"], bytes);
    assert!(last["total_duration"].as_u64() >= last["eval_duration"].as_u64());

    let whole = native("ollama", json!({ "stream": false }));
    let whole = parse(&ok(&server, "/api/chat", &whole));
    assert_eq!(whole["message"]["content"], SAYS);
    assert_eq!(whole["message"]["tool_calls"][0], *calls[0]);
    assert_eq!(whole["eval_count"], last["eval_count"]);
}

#[test]
fn gemini_streams_parts_and_whole_calls() {
    let server = start();
    let path = "/v1beta/models/m-1:streamGenerateContent?alt=sse";
    let text = ok(&server, path, &native("gemini", json!({})));
    let chunks: Vec<Value> = data(&text).map(parse).collect();
    let parts = || {
        chunks
            .iter()
            .map(|chunk| &chunk["candidates"][0]["content"]["parts"][0])
    };
    assert_eq!(joined(parts().map(|part| &part["text"])), SAYS);
    let calls: Vec<&Value> = parts()
        .map(|part| &part["functionCall"])
        .filter(|call| call.is_object())
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["args"], json!({ "command": "echo timeslip" }));
    let last = chunks.last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["modelVersion"], "m-1");
    let usage = &last["usageMetadata"];
    let sum =
        ["promptTokenCount", "candidatesTokenCount"].map(|field| usage[field].as_u64().unwrap());
    assert_eq!(usage["totalTokenCount"], sum[0] + sum[1]);

    let path = "/v1beta/models/m-1:generateContent";
    let whole = parse(&ok(&server, path, &native("gemini", json!({}))));
    let parts = &whole["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["text"], SAYS);
    assert_eq!(parts[1]["functionCall"]["name"], "bash");
    let cached = whole["usageMetadata"]["cachedContentTokenCount"].as_u64();
    assert!(cached.unwrap() > 0, "the same prompt again");
}

/// The text of a steady answer of a given length.
fn steady(tokens: usize) -> String {
    (1..=tokens).map(|number| format!("{number:03} ")).collect()
}

#[test]
fn a_steady_answer_is_as_long_as_the_request_allows() {
    let server = start();
    let prompt = "Count upward from 1 to 100000.";
    let say = |path: &str, body: Value, text: &str| {
        let whole = parse(&ok(&server, path, &body));
        assert_eq!(whole.pointer(text), Some(&json!(steady(7))), "{path}");
    };
    let user = json!([{ "role": "user", "content": "x" }]);
    let path = "/v1/chat/completions";
    let text = "/choices/0/message/content";
    say(
        path,
        json!({ "model": "steady", "messages": user, "max_tokens": 7 }),
        text,
    );
    say(
        path,
        json!({ "model": "steady", "messages": user, "max_completion_tokens": 7 }),
        text,
    );
    let body = json!({ "model": "steady", "messages": user, "max_tokens": 7 });
    say("/v1/messages", body, "/content/0/text");
    let body = json!({ "model": "any", "input": prompt, "max_output_tokens": 7 });
    say("/v1/responses", body, "/output/0/content/0/text");
    let counting = json!([{ "role": "user", "content": prompt }]);
    let options = json!({ "num_predict": 7 });
    let body = json!({ "model": "any", "stream": false, "messages": counting, "options": options });
    say("/api/chat", body, "/message/content");
    let body = json!({
        "contents": [{ "parts": [{ "text": prompt }] }],
        "generationConfig": { "maxOutputTokens": 7 },
    });
    let path = "/v1beta/models/any:generateContent";
    say(path, body, "/candidates/0/content/parts/0/text");
}

#[test]
fn a_scenario_is_played_to_the_letter_on_every_protocol() {
    use ScenarioEvent::{Admission, Done, KeepAlive, Reasoning, Text, ToolArguments};
    let moment = |at_ms, events: &[ScenarioEvent]| Moment {
        at_ms,
        events: events.to_vec(),
    };
    let scenario = Scenario {
        name: "letter".into(),
        moments: vec![
            moment(5.0, &[Admission]),
            moment(10.0, &[KeepAlive]),
            moment(20.0, &[Reasoning(4)]),
            moment(40.0, &[Text(1), Text(2), ToolArguments(5)]),
            moment(60.0, &[ToolArguments(1)]),
            moment(80.0, &[Done]),
        ],
    };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let model = Model::new(Vec::new(), "test", 1, 1.0).with_scenarios(vec![scenario]);
    let server = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(Profile::load("spark-sim").unwrap(), model)
    })
    .unwrap();
    let user = json!([{ "role": "user", "content": "x" }]);
    let stream = json!({ "model": "letter", "stream": true, "max_tokens": 100, "input": "x", "messages": user });
    for path in ["/v1/responses", "/v1/chat/completions", "/v1/messages"] {
        let text = ok(&server, path, &stream);
        assert!(text.contains("\n: keep-alive\n\n"), "{path}: {text}");
    }
    ok(&server, "/api/chat", &stream);
    let contents = json!({ "contents": [{ "parts": [{ "text": "x" }] }] });
    let path = "/v1beta/models/letter:streamGenerateContent?alt=sse";
    ok(&server, path, &contents);
    drop(server);
    let log = std::fs::read_to_string(log).unwrap();
    let truths: Vec<Emission> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let protocols: Vec<&str> = truths.iter().map(|truth| truth.protocol.as_str()).collect();
    assert_eq!(
        protocols,
        [
            "responses",
            "chat-completions",
            "anthropic-messages",
            "ollama",
            "gemini"
        ]
    );
    for truth in &truths {
        let streamed = truth.events_ns.len() == 5;
        let expected: (&str, &[u64], &[u32]) = if streamed {
            ("rttaa", &[20, 40, 40, 40, 60], &[4, 1, 2, 5, 1])
        } else {
            ("rtta", &[20, 40, 40, 60], &[4, 1, 2, 6])
        };
        assert_eq!(
            (truth.kinds.as_str(), &truth.tokens[..]),
            (expected.0, expected.2)
        );
        assert!(truth.complete);
        for (at_ms, at_ns) in std::iter::zip(expected.1, &truth.events_ns) {
            let due_ns = truth.received_ns + at_ms * 1_000_000;
            assert!(*at_ns >= due_ns, "{truth:?} leaves nothing early");
        }
        assert_eq!(truth.events_ns[1], truth.events_ns[2], "one write");
        assert!(truth.done_ns.unwrap() >= truth.received_ns + 80_000_000);
    }
}

#[test]
fn a_client_that_leaves_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let profile = Profile {
        decode_tokens_per_second: 100.0,
        request_overhead_ms: 0.0,
        link_round_trip_ms: 0.0,
        ..Profile::load("spark-sim").unwrap()
    };
    let server = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(profile, Model::new(Vec::new(), "test", 1, 1.0))
    })
    .unwrap();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let body = r#"{"model":"steady","stream":true,"input":"x"}"#;
    let length = body.len();
    write!(
        stream,
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("output_text.delta") {
        let read = stream.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    drop(stream);
    let line = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::read_to_string(&log)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    let truth: Emission = serde_json::from_str(&line.unwrap()).unwrap();
    assert!(!truth.complete && truth.done_ns.is_none());
    assert!((1..512).contains(&truth.events_ns.len()));
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
            "invalid_type",
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
            "/api/chat",
            json!({"messages": []}),
            400,
            "/error",
            "model is required",
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            json!({"contents": []}),
            400,
            "/error/status",
            "INVALID_ARGUMENT",
        ),
        (
            "/v1beta/models/m:generateContent",
            json!([1]),
            400,
            "/error/status",
            "INVALID_ARGUMENT",
        ),
        (
            "/v1beta/models/m:embedContent",
            json!({}),
            404,
            "/error/status",
            "NOT_FOUND",
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

#[test]
fn a_compressed_request_is_told_so() {
    let server = start();
    for encoding in ["zstd", "gzip"] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(
            stream,
            "POST /v1/responses HTTP/1.0\r\ncontent-encoding: {encoding}\r\ncontent-length: 1\r\n\r\n{{"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.0 415"), "{text}");
        assert!(text.contains("unsupported_content_encoding"), "{text}");
    }
}
