//! The second request of a conversation, in every protocol: the model called tools, and
//! gets their results together with everything it said itself.

use serde_json::{Map, Value, json};
use timeslip_wire::protocols::{self, Item, PROTOCOLS, Protocol, Request, RequestForm, ToolSpec};

use crate::recorded;

fn body(protocol: &dyn Protocol, items: &[Item], extra: &Value) -> Value {
    let tools = [ToolSpec {
        name: "shell",
        description: "Runs a command.",
        parameters: json!({
            "type": "object",
            "properties": { "command": { "type": "string", "description": "The command." } },
            "required": ["command"],
            "additionalProperties": false,
        }),
    }];
    let request = Request {
        model: "the-model",
        instructions: "Be brief.",
        tools: &tools,
        items,
        previous: None,
        cache_key: "trial-1",
        extra: extra.as_object().unwrap(),
        warm_up: false,
        lane: None,
    };
    serde_json::from_slice(&protocol.encode(&request, RequestForm::Http)).unwrap()
}

#[test]
fn a_second_turn_with_tool_results() {
    for &protocol in PROTOCOLS {
        let (_, answer) = recorded::with_calls(protocol);
        let mut items = vec![Item::User("Fix the parser.".into())];
        items.extend(answer.items.into_iter().map(Item::Output));
        for (at, call) in answer.calls.into_iter().enumerate() {
            items.push(Item::ToolResult {
                call_id: call.call_id,
                output: format!("result {at}"),
            });
        }
        let mut extra = Map::new();
        protocol.bound_output(&mut extra, 100);
        extra.insert("more".to_owned(), json!([1]));
        let body = body(protocol, &items, &extra.into());
        let text = format!(
            "POST {}{}\n{:?}\n{body:#}",
            protocol.base_path(),
            protocol.path("the-model"),
            protocol.headers(Some("the-key"), &Map::new()),
        );
        insta::with_settings!({ snapshot_path => "protocol_requests", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(protocol.name(), text);
        });
    }
}

#[test]
fn arguments_that_are_no_object_do_not_spoil_the_conversation() {
    let stream = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"shell","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"ls -l"}}"#,
    ];
    let mut decoder = protocols::by_name("anthropic-messages").unwrap().decoder();
    for event in stream {
        decoder.payload(event.as_bytes()).unwrap();
    }
    let answer = decoder.answer();
    assert_eq!(answer.calls[0].arguments, "ls -l");
    assert_eq!(
        answer.items[0]["content"][0]["input"],
        json!({ "malformed": "ls -l" })
    );

    // A call of which nothing is streamed, and whose input is left out, is still a call.
    let mut decoder = protocols::by_name("anthropic-messages").unwrap().decoder();
    let begun = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"submit"}}"#;
    decoder.payload(begun.as_bytes()).unwrap();
    let answer = decoder.answer();
    assert_eq!(answer.calls[0].arguments, "{}");
    assert_eq!(answer.items[0]["content"][0]["input"], json!({}));

    let chunk = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"shell","arguments":"ls -l"}}]}}]}"#;
    let mut decoder = protocols::by_name("chat-completions").unwrap().decoder();
    decoder.payload(chunk.as_bytes()).unwrap();
    let answer = decoder.answer();
    assert_eq!(answer.calls[0].arguments, "ls -l");
    assert_eq!(
        answer.items[0]["tool_calls"][0]["function"]["arguments"],
        json!(r#"{"malformed":"ls -l"}"#)
    );
}

#[test]
fn fast_mode_needs_its_header_and_other_speeds_do_not() {
    let protocol = protocols::by_name("anthropic-messages").unwrap();
    let beta = |extra: Value| {
        let headers = protocol.headers(None, extra.as_object().unwrap());
        headers
            .into_iter()
            .find(|(name, _)| *name == "anthropic-beta")
    };
    let fast = Some(("anthropic-beta", "fast-mode-2026-02-01".to_owned()));
    assert_eq!(beta(json!({ "speed": "fast" })), fast);
    assert_eq!(beta(json!({ "speed": "standard" })), None);
    assert_eq!(beta(json!({})), None);
}

/// Models write such texts before a tool call, and the API refuses to see them again.
#[test]
fn a_text_of_nothing_but_white_space_is_not_sent_back() {
    let stream = [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\n\n"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"shell","input":{}}}"#,
    ];
    let mut decoder = protocols::by_name("anthropic-messages").unwrap().decoder();
    for event in stream {
        decoder.payload(event.as_bytes()).unwrap();
    }
    let answer = decoder.answer();
    let content = answer.items[0]["content"].as_array().unwrap();
    let kinds: Vec<_> = content.iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["tool_use"]);
}

/// Paid output must be bounded, whatever else is configured, and by one field only.
#[test]
fn a_limit_of_the_output_goes_beside_what_is_configured() {
    for (name, configured, expected) in [
        (
            "gemini",
            json!({ "generationConfig": { "thinkingConfig": { "includeThoughts": true } } }),
            json!({ "generationConfig": {
                "thinkingConfig": { "includeThoughts": true }, "maxOutputTokens": 100,
            } }),
        ),
        (
            "ollama",
            json!({ "options": { "num_ctx": 8192 } }),
            json!({ "options": { "num_ctx": 8192, "num_predict": 100 } }),
        ),
        (
            "ollama",
            json!({ "options": { "num_predict": 7 } }),
            json!({ "options": { "num_predict": 7 } }),
        ),
        ("ollama", json!({ "options": 1 }), json!({ "options": 1 })),
        (
            "chat-completions",
            json!({ "max_completion_tokens": 7 }),
            json!({ "max_completion_tokens": 7 }),
        ),
        ("chat-completions", json!({}), json!({ "max_tokens": 100 })),
        (
            "responses",
            json!({ "max_output_tokens": 7 }),
            json!({ "max_output_tokens": 7 }),
        ),
        (
            "anthropic-messages",
            json!({}),
            json!({ "max_tokens": 100 }),
        ),
    ] {
        let protocol = protocols::by_name(name).unwrap();
        let mut extra = configured.as_object().unwrap().clone();
        protocol.bound_output(&mut extra, 100);
        assert_eq!(Value::Object(extra), expected, "{name}");
    }
}

/// Models that do not reason refuse to be asked for their encrypted reasoning.
#[test]
fn what_a_model_refuses_can_be_left_out() {
    let protocol = protocols::by_name("responses").unwrap();
    let asked = body(protocol, &[], &json!({}))["include"].clone();
    assert_eq!(asked, json!(["reasoning.encrypted_content"]));
    let asked = body(protocol, &[], &json!({ "include": [] }))["include"].clone();
    assert_eq!(asked, json!([]));
}
