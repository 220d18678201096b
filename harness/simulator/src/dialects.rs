//! The wire protocols spoken here: one file each.

mod anthropic;
mod chat;
mod gemini;
mod ollama;
mod reading;
pub(super) mod responses;

use super::dialect::Dialect;

/// Every dialect; the first also speaks where no dialect is at home.
const DIALECTS: &[&dyn Dialect] = &[
    &responses::Responses,
    &chat::Chat,
    &anthropic::Anthropic,
    &ollama::Ollama,
    &gemini::Gemini,
];

/// The dialect in which a path is answered, if only to say that there is nothing.
pub(super) fn of_path(path: &str) -> &'static dyn Dialect {
    let mut dialects = DIALECTS.iter();
    let home = dialects.find(|dialect| path.starts_with(dialect.home()));
    *home.unwrap_or(&DIALECTS[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use timeslip_wire::protocols::PROTOCOLS;

    /// Names that requests use, so that chance gets past the first check.
    const NAMES: &[&str] = &[
        "model",
        "messages",
        "input",
        "contents",
        "parts",
        "content",
        "role",
        "user",
        "type",
        "text",
        "tools",
        "tool_calls",
        "function",
        "name",
        "parameters",
        "input_schema",
        "functionDeclarations",
        "properties",
        "required",
        "command",
        "bash",
        "functionCall",
        "tool_use",
        "stream",
        "options",
        "num_predict",
        "max_tokens",
        "metadata",
        "user_id",
        "enum",
        "minimum",
        "string",
        "system",
        "instructions",
    ];

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::sample::select(NAMES).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                object(inner),
            ]
        })
    }

    fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        let fields = prop::collection::btree_map(prop::sample::select(NAMES), inner, 0..8);
        fields.prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
            Value::Object(fields.collect::<Map<_, _>>())
        })
    }

    #[test]
    fn every_protocol_has_a_dialect() {
        for protocol in PROTOCOLS {
            let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
            let path = path.split('?').next().unwrap();
            assert!(of_path(path).takes(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_request_is_too_strange(mut body in object(anything()), list in prop::collection::vec(object(anything()), 0..4)) {
            let model = Model::new(Vec::new(), "p", 1, 1.0);
            body["model"] = json!("m");
            for field in ["messages", "input", "contents"] {
                if !list.is_empty() {
                    body[field] = json!(list);
                }
            }
            for protocol in PROTOCOLS {
                let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
                let read = of_path(&path).read(&path.parse().unwrap(), body.clone());
                if let Ok((call, _)) = read {
                    prop_assert!(!model.next(&call).is_empty());
                }
            }
        }
    }
}
