//! Anthropic's requests, read from the other side.

use serde_json::Value;

use crate::protocols::requests::{Reading, RequestSeen, Role, list};

/// Fields by which a body is told from others, the conversation first.
pub(super) const FIELDS: &[&str] = &[
    "messages",
    "anthropic_version",
    "context_management",
    "max_tokens",
    "output_config",
    "stop_sequences",
    "system",
    "thinking",
    "tools",
];

pub(super) fn seen(body: &Value) -> Option<RequestSeen> {
    let messages = body["messages"].as_array()?;
    let mut reading = Reading::new(body);
    reading.tools(&body["tools"]);
    reading.instructions(&body["system"]);
    for message in messages {
        let role = Role::of(&message["role"]);
        for block in list(&message["content"]) {
            match block["type"].as_str() {
                Some("thinking" | "redacted_thinking") => reading.reasoning(block),
                Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
                    reading.call(&block["id"], &block["name"], &block["input"]);
                }
                Some("tool_result") => {
                    reading.result(&block["tool_use_id"], &Value::Null, &block["content"]);
                }
                _ => reading.content(role, block),
            }
        }
    }
    reading.finish()
}
