//! What several protocols read in the same way.

use serde_json::{Map, Value};

/// All texts of the messages that `wanted` picks: content is a string, or parts of which
/// some carry `text`.
pub(super) fn texts(messages: &[Value], wanted: fn(&Value) -> bool) -> Vec<String> {
    let mut texts = Vec::new();
    for message in messages.iter().filter(|message| wanted(message)) {
        // Gemini's name for it is `parts`.
        for content in [&message["content"], &message["parts"]] {
            match content {
                Value::String(text) => texts.push(text.clone()),
                Value::Array(parts) => {
                    let parts = parts.iter().filter_map(|part| part["text"].as_str());
                    texts.extend(parts.map(str::to_owned));
                }
                _ => {}
            }
        }
    }
    texts
}

/// How many entries of the messages' list `field` are `wanted`.
pub(super) fn count(messages: &[Value], field: &str, wanted: fn(&Value) -> bool) -> usize {
    let lists = messages
        .iter()
        .filter_map(|message| message[field].as_array());
    lists.flatten().filter(|entry| wanted(entry)).count()
}

/// Arguments as an object; what is none becomes an empty one.
pub(super) fn object(arguments: &str) -> Value {
    let object = serde_json::from_str::<Map<String, Value>>(arguments);
    Value::Object(object.unwrap_or_default())
}
