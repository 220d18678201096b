//! Anthropic Messages.

use hyper::Uri;
use serde::Serialize;
use serde_json::{Value, json};

use super::reading::{count, texts};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Refusal, Voice};
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

    fn read(&self, _uri: &Uri, mut body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let model = text(&body["model"]).ok_or_else(|| Refusal::missing("model"))?;
        let speed = text(&body["speed"]).filter(|speed| speed == "fast");
        let tools = body["tools"].as_array().into_iter().flatten();
        let mut call = ModelRequest {
            model,
            generate: true,
            stream: body["stream"] == true,
            output_limit: body["max_tokens"].as_u64(),
            tools: tools
                .filter_map(|tool| Tool::read(tool, "input_schema"))
                .collect(),
            cache_key: text(&body["metadata"]["user_id"]).unwrap_or_default(),
            ..ModelRequest::default()
        };
        call.prompt = vec![body["tools"].take(), body["system"].take()];
        let Value::Array(messages) = body["messages"].take() else {
            return Err(Refusal::missing("messages"));
        };
        call.user = texts(&messages, |message| message["role"] == "user");
        call.calls_so_far = count(&messages, "content", |part| part["type"] == "tool_use");
        call.prompt.extend(messages);
        Ok((call, Box::new(AnthropicVoice { speed })))
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let kind = match refusal.status {
            404 => "not_found_error",
            413 => "request_too_large",
            500.. => "api_error",
            _ => "invalid_request_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": refusal.message } })
    }
}

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
    if answer.calls() {
        "tool_use"
    } else {
        "end_turn"
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
