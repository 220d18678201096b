//! OpenAI Responses.
//!
//! Tolerant by design: real servers leave out `sequence_number` and `output_index`
//! and add fields and events of their own. What is used is used when present.

mod addressee;
mod request;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::EventKind;

use super::calls::tell_apart;
use super::fields::{
    Held, Literal, MAX_PARTS, Number, Object, Text, body, bound, length, literal, literal_text,
    named, parse, taken, text, too_many,
};
use super::mend::mended;
use super::output_items::{Streamed, append, arguments_field, content};
use super::server_timings::{
    LlamaTimings, ServerTimings, TimedUsage, VllmMetrics, WebSocketTiming,
};
use super::unknown::Unknown;
use super::{
    Answer, Decoder, Item, Lanes, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    RunningTimes, StreamError, ToolCall, WebSocketForm, bearer, failure_in, says_error,
    server_error, whole,
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
    asks: addressee::asked,
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

    fn cancel_path(&self, response_id: &str) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        response_id
            .bytes()
            .all(plain)
            .then(|| format!("/responses/{response_id}/cancel"))
    }

    fn steer(&self, response_id: &str, text: &str) -> Option<String> {
        let steer = json!({
            "type": "response.steer",
            "previous_response_id": response_id,
            "input": [item(&Item::User(text.to_owned()))],
        });
        Some(steer.to_string())
    }

    fn request_fields(&self) -> &'static [&'static str] {
        request::FIELDS
    }

    fn request_seen(&self, _path: &str, body: &Value) -> Option<RequestSeen> {
        request::seen(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<ResponsesDecoder>::default()
    }

    /// It is the response that the last event of a stream repeats.
    fn whole(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let Some(response) = whole::answer(body, "output") else {
            return vec![body.to_vec()];
        };
        // One that goes on in the background is not answered yet.
        let kind = match response.get("status").and_then(Value::as_str) {
            Some("queued" | "in_progress") => "response.in_progress",
            _ => "response.completed",
        };
        whole::payloads([json!({ "type": kind, "response": response })])
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
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    delta: Option<Literal<'a>>,
    #[serde(default)]
    output_index: Number,
    #[serde(borrow, default)]
    item_id: Option<Text<'a>>,
}

/// Events that say nothing which is not said elsewhere, too.
const SILENT: &[&str] = &[
    "codex.rate_limits",
    "response.content_part.added",
    "response.content_part.done",
    "response.metadata",
    "response.output_item.added",
    "response.output_text.annotation.added",
    "response.output_text.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.done",
    "response.refusal.done",
];

/// The kind of output that an event is a piece of.
fn delta_of(kind: &str) -> Option<EventKind> {
    Some(match kind {
        "response.output_text.delta" | "response.refusal.delta" => EventKind::Text,
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            EventKind::ToolArguments
        }
        "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
            EventKind::Reasoning
        }
        _ => return None,
    })
}

#[derive(Default)]
struct ResponsesDecoder {
    answer: Answer,
    streamed: Streamed,
    /// The number of each call's item.
    calls: Vec<usize>,
    /// The item of a call that the latest event was about.
    touched: Vec<usize>,
    /// Text as it was streamed, for a server that never sends it whole.
    heard: String,
    held: Held,
    running: RunningTimes,
    unknown: Unknown,
    earlier: Earlier,
}

/// What a connection carried before this response.
#[derive(Default)]
struct Earlier {
    /// The connection is one of many responses: each event names the one it is of.
    followed: bool,
    /// Ids of the responses before this one.
    ids: Vec<String>,
    /// This response has yet to name itself.
    awaiting: bool,
}

impl Decoder for ResponsesDecoder {
    fn heard(&self) -> &str {
        match self.heard.is_empty() {
            true => &self.answer.text,
            false => &self.heard,
        }
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        self.touched.clear();
        mended(data, |data| self.event(data))
    }

    fn follow(&mut self, earlier: &[String], named: bool) {
        self.earlier = Earlier {
            followed: true,
            ids: earlier.to_vec(),
            awaiting: named && !earlier.is_empty(),
        };
    }

    fn touched(&self) -> &[usize] {
        &self.touched
    }

    fn call_number(&self, call: usize) -> usize {
        self.calls.get(call).copied().unwrap_or(call)
    }

    fn response_id(&self) -> Option<String> {
        self.answer.id.clone()
    }

    fn running_times(&self) -> RunningTimes {
        self.running
    }

    fn unknown(&self) -> BTreeMap<String, u32> {
        self.unknown.counts()
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        if answer.text.is_empty() && !self.heard.is_empty() {
            answer.text = std::mem::take(&mut self.heard);
            let content = [json!({ "type": "output_text", "text": answer.text })];
            let message = json!({ "type": "message", "role": "assistant", "content": content });
            answer.items.push(message);
        }
        name_calls(&mut answer);
        answer
    }
}

/// Gives every call an id of its own, in the items that go back, too.
fn name_calls(answer: &mut Answer) {
    tell_apart(&mut answer.calls, answer.id.as_deref());
    let items = answer.items.iter_mut();
    let called = items.filter(|item| item["type"].as_str().and_then(arguments_field).is_some());
    for (item, call) in called.zip(&answer.calls) {
        item["call_id"] = json!(call.call_id);
    }
}

impl ResponsesDecoder {
    fn event(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            return Ok(PayloadMeaning::NOTHING);
        }
        let Object(Some(head)) = parse::<Object<Head<'_>>>("event", data)? else {
            self.unknown.count("not an object");
            return Ok(PayloadMeaning::NOTHING);
        };
        let kind = text(&head.kind);
        if self.earlier.awaiting && self.is_too_early(kind) {
            return Ok(self.skip());
        }
        if let Some(output) = delta_of(kind) {
            return Ok(self.extend(output, &head));
        }
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                let event: Value = parse(kind, data)?;
                if self.is_of_another(&event) {
                    return Ok(self.skip());
                }
                self.earlier.awaiting = false;
                self.take_id(&event);
                Ok(PayloadMeaning::ADMITTED)
            }
            "response.output_item.done" => {
                self.held.add(data)?;
                let mut event: Value = parse(kind, data)?;
                let item = taken(&mut event, "item");
                // A server that does not stream an item sends it whole: that is output, too.
                self.take_item(item, head.output_index.count(), true)
            }
            "responsesapi.websocket_timing" => {
                let event: Value = parse(kind, data)?;
                let metrics = WebSocketTiming::deserialize(&event["timing_metrics"]);
                let timing = metrics.unwrap_or_default();
                self.answer.reported.merge(&timing.reported());
                self.running = timing.running();
                Ok(PayloadMeaning::NOTHING)
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                let event: Value = parse(kind, data)?;
                if self.is_of_another(&event) {
                    return Ok(self.skip());
                }
                let unseen = self.complete(kind, event)?;
                Ok(PayloadMeaning {
                    done: true,
                    ..unseen
                })
            }
            "response.failed" | "response.cancelled" | "response.error" => {
                let event: Value = parse(kind, data)?;
                if self.is_of_another(&event) {
                    return Ok(self.skip());
                }
                Err(failed(&event, kind))
            }
            "error" => Err(error_event(&parse(kind, data)?)),
            "ping" | "keepalive" | "keep_alive" | "heartbeat" => Ok(PayloadMeaning::KEEP_ALIVE),
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                let known = self
                    .streamed
                    .known(head.output_index.count(), text(&head.item_id));
                self.touched.extend(known);
                Ok(PayloadMeaning::NOTHING)
            }
            silent if SILENT.contains(&silent) => Ok(PayloadMeaning::NOTHING),
            unknown => {
                let event: Value = if unknown.is_empty() {
                    parse("event", data)?
                } else {
                    Value::Null
                };
                if let Some(failure) = failure_in(&event) {
                    return Err(failure);
                }
                self.unknown.count(unknown);
                Ok(PayloadMeaning::NOTHING)
            }
        }
    }

    /// Whether an event of this kind can only be of the response before, while this one
    /// has not named itself.
    fn is_too_early(&self, kind: &str) -> bool {
        let begins = [
            "response.created",
            "response.in_progress",
            "response.queued",
        ];
        kind.starts_with("response.") && !begins.contains(&kind)
    }

    /// Whether an event names another response than this one.
    fn is_of_another(&self, event: &Value) -> bool {
        let Some(id) = event["response"]["id"].as_str().filter(|id| !id.is_empty()) else {
            return false;
        };
        let own = self.answer.id.as_deref();
        self.earlier.followed
            && (self.earlier.ids.iter().any(|known| known == id)
                || own.is_some_and(|own| own != id))
    }

    fn skip(&mut self) -> PayloadMeaning {
        self.unknown.count("event of another response");
        PayloadMeaning::KEEP_ALIVE
    }

    fn extend(&mut self, output: EventKind, head: &Head<'_>) -> PayloadMeaning {
        let delta = literal(&head.delta);
        if delta.is_empty() {
            return PayloadMeaning::NOTHING;
        }
        let number = self
            .streamed
            .mark(head.output_index.count(), text(&head.item_id));
        match output {
            EventKind::Text => self.heard.push_str(delta),
            EventKind::ToolArguments => self.touched.extend(number),
            EventKind::Reasoning => {}
        }
        PayloadMeaning::output(output, length(delta))
    }

    fn take_id(&mut self, event: &Value) {
        let response = &event["response"];
        self.answer.id = named(&response["id"]).or(self.answer.id.take());
        self.answer.served_model = named(&response["model"]).or(self.answer.served_model.take());
    }

    /// Takes a whole item, which its event may bring `alone`; returns the output in it that no
    /// earlier event carried.
    fn take_item(
        &mut self,
        mut item: Value,
        index: Option<u64>,
        alone: bool,
    ) -> Result<PayloadMeaning, StreamError> {
        if self.answer.items.len() == MAX_PARTS {
            return Err(too_many("output items"));
        }
        let id = item["id"].as_str().unwrap_or_default();
        let (number, seen) = self.streamed.take(index, id);
        let whole = content(&item);
        let kind = item["type"].as_str().unwrap_or_default().to_owned();
        match (kind.as_str(), arguments_field(&kind)) {
            (_, Some(field)) => {
                let arguments = literal_text(&item[field]);
                let named = |field: &str, else_named: &str| match literal_text(&item[field]) {
                    none if none.is_empty() => else_named.to_owned(),
                    name => name,
                };
                self.answer.calls.push(ToolCall {
                    call_id: named("call_id", id),
                    // A tool of the protocol's own has none.
                    name: named("name", kind.trim_end_matches("_call")),
                    arguments: arguments.clone(),
                });
                self.calls.push(number);
                if alone || !seen {
                    self.touched.push(number);
                }
                // Goes back as the text that it has to be.
                if field == "arguments" {
                    item[field] = json!(arguments);
                }
            }
            ("message", None) => append(&mut self.answer.text, &item["content"]),
            ("reasoning", None) => {
                append(&mut self.answer.reasoning, &item["summary"]);
                append(&mut self.answer.reasoning, &item["content"]);
            }
            ("", None) => return Ok(PayloadMeaning::NOTHING),
            (other, None) => self.unknown.count_value("item", other),
        }
        // Read-only on the way back in.
        if let Some(fields) = item.as_object_mut() {
            fields.shift_remove("status");
        }
        self.answer.items.push(item);
        Ok(whole.filter(|_| !seen).unwrap_or_default())
    }

    /// Takes the whole response; returns the output that no earlier event carried.
    fn complete(&mut self, kind: &str, mut event: Value) -> Result<PayloadMeaning, StreamError> {
        self.take_id(&event);
        let response = &mut event["response"];
        if says_error(&response["error"]) || response["status"] == "failed" {
            return Err(failed(&event, "failed"));
        }
        let mut unseen = PayloadMeaning::NOTHING;
        if let Value::Array(items) = taken(response, "output") {
            let mut missing = items.len().saturating_sub(self.answer.items.len());
            for (index, item) in (0..).zip(items) {
                if missing == 0 || self.has(&item) {
                    continue;
                }
                missing -= 1;
                let step = self.take_item(item, Some(index), false)?;
                unseen.reasoning = unseen.reasoning.saturating_add(step.reasoning);
                unseen.text = unseen.text.saturating_add(step.text);
                unseen.tool_arguments = unseen.tool_arguments.saturating_add(step.tool_arguments);
            }
        }
        let response = &event["response"];
        self.answer.served_tier = named(&response["service_tier"]);
        let status = response["status"].as_str().filter(|status| is_cut(status));
        let cut = status.or(Some("incomplete").filter(|_| kind == "response.incomplete"));
        let reason = named(&response["incomplete_details"]["reason"]);
        self.answer.incomplete = reason.or_else(|| cut.map(str::to_owned));
        let usage = TimedUsage::deserialize(&response["usage"]).unwrap_or_default();
        self.answer.usage = usage.counts();
        let timings = if event["timings"].is_object() {
            &event["timings"]
        } else {
            &response["timings"]
        };
        self.answer.reported.merge(&LlamaTimings::read(timings));
        let metrics = VllmMetrics::read(&response["metrics"]);
        self.answer.reported.merge(&metrics);
        Ok(unseen)
    }

    /// Whether an item of the whole response came by itself before.
    fn has(&self, item: &Value) -> bool {
        let same =
            |known: &Value, name: &str| named(&known[name]).is_some_and(|id| item[name] == *id);
        let mut items = self.answer.items.iter();
        items.any(|known| {
            let named = ["id", "call_id"].into_iter().any(|name| same(known, name));
            let nameless = known["id"].is_null() || item["id"].is_null();
            named || nameless && known["type"] == item["type"] && content(known) == content(item)
        })
    }
}

/// Whether a response of this status was not finished.
fn is_cut(status: &str) -> bool {
    matches!(status, "incomplete" | "cancelled")
}

/// A response that failed, in the words of its error where it has one.
fn failed(event: &Value, kind: &str) -> StreamError {
    let places = [&event["response"]["error"], &event["error"]];
    match places.into_iter().find(|error| says_error(error)) {
        Some(error) => server_error(error, None),
        None => {
            let kind = kind.trim_start_matches("response.");
            server_error(&json!({ "code": kind, "message": "no reason given" }), None)
        }
    }
}

/// An error of the stream. Over HTTP the fields are flat, over a WebSocket they are nested.
fn error_event(event: &Value) -> StreamError {
    let error = Some(&event["error"]).filter(|error| says_error(error));
    let status = Number::deserialize(&event["status"]).unwrap_or_default();
    let status = status.count().and_then(|status| u16::try_from(status).ok());
    let mut error = server_error(error.unwrap_or(event), status);
    if let StreamError::Server { retry_after, .. } = &mut error {
        *retry_after = wait_in_headers(&event["headers"]).or(*retry_after);
    }
    error
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
