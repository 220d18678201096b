//! Ollama's native protocol: one JSON object a line, durations in nanoseconds.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::checks::{ANY, Rules, Wanted, bracketed, quoted, type_of, whole};
use super::{chat, reading};
use crate::catalogue::untagged;
use crate::dialect::{Dialect, ModelReply, ModelRequest, Problem, Refusal, Voice};
use crate::output::Output;
use crate::wire::{Framing, Wire};

/// The protocol.
#[derive(Debug)]
pub struct Ollama;

impl Dialect for Ollama {
    fn home(&self) -> &'static str {
        "/api/chat"
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/api/")
    }

    fn framing(&self, _query: Option<&str>) -> Framing {
        Framing::Lines
    }

    fn read(
        &self,
        _path: &str,
        mut body: Value,
    ) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        RULES.check(self, &body)?;
        let model = body["model"].as_str().unwrap_or_default();
        let mut call = ModelRequest {
            model: untagged(model).to_owned(),
            generate: body["messages"].get(0).is_some(),
            // It streams unless told otherwise.
            stream: body["stream"] != false,
            // Zero and less are no limit.
            output_limit: whole(&body["options"]["num_predict"]).filter(|limit| *limit > 0),
            ..ModelRequest::default()
        };
        chat::read_conversation(&mut call, &mut body);
        Ok((call, Box::new(OllamaVoice)))
    }

    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal {
        let place = bracketed(at);
        let (status, code, message) = match (problem, at) {
            (Problem::Missing, _) => (400, "missing", format!("{place} is required")),
            (Problem::Empty, _) => (400, "empty", format!("{place} must not be empty")),
            (Problem::WrongType { wanted, .. }, ["options", option]) => {
                let message = format!("option \"{option}\" must be {wanted}");
                (400, "invalid_type", message)
            }
            (Problem::WrongType { wanted, found }, _) => {
                let found = type_of(found);
                let message =
                    format!("json: cannot unmarshal {found} into field {place}, {wanted}");
                (400, "invalid_type", message)
            }
            (Problem::OutOfRange { low, high, .. }, _) => {
                let message = format!("{place} must be between {low} and {high}");
                (400, "out_of_range", message)
            }
            (Problem::UnknownWord { found, known }, _) => {
                let known = quoted(known);
                let message = format!("invalid role: '{found}', must be one of {known}");
                (400, "invalid_value", message)
            }
            (Problem::UnknownModel { name, known }, _) => {
                let known = quoted(known);
                let message =
                    format!("model '{name}' not found (this simulated endpoint has {known})");
                (404, "not_found", message)
            }
        };
        Refusal::new(status, code, message)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        json!({ "error": refusal.message })
    }
}

const RULES: Rules = Rules {
    required: &[(&["model"], Wanted::Text)],
    optional: &[
        // Without any, the model is only loaded.
        (&["messages"], Wanted::List),
        (&["stream"], Wanted::Flag),
        (&["think"], Wanted::FlagOrText),
        (&["format"], Wanted::TextOrObject),
        (&["keep_alive"], Wanted::TextOrNumber),
        (&["tools"], Wanted::List),
        (&["options"], Wanted::Object),
        // Ollama takes any number for these.
        (&["options", "num_predict"], Wanted::Integer(-ANY, ANY)),
        (&["options", "num_ctx"], Wanted::Integer(-ANY, ANY)),
        (&["options", "seed"], Wanted::Integer(-ANY, ANY)),
        (&["options", "temperature"], Wanted::Number(-ANY, ANY)),
        (&["options", "top_p"], Wanted::Number(-ANY, ANY)),
        (&["options", "top_k"], Wanted::Integer(-ANY, ANY)),
    ],
    conversation: "messages",
    roles: &["system", "user", "assistant", "tool"],
    role_required: true,
    content: ("content", Wanted::Text),
    may_be_empty: true,
};

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
        "done_reason": done_reason(answer),
        "total_duration": timing.queue_ns + timing.first_token_ns + timing.generation_ns,
        // A model that had to wait for its turn was not there yet.
        "load_duration": timing.queue_ns,
        "prompt_eval_count": answer.prompt.tokens,
        "prompt_eval_duration": timing.prefill_ns,
        "eval_count": answer.output_tokens(),
        "eval_duration": timing.decode_ns,
    })
}

fn done_reason(answer: &ModelReply) -> &'static str {
    match (answer.cut.is_some(), answer.outputs.is_empty()) {
        (true, _) => "length",
        (false, true) => "load",
        (false, false) => "stop",
    }
}

fn now() -> String {
    // A year beyond four digits is the only thing that cannot be written.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
