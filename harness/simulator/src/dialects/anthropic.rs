//! Anthropic Messages.

use serde::Serialize;
use serde_json::{Value, json};

use super::checks::{ANY, Rules, Wanted, quoted, whole};
use super::reading::{conversation, count};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Problem, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::Wire;

/// The protocol.
#[derive(Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn home(&self) -> &'static str {
        "/v1/messages"
    }

    fn counts_tokens(&self, path: &str) -> bool {
        path == "/v1/messages/count_tokens"
    }

    fn request_id_header(&self) -> &'static str {
        "request-id"
    }

    fn overloaded(&self) -> u16 {
        529
    }

    fn read(&self, path: &str, mut body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        RULES.check(self, &body)?;
        if body["max_tokens"].is_null() && !self.counts_tokens(path) {
            return Err(self.word(&Problem::Missing, &["max_tokens"]));
        }
        // Later messages may be the system's; the first one has a field of its own.
        if body["messages"][0]["role"] == "system" {
            let (found, known) = ("system", &["user", "assistant"][..]);
            let problem = Problem::UnknownWord { found, known };
            return Err(self.word(&problem, &["messages", "0", "role"]));
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let speed = text(&body["speed"]).filter(|speed| speed == "fast");
        let tools = body["tools"].as_array().into_iter().flatten();
        let mut call = ModelRequest {
            model: text(&body["model"]).unwrap_or_default(),
            generate: true,
            stream: body["stream"] == true,
            output_limit: whole(&body["max_tokens"]),
            tools: tools
                .filter_map(|tool| Tool::read(tool, "input_schema"))
                .collect(),
            cache_key: text(&body["metadata"]["user_id"]).unwrap_or_default(),
            ..ModelRequest::default()
        };
        call.prompt = vec![body["tools"].take(), body["system"].take()];
        if let Value::Array(messages) = body["messages"].take() {
            let user = |message: &Value| message["role"] == "user";
            conversation(&mut call, &messages, user, |message| {
                count(message, "content", |part| part["type"] == "tool_use")
            });
            call.prompt.extend(messages);
        }
        Ok((call, Box::new(AnthropicVoice { speed })))
    }

    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal {
        let place = at.join(".");
        let (status, code, message) = match *problem {
            Problem::Missing => (400, "missing", format!("{place}: Field required")),
            Problem::Empty => (
                400,
                "empty",
                format!("{place}: at least one message is required"),
            ),
            Problem::WrongType { wanted, .. } => {
                let message = format!("{place}: Input should be {wanted}");
                (400, "invalid_type", message)
            }
            Problem::OutOfRange { low, found, .. } if found < low => {
                let message = format!("{place}: Input should be greater than or equal to {low}");
                (400, "out_of_range", message)
            }
            Problem::OutOfRange { high, .. } => {
                let message = format!("{place}: Input should be less than or equal to {high}");
                (400, "out_of_range", message)
            }
            Problem::UnknownWord { known, .. } => {
                let message = format!("{place}: Input should be one of {}", quoted(known));
                (400, "invalid_value", message)
            }
            Problem::UnknownModel { name, known } => {
                let known = quoted(known);
                let message = format!("model: {name} (this simulated endpoint has {known})");
                (404, "not_found", message)
            }
        };
        Refusal::new(status, code, message)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let kind = match refusal.status {
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({
            "type": "error",
            "error": { "type": kind, "message": refusal.message },
            "request_id": null,
        })
    }
}

const RULES: Rules = Rules {
    required: &[(&["model"], Wanted::Text), (&["messages"], Wanted::List)],
    optional: &[
        // It must be there, except where tokens are only counted.
        (&["max_tokens"], Wanted::Integer(1.0, ANY)),
        (&["stream"], Wanted::Flag),
        (&["system"], Wanted::TextOrList),
        (&["temperature"], Wanted::Number(0.0, 1.0)),
        (&["top_p"], Wanted::Number(0.0, 1.0)),
        (&["top_k"], Wanted::Integer(0.0, ANY)),
        (&["stop_sequences"], Wanted::List),
        (&["tools"], Wanted::List),
        (&["tool_choice"], Wanted::Object),
        (&["thinking"], Wanted::Object),
        (&["thinking", "budget_tokens"], Wanted::Integer(1024.0, ANY)),
        (&["metadata"], Wanted::Object),
    ],
    conversation: "messages",
    roles: &["user", "assistant", "system"],
    role_required: true,
    content: ("content", Wanted::TextOrList),
    may_be_empty: false,
};

/// Says a response.
#[derive(Debug)]
struct AnthropicVoice {
    /// The speed asked for, when it is not the standard one.
    speed: Option<String>,
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: usize,
    delta: Delta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
}

/// What stands where a real endpoint signs its reasoning.
const SIGNATURE: &str = "c2ltdWxhdGVk";

impl AnthropicVoice {
    fn usage(&self, answer: &ModelReply, output_tokens: u64) -> Value {
        json!({
            "input_tokens": answer.prompt.tokens - answer.prompt.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.prompt.cached,
            "output_tokens": output_tokens,
            "service_tier": "standard",
            "speed": self.speed.as_deref().unwrap_or("standard"),
        })
    }

    fn message(&self, answer: &ModelReply, content: &[Value], usage: &Value) -> Value {
        json!({
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage,
        })
    }
}

/// A content block with so much of its content.
fn block(answer: &ModelReply, index: usize, text: &str) -> Value {
    match &answer.outputs[index] {
        Output::Reasoning(_) => {
            let signature = if text.is_empty() { "" } else { SIGNATURE };
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        Output::Text(_) => json!({ "type": "text", "text": text }),
        Output::Call { name, .. } => json!({
            "type": "tool_use",
            "id": answer.item_id("toolu_", index),
            "name": name,
            "input": super::reading::object(text),
        }),
    }
}

fn stop_reason(answer: &ModelReply) -> &'static str {
    match (answer.cut.is_some(), answer.calls()) {
        (true, _) => "max_tokens",
        (false, true) => "tool_use",
        (false, false) => "end_turn",
    }
}

fn send_delta(index: usize, delta: Delta<'_>, wire: &mut Wire) {
    let kind = "content_block_delta";
    wire.named(kind, &BlockDelta { kind, index, delta });
}

impl Voice for AnthropicVoice {
    fn protocol(&self) -> &'static str {
        "anthropic-messages"
    }

    fn id_prefix(&self) -> &'static str {
        "msg_"
    }

    fn begin(&mut self, answer: &ModelReply, wire: &mut Wire) {
        let message = self.message(answer, &[], &self.usage(answer, 0));
        let start = json!({ "type": "message_start", "message": message });
        wire.named("message_start", &start);
        wire.named("ping", &json!({ "type": "ping" }));
    }

    fn open(&mut self, answer: &ModelReply, index: usize, wire: &mut Wire) {
        let block = block(answer, index, "");
        let kind = "content_block_start";
        wire.named(
            kind,
            &json!({ "type": kind, "index": index, "content_block": block }),
        );
    }

    fn delta(&mut self, answer: &ModelReply, index: usize, text: &str, wire: &mut Wire) {
        let delta = match &answer.outputs[index] {
            Output::Reasoning(_) => Delta::Thinking { thinking: text },
            Output::Text(_) => Delta::Text { text },
            Output::Call { .. } => Delta::Input { partial_json: text },
        };
        send_delta(index, delta, wire);
    }

    fn close(&mut self, answer: &ModelReply, index: usize, wire: &mut Wire) {
        if let Output::Reasoning(_) = &answer.outputs[index] {
            let signature = SIGNATURE;
            send_delta(index, Delta::Signature { signature }, wire);
        }
        let kind = "content_block_stop";
        wire.named(kind, &json!({ "type": kind, "index": index }));
    }

    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire) {
        let delta = json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop_reason(answer), "stop_sequence": null },
            "usage": self.usage(answer, answer.output_tokens()),
        });
        wire.named("message_delta", &delta);
        wire.named("message_stop", &json!({ "type": "message_stop" }));
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let content: Vec<Value> = std::iter::zip(0.., &answer.outputs)
            .map(|(index, output)| block(answer, index, output.text()))
            .collect();
        let usage = self.usage(answer, answer.output_tokens());
        let mut message = self.message(answer, &content, &usage);
        message["stop_reason"] = json!(stop_reason(answer));
        message
    }
}
