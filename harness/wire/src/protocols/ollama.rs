//! Ollama's own chat: one JSON value a line.

mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::Reported;

use super::calls::{Calls, Unanswered};
use super::endings::{self, Ending};
use super::fields::{
    Few, Held, Number, Object, Said, Text, body, bound, function_tools, length, literal_text,
    parse, text,
};
use super::mend::mended;
use super::unknown::Unknown;
use super::usage::{self, Counts};
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    StreamError, bearer, failure_in, says_error, server_error,
};
use crate::framing::StreamFormat;

#[derive(Debug)]
pub(super) struct Ollama;

impl Protocol for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn base_path(&self) -> &'static str {
        ""
    }

    fn path(&self, _model: &str) -> String {
        "/api/chat".into()
    }

    fn headers(
        &self,
        key: Option<&str>,
        _extra: &Map<String, Value>,
    ) -> Vec<(&'static str, String)> {
        bearer(key)
    }

    fn format(&self) -> StreamFormat {
        StreamFormat::JsonLines
    }

    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32) {
        bound(extra, &["options", "num_predict"], tokens);
    }

    fn encode(&self, request: &Request<'_>, _form: RequestForm) -> Vec<u8> {
        let mut messages = vec![json!({ "role": "system", "content": request.instructions })];
        let mut unanswered = Unanswered::default();
        for item in request.items {
            messages.push(match item {
                Item::User(text) => json!({ "role": "user", "content": text }),
                Item::Output(message) => {
                    for call in message["tool_calls"].as_array().into_iter().flatten() {
                        let name = call["function"]["name"].as_str().unwrap_or_default();
                        unanswered.called(call["id"].as_str(), name);
                    }
                    message.clone()
                }
                Item::ToolResult { call_id, output } => {
                    let (id, name) = unanswered.answered(call_id);
                    let mut message =
                        json!({ "role": "tool", "content": output, "tool_name": name });
                    if let Some(id) = id {
                        message["tool_call_id"] = json!(id);
                    }
                    message
                }
            });
        }
        let fields = json!({
            "model": request.model,
            "messages": messages,
            "tools": function_tools(request.tools),
            "stream": true,
        });
        body(fields, request.extra)
    }

    fn request_fields(&self) -> &'static [&'static str] {
        request::FIELDS
    }

    fn request_seen(&self, _path: &str, body: &Value) -> Option<RequestSeen> {
        request::seen(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<OllamaDecoder>::default()
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    #[serde(default)]
    done: Option<Value>,
    #[serde(borrow, default)]
    done_reason: Option<Text<'a>>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    total_duration: Number,
    #[serde(default)]
    load_duration: Number,
    #[serde(default)]
    prompt_eval_count: Number,
    #[serde(default)]
    prompt_eval_cached_count: Number,
    #[serde(default)]
    prompt_cached_count: Number,
    #[serde(default)]
    cached_tokens: Number,
    #[serde(default)]
    prompt_eval_duration: Number,
    #[serde(default)]
    eval_count: Number,
    #[serde(default)]
    eval_duration: Number,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Said<'a>,
    #[serde(borrow, default)]
    thinking: Said<'a>,
    #[serde(default)]
    tool_calls: Few<Value>,
}

#[derive(Default)]
struct OllamaDecoder {
    answer: Answer,
    calls: Calls,
    /// The calls as they came.
    called: Vec<Value>,
    held: Held,
    unknown: Unknown,
    /// Some output has come.
    started: bool,
    /// Calls that the latest line was about.
    touched: Vec<usize>,
}

impl Decoder for OllamaDecoder {
    fn heard(&self) -> &str {
        &self.answer.text
    }

    /// No line names the response; a header does where a server or a proxy sends one.
    fn header(&mut self, name: &str, value: &str) {
        if name == "x-request-id" {
            self.answer.id = Some(value.to_owned());
        }
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        self.touched.clear();
        mended(data, |data| self.event(data))
    }

    fn unknown(&self) -> BTreeMap<String, u32> {
        self.unknown.counts()
    }

    fn touched(&self) -> &[usize] {
        &self.touched
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        answer.calls = std::mem::take(&mut self.calls).finish(None);
        let mut message = json!({ "role": "assistant", "content": answer.text });
        if !answer.reasoning.is_empty() {
            message["thinking"] = json!(answer.reasoning);
        }
        if !self.called.is_empty() {
            message["tool_calls"] = self.called.drain(..).collect();
        }
        answer.items = vec![message];
        answer
    }
}

impl OllamaDecoder {
    fn event(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        let Object(Some(mut line)) = parse::<Object<Line<'_>>>("line", data)? else {
            self.unknown.count("not an object");
            return Ok(PayloadMeaning::NOTHING);
        };
        if let Some(error) = line.error.take().filter(says_error) {
            return Err(server_error(&error, None));
        }
        let done = line.done.as_ref().is_some_and(|done| *done == true);
        let model = text(&line.model);
        if self.answer.served_model.is_none() && !model.is_empty() {
            self.answer.served_model = Some(model.to_owned());
        }
        let mut step = PayloadMeaning::NOTHING;
        match line.message.0.take() {
            Some(message) => self.say(message, &mut step, data)?,
            None if !done => {
                self.unknown.count("without a message");
                if let Some(failure) = failure_in(&parse("line", data)?) {
                    return Err(failure);
                }
            }
            None => {}
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started && !done;
        step.keep_alive = !output && self.started && !done;
        self.started |= output;
        if done {
            self.finish(&line)?;
        }
        step.done = done;
        Ok(step)
    }

    fn say(
        &mut self,
        message: Message<'_>,
        step: &mut PayloadMeaning,
        data: &[u8],
    ) -> Result<(), StreamError> {
        step.reasoning = add(&mut self.answer.reasoning, &message.thinking);
        step.text = add(&mut self.answer.text, &message.content);
        if message.tool_calls.first.is_some() {
            self.held.add(data)?;
        }
        for call in message.tool_calls {
            self.take(call, step)?;
        }
        Ok(())
    }

    fn finish(&mut self, line: &Line<'_>) -> Result<(), StreamError> {
        let reason = text(&line.done_reason);
        match endings::known(reason) {
            Some(Ending::Normal) => {}
            Some(Ending::Cut) => self.answer.incomplete = Some(reason.to_owned()),
            Some(Ending::Failed(status)) => return Err(endings::failure(reason, status)),
            None if reason.is_empty() => {}
            None => self.unknown.count_value("done_reason", reason),
        }
        // Nanoseconds, all of them. Loading the model is waiting for the server.
        self.answer.reported = Reported {
            queue_ns: line.load_duration.count(),
            prefill_ns: line.prompt_eval_duration.count(),
            decode_ns: line.eval_duration.count(),
            total_ns: line.total_duration.count(),
            ..Reported::default()
        };
        let counts = Counts {
            input: line.prompt_eval_count,
            cached: usage::first(&[
                line.prompt_eval_cached_count,
                line.prompt_cached_count,
                line.cached_tokens,
            ]),
            output: line.eval_count,
            ..Counts::default()
        };
        self.answer.usage = counts.usage();
        Ok(())
    }

    /// Takes over a call, which always comes whole.
    fn take(&mut self, call: Value, step: &mut PayloadMeaning) -> Result<(), StreamError> {
        let function = &call["function"];
        let arguments = match literal_text(&function["arguments"]) {
            none if none.is_empty() => "{}".to_owned(),
            arguments => arguments,
        };
        step.tool_arguments = step.tool_arguments.saturating_add(length(&arguments));
        let name = literal_text(&function["name"]);
        let at = self.calls.whole(call["id"].as_str(), &name, arguments)?;
        self.touched.push(at);
        self.called.push(call);
        Ok(())
    }
}

/// Adds what is said; returns its bytes.
fn add(to: &mut String, said: &Said<'_>) -> u32 {
    let before = to.len();
    to.push_str(&said.text);
    for part in &said.parts {
        to.push_str(&Said::of(part));
    }
    u32::try_from(to.len() - before).unwrap_or(u32::MAX)
}
