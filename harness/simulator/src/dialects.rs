//! The wire protocols spoken here: one file each.

mod anthropic;
mod chat;
mod checks;
mod gemini;
mod ollama;
mod openai;
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
    let home = dialects.find(|dialect| dialect.claims(path));
    *home.unwrap_or(&DIALECTS[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{ModelReply, Prompt, Timing, Voice};
    use crate::model::Model;
    use crate::output::Output;
    use crate::wire::{Framing, Wire};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use timeslip_wire::protocols::{Answer, PROTOCOLS, Protocol};

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

    /// What a model may say.
    fn said() -> impl Strategy<Value = Vec<Output>> {
        let text = "[a-zA-Z0-9 \\n\"äß→😀{}\\\\]{1,40}";
        let arguments = prop::collection::btree_map("[a-z]{1,5}", text, 0..4);
        let output = prop_oneof![
            text.prop_map(Output::Reasoning),
            text.prop_map(Output::Text),
            ("[a-z_]{1,8}", arguments).prop_map(|(name, arguments)| Output::Call {
                name,
                arguments: json!(arguments).to_string(),
            }),
        ];
        prop::collection::vec(output, 0..6)
    }

    /// The payloads of an answer that is streamed, its texts in pieces of some characters.
    fn streamed(voice: &mut dyn Voice, reply: &ModelReply, piece: usize) -> Vec<Vec<u8>> {
        let mut wire = Wire::new(Framing::Messages);
        voice.begin(reply, &mut wire);
        for (index, output) in reply.outputs.iter().enumerate() {
            voice.open(reply, index, &mut wire);
            let whole = matches!(output, Output::Call { .. }) && !voice.streams_arguments();
            let size = if whole { usize::MAX } else { piece };
            let characters: Vec<char> = output.text().chars().collect();
            for piece in characters.chunks(size) {
                voice.delta(reply, index, &piece.iter().collect::<String>(), &mut wire);
            }
            voice.close(reply, index, &mut wire);
        }
        voice.finish(reply, &mut wire);
        wire.take()
            .messages()
            .map(|message| message.to_vec())
            .collect()
    }

    /// What an answer says, its arguments as values, and the bytes of output in its events.
    fn heard(protocol: &dyn Protocol, payloads: &[Vec<u8>]) -> (Answer, Vec<Value>, [u32; 2]) {
        let mut decoder = protocol.decoder();
        let mut bytes = [0; 2];
        let mut done = false;
        for payload in payloads {
            let step = decoder.payload(payload).unwrap();
            done |= step.done;
            bytes[0] += step.reasoning;
            bytes[1] += step.text;
        }
        assert!(done || decoder.may_end(), "{}", protocol.name());
        let mut answer = decoder.answer();
        answer.items.clear();
        let arguments = answer.calls.iter_mut();
        let arguments = arguments.map(|call| std::mem::take(&mut call.arguments));
        let arguments = arguments
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect();
        (answer, arguments, bytes)
    }

    proptest! {
        #[test]
        fn an_answer_says_the_same_whether_it_is_streamed_or_whole(
            outputs in said(),
            piece in 1_usize..9,
            cut in any::<bool>(),
        ) {
            let reply = ModelReply {
                id: "id_7".into(),
                model: "m".into(),
                prompt: Prompt { tokens: 90, cached: 40 },
                outputs,
                cut: cut.then_some(crate::dialect::Cut::Limit),
                timing: Timing::default(),
                link_ms: None,
                created_at: 1,
            };
            for &protocol in PROTOCOLS {
                let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
                let path = path.split('?').next().unwrap();
                let message = json!({ "role": "user", "content": "x", "parts": [{ "text": "x" }] });
                let body = json!({
                    "model": "m", "max_tokens": 9, "stream": true, "stream_options": { "include_usage": true },
                    "messages": [message], "contents": [message], "input": "x",
                });
                let (_, mut voice) = of_path(path).read(path, body).unwrap();
                let whole = voice.whole(&reply).to_string();
                let streamed = heard(protocol, &streamed(&mut *voice, &reply, piece));
                let whole = heard(protocol, &protocol.whole(whole.as_bytes()));
                prop_assert_eq!(whole, streamed, "{}", protocol.name());
            }
        }

        #[test]
        fn no_request_is_too_strange(mut body in object(anything()), list in prop::collection::vec(object(anything()), 0..4)) {
            let model = Model::new(Vec::new(), "p", 1, 1.0);
            body["model"] = json!("m");
            body["max_tokens"] = json!(100);
            for field in ["messages", "input", "contents"] {
                if !list.is_empty() {
                    body[field] = json!(list);
                }
            }
            for protocol in PROTOCOLS {
                let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
                let path = path.split('?').next().unwrap();
                let read = of_path(path).read(path, body.clone());
                if let Ok((call, _)) = read {
                    prop_assert!(!model.next(&call).is_empty());
                }
            }
        }
    }
}
