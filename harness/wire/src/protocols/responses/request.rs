//! Responses' requests, read from the other side: bodies, and messages of a WebSocket.

use serde_json::Value;

use crate::protocols::output_items::arguments_field;
use crate::protocols::requests::{Reading, RequestSeen, Role, list};

/// Fields by which a body is told from others, the conversation first.
pub(super) const FIELDS: &[&str] = &[
    "input",
    "include",
    "instructions",
    "max_output_tokens",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "store",
    "stream",
    "tools",
];

pub(super) fn seen(body: &Value) -> Option<RequestSeen> {
    let message = body["type"].as_str();
    if message.is_some_and(|kind| kind != "response.create") || body["input"].is_null() {
        return None;
    }
    let mut reading = Reading::new(body);
    let seen = reading.seen();
    seen.streams |= message.is_some();
    seen.generates = body["generate"] != false;
    let previous = body["previous_response_id"].as_str();
    seen.previous_response = previous.map(|id| id.chars().take(200).collect());
    reading.tools(&body["tools"]);
    reading.instructions(&body["instructions"]);
    for item in list(&body["input"]) {
        read(&mut reading, item);
    }
    reading.finish()
}

fn read(reading: &mut Reading, item: &Value) {
    let kind = item["type"].as_str().unwrap_or("message");
    if let Some(field) = arguments_field(kind) {
        // A tool of the protocol's own has no name.
        let own = Value::from(kind.trim_end_matches("_call"));
        let name = Some(&item["name"]).filter(|name| name.is_string());
        reading.call(&item["call_id"], name.unwrap_or(&own), &item[field]);
        return;
    }
    match kind {
        "message" if item.is_string() => reading.content(Role::User, item),
        "message" => reading.content(Role::of(&item["role"]), &item["content"]),
        "reasoning" => reading.reasoning(item),
        result if result.ends_with("_call_output") => {
            reading.result(&item["call_id"], &item["name"], &item["output"]);
        }
        _ => reading.other(item),
    }
}
