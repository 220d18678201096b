//! Chat Completions, as OpenAI defined it and most inference servers speak it.
//!
//! Tolerant by design: servers leave out roles, indices and ids, send reasoning under
//! one of two names, usage in a chunk of its own or in the last one, and may end
//! without `[DONE]`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::journal::Reported;

use super::calls::Calls;
use super::fields::{
    Few, Number, Text, arguments, body, bound, function_tools, length, parse, server_error, text,
};
use super::server_timings::{
    LlamaTimings, PerfMetrics, ServerTimings, TimeInfo, TimedUsage, VllmMetrics, fireworks_header,
};
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, StreamError, bearer,
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

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(ChatDecoder {
            counted: Some(0),
            ..ChatDecoder::default()
        })
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
    usage: Option<TimedUsage>,
    #[serde(default)]
    x_groq: Option<Groq>,
    #[serde(default)]
    time_info: Option<TimeInfo>,
    #[serde(default)]
    timings: Option<LlamaTimings>,
    #[serde(default)]
    metrics: Option<VllmMetrics>,
    #[serde(default)]
    perf_metrics: Option<PerfMetrics>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<TimedUsage>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Few<CallDelta<'a>>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(default)]
    index: Number,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<TimedUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default)]
struct ChatDecoder {
    answer: Answer,
    calls: Calls,
    /// The name under which this server sends reasoning, and gets it back.
    reasoning_field: Option<&'static str>,
    /// Some output has come.
    started: bool,
    /// Output tokens up to the latest output, while every output came with a count.
    counted: Option<u64>,
    /// A reason to finish has come: usage may follow, or nothing.
    finished: bool,
}

impl Decoder for ChatDecoder {
    fn header(&mut self, name: &str, value: &str) {
        self.report(&fireworks_header(name, value));
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            if !self.finished {
                self.answer.incomplete = Some("no reason to finish".to_owned());
            }
            return Ok(PayloadMeaning::DONE);
        }
        let mut chunk: Chunk<'_> = parse("chunk", data)?;
        if text(&chunk.object) == "error" {
            return Err(server_error(&parse("error", data)?, None));
        }
        let groq = chunk.x_groq.as_mut();
        if let Some(error) = chunk.error.take().or_else(|| groq?.error.take()) {
            return Err(server_error(&error, None));
        }
        self.identify(&chunk);
        let counted = self.measure(&chunk);
        let Some(choice) = chunk.choices.first else {
            return Ok(PayloadMeaning::NOTHING);
        };
        let mut step = PayloadMeaning::NOTHING;
        if let Some(delta) = choice.delta {
            self.take(delta, &mut step)?;
        }
        if let Some(reason) = choice.finish_reason.as_deref()
            && !reason.is_empty()
        {
            self.finished = true;
            if !matches!(reason, "stop" | "tool_calls" | "function_call" | "eos") {
                self.answer.incomplete = Some(reason.to_owned());
            }
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started;
        self.started |= output;
        if output {
            // A count after output without one is of more than this output.
            let before = std::mem::replace(&mut self.counted, counted);
            let tokens = before.and_then(|before| counted?.checked_sub(before));
            step.tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
        }
        Ok(step)
    }

    fn may_end(&self) -> bool {
        self.finished
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        answer.calls = std::mem::take(&mut self.calls).finish(answer.id.as_deref());
        answer.items = vec![output(&answer, self.reasoning_field)];
        answer
    }
}

impl ChatDecoder {
    fn report(&mut self, reported: &Reported) {
        self.answer.reported.merge(reported);
    }

    fn identify(&mut self, chunk: &Chunk<'_>) {
        let keep = |known: &mut Option<String>, said: &Option<Text<'_>>| {
            if known.is_none() {
                *known = said.as_deref().map(str::to_owned);
            }
        };
        keep(&mut self.answer.id, &chunk.id);
        keep(&mut self.answer.served_model, &chunk.model);
        keep(&mut self.answer.served_tier, &chunk.service_tier);
    }

    /// Takes over counts and durations, wherever this server puts them; returns the output
    /// tokens so far, which some servers tell with every chunk when they are asked to.
    fn measure(&mut self, chunk: &Chunk<'_>) -> Option<u64> {
        let groq = chunk.x_groq.as_ref();
        let choice = chunk.choices.first.as_ref();
        let usage = chunk
            .usage
            .as_ref()
            .or_else(|| groq?.usage.as_ref())
            .or_else(|| choice?.usage.as_ref());
        if let Some(usage) = usage {
            self.report(&usage.reported());
            self.answer.usage = usage.counts().or(self.answer.usage);
        }
        if let Some(times) = &chunk.time_info {
            self.report(&times.reported());
        }
        if let Some(times) = &chunk.timings {
            self.report(&times.reported());
        }
        if let Some(times) = &chunk.metrics {
            self.report(&times.reported());
        }
        if let Some(times) = &chunk.perf_metrics {
            self.report(&times.reported());
        }
        let by_usage = usage.and_then(TimedUsage::output_tokens);
        let timings = chunk.timings.as_ref();
        by_usage.or_else(|| timings.and_then(LlamaTimings::output_tokens))
    }

    /// Takes over the output of a chunk; one chunk may hold every kind at once.
    fn take(&mut self, delta: Delta<'_>, step: &mut PayloadMeaning) -> Result<(), StreamError> {
        // Some servers send both names with the same content.
        let (field, reasoning) = match text(&delta.reasoning) {
            "" => ("reasoning_content", text(&delta.reasoning_content)),
            reasoning => ("reasoning", reasoning),
        };
        if !reasoning.is_empty() {
            step.reasoning = length(reasoning);
            self.answer.reasoning.push_str(reasoning);
            self.reasoning_field = Some(field);
        }
        for part in [text(&delta.content), text(&delta.refusal)] {
            step.text = step.text.saturating_add(length(part));
            self.answer.text.push_str(part);
        }
        for call in delta.tool_calls {
            let function = call.function.as_ref();
            let name = function.map_or("", |function| text(&function.name));
            let arguments = function.map_or("", |function| text(&function.arguments));
            let (index, id) = (call.index.count(), text(&call.id));
            self.calls.delta(index, id, name, arguments)?;
            step.tool_arguments = step.tool_arguments.saturating_add(length(arguments));
        }
        Ok(())
    }
}

/// The answer as the message that goes back as context, reasoning under the name it
/// came with: models that reason between tool calls are served worse without it.
fn output(answer: &Answer, reasoning_field: Option<&str>) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text });
    if let Some(field) = reasoning_field {
        message[field] = json!(answer.reasoning);
    }
    if !answer.calls.is_empty() {
        let calls = answer.calls.iter().map(|call| {
            let function = json!({
                "name": call.name,
                "arguments": arguments_text(&call.arguments),
            });
            json!({ "id": call.call_id, "type": "function", "function": function })
        });
        message["tool_calls"] = calls.collect();
    }
    message
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
