//! Ollama's requests, read from the other side.

use serde_json::Value;

use crate::protocols::requests::{Reading, RequestSeen};

/// Fields by which a body is told from others, the conversation first.
pub(super) const FIELDS: &[&str] = &[
    "messages",
    "format",
    "keep_alive",
    "options",
    "think",
    "tools",
];

pub(super) fn seen(body: &Value) -> Option<RequestSeen> {
    body["messages"].as_array()?;
    let mut reading = Reading::new(body);
    // Here streaming is what happens unless it is not wanted.
    reading.seen().streams = body["stream"] != false;
    reading.tools(&body["tools"]);
    reading.chat_messages(&body["messages"]);
    reading.finish()
}
