//! The server's side of the Responses protocol, whatever carries it.

use serde_json::{Value, json};

use super::engine::{Frame, Prompt, Timing};
use super::model::Output;
use super::tokens;

/// A parsed `response.create`, or the body of an HTTP request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Model asked for.
    pub model: String,
    /// Instructions and tools, which are read like any other prompt.
    pub preamble: Vec<Value>,
    /// New input items.
    pub input: Vec<Value>,
    /// Response to continue from.
    pub previous: Option<String>,
    /// Tells conversations apart.
    pub cache_key: String,
    /// False for a warm-up.
    pub generate: bool,
    /// Lane of a WebSocket.
    pub stream_id: Option<String>,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// The message of an `invalid_request_error`.
    pub fn parse(mut body: Value) -> Result<Self, String> {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let model = text("model").ok_or("Missing required parameter: 'model'.")?;
        let previous = text("previous_response_id");
        let cache_key = text("prompt_cache_key").unwrap_or_default();
        let stream_id = text("stream_id");
        let generate = body["generate"].as_bool().unwrap_or(true);
        let preamble = vec![body["instructions"].take(), body["tools"].take()];
        let input = match body["input"].take() {
            Value::Array(items) => items,
            Value::String(text) => {
                vec![json!({ "type": "message", "role": "user", "content": text })]
            }
            _ => return Err("Missing required parameter: 'input'.".into()),
        };
        Ok(Call {
            model,
            preamble,
            input,
            previous,
            cache_key,
            generate,
            stream_id,
        })
    }
}

/// The frames of a response.
#[derive(Debug)]
pub struct Script {
    id: String,
    model: String,
    items: Vec<Value>,
    output_tokens: u64,
    reasoning_tokens: u64,
    prompt: Prompt,
    created_at: i64,
}

impl Script {
    /// Lays out the events of an answer, `per_event` tokens to a delta.
    #[must_use]
    pub fn new(
        id: &str,
        model: &str,
        prompt: Prompt,
        outputs: &[Output],
        per_event: u32,
    ) -> (Self, Vec<Frame>) {
        let mut script = Script {
            id: id.to_owned(),
            model: model.to_owned(),
            items: Vec::new(),
            output_tokens: 0,
            reasoning_tokens: 0,
            prompt,
            created_at: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let mut frames = Vec::new();
        for output in outputs {
            script.item(output, per_event, &mut frames);
        }
        (script, frames)
    }

    /// Items of the answer, as a client will send them back.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    fn response(&self, status: &str, output: &[Value]) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "model": self.model,
            "output": output,
        })
    }

    /// The frames that say the request was taken.
    #[must_use]
    pub fn admission(&self) -> Vec<Frame> {
        ["response.created", "response.in_progress"]
            .map(|kind| {
                structure(json!({ "type": kind, "response": self.response("in_progress", &[]) }))
            })
            .into()
    }

    /// The terminal frames; `timing`, with the link's round trip in milliseconds, adds
    /// the WebSocket's timing message.
    #[must_use]
    pub fn completion(&self, timing: Option<(Timing, f64)>) -> Vec<Frame> {
        let mut response = self.response("completed", &self.items);
        response["usage"] = json!({
            "input_tokens": self.prompt.tokens,
            "input_tokens_details": { "cached_tokens": self.prompt.cached },
            "output_tokens": self.output_tokens,
            "output_tokens_details": { "reasoning_tokens": self.reasoning_tokens },
            "total_tokens": self.prompt.tokens + self.output_tokens,
        });
        let ms = |ns: u64| ns as f64 / 1e6;
        let timing = timing.map(|(timing, link_ms)| {
            structure(json!({
                "type": "responsesapi.websocket_timing",
                "timing_metrics": {
                    "engine_queue_max_ms": ms(timing.queue_ns),
                    "timeslip_prefill_ms": ms(timing.prefill_ns),
                    "timeslip_link_round_trip_ms": link_ms,
                },
            }))
        });
        let completed = structure(json!({ "type": "response.completed", "response": response }));
        timing.into_iter().chain([completed]).collect()
    }

    fn item(&mut self, output: &Output, per_event: u32, frames: &mut Vec<Frame>) {
        let index = self.items.len();
        let suffix = format!("{}_{index}", self.id.trim_start_matches("resp_"));
        let (id, text, shape) = match output {
            Output::Reasoning(text) => (format!("rs_{suffix}"), text, REASONING),
            Output::Text(text) => (format!("msg_{suffix}"), text, TEXT),
            Output::Call { arguments, .. } => (format!("fc_{suffix}"), arguments, CALL),
        };
        let make = |status: &str, text: &str| match output {
            Output::Reasoning(_) => {
                let summary: Vec<Value> = Some(text)
                    .filter(|text| !text.is_empty())
                    .map(summary_part)
                    .into_iter()
                    .collect();
                json!({ "type": "reasoning", "id": id, "summary": summary })
            }
            Output::Text(_) => {
                let content: Vec<Value> = Some(text)
                    .filter(|text| !text.is_empty())
                    .map(text_part)
                    .into_iter()
                    .collect();
                json!({ "type": "message", "id": id, "role": "assistant", "status": status, "content": content })
            }
            Output::Call { name, .. } => json!({
                "type": "function_call", "id": id, "call_id": format!("call_{suffix}"),
                "name": name, "arguments": text, "status": status,
            }),
        };
        let place = |kind: &str| {
            let mut event = json!({ "type": kind, "item_id": id, "output_index": index });
            if let Some((part_index, _)) = shape.part {
                event[part_index] = json!(0);
            }
            event
        };
        frames.push(structure(json!({
            "type": "response.output_item.added", "output_index": index, "item": make("in_progress", ""),
        })));
        if let Some((_, prefix)) = shape.part {
            let mut event = place(&format!("{prefix}.added"));
            event["part"] = shape.part_value("");
            frames.push(structure(event));
        }
        let pieces: Vec<&str> = tokens::split(text).collect();
        for chunk in pieces.chunks(per_event.max(1) as usize) {
            let mut event = place(&format!("{}.delta", shape.event));
            event["delta"] = json!(chunk.concat());
            frames.push(Frame {
                event,
                tokens: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
            });
        }
        let mut event = place(&format!("{}.done", shape.event));
        event[shape.field] = json!(text);
        frames.push(structure(event));
        if let Some((_, prefix)) = shape.part {
            let mut event = place(&format!("{prefix}.done"));
            event["part"] = shape.part_value(text);
            frames.push(structure(event));
        }
        let done = make("completed", text);
        frames.push(structure(json!({
            "type": "response.output_item.done", "output_index": index, "item": done,
        })));
        self.output_tokens += pieces.len() as u64;
        if matches!(output, Output::Reasoning(_)) {
            self.reasoning_tokens += pieces.len() as u64;
        }
        self.items.push(done);
    }
}

/// How one kind of output item is named in events.
#[derive(Clone, Copy)]
struct Shape {
    event: &'static str,
    field: &'static str,
    /// Index field and event prefix of the content part around it, if it has one.
    part: Option<(&'static str, &'static str)>,
}

const REASONING: Shape = Shape {
    event: "response.reasoning_summary_text",
    field: "text",
    part: Some(("summary_index", "response.reasoning_summary_part")),
};
const TEXT: Shape = Shape {
    event: "response.output_text",
    field: "text",
    part: Some(("content_index", "response.content_part")),
};
const CALL: Shape = Shape {
    event: "response.function_call_arguments",
    field: "arguments",
    part: None,
};

impl Shape {
    fn part_value(self, text: &str) -> Value {
        if self.event == REASONING.event {
            summary_part(text)
        } else {
            text_part(text)
        }
    }
}

fn summary_part(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}

fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn structure(event: Value) -> Frame {
    Frame { event, tokens: 0 }
}

/// A response id that no other response has, of this process or an earlier one whose
/// log is being continued.
pub fn new_id() -> String {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let process = PROCESS.get_or_init(|| {
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        (now as u64) ^ (u64::from(std::process::id()) << 40)
    });
    format!(
        "resp_{process:016x}{:08x}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
