//! What the embedded server refuses, and what else other people's clients look for at
//! it: lists of models, other methods, pages of other origins.

use serde_json::{Value, json};
use timeslip_simulator::{Options, Profile, Running};

use crate::plain_http::{ask, post};
use crate::quick;

/// A server that refuses models it does not know.
fn start() -> Running {
    let profile = Profile {
        model: "known".into(),
        ..quick::profile()
    };
    timeslip_simulator::start(Options {
        any_model: false,
        ..quick::options(profile)
    })
    .unwrap()
}

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const OLLAMA: &str = "/api/chat";
const GEMINI: &str = "/v1beta/models/known:generateContent";

/// A request that is answered, with some fields changed; null takes one away.
fn request(path: &str, changes: &Value) -> Value {
    let messages = json!([{ "role": "user", "content": "x" }]);
    let mut body = match path {
        RESPONSES => json!({ "model": "known", "input": "x" }),
        MESSAGES => json!({ "model": "known", "max_tokens": 10, "messages": messages }),
        CHAT | OLLAMA => json!({ "model": "known", "messages": messages, "stream": false }),
        _ => json!({ "contents": [{ "role": "user", "parts": [{ "text": "x" }] }] }),
    };
    let body = body.as_object_mut().unwrap();
    for (field, value) in changes.as_object().unwrap() {
        if value.is_null() {
            body.remove(field);
        } else {
            body.insert(field.clone(), value.clone());
        }
    }
    json!(body)
}

/// The error with its message cut to its beginning.
fn outline(error: &Value) -> Value {
    let mut outline = error.clone();
    for message in ["/error/message", "/error"] {
        if let Some(Value::String(text)) = outline.pointer_mut(message) {
            let end = text.find(['.', '(', '\n']).unwrap_or(text.len());
            text.truncate(end);
        }
    }
    outline
}

#[test]
fn what_is_wrong_is_said_in_the_providers_words() {
    let server = start();
    let open_ai = |code: &str, param: &str, message: &str| json!({ "error": { "type": "invalid_request_error", "code": code, "param": param, "message": message } });
    let anthropic = |kind: &str, message: &str| json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": null });
    let gemini = |code: u16, status: &str, message: &str| json!({ "error": { "code": code, "status": status, "message": message } });
    let bad = |message: &str| anthropic("invalid_request_error", message);
    let wrong = |message: &str| gemini(400, "INVALID_ARGUMENT", message);
    let user = |content: Value| json!([{ "role": "user", "content": content }]);
    let role = json!([{ "role": "nobody", "content": "x" }]);
    for (path, changes, status, expected) in [
        (
            CHAT,
            json!({ "model": "other" }),
            404,
            open_ai(
                "model_not_found",
                "model",
                "The model 'other' does not exist or you do not have access to it",
            ),
        ),
        (
            CHAT,
            json!({ "model": null }),
            400,
            open_ai(
                "missing_required_parameter",
                "model",
                "Missing required parameter: 'model'",
            ),
        ),
        (
            CHAT,
            json!({ "messages": [] }),
            400,
            open_ai("empty_array", "messages", "Invalid 'messages': empty array"),
        ),
        (
            CHAT,
            json!({ "messages": role }),
            400,
            open_ai(
                "invalid_value",
                "messages[0].role",
                "Invalid value: 'nobody'",
            ),
        ),
        (
            CHAT,
            json!({ "messages": user(json!(3)) }),
            400,
            open_ai(
                "invalid_type",
                "messages[0].content",
                "Invalid type for 'messages[0]",
            ),
        ),
        (
            CHAT,
            json!({ "messages": ["x"] }),
            400,
            open_ai(
                "invalid_type",
                "messages[0]",
                "Invalid type for 'messages[0]': expected an object, but got a string instead",
            ),
        ),
        (
            CHAT,
            json!({ "temperature": 2.5 }),
            400,
            open_ai(
                "above_max_value",
                "temperature",
                "Invalid 'temperature': above maximum value",
            ),
        ),
        (
            CHAT,
            json!({ "temperature": "hot" }),
            400,
            open_ai(
                "invalid_type",
                "temperature",
                "Invalid type for 'temperature': expected a decimal, but got a string instead",
            ),
        ),
        (
            CHAT,
            json!({ "max_tokens": 0 }),
            400,
            open_ai(
                "below_min_value",
                "max_tokens",
                "Invalid 'max_tokens': below minimum value",
            ),
        ),
        (
            CHAT,
            json!({ "stream": "yes" }),
            400,
            open_ai(
                "invalid_type",
                "stream",
                "Invalid type for 'stream': expected a boolean, but got a string instead",
            ),
        ),
        (
            RESPONSES,
            json!({ "model": "other" }),
            404,
            open_ai(
                "model_not_found",
                "model",
                "The model 'other' does not exist or you do not have access to it",
            ),
        ),
        (
            RESPONSES,
            json!({ "input": 3 }),
            400,
            open_ai(
                "invalid_type",
                "input",
                "Invalid type for 'input': expected a string or an array, but got an integer instead",
            ),
        ),
        (
            RESPONSES,
            json!({ "input": role }),
            400,
            open_ai("invalid_value", "input[0].role", "Invalid value: 'nobody'"),
        ),
        (
            RESPONSES,
            json!({ "top_p": -0.5 }),
            400,
            open_ai(
                "below_min_value",
                "top_p",
                "Invalid 'top_p': below minimum value",
            ),
        ),
        (
            RESPONSES,
            json!({ "max_output_tokens": 1.5 }),
            400,
            open_ai(
                "invalid_type",
                "max_output_tokens",
                "Invalid type for 'max_output_tokens': expected an integer, but got a decimal instead",
            ),
        ),
        (
            MESSAGES,
            json!({ "model": "other" }),
            404,
            anthropic("not_found_error", "model: other "),
        ),
        (
            MESSAGES,
            json!({ "max_tokens": null }),
            400,
            bad("max_tokens: Field required"),
        ),
        (
            MESSAGES,
            json!({ "messages": null }),
            400,
            bad("messages: Field required"),
        ),
        (
            MESSAGES,
            json!({ "messages": [] }),
            400,
            bad("messages: at least one message is required"),
        ),
        (MESSAGES, json!({ "messages": role }), 400, bad("messages")),
        (
            MESSAGES,
            json!({ "messages": [{ "role": "system", "content": "x" }] }),
            400,
            bad("messages"),
        ),
        (
            MESSAGES,
            json!({ "temperature": 1.5 }),
            400,
            bad("temperature: Input should be less than or equal to 1"),
        ),
        (
            MESSAGES,
            json!({ "max_tokens": "many" }),
            400,
            bad("max_tokens: Input should be an integer"),
        ),
        (
            OLLAMA,
            json!({ "model": "other:latest" }),
            404,
            json!({ "error": "model 'other' not found " }),
        ),
        (
            OLLAMA,
            json!({ "model": null }),
            400,
            json!({ "error": "model is required" }),
        ),
        (
            OLLAMA,
            json!({ "messages": role }),
            400,
            json!({ "error": "invalid role: 'nobody', must be one of 'system', 'user', 'assistant', 'tool'" }),
        ),
        (
            OLLAMA,
            json!({ "options": { "temperature": "hot" } }),
            400,
            json!({ "error": "option \"temperature\" must be a decimal" }),
        ),
        (
            OLLAMA,
            json!({ "messages": "x" }),
            400,
            json!({ "error": "json: cannot unmarshal a string into field messages, an array" }),
        ),
        (
            "/v1beta/models/other:generateContent",
            json!({}),
            404,
            gemini(
                404,
                "NOT_FOUND",
                "models/other is not found, or is not supported for this method",
            ),
        ),
        (
            GEMINI,
            json!({ "contents": null }),
            400,
            wrong("* GenerateContentRequest"),
        ),
        (
            GEMINI,
            json!({ "contents": [{ "role": "nobody", "parts": [] }] }),
            400,
            wrong("Please use a valid role: user, model"),
        ),
        (
            GEMINI,
            json!({ "generation_config": { "temperature": 3 } }),
            400,
            wrong("* GenerateContentRequest"),
        ),
        (
            GEMINI,
            json!({ "generationConfig": { "maxOutputTokens": "x" } }),
            400,
            wrong("Invalid value at 'generation_config"),
        ),
    ] {
        let reply = post(server.address, path, &request(path, &changes));
        assert_eq!(
            (reply.status, outline(&reply.json())),
            (status, expected),
            "{path} {changes}"
        );
    }
}

#[test]
fn what_is_right_is_answered() {
    let server = start();
    for (path, changes) in [
        (
            CHAT,
            json!({ "temperature": 2, "max_tokens": 3.0, "top_p": 1, "n": 1, "stop": ["x"] }),
        ),
        (
            CHAT,
            json!({ "model": "gpt-9-mini", "messages": [{ "role": "developer", "content": [{ "type": "text", "text": "x" }] }] }),
        ),
        (
            RESPONSES,
            json!({ "input": [{ "role": "system", "content": "x" }], "temperature": 0 }),
        ),
        (
            MESSAGES,
            json!({ "model": "claude-haiku-9", "temperature": 1.0, "system": "x" }),
        ),
        (
            MESSAGES,
            json!({ "messages": [{ "role": "user", "content": "x" }, { "role": "system", "content": "x" }] }),
        ),
        (
            OLLAMA,
            json!({ "model": "known:latest", "options": { "temperature": 9, "num_predict": -1 } }),
        ),
        (OLLAMA, json!({ "messages": [] })),
        (
            GEMINI,
            json!({ "generationConfig": { "temperature": 2.0 } }),
        ),
        ("/v1/models/gemini-9-flash:generateContent", json!({})),
        (
            "/v1/messages/count_tokens",
            json!({ "model": "known", "contents": null, "messages": [{ "role": "user", "content": "x" }] }),
        ),
        (
            "/v1/responses/input_tokens",
            json!({ "model": "known", "contents": null, "input": "x" }),
        ),
    ] {
        let reply = post(server.address, path, &request(path, &changes));
        assert_eq!(reply.status, 200, "{path} {changes}: {}", reply.body);
    }
}

#[test]
fn models_are_listed_as_each_provider_lists_them() {
    let server = start();
    let get = |line: &str, headers: &str| ask(server.address, line, headers, "");
    for (path, headers, ids) in [
        ("/v1/models", "", "/data/0/id"),
        (
            "/v1/models",
            "anthropic-version: 2023-06-01\r\n",
            "/last_id",
        ),
        (
            "/v1/models",
            "x-goog-api-key: k\r\n",
            "/models/0/baseModelId",
        ),
        ("/v1beta/models?pageSize=50", "", "/models/0/baseModelId"),
        ("/v1/models/known", "", "/id"),
        ("/v1beta/models/known", "", "/baseModelId"),
        ("/api/tags", "", "/models/0/name"),
        ("/api/ps", "", "/models/0/model"),
    ] {
        let reply = get(&format!("GET {path}"), headers);
        let found = reply.json().pointer(ids).cloned().unwrap();
        let expected = match ids {
            "/last_id" => "steady",
            name if name.starts_with("/models/0/") && path.starts_with("/api") => "known:latest",
            _ => "known",
        };
        assert_eq!(
            (reply.status, found),
            (200, json!(expected)),
            "{path} {headers}"
        );
        let head = get(&format!("HEAD {path}"), headers);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {path}");
    }
    for (path, error) in [
        ("/v1/models/other", json!("model_not_found")),
        ("/v1beta/models/other", json!("NOT_FOUND")),
    ] {
        let reply = get(&format!("GET {path}"), "");
        let body = reply.json();
        let said = [&body["error"]["code"], &body["error"]["status"]];
        assert!(reply.status == 404 && said.contains(&&error), "{body}");
    }
    assert!(get("GET /api/version", "").json()["version"].is_string());
    let tags = get("GET /api/tags", "").json();
    let digest = |index: usize| tags["models"][index]["digest"].clone();
    assert_ne!(digest(0), digest(1), "clients group models by it");
    let show = |model: &str| post(server.address, "/api/show", &json!({ "model": model }));
    assert_eq!(show("known:latest").json()["capabilities"][1], "tools");
    assert_eq!(show("other").status, 404);
}

#[test]
fn another_method_is_told_which_there_are() {
    let server = start();
    for (line, allow) in [
        ("GET /v1/responses", "post, options"),
        ("PUT /v1/chat/completions", "post, options"),
        ("HEAD /v1/messages", "post, options"),
        ("GET /api/show", "post, options"),
        ("POST /api/tags", "get, head, options"),
        ("DELETE /v1/models/known", "get, head, options"),
        ("GET /v1beta/models/known:generateContent", "post, options"),
    ] {
        let reply = ask(server.address, line, "", "");
        assert_eq!(reply.status, 405, "{line}");
        let allowed = format!("\r\nallow: {allow}\r\n");
        assert!(reply.head.contains(&allowed), "{line}: {}", reply.head);
    }
}

#[test]
fn pages_of_every_origin_may_ask() {
    let server = start();
    let asked = "origin: http://page\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,x-own\r\n";
    let reply = ask(server.address, "OPTIONS /v1/responses", asked, "");
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    for line in [
        "access-control-allow-origin: *",
        "access-control-allow-methods: post, options",
        "access-control-allow-headers: authorization,x-own",
    ] {
        assert!(reply.head.contains(line), "{line}: {}", reply.head);
    }
    for (path, status) in [(CHAT, 200), (MESSAGES, 200), ("/v1/nothing", 404)] {
        let reply = post(server.address, path, &request(path, &json!({})));
        let allowed = "access-control-allow-origin: *";
        assert!(
            reply.status == status && reply.head.contains(allowed),
            "{path}: {}",
            reply.head
        );
    }
}
