//! Ollama's native protocol: one JSON object a line, durations in nanoseconds.

use hyper::Uri;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{chat, reading};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Refusal, Voice};
use crate::output::Output;
use crate::wire::{Framing, Wire};

/// The protocol.
#[derive(Debug)]
pub struct Ollama;

impl Dialect for Ollama {
    fn home(&self) -> &'static str {
        "/api/chat"
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn read(&self, _uri: &Uri, mut body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        let model = body["model"].as_str().map(str::to_owned);
        let mut call = ModelRequest {
            model: model.ok_or_else(|| Refusal::missing("model"))?,
            generate: true,
            // It streams unless told otherwise.
            stream: body["stream"] != false,
            output_limit: body["options"]["num_predict"].as_u64(),
            ..ModelRequest::default()
        };
        chat::read_conversation(&mut call, &mut body)?;
        Ok((call, Box::new(OllamaVoice)))
    }

    fn error(&self, refusal: &Refusal) -> Value {
        json!({ "error": refusal.message })
    }
}

/// Says a response.
#[derive(Debug)]
struct OllamaVoice;

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: String,
    message: Message<'a>,
    done: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Value>,
}

impl Voice for OllamaVoice {
    fn protocol(&self) -> &'static str {
        "ollama"
    }

    fn id_prefix(&self) -> &'static str {
        "ollama-"
    }

    fn streams_arguments(&self) -> bool {
        false
    }

    fn delta(&mut self, answer: &ModelReply, index: usize, text: &str, wire: &mut Wire) {
        let mut message = Message {
            role: "assistant",
            content: "",
            thinking: "",
            tool_calls: None,
        };
        match &answer.outputs[index] {
            Output::Reasoning(_) => message.thinking = text,
            Output::Text(_) => message.content = text,
            Output::Call { .. } => message.tool_calls = Some(calls(&answer.outputs[index..=index])),
        }
        wire.event(&Line {
            model: &answer.model,
            created_at: now(),
            message,
            done: false,
        });
    }

    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire) {
        let mut last = totals(answer);
        last["message"] = json!({ "role": "assistant", "content": "" });
        wire.event(&last);
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let mut message = json!({ "role": "assistant", "content": answer.said_text() });
        if let Some(thinking) = answer.said_reasoning() {
            message["thinking"] = json!(thinking);
        }
        if answer.calls() {
            message["tool_calls"] = calls(&answer.outputs);
        }
        let mut whole = totals(answer);
        whole["message"] = message;
        whole
    }
}

/// The calls among some outputs.
fn calls(outputs: &[Output]) -> Value {
    let call = |output: &Output| match output {
        Output::Call { name, arguments } => Some(json!({
            "function": { "name": name, "arguments": reading::object(arguments) },
        })),
        _ => None,
    };
    outputs.iter().filter_map(call).collect()
}

/// The last line without its message.
fn totals(answer: &ModelReply) -> Value {
    let timing = answer.timing;
    json!({
        "model": answer.model,
        "created_at": now(),
        "done": true,
        "done_reason": "stop",
        "total_duration": timing.queue_ns + timing.first_token_ns + timing.generation_ns,
        // A model that had to wait for its turn was not there yet.
        "load_duration": timing.queue_ns,
        "prompt_eval_count": answer.prompt.tokens,
        "prompt_eval_duration": timing.prefill_ns,
        "eval_count": answer.output_tokens(),
        "eval_duration": timing.decode_ns,
    })
}

fn now() -> String {
    // A year beyond four digits is the only thing that cannot be written.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
