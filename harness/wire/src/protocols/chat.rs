//! Chat Completions, as OpenAI defined it and most inference servers speak it.
//!
//! Tolerant by design: servers leave out roles, indices and ids, send reasoning under
//! one of two names, usage in a chunk of its own or in the last one, and may end
//! without `[DONE]`.

mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::{Reported, Usage};

use super::calls::{Calls, Piece};
use super::endings::{self, Ending};
use super::fields::{
    Few, Held, Literal, Number, Object, Said, Text, arguments, body, bound, function_tools, length,
    literal, parse, text,
};
use super::mend::mended;
use super::reasoning_details::{ReasoningDetails, shown};
use super::server_timings::{
    LlamaTimings, PerfMetrics, ServerTimings, TimeInfo, TimedUsage, VllmMetrics, fireworks_header,
};
use super::unknown::Unknown;
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    StreamError, bearer, failure_in, says_error, server_error, whole,
};

#[derive(Debug)]
pub(super) struct Chat;

impl Protocol for Chat {
    fn name(&self) -> &'static str {
        "chat-completions"
    }

    fn path(&self, _model: &str) -> String {
        "/chat/completions".into()
    }

    fn headers(
        &self,
        key: Option<&str>,
        _extra: &Map<String, Value>,
    ) -> Vec<(&'static str, String)> {
        bearer(key)
    }

    /// By the field every server of this protocol knows. OpenAI's own newer name for it is
    /// not known everywhere, and no server takes both.
    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32) {
        if !extra.contains_key("max_completion_tokens") {
            bound(extra, &["max_tokens"], tokens);
        }
    }

    fn encode(&self, request: &Request<'_>, _form: RequestForm) -> Vec<u8> {
        let system = json!({ "role": "system", "content": request.instructions });
        let messages: Vec<Value> = std::iter::once(system)
            .chain(request.items.iter().map(message))
            .collect();
        let mut fields = json!({
            "model": request.model,
            "messages": messages,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        // Many servers refuse an empty list.
        if !request.tools.is_empty() {
            fields["tools"] = function_tools(request.tools);
            fields["tool_choice"] = json!("auto");
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
        Box::new(ChatDecoder {
            counted: Some(0),
            ..ChatDecoder::default()
        })
    }

    /// It reads like an event; what is missing of a stream is its end.
    fn whole(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let is_answer =
            whole::answer(body, "choices").is_some_and(|fields| fields["choices"] != json!([]));
        let end = is_answer.then(|| b"[DONE]".to_vec());
        [body.to_vec()].into_iter().chain(end).collect()
    }
}

fn message(item: &Item) -> Value {
    match item {
        Item::User(text) => json!({ "role": "user", "content": text }),
        Item::Output(message) => message.clone(),
        Item::ToolResult { call_id, output } => json!({
            "role": "tool",
            "tool_call_id": call_id,
            "content": output,
        }),
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    object: Option<Text<'a>>,
    #[serde(borrow, default)]
    service_tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    choices: Few<Choice<'a>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    base_resp: Option<Value>,
    #[serde(default)]
    usage: Object<TimedUsage>,
    #[serde(default)]
    x_groq: Object<Groq>,
    #[serde(default)]
    time_info: Object<TimeInfo>,
    #[serde(default)]
    timings: Object<LlamaTimings>,
    #[serde(default)]
    metrics: Object<VllmMetrics>,
    #[serde(default)]
    perf_metrics: Object<PerfMetrics>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Object<Delta<'a>>,
    /// What a server that streams nothing sends instead, in one event.
    #[serde(borrow, default)]
    message: Object<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    usage: Object<TimedUsage>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Said<'a>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(default)]
    reasoning_details: Option<Value>,
    #[serde(default)]
    extra_content: Option<Value>,
    #[serde(borrow, default)]
    tool_calls: Few<CallDelta<'a>>,
    /// The one call of servers from before there were several.
    #[serde(borrow, default)]
    function_call: Object<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(default)]
    index: Number,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Object<FunctionDelta<'a>>,
    #[serde(default)]
    extra_content: Option<Value>,
    #[serde(default)]
    thought_signature: Option<Value>,
}

#[derive(Default, Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Literal<'a>>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Object<TimedUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default)]
struct ChatDecoder {
    answer: Answer,
    calls: Calls,
    /// The name under which this server sends reasoning, and gets it back.
    reasoning_field: Option<&'static str>,
    /// Structured reasoning, which goes back as it came.
    details: ReasoningDetails,
    /// The answer came as a list of parts, reasoning among them, and goes back as one.
    in_parts: bool,
    /// A field of the whole answer that goes back with it.
    extra_content: Option<Value>,
    held: Held,
    unknown: Unknown,
    /// Some output has come.
    started: bool,
    /// Output tokens up to the latest output, while every output came with a count.
    counted: Option<u64>,
    /// Output tokens counted before the first output.
    hidden: u64,
    /// A reason to finish has come: usage may follow, or nothing.
    finished: bool,
    /// Calls that the latest event was about.
    touched: Vec<usize>,
}

impl Decoder for ChatDecoder {
    fn heard(&self) -> &str {
        &self.answer.text
    }

    fn header(&mut self, name: &str, value: &str) {
        self.report(&fireworks_header(name, value));
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        self.touched.clear();
        mended(data, |data| self.event(data))
    }

    fn may_end(&self) -> bool {
        self.finished
    }

    fn unknown(&self) -> BTreeMap<String, u32> {
        self.unknown.counts()
    }

    fn touched(&self) -> &[usize] {
        &self.touched
    }

    fn hidden_tokens(&self) -> Option<u64> {
        Some(self.hidden).filter(|hidden| *hidden > 0)
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        let extras = self.calls.extras();
        answer.calls = std::mem::take(&mut self.calls).finish(answer.id.as_deref());
        answer.items = vec![self.output(&answer, extras)];
        answer
    }
}

impl ChatDecoder {
    fn event(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            if !self.finished {
                self.answer.incomplete = Some("no reason to finish".to_owned());
            }
            return Ok(PayloadMeaning::DONE);
        }
        let Object(Some(mut chunk)) = parse::<Object<Chunk<'_>>>("chunk", data)? else {
            self.unknown.count("not an object");
            return Ok(PayloadMeaning::NOTHING);
        };
        if let Some(error) = error_of(&mut chunk, data) {
            return Err(error);
        }
        self.identify(&chunk);
        let counted = self.measure(&chunk);
        let Some(choice) = chunk.choices.first else {
            return Ok(PayloadMeaning::NOTHING);
        };
        let mut step = PayloadMeaning::NOTHING;
        let whole = choice.message.0.filter(|_| !self.started);
        if let Some(delta) = choice.delta.0.or(whole) {
            if delta.reasoning_details.is_some() || delta.extra_content.is_some() {
                self.held.add(data)?;
            }
            self.take(delta, &mut step, data)?;
        }
        let reason = choice.finish_reason.as_deref().unwrap_or_default();
        if !reason.is_empty() {
            self.finish(reason)?;
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started;
        // An empty piece in the middle of an answer does not move it.
        step.keep_alive = !output && self.started && reason.is_empty() && counted.is_none();
        if output {
            // A count after output without one is of more than this output.
            let before = std::mem::replace(&mut self.counted, counted);
            let tokens = before.and_then(|before| counted?.checked_sub(before));
            step.tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
        } else if let Some(counted) = counted
            && !self.started
        {
            self.counted = Some(counted);
            self.hidden = counted;
        }
        self.started |= output;
        Ok(step)
    }

    fn finish(&mut self, reason: &str) -> Result<(), StreamError> {
        match endings::known(reason) {
            Some(Ending::Normal) => {}
            Some(Ending::Cut) => self.answer.incomplete = Some(reason.to_owned()),
            Some(Ending::Failed(status)) => return Err(endings::failure(reason, status)),
            None => self.unknown.count_value("finish_reason", reason),
        }
        self.finished = true;
        Ok(())
    }

    fn report(&mut self, reported: &Reported) {
        self.answer.reported.merge(reported);
    }

    fn identify(&mut self, chunk: &Chunk<'_>) {
        let keep = |known: &mut Option<String>, said: &Option<Text<'_>>| {
            let said = text(said);
            if known.is_none() && !said.is_empty() {
                *known = Some(said.to_owned());
            }
        };
        keep(&mut self.answer.id, &chunk.id);
        keep(&mut self.answer.served_model, &chunk.model);
        keep(&mut self.answer.served_tier, &chunk.service_tier);
    }

    /// Takes over counts and durations, wherever this server puts them; returns the output
    /// tokens so far, which some servers tell with every chunk when they are asked to.
    fn measure(&mut self, chunk: &Chunk<'_>) -> Option<u64> {
        let groq = chunk.x_groq.0.as_ref();
        let choice = chunk.choices.first.as_ref();
        let usage = chunk.usage.0.as_ref();
        let usage = usage
            .or_else(|| groq?.usage.0.as_ref())
            .or_else(|| choice?.usage.0.as_ref());
        let timings = chunk.timings.0.as_ref();
        if let Some(usage) = usage {
            self.report(&usage.reported());
            self.answer.usage = usage.counts().or(self.answer.usage);
        }
        if let (Some(timings), Some(usage)) = (timings, &mut self.answer.usage) {
            let cached_tokens = usage.cached_tokens.or(timings.cached_tokens());
            *usage = Usage {
                cached_tokens,
                ..*usage
            };
        }
        if let Some(times) = &chunk.time_info.0 {
            self.report(&times.reported());
        }
        if let Some(times) = timings {
            self.report(&times.reported());
        }
        if let Some(times) = &chunk.metrics.0 {
            self.report(&times.reported());
        }
        if let Some(times) = &chunk.perf_metrics.0 {
            self.report(&times.reported());
        }
        let by_usage = usage.and_then(TimedUsage::output_tokens);
        by_usage.or_else(|| timings.and_then(LlamaTimings::output_tokens))
    }

    /// Takes over the output of a chunk; one chunk may hold every kind at once.
    fn take(
        &mut self,
        delta: Delta<'_>,
        step: &mut PayloadMeaning,
        data: &[u8],
    ) -> Result<(), StreamError> {
        let details = delta
            .reasoning_details
            .as_ref()
            .map(shown)
            .unwrap_or_default();
        // Some servers send several names with the same content.
        let (field, reasoning) = match (text(&delta.reasoning), text(&delta.reasoning_content)) {
            ("", "") => (None, details.as_str()),
            ("", reasoning) => (Some("reasoning_content"), reasoning),
            (reasoning, _) => (Some("reasoning"), reasoning),
        };
        self.reasoning_field = field.or(self.reasoning_field);
        self.reason(reasoning, step);
        if let Some(details) = delta.reasoning_details {
            self.details.take(details);
        }
        self.extra_content = delta.extra_content.or(self.extra_content.take());
        for part in [&*delta.content.text, text(&delta.refusal)] {
            self.say(part, step);
        }
        for part in &delta.content.parts {
            self.take_part(part, step);
        }
        for call in delta.tool_calls {
            self.call(call, step, data)?;
        }
        if let Some(function) = delta.function_call.0 {
            self.piece(None, "", &function, step)?;
        }
        Ok(())
    }

    fn reason(&mut self, reasoning: &str, step: &mut PayloadMeaning) {
        step.reasoning = step.reasoning.saturating_add(length(reasoning));
        self.answer.reasoning.push_str(reasoning);
    }

    fn say(&mut self, said: &str, step: &mut PayloadMeaning) {
        step.text = step.text.saturating_add(length(said));
        self.answer.text.push_str(said);
    }

    fn take_part(&mut self, part: &Value, step: &mut PayloadMeaning) {
        match part["type"].as_str().unwrap_or("text") {
            "thinking" | "reasoning" | "reasoning_text" => {
                self.in_parts = true;
                let fields = ["thinking", "reasoning", "text"];
                let reasoning = fields.map(|name| Said::of(&part[name])).concat();
                self.reason(&reasoning, step);
            }
            "text" | "output_text" => self.say(&Said::of(part), step),
            "refusal" => self.say(&Said::of(&part["refusal"]), step),
            other => self.unknown.count_value("content part", other),
        }
    }

    fn call(
        &mut self,
        call: CallDelta<'_>,
        step: &mut PayloadMeaning,
        data: &[u8],
    ) -> Result<(), StreamError> {
        let index = call.index.count();
        let function = call.function.0.unwrap_or_default();
        self.piece(index, text(&call.id), &function, step)?;
        let extra = [
            ("extra_content", call.extra_content),
            ("thought_signature", call.thought_signature),
        ];
        if extra.iter().any(|(_, value)| value.is_some()) {
            self.held.add(data)?;
            let given = |(name, value): (_, Option<Value>)| Some((name, value?));
            self.calls.keep(index, extra.into_iter().filter_map(given));
        }
        Ok(())
    }

    fn piece(
        &mut self,
        index: Option<u64>,
        id: &str,
        function: &FunctionDelta<'_>,
        step: &mut PayloadMeaning,
    ) -> Result<(), StreamError> {
        let arguments = literal(&function.arguments);
        step.tool_arguments = step.tool_arguments.saturating_add(length(arguments));
        let at = self.calls.delta(Piece {
            index,
            id,
            name: text(&function.name),
            arguments,
        })?;
        self.touched.push(at);
        Ok(())
    }

    /// The answer as the message that goes back as context, reasoning under the name it
    /// came with: models that reason between tool calls are served worse without it.
    fn output(&mut self, answer: &Answer, extras: Vec<Map<String, Value>>) -> Value {
        let mut message = json!({ "role": "assistant", "content": answer.text });
        if self.in_parts {
            let thinking = [json!({ "type": "text", "text": answer.reasoning })];
            let mut parts = vec![json!({ "type": "thinking", "thinking": thinking })];
            if !answer.text.is_empty() {
                parts.push(json!({ "type": "text", "text": answer.text }));
            }
            message["content"] = json!(parts);
        }
        if let Some(field) = self.reasoning_field {
            message[field] = json!(answer.reasoning);
        }
        if let Some(details) = std::mem::take(&mut self.details).finish() {
            message["reasoning_details"] = details;
        }
        if let Some(extra) = self.extra_content.take() {
            message["extra_content"] = extra;
        }
        if !answer.calls.is_empty() {
            let calls = answer.calls.iter().zip(extras).map(|(call, extra)| {
                let function = json!({
                    "name": call.name,
                    "arguments": arguments_text(&call.arguments),
                });
                let mut fields = extra;
                fields.insert("id".into(), json!(call.call_id));
                fields.insert("type".into(), json!("function"));
                fields.insert("function".into(), function);
                Value::Object(fields)
            });
            message["tool_calls"] = calls.collect();
        }
        message
    }
}

/// The error in a chunk, wherever this server puts it.
fn error_of(chunk: &mut Chunk<'_>, data: &[u8]) -> Option<StreamError> {
    let groq = chunk.x_groq.0.as_mut();
    let choice = chunk.choices.first.as_mut();
    let errors = [
        chunk.error.take(),
        groq.and_then(|groq| groq.error.take()),
        choice.and_then(|choice| choice.error.take()),
    ];
    if let Some(error) = errors.into_iter().flatten().find(says_error) {
        return Some(server_error(&error, None));
    }
    let refused = chunk.base_resp.as_ref().is_some_and(says_error);
    let says_nothing = chunk.choices.first.is_none() && chunk.usage.0.is_none();
    if !refused && !says_nothing && text(&chunk.object) != "error" {
        return None;
    }
    failure_in(&serde_json::from_slice(data).ok()?)
}

/// The arguments of a call as they came, byte by byte, as far as servers take them back:
/// they parse them, and refuse what is no object.
fn arguments_text(text: &str) -> String {
    if serde_json::from_str::<Map<String, Value>>(text).is_ok() {
        text.to_owned()
    } else {
        Value::Object(arguments(text)).to_string()
    }
}
