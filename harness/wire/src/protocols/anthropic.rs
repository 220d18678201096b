//! Anthropic Messages.
//!
//! Prompt caching is asked for: the breakpoints are the system prompt, which covers the
//! tools, and the end of the conversation.

mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::{EventKind, Usage};

use super::calls::tell_apart;
use super::endings::{self, Ending};
use super::fields::{
    Held, Literal, MAX_PARTS, Number, Object, Text, arguments, body, bound, length, literal,
    literal_text, named, parse, taken, text, too_many,
};
use super::mend::mended;
use super::server_timings::{LlamaTimings, ServerTimings};
use super::unknown::Unknown;
use super::usage;
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    StreamError, ToolCall, failure_in, says_error, server_error, whole,
};

const VERSION: &str = "2023-06-01";
/// What `speed: "fast"` is only taken together with.
const FAST_MODE: &str = "fast-mode-2026-02-01";
/// Output tokens of one answer, unless configured: the protocol demands a bound, and
/// all current models allow this one.
const DEFAULT_MAX_TOKENS: u32 = 32_000;

#[derive(Debug)]
pub(super) struct Anthropic;

impl Protocol for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic-messages"
    }

    fn path(&self, _model: &str) -> String {
        "/messages".into()
    }

    fn headers(
        &self,
        key: Option<&str>,
        extra: &Map<String, Value>,
    ) -> Vec<(&'static str, String)> {
        let mut headers = vec![("anthropic-version", VERSION.to_owned())];
        headers.extend(key.map(|key| ("x-api-key", key.to_owned())));
        if extra.get("speed").and_then(Value::as_str) == Some("fast") {
            headers.push(("anthropic-beta", FAST_MODE.to_owned()));
        }
        headers
    }

    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32) {
        bound(extra, &["max_tokens"], tokens);
    }

    fn encode(&self, request: &Request<'_>, _form: RequestForm) -> Vec<u8> {
        let tools: Vec<Value> = request
            .tools
            .iter()
            .map(|tool| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters,
                })
            })
            .collect();
        let mut fields = json!({
            "model": request.model,
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": messages(request.items),
            "stream": true,
        });
        if !tools.is_empty() {
            fields["tools"] = json!(tools);
        }
        // A text may not be empty.
        if !request.instructions.is_empty() {
            let mut system = json!({ "type": "text", "text": request.instructions });
            mark(&mut system);
            fields["system"] = json!([system]);
        }
        body(fields, request.extra)
    }

    fn request_fields(&self) -> &'static [&'static str] {
        request::FIELDS
    }

    fn request_seen(&self, _path: &str, body: &Value) -> Option<RequestSeen> {
        request::seen(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<AnthropicDecoder>::default()
    }

    fn whole(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let Some(mut message) = whole::answer(body, "content") else {
            return vec![body.to_vec()];
        };
        let content = message
            .insert("content".into(), json!([]))
            .unwrap_or_default();
        let usage = message.get("usage").cloned().unwrap_or_default();
        let reason = message.get("stop_reason").cloned().unwrap_or_default();
        let mut events = vec![json!({ "type": "message_start", "message": message })];
        for (index, block) in (0..).zip(content.as_array().into_iter().flatten()) {
            events.push(
                json!({ "type": "content_block_start", "index": index, "content_block": block }),
            );
            events.push(json!({ "type": "content_block_stop", "index": index }));
        }
        let delta = json!({ "stop_reason": reason });
        events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
        events.push(json!({ "type": "message_stop" }));
        whole::payloads(events)
    }
}

/// Makes a block the end of a cached prefix.
fn mark(block: &mut Value) {
    block["cache_control"] = json!({ "type": "ephemeral" });
}

/// The conversation. What the user and the tools say between two answers is one message.
fn messages(items: &[Item]) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut said = Vec::new();
    for item in items {
        match item {
            Item::User(text) => said.push(json!({ "type": "text", "text": text })),
            Item::ToolResult { call_id, output } => said.push(json!({
                "type": "tool_result",
                "tool_use_id": call_id,
                "content": output,
            })),
            Item::Output(message) => {
                if !said.is_empty() {
                    let content = std::mem::take(&mut said);
                    messages.push(json!({ "role": "user", "content": content }));
                }
                messages.push(message.clone());
            }
        }
    }
    if let Some(last) = said.last_mut() {
        mark(last);
        messages.push(json!({ "role": "user", "content": said }));
    }
    messages
}

/// All the hot path reads of an event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    index: Number,
    #[serde(borrow, default)]
    delta: Object<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Literal<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
}

/// Usage as `message_start` and `message_delta` report it; later counts replace earlier
/// ones.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Number,
    cache_read_input_tokens: Number,
    cache_creation_input_tokens: Number,
    output_tokens: Number,
}

/// One block of the answer's content.
struct Block {
    index: Option<u64>,
    /// As it was begun; the protocol's own shape.
    begun: Value,
    /// What was added since: text, thinking or JSON.
    streamed: String,
    signature: String,
    /// The place among the answer's calls of one that is a call.
    call: Option<usize>,
}

#[derive(Default)]
struct AnthropicDecoder {
    answer: Answer,
    blocks: Vec<Block>,
    /// Text as it was streamed.
    heard: String,
    counts: Counts,
    held: Held,
    unknown: Unknown,
    /// A reason to stop has come.
    finished: bool,
    /// Calls so far.
    calls: usize,
    /// The call that the latest event was about.
    touched: Option<usize>,
}

impl Decoder for AnthropicDecoder {
    fn heard(&self) -> &str {
        &self.heard
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        self.touched = None;
        mended(data, |data| self.event(data))
    }

    fn may_end(&self) -> bool {
        self.finished
    }

    fn unknown(&self) -> BTreeMap<String, u32> {
        self.unknown.counts()
    }

    fn touched(&self) -> &[usize] {
        self.touched.as_slice()
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        answer.usage = self.counts.usage();
        let mut content = Vec::new();
        for block in std::mem::take(&mut self.blocks) {
            content.extend(finish(block, &mut answer));
        }
        tell_apart(&mut answer.calls, answer.id.as_deref());
        let used = content
            .iter_mut()
            .filter(|block| block["type"] == "tool_use");
        for (block, call) in used.zip(&answer.calls) {
            block["id"] = json!(call.call_id);
        }
        if !content.is_empty() {
            answer.items = vec![json!({ "role": "assistant", "content": content })];
        }
        answer
    }
}

impl AnthropicDecoder {
    fn event(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            return Ok(self.stop());
        }
        let Object(Some(event)) = parse::<Object<Event<'_>>>("event", data)? else {
            self.unknown.count("not an object");
            return Ok(PayloadMeaning::NOTHING);
        };
        match text(&event.kind) {
            "content_block_delta" => match event.delta.0 {
                Some(delta) => self.extend(event.index.count(), &delta),
                None => Ok(PayloadMeaning::NOTHING),
            },
            "ping" => Ok(PayloadMeaning::KEEP_ALIVE),
            "message_start" => {
                let mut start: Value = parse("message_start", data)?;
                let message = taken(&mut start, "message");
                self.answer.id = named(&message["id"]);
                self.answer.served_model = named(&message["model"]);
                self.count(&message["usage"]);
                // The output has not begun: what is counted here is a start value.
                self.counts.output_tokens = Number::default();
                Ok(PayloadMeaning::ADMITTED)
            }
            "content_block_start" => {
                self.held.add(data)?;
                let mut start: Value = parse("content_block_start", data)?;
                self.begin(event.index.count(), taken(&mut start, "content_block"))
            }
            "content_block_stop" => {
                self.end_block(event.index.count());
                Ok(PayloadMeaning::NOTHING)
            }
            "message_delta" => self.finish(&parse("message_delta", data)?),
            "message_stop" => Ok(self.stop()),
            "error" => {
                let event: Value = parse("error", data)?;
                let error = Some(&event["error"]).filter(|error| says_error(error));
                let error = error.unwrap_or(&event);
                Err(server_error(error, status(&error["type"])))
            }
            unknown => {
                self.unknown.count(unknown);
                let event: Value = match unknown {
                    "" => parse("event", data)?,
                    _ => Value::Null,
                };
                failure_in(&event).map_or(Ok(PayloadMeaning::NOTHING), Err)
            }
        }
    }

    /// A block ended: that of its index, or else the latest.
    fn end_block(&mut self, index: Option<u64>) {
        let at_index = |block: &&Block| index.is_none() || block.index == index;
        self.touched = self
            .blocks
            .iter()
            .rfind(at_index)
            .and_then(|block| block.call);
    }

    fn stop(&mut self) -> PayloadMeaning {
        if !self.finished {
            self.answer.incomplete = Some("no reason to stop".to_owned());
        }
        PayloadMeaning::DONE
    }

    fn finish(&mut self, delta: &Value) -> Result<PayloadMeaning, StreamError> {
        self.count(&delta["usage"]);
        let timings = LlamaTimings::read(&delta["timings"]);
        self.answer.reported.merge(&timings);
        let Some(reason) = named(&delta["delta"]["stop_reason"]) else {
            return Ok(PayloadMeaning::NOTHING);
        };
        self.finished = true;
        match endings::known(&reason) {
            Some(Ending::Normal) => {}
            Some(Ending::Cut) => self.answer.incomplete = Some(reason),
            Some(Ending::Failed(status)) => return Err(endings::failure(&reason, status)),
            None => self.unknown.count_value("stop_reason", &reason),
        }
        Ok(PayloadMeaning::NOTHING)
    }

    fn begin(&mut self, index: Option<u64>, begun: Value) -> Result<PayloadMeaning, StreamError> {
        if self.blocks.len() == MAX_PARTS {
            return Err(too_many("content blocks"));
        }
        // Blocks begin empty, but a server may send one whole.
        let whole = |name: &str| begun[name].as_str().map_or(0, length);
        let input = match &begun["input"] {
            Value::Object(input) if input.is_empty() => String::new(),
            input => literal_text(input),
        };
        let step = PayloadMeaning {
            reasoning: whole("thinking"),
            text: whole("text"),
            tool_arguments: length(&input),
            ..PayloadMeaning::NOTHING
        };
        let call = (begun["type"] == "tool_use").then_some(self.calls);
        self.calls += usize::from(call.is_some());
        self.touched = call;
        self.blocks.push(Block {
            index,
            begun,
            streamed: String::new(),
            signature: String::new(),
            call,
        });
        Ok(step)
    }

    fn extend(
        &mut self,
        index: Option<u64>,
        delta: &Delta<'_>,
    ) -> Result<PayloadMeaning, StreamError> {
        let (kind, of, added) = match text(&delta.kind) {
            "text_delta" => (Some(EventKind::Text), "text", text(&delta.text)),
            "thinking_delta" => (
                Some(EventKind::Reasoning),
                "thinking",
                text(&delta.thinking),
            ),
            "input_json_delta" => {
                let json = literal(&delta.partial_json);
                (Some(EventKind::ToolArguments), "tool_use", json)
            }
            "signature_delta" => (None, "thinking", text(&delta.signature)),
            "citations_delta" => return Ok(PayloadMeaning::NOTHING),
            other => {
                self.unknown.count_value("delta", other);
                return Ok(PayloadMeaning::NOTHING);
            }
        };
        let Some(at) = self.place(index, of)? else {
            self.unknown.count_value("delta without a block:", of);
            return Ok(PayloadMeaning::NOTHING);
        };
        let block = &mut self.blocks[at];
        let Some(kind) = kind else {
            block.signature.push_str(added);
            return Ok(PayloadMeaning::NOTHING);
        };
        block.streamed.push_str(added);
        if kind == EventKind::Text {
            self.heard.push_str(added);
        }
        self.touched = block.call;
        Ok(PayloadMeaning::output(kind, length(added)))
    }

    /// The block that a delta of a kind belongs to: that of its index, or else the latest
    /// of the kind. A text needs none that was begun.
    fn place(&mut self, index: Option<u64>, of: &str) -> Result<Option<usize>, StreamError> {
        let at_index = |block: &Block| index.is_some() && block.index == index;
        let of_kind = |block: &Block| block.begun["type"] == of;
        let found = self.blocks.iter().rposition(at_index);
        let found = found.or_else(|| {
            self.blocks
                .iter()
                .rposition(of_kind)
                .filter(|_| index.is_none() || of == "tool_use")
        });
        if found.is_some() || of == "tool_use" {
            return Ok(found);
        }
        let mut begun = json!({ "type": of });
        begun[of] = json!("");
        self.begin(index, begun)?;
        Ok(Some(self.blocks.len() - 1))
    }

    fn count(&mut self, usage: &Value) {
        let later = Counts::deserialize(usage).unwrap_or_default();
        self.counts.replace(&later);
        let text = |name: &str| named(&usage[name]);
        self.answer.served_tier = text("service_tier").or(self.answer.served_tier.take());
        self.answer.served_speed = text("speed").or(self.answer.served_speed.take());
    }
}

impl Counts {
    fn replace(&mut self, later: &Counts) {
        for (count, later) in [
            (&mut self.input_tokens, later.input_tokens),
            (
                &mut self.cache_read_input_tokens,
                later.cache_read_input_tokens,
            ),
            (
                &mut self.cache_creation_input_tokens,
                later.cache_creation_input_tokens,
            ),
            (&mut self.output_tokens, later.output_tokens),
        ] {
            if later.count().is_some() {
                *count = later;
            }
        }
    }

    /// In our terms: the protocol's `input_tokens` are only those that no cache was
    /// involved in.
    fn usage(&self) -> Option<Usage> {
        let cached = usage::tokens(self.cache_read_input_tokens);
        let written = usage::tokens(self.cache_creation_input_tokens);
        let fresh = usage::tokens(self.input_tokens);
        let counts = usage::Counts {
            cached: self.cache_read_input_tokens,
            output: self.output_tokens,
            ..usage::Counts::default()
        };
        let known = fresh.map(|fresh| {
            let parts = [cached, written].into_iter().flatten();
            parts.fold(fresh, u64::saturating_add)
        });
        counts.with_input(known).usage()
    }
}

/// A finished block as it goes back as context; nothing when it says nothing. What it says
/// is added to the answer.
fn finish(block: Block, answer: &mut Answer) -> Option<Value> {
    let Block {
        begun: mut value,
        streamed,
        signature,
        ..
    } = block;
    let kind = value["type"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" => {
            let whole = value["text"].as_str().unwrap_or_default().to_owned() + &streamed;
            // The API refuses to be told of it again.
            if whole.trim().is_empty() {
                return None;
            }
            add_line(&mut answer.text, &whole);
            value["text"] = json!(whole);
        }
        "thinking" => {
            let whole = value["thinking"].as_str().unwrap_or_default().to_owned() + &streamed;
            add_line(&mut answer.reasoning, &whole);
            value["thinking"] = json!(whole);
            if !signature.is_empty() {
                value["signature"] = json!(signature);
            }
        }
        "tool_use" => {
            // Servers may leave out the input that is to be streamed, or send it as text.
            let streamed = match &mut value["input"] {
                Value::String(whole) if streamed.is_empty() => std::mem::take(whole),
                _ => streamed,
            };
            if !streamed.is_empty() || !value["input"].is_object() {
                value["input"] = Value::Object(arguments(&streamed));
            }
            let text = |name: &str| literal_text(&value[name]);
            answer.calls.push(ToolCall {
                call_id: text("id"),
                name: text("name"),
                arguments: if streamed.is_empty() {
                    value["input"].to_string()
                } else {
                    streamed
                },
            });
        }
        // Of a tool that the server runs itself.
        _ if !streamed.is_empty() && value.is_object() => {
            value["input"] = Value::Object(arguments(&streamed))
        }
        _ => {}
    }
    // Anything that is no block at all would be refused on the way back.
    (!kind.is_empty()).then_some(value)
}

fn add_line(to: &mut String, text: &str) {
    if !to.is_empty() && !text.is_empty() {
        to.push('\n');
    }
    to.push_str(text);
}

/// The HTTP status that an error of this type has outside of a stream.
fn status(kind: &Value) -> Option<u16> {
    Some(match kind.as_str()? {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}
