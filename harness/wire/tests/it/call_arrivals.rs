//! When the last byte of each call came, which is when its tool may begin.

use serde_json::{Value, json};
use timeslip_datasets::run::journal::{CallArrival, Exchange};
use timeslip_wire::Recorder;
use timeslip_wire::connection::Arrival;
use timeslip_wire::protocols::{self, PROTOCOLS};

use crate::recorded;

/// The exchange of some payloads, of which the first arrives at 1, the second at 2, and so on.
fn exchange(protocol: &str, payloads: &[Value]) -> Exchange {
    let decoder = protocols::by_name(protocol).unwrap().decoder();
    let mut recorder = Recorder::new(decoder, 0, 1, 0);
    for (at, payload) in (1..).zip(payloads) {
        recorder
            .payload(Arrival::read(at), payload.to_string().as_bytes())
            .unwrap();
    }
    recorder.finish("http-sse").0
}

fn call(id: &str, name: &str, at: u64) -> CallArrival {
    CallArrival {
        call_id: id.into(),
        name: name.into(),
        at,
    }
}

#[test]
fn a_block_of_anthropic_ends_its_call() {
    let start = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let used =
        |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let delta = |index: u64, json: &str| json!({ "type": "content_block_delta", "index": index, "delta": { "type": "input_json_delta", "partial_json": json } });
    let stop = |index: u64| json!({ "type": "content_block_stop", "index": index });
    let said = json!({ "type": "content_block_delta", "index": 3, "delta": { "type": "text_delta", "text": "x" } });
    let exchange = exchange(
        "anthropic-messages",
        &[
            start(0, json!({ "type": "text", "text": "" })),
            stop(0),
            start(1, used("a", "shell")),
            delta(1, "{\"x\""),
            start(2, used("b", "edit")),
            delta(2, "{}"),
            delta(1, ":1}"),
            stop(1),
            stop(2),
            start(3, json!({ "type": "text", "text": "" })),
            said,
            stop(3),
            // Announced and never ended.
            start(4, used("c", "submit")),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } }),
            json!({ "type": "message_stop" }),
        ],
    );
    assert_eq!(
        exchange.calls,
        [
            call("a", "shell", 8),
            call("b", "edit", 9),
            call("c", "submit", 13)
        ]
    );
}

#[test]
fn an_item_of_responses_ends_its_call_wherever_it_comes() {
    let delta = |index: u64, id: &str, text: &str| json!({ "type": "response.function_call_arguments.delta", "output_index": index, "item_id": id, "delta": text });
    let done = |index: u64, id: &str| json!({ "type": "response.function_call_arguments.done", "output_index": index, "item_id": id });
    let item = |id: &str, call: &str, name: &str| json!({ "type": "function_call", "id": id, "call_id": call, "name": name, "arguments": "{}" });
    let whole = |index: u64, item: Value| json!({ "type": "response.output_item.done", "output_index": index, "item": item });
    let completed =
        |items: &[Value]| json!({ "type": "response.completed", "response": { "output": items } });
    let custom = json!({ "type": "custom_tool_call", "id": "ctc", "call_id": "p", "name": "apply_patch", "input": "*** Begin" });
    let (a, b) = (item("fc_a", "a", "shell"), item("fc_b", "b", "edit"));
    // The second one ends first.
    let streamed = exchange(
        "responses",
        &[
            delta(0, "fc_a", "{"),
            delta(1, "fc_b", "{"),
            delta(1, "fc_b", "}"),
            done(1, "fc_b"),
            whole(1, b.clone()),
            delta(0, "fc_a", "}"),
            done(0, "fc_a"),
            whole(0, a.clone()),
            json!({ "type": "response.custom_tool_call_input.delta", "output_index": 2, "item_id": "ctc", "delta": "*** Begin" }),
            whole(2, custom.clone()),
            completed(&[a.clone(), b.clone(), custom.clone()]),
        ],
    );
    assert_eq!(
        streamed.calls,
        [
            call("b", "edit", 5),
            call("a", "shell", 8),
            call("p", "apply_patch", 10)
        ]
    );
    // Items that come with the end alone: what was streamed of them came before it.
    let late = exchange(
        "responses",
        &[delta(0, "fc_a", "{}"), done(0, "fc_a"), completed(&[a, b])],
    );
    assert_eq!(late.calls, [call("a", "shell", 2), call("b", "edit", 3)]);
    // A tool of the protocol's own has no name.
    let shell = json!({ "type": "local_shell_call", "id": "lsh", "call_id": "s", "action": { "command": ["ls"] } });
    assert_eq!(
        exchange("responses", &[whole(0, shell)]).calls,
        [call("s", "local_shell", 1)]
    );
}

#[test]
fn a_call_of_chat_ends_with_the_last_of_its_own_pieces() {
    let chunk = |calls: Value| json!({ "choices": [{ "delta": { "tool_calls": calls } }] });
    let exchange = exchange(
        "chat-completions",
        &[
            chunk(
                json!([{ "index": 0, "id": "a", "function": { "name": "shell", "arguments": "" } }]),
            ),
            chunk(
                json!([{ "index": 1, "id": "b", "function": { "name": "edit", "arguments": "{" } }]),
            ),
            chunk(json!([{ "index": 0, "function": { "arguments": "{}" } }])),
            chunk(json!([{ "index": 1, "function": { "arguments": "}" } }])),
            chunk(json!([
                { "index": 2, "id": "c", "function": { "name": "shell", "arguments": "{}" } },
                { "index": 3, "id": "d", "function": { "name": "submit" } },
            ])),
            json!({ "choices": [{ "delta": { "content": "x" } }] }),
            json!({ "choices": [{ "delta": {}, "finish_reason": "tool_calls" }] }),
        ],
    );
    let expected = [
        call("a", "shell", 3),
        call("b", "edit", 4),
        call("c", "shell", 5),
        call("d", "submit", 5),
    ];
    assert_eq!(exchange.calls, expected);
}

#[test]
fn calls_of_gemini_and_ollama_come_whole_unless_they_grow() {
    let chunk = |call: Value| json!({ "candidates": [{ "content": { "parts": [{ "functionCall": call }] } }] });
    let piece = |goes_on: bool| {
        chunk(
            json!({ "willContinue": goes_on, "partialArgs": [{ "jsonPath": "$.c", "stringValue": "l" }] }),
        )
    };
    let gemini = exchange(
        "gemini",
        &[
            chunk(json!({ "id": "a", "name": "shell", "args": {} })),
            chunk(json!({ "id": "b", "name": "edit", "willContinue": true })),
            piece(true),
            piece(false),
            chunk(json!({ "id": "c", "name": "edit", "willContinue": true })),
            piece(true),
            chunk(json!({ "id": "d", "name": "submit", "args": {} })),
            json!({ "candidates": [{ "finishReason": "STOP" }] }),
        ],
    );
    let expected = [
        call("a", "shell", 1),
        call("b", "edit", 4),
        call("c", "edit", 6),
        call("d", "submit", 7),
    ];
    assert_eq!(gemini.calls, expected);
    let line = |id: &str| json!({ "message": { "tool_calls": [{ "id": id, "function": { "name": "shell", "arguments": {} } }] } });
    let ollama = exchange("ollama", &[line("a"), line("b"), json!({ "done": true })]);
    assert_eq!(ollama.calls, [call("a", "shell", 1), call("b", "shell", 2)]);
}

/// In every recorded stream each call of the answer has an arrival, none after the end.
#[test]
fn every_call_has_its_arrival() {
    for &protocol in PROTOCOLS {
        let (stream, answer) = recorded::with_calls(protocol);
        let mut recorder = Recorder::new(protocol.decoder(), 0, 1, 0);
        let mut at = 0;
        let mut splitter = timeslip_wire::framing::Splitter::new(protocol.format());
        let fed = splitter.feed(stream.as_bytes(), |piece| {
            if let timeslip_wire::framing::Piece::Payload(data) = piece {
                at += 1;
                recorder.payload(Arrival::read(at), data).unwrap();
            }
        });
        assert!(fed.is_ok());
        let exchange = recorder.finish("http-sse").0;
        let calls = exchange
            .calls
            .iter()
            .map(|call| (&call.call_id, &call.name));
        let answered = answer.calls.iter().map(|call| (&call.call_id, &call.name));
        assert!(calls.eq(answered), "{}", protocol.name());
        assert!(
            exchange
                .calls
                .iter()
                .all(|call| (1..=at).contains(&call.at)),
            "{}",
            protocol.name()
        );
    }
}
