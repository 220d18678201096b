//! Chat Completions' requests, read from the other side.

use serde_json::Value;

use crate::protocols::requests::{Reading, RequestSeen};

/// Fields by which a body is told from others, the conversation first.
pub(super) const FIELDS: &[&str] = &[
    "messages",
    "functions",
    "max_completion_tokens",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stream_options",
    "tool_choice",
    "tools",
];

pub(super) fn seen(body: &Value) -> Option<RequestSeen> {
    body["messages"].as_array()?;
    let mut reading = Reading::new(body);
    reading.tools(&body["tools"]);
    reading.tools(&body["functions"]);
    reading.chat_messages(&body["messages"]);
    reading.finish()
}
