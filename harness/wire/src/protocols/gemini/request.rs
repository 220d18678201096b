//! Gemini's requests, read from the other side. Every field has two names.

use serde_json::Value;

use crate::protocols::requests::{Reading, RequestSeen, Role, list};

/// Fields by which a body is told from others, the conversation first.
pub(super) const FIELDS: &[&str] = &[
    "contents",
    "generationConfig",
    "generation_config",
    "safetySettings",
    "systemInstruction",
    "system_instruction",
    "tools",
];

/// Model and method in a path: `…/models/MODEL:METHOD`.
fn address(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once("/models/")?.1.rsplit_once(':')
}

pub(super) fn is_asked_at(path: &str) -> bool {
    let method = address(path).map(|(_, method)| method);
    matches!(method, Some("generateContent" | "streamGenerateContent"))
}

pub(super) fn seen(path: &str, body: &Value) -> Option<RequestSeen> {
    let mut reading = Reading::new(body);
    if let Some((model, method)) = address(path) {
        let seen = reading.seen();
        seen.model = Some(model.chars().take(200).collect());
        seen.streams = method == "streamGenerateContent";
    }
    reading.tools(&body["tools"]);
    reading.instructions(&either(body, "systemInstruction", "system_instruction")["parts"]);
    if body["contents"].is_null() {
        return None;
    }
    for content in list(&body["contents"]) {
        let role = Role::of(&content["role"]);
        for part in list(&content["parts"]) {
            let call = either(part, "functionCall", "function_call");
            let result = either(part, "functionResponse", "function_response");
            if part["thought"] == true {
                reading.reasoning(&part["text"]);
            } else if call.is_object() {
                reading.call(&call["id"], &call["name"], &call["args"]);
            } else if result.is_object() {
                reading.result(&result["id"], &result["name"], said(&result["response"]));
            } else {
                reading.content(role, part);
            }
        }
    }
    reading.finish()
}

fn either<'v>(value: &'v Value, camel: &str, snake: &str) -> &'v Value {
    match &value[camel] {
        Value::Null => &value[snake],
        found => found,
    }
}

/// What a tool said: its response is an object, in which one field usually says all.
fn said(response: &Value) -> &Value {
    let fields = ["output", "result", "error"];
    let mut said = fields.into_iter().map(|field| &response[field]);
    said.find(|said| said.is_string()).unwrap_or(response)
}
