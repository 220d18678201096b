//! OpenAI Responses, whatever carries it.

use hyper::Uri;
use serde::Serialize;
use serde_json::{Value, json};

use super::reading::texts;
use crate::dialect::{Dialect, ModelReply, ModelRequest, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::Wire;

/// The protocol over HTTP.
#[derive(Debug)]
pub struct Responses;

impl Dialect for Responses {
    fn home(&self) -> &'static str {
        "/v1/responses"
    }

    fn read(&self, _uri: &Uri, body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        if body["previous_response_id"].is_string() {
            let message = "Nothing is stored on this endpoint; resend the whole conversation.";
            return Err(Refusal::bad_request("previous_response_not_found", message));
        }
        let call = call(body, Vec::new())?;
        Ok((call, Box::<ResponsesVoice>::default()))
    }

    fn error(&self, refusal: &Refusal) -> Value {
        error(refusal)
    }
}

/// The error object, whatever carries it.
#[must_use]
pub fn error(refusal: &Refusal) -> Value {
    json!({ "error": {
        "type": "invalid_request_error",
        "code": refusal.code,
        "message": refusal.message,
        "param": null,
    } })
}

/// Parts of a prompt that come before the conversation: instructions and tools.
pub const PREAMBLE: usize = 2;

/// Reads a `response.create`, or the body of an HTTP request. `conversation` is what
/// the request continues from.
///
/// # Errors
/// What is missing.
pub fn call(mut body: Value, conversation: Vec<Value>) -> Result<ModelRequest, Refusal> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let model = text("model").ok_or_else(|| Refusal::missing("model"))?;
    let cache_key = text("prompt_cache_key").unwrap_or_default();
    let generate = body["generate"].as_bool().unwrap_or(true);
    let stream = body["stream"] == true;
    let output_limit = body["max_output_tokens"].as_u64();
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools
        .filter_map(|tool| Tool::read(tool, "parameters"))
        .collect();
    let mut prompt = vec![body["instructions"].take(), body["tools"].take()];
    prompt.extend(conversation);
    match body["input"].take() {
        Value::Array(items) => prompt.extend(items),
        Value::String(text) => {
            prompt.push(json!({ "type": "message", "role": "user", "content": text }));
        }
        _ => return Err(Refusal::missing("input")),
    }
    let called = |item: &&Value| {
        matches!(
            item["type"].as_str(),
            Some("function_call" | "custom_tool_call" | "local_shell_call")
        )
    };
    Ok(ModelRequest {
        model,
        stream,
        generate,
        user: texts(&prompt, |item| item["role"] == "user"),
        calls_so_far: prompt.iter().filter(called).count(),
        prompt,
        tools,
        output_limit,
        cache_key,
    })
}

/// The items of an answer, as a client will send them back.
#[must_use]
pub fn items(answer: &ModelReply) -> Vec<Value> {
    (0..answer.outputs.len())
        .map(|index| item(answer, index, "completed", answer.outputs[index].text()))
        .collect()
}

/// Says a response.
#[derive(Debug, Default)]
pub struct ResponsesVoice {
    /// Send the WebSocket's timing message.
    timing: bool,
    /// Lane of a WebSocket, echoed in every event.
    stream_id: Option<String>,
    sequence: u64,
    /// Id of the open item.
    item_id: String,
}

impl ResponsesVoice {
    /// A voice for a lane of a WebSocket, which may have asked for timing messages.
    #[must_use]
    pub fn over_websocket(timing: bool, stream_id: Option<String>) -> Self {
        ResponsesVoice {
            timing,
            stream_id,
            ..ResponsesVoice::default()
        }
    }

    fn event(&mut self, mut event: Value, wire: &mut Wire) {
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        if let Some(lane) = &self.stream_id {
            event["stream_id"] = json!(lane);
        }
        let kind = event["type"].as_str().unwrap_or_default();
        wire.named(kind, &event);
    }

    /// An event at a place inside the open item.
    fn at(&self, kind: &str, item: usize, shape: Shape) -> Value {
        let mut event = json!({ "type": kind, "item_id": self.item_id, "output_index": item });
        if let Some(part) = shape.part {
            event[part.index] = json!(0);
        }
        event
    }
}

/// The one event that is sent a thousand times a second.
#[derive(Serialize)]
struct Delta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<u8>,
    delta: &'a str,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<&'a str>,
}

impl Voice for ResponsesVoice {
    fn protocol(&self) -> &'static str {
        "responses"
    }

    fn id_prefix(&self) -> &'static str {
        "resp_"
    }

    fn begin(&mut self, answer: &ModelReply, wire: &mut Wire) {
        for kind in ["response.created", "response.in_progress"] {
            let response = response(answer, "in_progress", &[]);
            self.event(json!({ "type": kind, "response": response }), wire);
        }
    }

    fn open(&mut self, answer: &ModelReply, index: usize, wire: &mut Wire) {
        let output = &answer.outputs[index];
        let shape = Shape::of(output);
        self.item_id = answer.item_id(shape.id_prefix, index);
        let item = item(answer, index, "in_progress", "");
        self.event(
            json!({ "type": "response.output_item.added", "output_index": index, "item": item }),
            wire,
        );
        if let Some(part) = shape.part {
            let mut event = self.at(part.added, index, shape);
            event["part"] = (part.value)("");
            self.event(event, wire);
        }
    }

    fn delta(&mut self, answer: &ModelReply, index: usize, text: &str, wire: &mut Wire) {
        let shape = Shape::of(&answer.outputs[index]);
        let here = |name: &str| shape.part.filter(|part| part.index == name).map(|_| 0);
        let delta = Delta {
            kind: shape.delta,
            item_id: &self.item_id,
            output_index: index,
            content_index: here("content_index"),
            summary_index: here("summary_index"),
            delta: text,
            sequence_number: self.sequence,
            stream_id: self.stream_id.as_deref(),
        };
        self.sequence += 1;
        wire.named(shape.delta, &delta);
    }

    fn close(&mut self, answer: &ModelReply, index: usize, wire: &mut Wire) {
        let output = &answer.outputs[index];
        let shape = Shape::of(output);
        let mut event = self.at(shape.done, index, shape);
        event[shape.field] = json!(output.text());
        self.event(event, wire);
        if let Some(part) = shape.part {
            let mut event = self.at(part.done, index, shape);
            event["part"] = (part.value)(output.text());
            self.event(event, wire);
        }
        let item = item(answer, index, "completed", output.text());
        self.event(
            json!({ "type": "response.output_item.done", "output_index": index, "item": item }),
            wire,
        );
    }

    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire) {
        if self.timing {
            let ms = |ns: u64| ns as f64 / 1e6;
            let mut metrics = json!({
                "engine_queue_max_ms": ms(answer.timing.queue_ns),
                "timeslip_prefill_ms": ms(answer.timing.prefill_ns),
                "timeslip_decode_ms": ms(answer.timing.decode_ns),
            });
            if let Some(link_ms) = answer.link_ms {
                metrics["timeslip_link_round_trip_ms"] = json!(link_ms);
            }
            let kind = "responsesapi.websocket_timing";
            self.event(json!({ "type": kind, "timing_metrics": metrics }), wire);
        }
        let response = self.whole(answer);
        self.event(
            json!({ "type": "response.completed", "response": response }),
            wire,
        );
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let mut response = response(answer, "completed", &items(answer));
        let output_tokens = answer.output_tokens();
        response["usage"] = json!({
            "input_tokens": answer.prompt.tokens,
            "input_tokens_details": { "cached_tokens": answer.prompt.cached },
            "output_tokens": output_tokens,
            "output_tokens_details": { "reasoning_tokens": answer.reasoning_tokens() },
            "total_tokens": answer.prompt.tokens + output_tokens,
        });
        response
    }
}

fn response(answer: &ModelReply, status: &str, output: &[Value]) -> Value {
    json!({
        "id": answer.id,
        "object": "response",
        "created_at": answer.created_at,
        "status": status,
        "model": answer.model,
        "output": output,
    })
}

fn item(answer: &ModelReply, index: usize, status: &str, text: &str) -> Value {
    let output = &answer.outputs[index];
    let shape = Shape::of(output);
    let id = answer.item_id(shape.id_prefix, index);
    let parts = || -> Vec<Value> {
        let part = shape.part.filter(|_| !text.is_empty());
        part.map(|part| (part.value)(text)).into_iter().collect()
    };
    match output {
        Output::Reasoning(_) => json!({ "type": "reasoning", "id": id, "summary": parts() }),
        Output::Text(_) => json!({
            "type": "message", "id": id, "role": "assistant", "status": status, "content": parts(),
        }),
        Output::Call { name, .. } => json!({
            "type": "function_call", "id": id, "call_id": answer.item_id("call_", index),
            "name": name, "arguments": text, "status": status,
        }),
    }
}

/// How one kind of output item is named in events.
#[derive(Clone, Copy)]
struct Shape {
    id_prefix: &'static str,
    delta: &'static str,
    done: &'static str,
    /// What holds the text in the `done` event.
    field: &'static str,
    part: Option<Part>,
}

/// The content part around the text of an item.
#[derive(Clone, Copy)]
struct Part {
    index: &'static str,
    added: &'static str,
    done: &'static str,
    value: fn(&str) -> Value,
}

const REASONING: Shape = Shape {
    id_prefix: "rs_",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    field: "text",
    part: Some(Part {
        index: "summary_index",
        added: "response.reasoning_summary_part.added",
        done: "response.reasoning_summary_part.done",
        value: |text| json!({ "type": "summary_text", "text": text }),
    }),
};
const TEXT: Shape = Shape {
    id_prefix: "msg_",
    delta: "response.output_text.delta",
    done: "response.output_text.done",
    field: "text",
    part: Some(Part {
        index: "content_index",
        added: "response.content_part.added",
        done: "response.content_part.done",
        value: |text| json!({ "type": "output_text", "text": text, "annotations": [] }),
    }),
};
const CALL: Shape = Shape {
    id_prefix: "fc_",
    delta: "response.function_call_arguments.delta",
    done: "response.function_call_arguments.done",
    field: "arguments",
    part: None,
};

impl Shape {
    fn of(output: &Output) -> Self {
        match output {
            Output::Reasoning(_) => REASONING,
            Output::Text(_) => TEXT,
            Output::Call { .. } => CALL,
        }
    }
}
