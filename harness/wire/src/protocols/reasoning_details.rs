//! Reasoning as structured pieces (`reasoning_details` of OpenRouter and others): shown as
//! reasoning, and sent back whole, because models that sign it want it as it was.

use serde_json::{Map, Value, json};

/// Texts that a stream cuts into pieces; any other field comes whole.
const STREAMED: [&str; 3] = ["text", "summary", "thinking"];

/// The details of one answer, put together.
#[derive(Debug, Default)]
pub(super) struct ReasoningDetails(Vec<Map<String, Value>>);

impl ReasoningDetails {
    /// Takes the details of one event.
    pub fn take(&mut self, details: Value) {
        let details = match details {
            Value::Array(list) => list,
            other => vec![other],
        };
        for detail in details {
            if let Value::Object(detail) = detail {
                self.add(detail);
            }
        }
    }

    /// The details as they go back; `None` when there are none.
    pub fn finish(self) -> Option<Value> {
        (!self.0.is_empty()).then(|| json!(self.0))
    }

    fn add(&mut self, piece: Map<String, Value>) {
        let goes_on = |begun: &&mut Map<String, Value>| {
            let same = |name: &str| begun.get(name) == piece.get(name);
            let streamed = STREAMED.into_iter().any(|name| piece.contains_key(name));
            same("type") && same("index") && (streamed || piece.contains_key("signature"))
        };
        let Some(begun) = self.0.last_mut().filter(goes_on) else {
            self.0.push(piece);
            return;
        };
        for (name, value) in piece {
            match (begun.get_mut(&name), value) {
                (Some(Value::String(text)), Value::String(more))
                    if STREAMED.contains(&name.as_str()) =>
                {
                    text.push_str(&more);
                }
                (Some(known), value) if known.is_null() => *known = value,
                (Some(_), _) => {}
                (None, value) => {
                    begun.insert(name, value);
                }
            }
        }
    }
}

/// What details show of the reasoning.
pub(super) fn shown(details: &Value) -> String {
    let list = details
        .as_array()
        .map_or(std::slice::from_ref(details), Vec::as_slice);
    let texts = list
        .iter()
        .flat_map(|detail| STREAMED.map(|name| detail[name].as_str()));
    texts.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_and_encrypted_ones_stay_apart() {
        let mut details = ReasoningDetails::default();
        for piece in [
            json!([{"type": "reasoning.text", "text": "a", "index": 0}]),
            json!([{"type": "reasoning.text", "text": "b", "index": 0, "signature": null}]),
            json!({"type": "reasoning.text", "signature": "SIG", "index": 0}),
            json!([{"type": "reasoning.encrypted", "data": "x", "index": 1}]),
            json!([{"type": "reasoning.encrypted", "data": "y", "index": 1}, 7]),
        ] {
            details.take(piece);
        }
        assert_eq!(
            details.finish(),
            Some(json!([
                {"type": "reasoning.text", "text": "ab", "index": 0, "signature": "SIG"},
                {"type": "reasoning.encrypted", "data": "x", "index": 1},
                {"type": "reasoning.encrypted", "data": "y", "index": 1},
            ]))
        );
        assert_eq!(
            shown(&json!([{"summary": "s", "text": "t"}, 3, {"data": "d"}])),
            "ts"
        );
    }
}
