//! What other people's clients are answered: to its limit, as whole objects, and to
//! every way of asking Gemini.

use serde_json::{Value, json};
use timeslip_simulator::Running;

use crate::plain_http::post;
use crate::quick::start;

fn answer(server: &Running, path: &str, body: &Value) -> Value {
    let reply = post(server.address, path, body);
    assert_eq!(reply.status, 200, "{path} {body}: {}", reply.body);
    reply.json()
}

/// The last event of a stream that has `field`.
fn last(server: &Running, path: &str, body: &Value, field: &str) -> Value {
    let text = post(server.address, path, body).body;
    let lines = text.lines().map(|line| line.trim_start_matches("data: "));
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found =
        events.filter(|event| event.pointer(field).is_some_and(|value| !value.is_null()));
    found
        .next_back()
        .unwrap_or_else(|| panic!("no {field} in {text}"))
}

#[test]
fn a_limit_ends_every_models_answer_and_is_said() {
    let server = start();
    for model in ["steady", "m"] {
        let user = json!([{ "role": "user", "content": "x" }]);
        let path = format!("/v1beta/models/{model}:generateContent");
        let streamed = format!("/v1beta/models/{model}:streamGenerateContent?alt=sse");
        for (path, mut body, reason, expected, tokens) in [
            (
                "/v1/chat/completions",
                json!({ "model": model, "messages": user, "max_completion_tokens": 3, "stream_options": { "include_usage": true } }),
                "/choices/0/finish_reason",
                "length",
                "/usage/completion_tokens",
            ),
            (
                "/v1/responses",
                json!({ "model": model, "input": "x", "max_output_tokens": 3 }),
                "/incomplete_details/reason",
                "max_output_tokens",
                "/usage/output_tokens",
            ),
            (
                "/v1/messages",
                json!({ "model": model, "messages": user, "max_tokens": 3 }),
                "/stop_reason",
                "max_tokens",
                "/usage/output_tokens",
            ),
            (
                "/api/chat",
                json!({ "model": model, "messages": user, "options": { "num_predict": 3 } }),
                "/done_reason",
                "length",
                "/eval_count",
            ),
            (
                &path,
                json!({ "contents": [{ "parts": [{ "text": "x" }] }], "generationConfig": { "maxOutputTokens": 3 } }),
                "/candidates/0/finishReason",
                "MAX_TOKENS",
                "/usageMetadata/candidatesTokenCount",
            ),
        ] {
            body["stream"] = json!(false);
            let whole = answer(&server, path, &body);
            assert_eq!(whole.pointer(reason), Some(&json!(expected)), "{whole}");
            assert_eq!(whole.pointer(tokens), Some(&json!(3)), "{whole}");
            body["stream"] = json!(true);
            let (reason, tokens) = match path {
                "/v1/responses" => (format!("/response{reason}"), format!("/response{tokens}")),
                "/v1/messages" => (format!("/delta{reason}"), tokens.to_owned()),
                _ => (reason.to_owned(), tokens.to_owned()),
            };
            let path = if path.contains("generateContent") {
                &streamed
            } else {
                path
            };
            let end = last(&server, path, &body, &reason);
            assert_eq!(end.pointer(&reason), Some(&json!(expected)), "{end}");
            let end = last(&server, path, &body, &tokens);
            assert_eq!(end.pointer(&tokens), Some(&json!(3)), "{end}");
        }
    }
}

#[test]
fn an_answer_within_its_limit_ends_by_itself() {
    let server = start();
    let user = json!([{ "role": "user", "content": "x" }]);
    let body = json!({ "model": "m", "messages": user, "max_tokens": 1000 });
    let whole = answer(&server, "/v1/messages", &body);
    assert_eq!(whole["stop_reason"], "end_turn");
    let body = json!({ "model": "m", "input": "x", "max_output_tokens": 1000 });
    let whole = answer(&server, "/v1/responses", &body);
    assert_eq!(
        (&whole["status"], &whole["incomplete_details"]),
        (&json!("completed"), &Value::Null)
    );
}

/// The fields that strict types ask for, streamed or not.
#[test]
fn responses_objects_are_whole() {
    let server = start();
    let text = json!({ "verbosity": "low" });
    let request = json!({ "model": "m", "input": "x", "metadata": { "a": "b" }, "text": text, "temperature": 0.5, "tools": [] });
    let whole = answer(&server, "/v1/responses", &request);
    let mut streamed = request.clone();
    streamed["stream"] = json!(true);
    let last = last(&server, "/v1/responses", &streamed, "/response/usage");
    for response in [&whole, &last["response"]] {
        let mut response = response.clone();
        for varies in ["id", "created_at", "completed_at", "output", "usage"] {
            let value = response.as_object_mut().unwrap().remove(varies);
            assert!(value.is_some_and(|value| !value.is_null()), "{varies}");
        }
        assert_eq!(
            response,
            json!({
                "object": "response",
                "status": "completed",
                "model": "m",
                "background": false,
                "error": null,
                "incomplete_details": null,
                "instructions": null,
                "max_output_tokens": null,
                "max_tool_calls": null,
                "metadata": { "a": "b" },
                "parallel_tool_calls": true,
                "previous_response_id": null,
                "prompt_cache_key": null,
                "reasoning": { "effort": null, "summary": null },
                "safety_identifier": null,
                "service_tier": "default",
                "store": false,
                "temperature": 0.5,
                "text": { "format": { "type": "text" }, "verbosity": "low" },
                "tool_choice": "auto",
                "tools": [],
                "top_logprobs": 0,
                "top_p": 1.0,
                "truncation": "disabled",
                "user": null,
            })
        );
    }
    let usage = &whole["usage"];
    assert_eq!(usage["input_tokens_details"]["cache_write_tokens"], 0);
    let part = &whole["output"][0]["content"][0];
    assert_eq!(
        (&part["logprobs"], &part["annotations"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn gemini_is_asked_in_every_way_that_sdks_have() {
    let server = start();
    let schema = json!({ "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] });
    let contents = json!([{ "role": "user", "parts": [{ "text": "hello" }] }]);
    let call = |path: &str, body: Value| {
        let whole = answer(&server, path, &body);
        whole["candidates"][0]["content"]["parts"][1]["functionCall"]["args"].clone()
    };
    let version = |version: &str| format!("{version}/models/m:generateContent");
    let list = |field: &str, schema_field: &str| {
        let mut function = json!({ "name": "bash" });
        function[schema_field] = schema.clone();
        let mut tool = json!({});
        tool[field] = json!([function]);
        tool
    };
    for (path, contents, tools) in [
        (
            version("/v1beta"),
            contents.clone(),
            json!([list("functionDeclarations", "parameters")]),
        ),
        (
            version("/v1"),
            contents.clone(),
            json!([list("function_declarations", "parameters_json_schema")]),
        ),
        (
            version("/v1alpha"),
            contents.clone(),
            json!([list("functionDeclarations", "parametersJsonSchema")]),
        ),
        (
            version(""),
            contents.clone(),
            list("function_declarations", "parameters"),
        ),
        (
            version("/v1beta1/projects/p/locations/l/publishers/google"),
            contents.clone(),
            list("functionDeclarations", "parameters"),
        ),
        (
            "/v1beta/models/m%3AgenerateContent".into(),
            json!({ "parts": { "text": "hello" } }),
            list("functionDeclarations", "parameters"),
        ),
    ] {
        let body = json!({ "contents": contents, "tools": tools, "system_instruction": { "parts": [{ "text": "s" }] } });
        assert_eq!(
            call(&path, body),
            json!({ "command": "echo timeslip" }),
            "{path} {tools}"
        );
    }

    let counted =
        |body: Value| answer(&server, "/v1/models/m:countTokens", &body)["totalTokens"].clone();
    let request = json!({ "contents": contents });
    let tokens = counted(request.clone());
    assert!(tokens.as_u64().unwrap() > 0);
    assert_eq!(
        counted(json!({ "generateContentRequest": request })),
        tokens
    );

    let history = json!([
        { "role": "user", "parts": [{ "text": "hello" }] },
        { "role": "model", "parts": [{ "function_call": { "name": "bash", "args": { "some_name": 1 } } }] },
        { "role": "user", "parts": [{ "function_response": { "name": "bash", "response": { "output": "x" } } }] },
    ]);
    let body =
        json!({ "contents": history, "tools": [list("function_declarations", "parameters")] });
    assert_eq!(
        call(&version("/v1"), body),
        Value::Null,
        "one call is enough"
    );
}

#[test]
fn gemini_without_events_streams_an_array() {
    let server = start();
    let body = json!({ "contents": [{ "parts": [{ "text": "x" }] }] });
    let reply = post(
        server.address,
        "/v1beta/models/m:streamGenerateContent",
        &body,
    );
    assert!(
        reply.head.contains("content-type: application/json"),
        "{}",
        reply.head
    );
    let chunks = reply.json();
    let chunks = chunks.as_array().unwrap();
    let text = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].clone();
    let said: String = chunks
        .iter()
        .filter_map(|chunk| Some(text(chunk).as_str()?.to_owned()))
        .collect();
    assert!(
        said.starts_with("I am a simulated model") && chunks.len() > 5,
        "{said}"
    );
    let finish = &chunks.last().unwrap()["candidates"][0]["finishReason"];
    assert_eq!(finish, "STOP");
}
