//! OpenAI Responses.
//!
//! Tolerant by design: real servers leave out `sequence_number` and `output_index`
//! and add fields of their own. An event needs its `type`; a delta needs `delta`;
//! everything else is used when present.

mod addressee;

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::journal::{EventKind, Usage};

use super::fields::{Held, Text, body, bound, length, parse, server_error};
use super::server_timings::{LlamaTimings, ServerTimings, VllmMetrics, WebSocketTiming};
use super::{
    Answer, Decoder, Item, Lanes, PayloadMeaning, Protocol, Request, RequestForm, RunningTimes,
    StreamError, ToolCall, WebSocketForm, bearer,
};
use crate::retry_after::retry_after;

/// Sixteen responses in flight are what a connection takes: with one in each lane no
/// conversation waits for its turn, and the bound of 32 lanes is never reached. Servers end
/// a connection after an hour, whatever is being said on it.
const WEBSOCKET: WebSocketForm = WebSocketForm {
    path: "/responses",
    headers: &[
        ("openai-beta", "responses_websockets=2026-02-06"),
        ("x-responsesapi-include-timing-metrics", "true"),
    ],
    max_age: Duration::from_secs(55 * 60),
    lanes: Some(Lanes {
        count: 16,
        addressee: addressee::addressee,
    }),
};

#[derive(Debug)]
pub(super) struct Responses;

impl Protocol for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn path(&self, _model: &str) -> String {
        "/responses".into()
    }

    fn headers(
        &self,
        key: Option<&str>,
        _extra: &Map<String, Value>,
    ) -> Vec<(&'static str, String)> {
        bearer(key)
    }

    /// The body's `prompt_cache_key` tells.
    fn session_header(&self) -> Option<&'static str> {
        None
    }

    fn websocket(&self) -> Option<WebSocketForm> {
        Some(WEBSOCKET)
    }

    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32) {
        bound(extra, &["max_output_tokens"], tokens);
    }

    fn encode(&self, request: &Request<'_>, form: RequestForm) -> Vec<u8> {
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
        let mut fields = json!({
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
        match form {
            RequestForm::Http => {
                fields["stream"] = json!(true);
                // Deltas are padded by default, which would inflate the bytes per event.
                fields["stream_options"] = json!({ "include_obfuscation": false });
            }
            RequestForm::WebSocket => fields["type"] = json!("response.create"),
        }
        if request.warm_up {
            fields["generate"] = json!(false);
        }
        if let Some(lane) = request.lane {
            fields["stream_id"] = json!(lane);
        }
        if let Some((id, _)) = request.previous {
            fields["previous_response_id"] = json!(id);
        }
        body(fields, request.extra)
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
    kind: Text<'a>,
    #[serde(borrow, default)]
    delta: Option<Text<'a>>,
}

#[derive(Default)]
struct ResponsesDecoder {
    answer: Answer,
    /// The item now streaming has had a delta.
    streamed: bool,
    held: Held,
    running: RunningTimes,
}

impl Decoder for ResponsesDecoder {
    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            return Ok(PayloadMeaning::NOTHING);
        }
        let head: Head<'_> = parse("event", data)?;
        let mut output = |kind| match &head.delta {
            Some(delta) if delta.is_empty() => Ok(PayloadMeaning::NOTHING),
            Some(delta) => {
                self.streamed = true;
                Ok(PayloadMeaning::output(kind, length(delta)))
            }
            None => Err(StreamError::Malformed {
                event: head.kind.to_string(),
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
                Ok(PayloadMeaning::ADMITTED)
            }
            "response.output_item.done" => {
                self.held.add(data)?;
                let mut event: Value = parse(&head.kind, data)?;
                let item = event["item"].take();
                // A server that does not stream an item sends it whole: that is output, too.
                let whole = if std::mem::take(&mut self.streamed) {
                    PayloadMeaning::NOTHING
                } else {
                    content(&item)
                };
                self.take_item(item);
                Ok(whole)
            }
            "responsesapi.websocket_timing" => {
                let event: Value = parse(&head.kind, data)?;
                let metrics = WebSocketTiming::deserialize(&event["timing_metrics"]);
                let timing = metrics.unwrap_or_default();
                self.answer.reported.merge(&timing.reported());
                self.running = timing.running();
                Ok(PayloadMeaning::NOTHING)
            }
            "response.completed" | "response.incomplete" => {
                let unseen = self.complete(parse(&head.kind, data)?);
                Ok(PayloadMeaning {
                    done: true,
                    ..unseen
                })
            }
            "response.failed" => {
                let event: Value = parse(&head.kind, data)?;
                Err(server_error(&event["response"]["error"], None))
            }
            "error" => {
                let event: Value = parse(&head.kind, data)?;
                let status = event["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok());
                // Over HTTP the fields are flat, over a WebSocket they are nested.
                let error = if event["error"].is_object() {
                    &event["error"]
                } else {
                    &event
                };
                let mut error = server_error(error, status);
                if let StreamError::Server { retry_after, .. } = &mut error {
                    *retry_after = wait_in_headers(&event["headers"]).or(*retry_after);
                }
                Err(error)
            }
            _ => Ok(PayloadMeaning::NOTHING),
        }
    }

    fn running_times(&self) -> RunningTimes {
        self.running
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
            Some("message") => append(&mut self.answer.text, &item["content"]),
            Some("reasoning") => append(&mut self.answer.reasoning, &item["summary"]),
            Some(_) => {}
            None => return,
        }
        // Read-only on the way back in.
        if let Some(fields) = item.as_object_mut() {
            fields.shift_remove("status");
        }
        self.answer.items.push(item);
    }

    /// Takes the whole response; returns the output that no earlier event carried.
    fn complete(&mut self, mut event: Value) -> PayloadMeaning {
        self.take_id(&event);
        let response = &mut event["response"];
        let mut unseen = PayloadMeaning::NOTHING;
        if self.answer.items.is_empty()
            && let Value::Array(items) = response["output"].take()
        {
            for item in items {
                if !self.streamed {
                    let step = content(&item);
                    unseen.reasoning = unseen.reasoning.saturating_add(step.reasoning);
                    unseen.text = unseen.text.saturating_add(step.text);
                    unseen.tool_arguments =
                        unseen.tool_arguments.saturating_add(step.tool_arguments);
                }
                self.take_item(item);
            }
        }
        self.answer.served_tier = response["service_tier"].as_str().map(str::to_owned);
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
        self.answer.reported.merge(&LlamaTimings::read(timings));
        let metrics = VllmMetrics::read(&event["response"]["metrics"]);
        self.answer.reported.merge(&metrics);
        unseen
    }
}

/// Over a WebSocket an error brings the headers that an HTTP response would have had.
fn wait_in_headers(headers: &Value) -> Option<Duration> {
    let headers = headers.as_object()?;
    retry_after(|name| {
        let mut headers = headers.iter();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(match value {
            Value::String(text) => Cow::from(text),
            other => Cow::from(other.to_string()),
        })
    })
}

/// The output an item carries.
fn content(item: &Value) -> PayloadMeaning {
    let (kind, bytes) = match item["type"].as_str().unwrap_or_default() {
        "function_call" | "custom_tool_call" => {
            let text = item["arguments"].as_str().or(item["input"].as_str());
            (EventKind::ToolArguments, length(text.unwrap_or_default()))
        }
        "message" => (EventKind::Text, parts(&item["content"])),
        "reasoning" => (
            EventKind::Reasoning,
            parts(&item["summary"]).saturating_add(parts(&item["content"])),
        ),
        _ => return PayloadMeaning::NOTHING,
    };
    PayloadMeaning::output(kind, bytes)
}

/// Bytes of text in a list of content parts.
fn parts(list: &Value) -> u32 {
    texts(list).map(length).fold(0, u32::saturating_add)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    let parts = list.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str())
}

/// Adds the texts of a list of content parts, a line each.
fn append(to: &mut String, list: &Value) {
    for text in texts(list) {
        if !to.is_empty() {
            to.push('\n');
        }
        to.push_str(text);
    }
}
