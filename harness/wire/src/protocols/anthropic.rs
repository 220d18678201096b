//! Anthropic Messages.
//!
//! Prompt caching is asked for: the breakpoints are the system prompt, which covers the
//! tools, and the end of the conversation.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::journal::{EventKind, Usage};

use super::fields::{
    Held, MAX_PARTS, Number, Text, arguments, body, bound, length, parse, server_error, text,
    too_many,
};
use super::server_timings::{LlamaTimings, ServerTimings};
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, StreamError, ToolCall,
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

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<AnthropicDecoder>::default()
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
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    #[serde(default)]
    index: Number,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
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
    partial_json: Option<Text<'a>>,
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
}

#[derive(Default)]
struct AnthropicDecoder {
    answer: Answer,
    blocks: Vec<Block>,
    counts: Counts,
    held: Held,
    /// A reason to stop has come.
    finished: bool,
}

impl Decoder for AnthropicDecoder {
    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        let event: Event<'_> = parse("event", data)?;
        match &*event.kind {
            "content_block_delta" => match event.delta {
                Some(delta) => self.extend(event.index.count(), &delta),
                None => Ok(PayloadMeaning::NOTHING),
            },
            "ping" => Ok(PayloadMeaning::KEEP_ALIVE),
            "message_start" => {
                let mut start: Value = parse("message_start", data)?;
                let message = start["message"].take();
                self.answer.id = message["id"].as_str().map(str::to_owned);
                self.answer.served_model = message["model"].as_str().map(str::to_owned);
                self.count(&message["usage"]);
                // The output has not begun: what is counted here is a start value.
                self.counts.output_tokens = Number::default();
                Ok(PayloadMeaning::ADMITTED)
            }
            "content_block_start" => {
                self.held.add(data)?;
                let mut start: Value = parse("content_block_start", data)?;
                self.begin(event.index.count(), start["content_block"].take())
            }
            "message_delta" => {
                let delta: Value = parse("message_delta", data)?;
                self.count(&delta["usage"]);
                let timings = LlamaTimings::read(&delta["timings"]);
                self.answer.reported.merge(&timings);
                if let Some(reason) = delta["delta"]["stop_reason"].as_str() {
                    self.finished = true;
                    if !matches!(reason, "end_turn" | "tool_use" | "stop_sequence") {
                        self.answer.incomplete = Some(reason.to_owned());
                    }
                }
                Ok(PayloadMeaning::NOTHING)
            }
            "message_stop" => {
                if !self.finished {
                    self.answer.incomplete = Some("no reason to stop".to_owned());
                }
                Ok(PayloadMeaning::DONE)
            }
            "error" => {
                let event: Value = parse("error", data)?;
                let error = &event["error"];
                Err(server_error(error, status(&error["type"])))
            }
            _ => Ok(PayloadMeaning::NOTHING),
        }
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        answer.usage = self.counts.usage();
        let mut content = Vec::new();
        for block in std::mem::take(&mut self.blocks) {
            content.extend(finish(block, &mut answer));
        }
        if !content.is_empty() {
            answer.items = vec![json!({ "role": "assistant", "content": content })];
        }
        answer
    }
}

impl AnthropicDecoder {
    fn begin(&mut self, index: Option<u64>, begun: Value) -> Result<PayloadMeaning, StreamError> {
        if self.blocks.len() == MAX_PARTS {
            return Err(too_many("content blocks"));
        }
        // Blocks begin empty, but a server may send one whole.
        let whole = |name: &str| begun[name].as_str().map_or(0, length);
        let input = begun["input"].as_object().filter(|input| !input.is_empty());
        let step = PayloadMeaning {
            reasoning: whole("thinking"),
            text: whole("text"),
            tool_arguments: input.map_or(0, |_| length(&begun["input"].to_string())),
            ..PayloadMeaning::NOTHING
        };
        self.blocks.push(Block {
            index,
            begun,
            streamed: String::new(),
            signature: String::new(),
        });
        Ok(step)
    }

    fn extend(
        &mut self,
        index: Option<u64>,
        delta: &Delta<'_>,
    ) -> Result<PayloadMeaning, StreamError> {
        let of_index = |block: &&mut Block| block.index == index;
        let block = self.blocks.iter_mut().rev().find(of_index);
        let Some(block) = block else {
            return Err(StreamError::Malformed {
                event: "content_block_delta".into(),
                problem: "its block was not begun".into(),
            });
        };
        let (kind, added) = match text(&delta.kind) {
            "text_delta" => (EventKind::Text, text(&delta.text)),
            "thinking_delta" => (EventKind::Reasoning, text(&delta.thinking)),
            "input_json_delta" => (EventKind::ToolArguments, text(&delta.partial_json)),
            "signature_delta" => {
                block.signature.push_str(text(&delta.signature));
                return Ok(PayloadMeaning::NOTHING);
            }
            _ => return Ok(PayloadMeaning::NOTHING),
        };
        block.streamed.push_str(added);
        Ok(PayloadMeaning::output(kind, length(added)))
    }

    fn count(&mut self, usage: &Value) {
        let later = Counts::deserialize(usage).unwrap_or_default();
        self.counts.replace(&later);
        let text = |name: &str| usage[name].as_str().map(str::to_owned);
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
        let cached_tokens = self.cache_read_input_tokens.count();
        let written = self.cache_creation_input_tokens.count();
        let input_tokens = [cached_tokens, written]
            .into_iter()
            .flatten()
            .fold(self.input_tokens.count()?, u64::saturating_add);
        Some(Usage {
            input_tokens,
            cached_tokens,
            output_tokens: self.output_tokens.count()?,
            reasoning_tokens: None,
        })
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
            // Servers may leave out the input that is to be streamed.
            if !streamed.is_empty() || !value["input"].is_object() {
                value["input"] = Value::Object(arguments(&streamed));
            }
            let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
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
        _ if !streamed.is_empty() => value["input"] = Value::Object(arguments(&streamed)),
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
