//! What several protocols read in the same way.

use serde_json::{Map, Value};

use crate::dialect::ModelRequest;

/// Reads what the user said and how many tools were called before: content is a string, or
/// parts of which some carry `text`; `calls` counts those of one message.
pub(super) fn conversation(
    call: &mut ModelRequest,
    messages: &[Value],
    is_user: fn(&Value) -> bool,
    calls: fn(&Value) -> usize,
) {
    for message in messages {
        if is_user(message) {
            let said = texts(message);
            let before = call.calls_before.len() + said.len();
            call.user.extend(said);
            call.calls_before.resize(before, call.calls_so_far);
        }
        call.calls_so_far += calls(message);
    }
}

fn texts(message: &Value) -> Vec<String> {
    let mut texts = Vec::new();
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
    texts
}

/// How many entries of the message's list `field` are `wanted`.
pub(super) fn count(message: &Value, field: &str, wanted: fn(&Value) -> bool) -> usize {
    let entries = message[field].as_array().into_iter().flatten();
    entries.filter(|entry| wanted(entry)).count()
}

/// Arguments as an object; what is none becomes an empty one.
pub(super) fn object(arguments: &str) -> Value {
    let object = serde_json::from_str::<Map<String, Value>>(arguments);
    Value::Object(object.unwrap_or_default())
}
