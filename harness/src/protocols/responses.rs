//! OpenAI Responses.
//!
//! Tolerant by design: real servers leave out `sequence_number` and `output_index`
//! and add fields of their own. An event needs its `type`; a delta needs `delta`;
//! everything else is used when present.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};
use timeslip_datasets::journal::{EventKind, Reported, Usage};

use crate::clock;

use super::{Answer, Decoder, Framing, Item, Protocol, Request, Step, StreamError, ToolCall};

#[derive(Debug)]
pub(super) struct Responses;

impl Protocol for Responses {
    fn path(&self) -> &'static str {
        "/responses"
    }

    fn encode(&self, request: &Request<'_>, framing: Framing) -> Vec<u8> {
        let covered = request.previous.map_or(0, |(_, covered)| covered);
        let input: Vec<Value> = request.items[covered.min(request.items.len())..]
            .iter()
            .map(item)
            .collect();
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "strict": false,
                })
            })
            .collect();
        let mut body = json!({
            "model": request.model,
            "instructions": request.instructions,
            "input": input,
            "tools": tools,
            "tool_choice": "auto",
            "parallel_tool_calls": true,
            "store": false,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": request.cache_key,
        });
        match framing {
            Framing::Http => {
                body["stream"] = json!(true);
                // Deltas are padded by default, which would inflate the bytes per event.
                body["stream_options"] = json!({ "include_obfuscation": false });
            }
            Framing::WebSocket => body["type"] = json!("response.create"),
        }
        if let Some((id, _)) = request.previous {
            body["previous_response_id"] = json!(id);
        }
        for (name, value) in request.extra {
            body[name.as_str()] = value.clone();
        }
        body.to_string().into_bytes()
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<ResponsesDecoder>::default()
    }
}

fn item(item: &Item) -> Value {
    match item {
        Item::User(text) => json!({
            "type": "message",
            "role": "user",
            "content": [{ "type": "input_text", "text": text }],
        }),
        Item::Output(value) => value.clone(),
        Item::ToolResult { call_id, output } => json!({
            "type": "function_call_output",
            "call_id": call_id,
            "output": output,
        }),
    }
}

/// All the hot path reads of an event.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Option<Cow<'a, str>>,
}

#[derive(Default)]
struct ResponsesDecoder {
    answer: Answer,
    /// The item now streaming has had a delta.
    streamed: bool,
}

impl Decoder for ResponsesDecoder {
    fn payload(&mut self, data: &[u8]) -> Result<Step, StreamError> {
        if data == b"[DONE]" {
            return Ok(Step::Nothing);
        }
        let head: Head<'_> =
            serde_json::from_slice(data).map_err(|error| malformed("event", &error))?;
        let mut output = |kind| match &head.delta {
            Some(delta) if delta.is_empty() => Ok(Step::Nothing),
            Some(delta) => {
                self.streamed = true;
                Ok(Step::Output {
                    kind,
                    bytes: length(delta),
                })
            }
            None => Err(StreamError::Malformed {
                event: head.kind.chars().take(80).collect(),
                problem: "no field `delta`".into(),
            }),
        };
        match &*head.kind {
            "response.output_text.delta" | "response.refusal.delta" => output(EventKind::Text),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                output(EventKind::ToolArguments)
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                output(EventKind::Reasoning)
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                self.take_id(&parse(&head.kind, data)?);
                Ok(Step::Admitted)
            }
            "response.output_item.done" => {
                let mut event = parse(&head.kind, data)?;
                let item = event["item"].take();
                // A server that does not stream an item sends it whole: that is output, too.
                let whole = if std::mem::take(&mut self.streamed) {
                    None
                } else {
                    content(&item)
                };
                self.take_item(item);
                Ok(whole.unwrap_or(Step::Nothing))
            }
            "responsesapi.websocket_timing" => {
                let event = parse(&head.kind, data)?;
                self.answer
                    .reported
                    .merge(&websocket_timing(&event["timing_metrics"]));
                Ok(Step::Nothing)
            }
            "response.completed" | "response.incomplete" => {
                self.complete(parse(&head.kind, data)?);
                Ok(Step::Done)
            }
            "response.failed" => {
                let event = parse(&head.kind, data)?;
                Err(server_error(&event["response"]["error"], None))
            }
            "error" => {
                let event = parse(&head.kind, data)?;
                let status = event["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok());
                // Over HTTP the fields are flat, over a WebSocket they are nested.
                let error = if event["error"].is_object() {
                    &event["error"]
                } else {
                    &event
                };
                Err(server_error(error, status))
            }
            _ => Ok(Step::Nothing),
        }
    }

    fn answer(&mut self) -> Answer {
        std::mem::take(&mut self.answer)
    }
}

impl ResponsesDecoder {
    fn take_id(&mut self, event: &Value) {
        let text = |name: &str| event["response"][name].as_str().map(str::to_owned);
        self.answer.id = text("id").or(self.answer.id.take());
        self.answer.served_model = text("model").or(self.answer.served_model.take());
    }

    fn take_item(&mut self, mut item: Value) {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("function_call") => {
                let id = if item["call_id"].is_string() {
                    "call_id"
                } else {
                    "id"
                };
                self.answer.calls.push(ToolCall {
                    call_id: text(id),
                    name: text("name"),
                    arguments: text("arguments"),
                });
            }
            Some(_) => {}
            None => return,
        }
        // Read-only on the way back in.
        if let Some(fields) = item.as_object_mut() {
            fields.remove("status");
        }
        self.answer.items.push(item);
    }

    fn complete(&mut self, mut event: Value) {
        self.take_id(&event);
        let response = &mut event["response"];
        if self.answer.items.is_empty()
            && let Value::Array(items) = response["output"].take()
        {
            for item in items {
                self.take_item(item);
            }
        }
        self.answer.incomplete = response["incomplete_details"]["reason"]
            .as_str()
            .map(str::to_owned);
        let usage = &response["usage"];
        if let (Some(input_tokens), Some(output_tokens)) = (
            usage["input_tokens"].as_u64(),
            usage["output_tokens"].as_u64(),
        ) {
            self.answer.usage = Some(Usage {
                input_tokens,
                cached_tokens: usage["input_tokens_details"]["cached_tokens"].as_u64(),
                output_tokens,
                reasoning_tokens: usage["output_tokens_details"]["reasoning_tokens"].as_u64(),
            });
        }
        let timings = if event["timings"].is_object() {
            &event["timings"]
        } else {
            &event["response"]["timings"]
        };
        self.answer.reported.merge(&llama_timings(timings));
    }
}

fn parse(kind: &str, data: &[u8]) -> Result<Value, StreamError> {
    serde_json::from_slice(data).map_err(|error| malformed(kind, &error))
}

fn malformed(event: &str, error: &serde_json::Error) -> StreamError {
    StreamError::Malformed {
        event: event.chars().take(80).collect(),
        // serde_json quotes what it did not expect, however long that is.
        problem: error.to_string().chars().take(300).collect(),
    }
}

fn server_error(error: &Value, status: Option<u16>) -> StreamError {
    let text = |name: &str| {
        error[name]
            .as_str()
            .map(|text| text.chars().take(500).collect::<String>())
    };
    StreamError::Server {
        status,
        code: text("code")
            .or_else(|| text("type"))
            .unwrap_or_else(|| "error".into()),
        message: text("message").unwrap_or_else(|| "no message".into()),
    }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// The output an item carries, when it carries any.
fn content(item: &Value) -> Option<Step> {
    let (kind, bytes) = match item["type"].as_str()? {
        "function_call" | "custom_tool_call" => {
            let text = item["arguments"].as_str().or(item["input"].as_str());
            (EventKind::ToolArguments, length(text?))
        }
        "message" => (EventKind::Text, parts(&item["content"])),
        "reasoning" => (
            EventKind::Reasoning,
            parts(&item["summary"]).saturating_add(parts(&item["content"])),
        ),
        _ => return None,
    };
    (bytes > 0).then_some(Step::Output { kind, bytes })
}

/// Bytes of text in a list of content parts.
fn parts(list: &Value) -> u32 {
    let parts = list.as_array().into_iter().flatten();
    parts
        .filter_map(|part| part["text"].as_str())
        .map(length)
        .fold(0, u32::saturating_add)
}

fn milliseconds(value: &Value) -> Option<u64> {
    clock::from_milliseconds(value.as_f64()?)
}

/// `timings` as llama.cpp adds them to the last event.
fn llama_timings(timings: &Value) -> Reported {
    Reported {
        prefill_ns: milliseconds(&timings["prompt_ms"]),
        decode_ns: milliseconds(&timings["predicted_ms"]),
        ..Reported::default()
    }
}

/// `timing_metrics` of `responsesapi.websocket_timing`. Spans overlap: they are
/// used one by one, never summed. Fields named `timeslip_` exist on the simulated
/// endpoints only.
fn websocket_timing(metrics: &Value) -> Reported {
    Reported {
        link_ns: milliseconds(&metrics["timeslip_link_round_trip_ms"]),
        queue_ns: milliseconds(&metrics["engine_queue_max_ms"]),
        prefill_ns: milliseconds(&metrics["timeslip_prefill_ms"]),
        decode_ns: milliseconds(&metrics["timeslip_decode_ms"]),
    }
}
