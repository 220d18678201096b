//! OpenAI Responses, whatever carries it.

mod shape;

use serde::Serialize;
use serde_json::{Value, json};

use super::checks::{ANY, Rules, Wanted, whole};
use super::openai;
use super::reading::conversation as read_conversation;
use crate::dialect::{Cut, Dialect, ModelReply, ModelRequest, Problem, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::Wire;
use shape::Shape;

/// The protocol over HTTP.
#[derive(Debug)]
pub struct Responses;

impl Dialect for Responses {
    fn home(&self) -> &'static str {
        "/v1/responses"
    }

    fn counts_tokens(&self, path: &str) -> bool {
        path == "/v1/responses/input_tokens"
    }

    fn count(&self, tokens: u64) -> Value {
        json!({ "object": "response.input_tokens", "input_tokens": tokens })
    }

    fn read(&self, _path: &str, body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        if body["previous_response_id"].is_string() {
            let message = "Nothing is stored on this endpoint; resend the whole conversation.";
            return Err(Refusal::bad_request("previous_response_not_found", message));
        }
        let mut call = call(body, Vec::new())?;
        let voice = ResponsesVoice {
            echo: call.echo.take(),
            ..ResponsesVoice::default()
        };
        Ok((call, Box::new(voice)))
    }

    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal {
        openai::word(problem, at)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        openai::error(refusal)
    }
}

const RULES: Rules = Rules {
    required: &[(&["model"], Wanted::Text), (&["input"], Wanted::TextOrList)],
    optional: &[
        (&["stream"], Wanted::Flag),
        (&["instructions"], Wanted::Text),
        (&["max_output_tokens"], Wanted::Integer(1.0, ANY)),
        (&["max_tool_calls"], Wanted::Integer(1.0, ANY)),
        (&["temperature"], Wanted::Number(0.0, 2.0)),
        (&["top_p"], Wanted::Number(0.0, 1.0)),
        (&["top_logprobs"], Wanted::Integer(0.0, 20.0)),
        (&["tools"], Wanted::List),
        (&["tool_choice"], Wanted::TextOrObject),
        (&["parallel_tool_calls"], Wanted::Flag),
        (&["reasoning"], Wanted::Object),
        (&["text"], Wanted::Object),
        (&["truncation"], Wanted::Text),
        (&["include"], Wanted::List),
        (&["metadata"], Wanted::Object),
        (&["store"], Wanted::Flag),
        (&["background"], Wanted::Flag),
        (&["generate"], Wanted::Flag),
        (&["service_tier"], Wanted::Text),
        (&["previous_response_id"], Wanted::Text),
        (&["prompt_cache_key"], Wanted::Text),
        (&["safety_identifier"], Wanted::Text),
        (&["user"], Wanted::Text),
    ],
    conversation: "input",
    roles: &["system", "developer", "user", "assistant"],
    // Items that are no messages have none.
    role_required: false,
    content: ("content", Wanted::TextOrList),
    may_be_empty: true,
};

/// What an answer repeats of its request, with what stands there when the request says
/// nothing. Instructions and tools are not repeated: they are most of a request, and
/// would leave three times with every answer.
fn echo(body: &Value) -> Value {
    let mut echo = json!({
        "background": false,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": { "effort": null, "summary": null },
        "safety_identifier": null,
        "store": false,
        "temperature": 1.0,
        "text": { "format": { "type": "text" } },
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": null,
    });
    let fields = echo.as_object_mut().into_iter().flatten();
    for (field, value) in
        fields.filter(|(field, _)| !["instructions", "tools"].contains(&field.as_str()))
    {
        match (&body[field.as_str()], value) {
            (Value::Null, _) => {}
            (Value::Object(said), Value::Object(all)) => all.extend(said.clone()),
            (said, value) => *value = said.clone(),
        }
    }
    echo["error"] = Value::Null;
    echo["incomplete_details"] = Value::Null;
    echo["service_tier"] = json!("default");
    echo["completed_at"] = Value::Null;
    echo["usage"] = Value::Null;
    echo
}

/// Why an answer ended before its end.
fn reason(cut: Cut) -> &'static str {
    match cut {
        Cut::Limit => "max_output_tokens",
        Cut::Steered => "steered",
    }
}

/// Parts of a prompt that come before the conversation: instructions and tools.
pub const PREAMBLE: usize = 2;

/// Reads a `response.create`, or the body of an HTTP request. `conversation` is what
/// the request continues from.
///
/// # Errors
/// What is missing.
pub fn call(mut body: Value, conversation: Vec<Value>) -> Result<ModelRequest, Refusal> {
    RULES.check(&Responses, &body)?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let model = text("model").unwrap_or_default();
    let cache_key = text("prompt_cache_key").unwrap_or_default();
    let generate = body["generate"].as_bool().unwrap_or(true);
    let stream = body["stream"] == true;
    let background = body["background"] == true;
    let output_limit = whole(&body["max_output_tokens"]);
    let echo = echo(&body);
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
        _ => {}
    }
    let called = |item: &Value| {
        usize::from(matches!(
            item["type"].as_str(),
            Some("function_call" | "custom_tool_call" | "local_shell_call")
        ))
    };
    let mut call = ModelRequest {
        model,
        stream,
        generate,
        tools,
        output_limit,
        cache_key,
        background,
        echo,
        ..ModelRequest::default()
    };
    read_conversation(&mut call, &prompt, |item| item["role"] == "user", called);
    call.prompt = prompt;
    Ok(call)
}

/// The items of an answer, as a client will send them back.
#[must_use]
pub fn items(answer: &ModelReply) -> Vec<Value> {
    (0..answer.outputs.len())
        .map(|index| {
            item(
                answer,
                index,
                status(answer, index),
                answer.outputs[index].text(),
            )
        })
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
    /// What the answer repeats of the request.
    echo: Value,
    /// Id of the open item.
    item_id: String,
}

impl ResponsesVoice {
    /// A voice for a lane of a WebSocket, which may have asked for timing messages.
    #[must_use]
    pub fn over_websocket(timing: bool, stream_id: Option<String>, echo: Value) -> Self {
        ResponsesVoice {
            timing,
            stream_id,
            echo,
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

    /// The response object, so far.
    fn response(&self, answer: &ModelReply, status: &str, output: &[Value]) -> Value {
        let mut response = json!({
            "id": answer.id,
            "object": "response",
            "created_at": answer.created_at,
            "status": status,
            "model": answer.model,
            "output": output,
        });
        if let (Value::Object(response), Value::Object(echo)) = (&mut response, &self.echo) {
            response.extend(echo.clone());
        }
        response
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
    /// Always empty; text must have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[u8; 0]>,
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
            let response = self.response(answer, "in_progress", &[]);
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
            logprobs: shape.logprobs.then_some([]),
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
        if shape.logprobs {
            event["logprobs"] = json!([]);
        }
        if let Output::Call { name, .. } = output {
            event["name"] = json!(name);
        }
        self.event(event, wire);
        if let Some(part) = shape.part {
            let mut event = self.at(part.done, index, shape);
            event["part"] = (part.value)(output.text());
            self.event(event, wire);
        }
        let item = item(answer, index, status(answer, index), output.text());
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
        let kind = if answer.cut.is_some() {
            "response.incomplete"
        } else {
            "response.completed"
        };
        self.event(json!({ "type": kind, "response": response }), wire);
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let mut response = if let Some(cut) = answer.cut {
            let mut response = self.response(answer, "incomplete", &items(answer));
            response["incomplete_details"] = json!({ "reason": reason(cut) });
            response
        } else {
            let mut response = self.response(answer, "completed", &items(answer));
            let now = time::OffsetDateTime::now_utc();
            response["completed_at"] = json!(now.unix_timestamp());
            response
        };
        let output_tokens = answer.output_tokens();
        response["usage"] = json!({
            "input_tokens": answer.prompt.tokens,
            "input_tokens_details": {
                "cached_tokens": answer.prompt.cached,
                "cache_write_tokens": 0,
            },
            "output_tokens": output_tokens,
            "output_tokens_details": { "reasoning_tokens": answer.reasoning_tokens() },
            "total_tokens": answer.prompt.tokens + output_tokens,
        });
        response
    }
}

/// The status of an item that has been sent: only the last can have been cut.
fn status(answer: &ModelReply, index: usize) -> &'static str {
    if answer.cut.is_some() && index + 1 == answer.outputs.len() {
        "incomplete"
    } else {
        "completed"
    }
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
