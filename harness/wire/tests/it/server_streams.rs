//! Streams as users met them, one payload after the other, and what each must mean: fields
//! of other types, calls that move, reasons nobody knows, errors in any shape.

mod endings;
mod usage;

use serde_json::{Value, json};
use timeslip_datasets::run::journal::EventKind;
use timeslip_wire::Failure;
use timeslip_wire::protocols::{self, Answer, Decoder, Item, StreamError, ToolCall};

/// What some payloads of a protocol came to.
struct Read {
    decoder: Box<dyn Decoder>,
    /// Kind and bytes of each output.
    events: Vec<(EventKind, u32)>,
    tokens: Vec<Option<u32>>,
    done: bool,
    failure: Option<StreamError>,
}

fn read(protocol: &str, payloads: &[&str]) -> Read {
    let mut read = Read {
        decoder: protocols::by_name(protocol).unwrap().decoder(),
        events: Vec::new(),
        tokens: Vec::new(),
        done: false,
        failure: None,
    };
    for payload in payloads {
        match read.decoder.payload(payload.as_bytes()) {
            Ok(step) => {
                read.events.extend(step.outputs());
                read.tokens.extend(step.outputs().map(|_| step.tokens));
                read.done |= step.done;
            }
            Err(failure) => {
                read.failure = Some(failure);
                break;
            }
        }
    }
    read
}

/// The whole answer that some payloads are.
fn answer(protocol: &str, payloads: &[&str]) -> Answer {
    let mut read = read(protocol, payloads);
    assert_eq!(read.failure, None, "{payloads:?}");
    assert!(read.done || read.decoder.may_end(), "{payloads:?}");
    read.decoder.answer()
}

fn chat(deltas: &[Value], finish: &str) -> Vec<String> {
    let chunk = |delta: &Value, finish: Value| {
        json!({ "id": "c", "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
            .to_string()
    };
    let mut chunks: Vec<String> = deltas
        .iter()
        .map(|delta| chunk(delta, Value::Null))
        .collect();
    chunks.push(chunk(&json!({}), json!(finish)));
    chunks
}

fn chat_answer(deltas: &[Value]) -> Answer {
    let chunks = chat(deltas, "stop");
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    answer("chat-completions", &chunks)
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        call_id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    }
}

#[test]
fn a_field_of_another_type_costs_that_field_and_not_the_stream() {
    for odd in [
        json!(null),
        json!(7),
        json!(true),
        json!([]),
        json!([1, null, {}]),
        json!({}),
        json!({ "a": [1] }),
    ] {
        let odd = &odd;
        for delta in [
            json!({ "role": odd, "content": "hi", "reasoning": odd }),
            json!({ "content": "hi", "tool_calls": odd, "reasoning_details": odd }),
            json!({ "content": "hi", "refusal": { "a": odd }, "function_call": [odd] }),
        ] {
            let chunk = json!({ "id": odd, "model": odd, "usage": odd, "timings": odd, "x_groq": odd, "error": null,
                "choices": [{ "delta": delta, "finish_reason": odd }, odd] });
            let end = r#"{"choices":[{"delta":null,"finish_reason":"stop"}]}"#;
            let answer = answer("chat-completions", &[&chunk.to_string(), end]);
            assert!(answer.text.starts_with("hi"), "{chunk}");
        }
        let lines = [
            json!({ "model": odd, "message": { "content": "hi", "thinking": null, "tool_calls": null }, "done": false }),
            json!({ "model": odd, "message": null, "done": true, "done_reason": odd, "eval_count": odd }),
        ];
        let lines = lines.map(|line| line.to_string());
        assert_eq!(answer("ollama", &[&lines[0], &lines[1]]).text, "hi");
        let chunks = [
            json!({ "responseId": odd, "usageMetadata": odd, "promptFeedback": null,
                "candidates": [{ "content": { "parts": [odd, { "text": "hi", "thoughtSignature": odd }] } }, odd] }),
            json!({ "candidates": [{ "content": odd, "finishReason": "STOP" }] }),
        ];
        let chunks = chunks.map(|chunk| chunk.to_string());
        assert_eq!(answer("gemini", &[&chunks[0], &chunks[1]]).text, "hi");
        let events = [
            json!({ "type": "message_start", "message": odd }),
            json!({ "type": "content_block_start", "index": odd, "content_block": { "type": "text", "text": odd } }),
            json!({ "type": "content_block_delta", "index": odd, "delta": { "type": "text_delta", "text": "hi" } }),
            json!({ "type": "content_block_delta", "index": odd, "delta": odd }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": odd }),
        ];
        let events = events.map(|event| event.to_string());
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(answer("anthropic-messages", &events).text, "hi");
        let events = [
            json!({ "type": "response.created", "response": odd }),
            json!({ "type": "response.output_text.delta", "delta": "hi", "output_index": odd, "item_id": odd }),
            json!({ "type": "response.output_item.done", "item": odd }),
            json!({ "type": "response.completed", "response": { "id": odd, "output": odd, "usage": odd, "incomplete_details": odd } }),
        ];
        let events = events.map(|event| event.to_string());
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        assert_eq!(answer("responses", &events).text, "hi");
    }
}

#[test]
fn content_in_parts_is_what_the_parts_are() {
    let answer = chat_answer(&[
        json!({ "role": "assistant", "content": "" }),
        json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "hmm" }] }] }),
        json!({ "content": [{ "type": "text", "text": "hi" }, { "type": "new", "x": 1 }] }),
        json!({ "content": "x" }),
    ]);
    assert_eq!(
        (answer.reasoning.as_str(), answer.text.as_str()),
        ("hmm", "hix")
    );
    let thinking = json!({ "type": "thinking", "thinking": [{ "type": "text", "text": "hmm" }] });
    let text = json!({ "type": "text", "text": "hix" });
    assert_eq!(answer.items[0]["content"], json!([thinking, text]));
}

#[test]
fn arguments_that_are_an_object_are_its_json() {
    let function = json!({ "name": "shell", "arguments": { "command": "ls" } });
    let expected = [call("a", "shell", r#"{"command":"ls"}"#)];
    let answer_ =
        chat_answer(&[json!({ "tool_calls": [{ "index": 0, "id": "a", "function": function }] })]);
    assert_eq!(answer_.calls, expected);
    let item = json!({ "type": "response.output_item.done", "item": { "type": "function_call", "call_id": "a", "name": "shell", "arguments": { "command": "ls" } } });
    let done = r#"{"type":"response.completed","response":{}}"#;
    assert_eq!(
        answer("responses", &[&item.to_string(), done]).calls,
        expected
    );
    let start = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "a", "name": "shell", "input": "{\"command\":\"ls\"}" } });
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#;
    assert_eq!(
        answer("anthropic-messages", &[&start.to_string(), end]).calls,
        expected
    );
}

#[test]
fn what_has_to_go_back_goes_back_as_it_came() {
    let extra = json!({ "google": { "thought_signature": "SIG" } });
    let details = json!([{ "type": "reasoning.text", "text": "th", "index": 0 }]);
    let more = json!([{ "type": "reasoning.text", "text": "ink", "signature": "S", "index": 0 }]);
    let answer = chat_answer(&[
        json!({ "reasoning_details": details }),
        json!({ "reasoning_details": more }),
        json!({ "tool_calls": [{ "index": 0, "id": "a", "extra_content": extra, "function": { "name": "shell", "arguments": "{}" } }] }),
    ]);
    assert_eq!(answer.reasoning, "think");
    let message = &answer.items[0];
    assert_eq!(message["tool_calls"][0]["extra_content"], extra);
    assert_eq!(
        message["reasoning_details"],
        json!([{ "type": "reasoning.text", "text": "think", "signature": "S", "index": 0 }])
    );
    let request = protocols::Request {
        model: "m",
        instructions: "",
        tools: &[],
        items: &[Item::Output(message.clone())],
        previous: None,
        cache_key: "k",
        extra: &serde_json::Map::new(),
        warm_up: false,
        lane: None,
    };
    let protocol = protocols::by_name("chat-completions").unwrap();
    let body = protocol.encode(&request, protocols::RequestForm::Http);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["messages"][1], *message);
}

#[test]
fn an_empty_name_is_none_and_a_later_one_is_taken() {
    let empty = r#"{"id":"","object":"","model":"","choices":[],"prompt_filter_results":[]}"#;
    let chunks = chat(&[json!({ "content": "hi" })], "stop");
    let answer = answer("chat-completions", &[empty, &chunks[0], &chunks[1]]);
    assert_eq!(
        (answer.id.as_deref(), answer.served_model.as_deref()),
        (Some("c"), Some("m"))
    );
}

#[test]
fn items_may_be_interleaved_and_each_byte_counts_once() {
    let delta = |index: u32, id: &str, delta: &str| {
        json!({ "type": "response.function_call_arguments.delta", "output_index": index, "item_id": id, "delta": delta }).to_string()
    };
    let item = |id: &str, name: &str, arguments: &str| json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": arguments });
    let done = |index: u32, item: &Value| {
        json!({ "type": "response.output_item.done", "output_index": index, "item": item })
            .to_string()
    };
    let (a, b) = (
        item("a", "shell", r#"{"x":1}"#),
        item("b", "edit", r#"{"y":2}"#),
    );
    let completed =
        json!({ "type": "response.completed", "response": { "id": "r", "output": [a, b] } });
    let events = [
        delta(1, "fc_b", "{\"y\""),
        delta(0, "fc_a", "{\"x\""),
        delta(1, "fc_b", ":2}"),
        delta(0, "fc_a", ":1}"),
        done(0, &a),
        done(1, &b),
        completed.to_string(),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let mut read = read("responses", &events);
    let bytes: Vec<u32> = read.events.iter().map(|(_, bytes)| *bytes).collect();
    assert_eq!(bytes, [4, 4, 3, 3]);
    let calls = read.decoder.answer().calls;
    assert_eq!(
        calls,
        [
            call("a", "shell", r#"{"x":1}"#),
            call("b", "edit", r#"{"y":2}"#)
        ]
    );
}

#[test]
fn refusals_and_reasoning_are_in_the_answer_as_what_they_are() {
    let item =
        |item: Value| json!({ "type": "response.output_item.done", "item": item }).to_string();
    let answer = answer(
        "responses",
        &[
            &item(
                json!({ "type": "reasoning", "summary": [], "content": [{ "type": "reasoning_text", "text": "hm" }] }),
            ),
            &item(
                json!({ "type": "message", "content": [{ "type": "refusal", "refusal": "no can do" }] }),
            ),
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":10.0,"output_tokens":7.0}}}"#,
        ],
    );
    assert_eq!(
        (answer.reasoning.as_str(), answer.text.as_str()),
        ("hm", "no can do")
    );
    let usage = answer.usage.unwrap();
    assert_eq!((usage.input(), usage.output()), (Some(10), Some(7)));
}

#[test]
fn events_nobody_knows_are_counted_and_end_nothing() {
    let mut read = read(
        "responses",
        &[
            r#"{"type":"response.mcp_call_arguments.delta","delta":{"a":1}}"#,
            r#"{"type":"response.mcp_call_arguments.delta","delta":{"a":1}}"#,
            r#"{"type":"response.output_text.delta","delta":{"a":1}}"#,
            "[1]",
            r#"{"type":"response.output_text.delta","delta":"hi"}"#,
            r#"{"type":"response.completed","response":{}}"#,
        ],
    );
    assert_eq!((read.failure.clone(), read.done), (None, true));
    let unknown = read.decoder.unknown();
    assert_eq!(unknown["response.mcp_call_arguments.delta"], 2);
    assert_eq!(unknown["not an object"], 1);
    assert!(read.decoder.answer().text.ends_with("hi"));
}

#[test]
fn a_gemini_answer_goes_on_after_an_empty_stop_and_arguments_grow() {
    let chunk = |parts: Value, finish: Value| {
        json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": finish }], "usageMetadata": { "promptTokenCount": 10, "totalTokenCount": 10 } }).to_string()
    };
    let whole = json!([{ "functionCall": { "name": "shell", "args": { "command": "ls" } } }]);
    let piece = |text: &str, goes_on: bool| {
        let pieces = json!([{ "jsonPath": "$.command", "stringValue": text }]);
        chunk(
            json!([{ "functionCall": { "partialArgs": pieces, "willContinue": goes_on } }]),
            Value::Null,
        )
    };
    let begin = chunk(
        json!([{ "functionCall": { "name": "edit", "willContinue": true } }]),
        Value::Null,
    );
    let end = chunk(json!([{ "functionCall": {} }]), Value::Null);
    let answer = answer(
        "gemini",
        &[
            &chunk(json!([]), json!("STOP")),
            &chunk(whole, Value::Null),
            &begin,
            &piece("l", true),
            &piece("s", true),
            &end,
            &chunk(json!([]), json!("STOP")),
        ],
    );
    let calls: Vec<_> = answer
        .calls
        .iter()
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(
        calls,
        [
            ("shell", r#"{"command":"ls"}"#),
            ("edit", r#"{"command":"ls"}"#)
        ]
    );
}

/// What is held of an answer is counted once, however many calls are in it.
#[test]
fn ten_calls_of_forty_kilobytes_are_an_honest_answer() {
    let big = "x".repeat(40_000);
    let parts = vec![json!({ "functionCall": { "name": "f", "args": { "a": big } } }); 10];
    let chunk =
        json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": "STOP" }] });
    assert_eq!(answer("gemini", &[&chunk.to_string()]).calls.len(), 10);
}

#[test]
fn more_calls_than_any_honest_answer_has_are_refused() {
    let item = r#"{"type":"response.output_item.done","item":{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}}"#;
    let failure = read("responses", &vec![item; 1_001]).failure.unwrap();
    assert!(failure.to_string().contains("more than 1000"), "{failure}");
}

#[test]
fn anthropic_needs_neither_a_stop_nor_a_start_of_every_block() {
    let delta =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#;
    let stop = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#;
    assert_eq!(answer("anthropic-messages", &[delta, stop]).text, "hi");
    let read = read("anthropic-messages", &[delta, stop, "[DONE]"]);
    assert!(read.done && read.failure.is_none());
}

#[test]
fn half_a_surrogate_pair_costs_a_character() {
    for (protocol, payloads) in [
        (
            "chat-completions",
            [
                r#"{"choices":[{"delta":{"content":"a\ud83d"}}]}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            ],
        ),
        (
            "ollama",
            [r#"{"message":{"content":"a\ud83d"}}"#, r#"{"done":true}"#],
        ),
        (
            "gemini",
            [
                r#"{"candidates":[{"content":{"parts":[{"text":"a\ud83d"}]}}]}"#,
                r#"{"candidates":[{"finishReason":"STOP"}]}"#,
            ],
        ),
        (
            "responses",
            [
                r#"{"type":"response.output_text.delta","delta":"a\ud83d"}"#,
                r#"{"type":"response.completed","response":{}}"#,
            ],
        ),
        (
            "anthropic-messages",
            [
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a\ud83d"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
            ],
        ),
    ] {
        assert_eq!(answer(protocol, &payloads).text, "a\u{fffd}", "{protocol}");
        let marked = format!("\u{feff}{}", payloads[0]);
        assert_eq!(
            answer(protocol, &[&marked, payloads[1]]).text,
            "a\u{fffd}",
            "{protocol}"
        );
    }
}

/// What is still said of a response before this one, on the same connection.
#[test]
fn events_of_another_response_are_no_part_of_this_one() {
    let mut decoder = protocols::by_name("responses").unwrap().decoder();
    decoder.follow(&["r1".into()], true);
    let completed = |id: &str| {
        let item = json!({ "type": "message", "content": [{ "text": id }] });
        json!({ "type": "response.completed", "response": { "id": id, "output": [item] } })
            .to_string()
    };
    let created =
        |id: &str| json!({ "type": "response.created", "response": { "id": id } }).to_string();
    let late = r#"{"type":"response.output_text.delta","delta":"late"}"#;
    for foreign in [
        completed("r1"),
        late.to_owned(),
        created("r1"),
        completed("r7"),
    ] {
        let step = decoder.payload(foreign.as_bytes()).unwrap();
        assert!(!step.done && step.outputs().next().is_none(), "{foreign}");
    }
    decoder.payload(created("r2").as_bytes()).unwrap();
    assert!(!decoder.payload(completed("r1").as_bytes()).unwrap().done);
    assert!(decoder.payload(completed("r2").as_bytes()).unwrap().done);
    assert_eq!(decoder.unknown()["event of another response"], 5);
    assert_eq!(decoder.answer().text, "r2");
}
