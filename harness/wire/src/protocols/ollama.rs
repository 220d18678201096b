//! Ollama's own chat: one JSON value a line.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::journal::{Reported, Usage};

use super::calls::{Calls, Unanswered};
use super::fields::{
    Few, Held, Number, Text, body, bound, function_tools, length, parse, server_error, text,
};
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, StreamError, bearer,
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

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<OllamaDecoder>::default()
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(default)]
    done: bool,
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
    prompt_eval_duration: Number,
    #[serde(default)]
    eval_count: Number,
    #[serde(default)]
    eval_duration: Number,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
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
    /// Some output has come.
    started: bool,
}

impl Decoder for OllamaDecoder {
    /// No line names the response; a header does where a server or a proxy sends one.
    fn header(&mut self, name: &str, value: &str) {
        if name == "x-request-id" {
            self.answer.id = Some(value.to_owned());
        }
    }

    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        let line: Line<'_> = parse("line", data)?;
        if let Some(error) = line.error {
            return Err(server_error(&error, None));
        }
        if self.answer.served_model.is_none() {
            self.answer.served_model = line.model.as_deref().map(str::to_owned);
        }
        let mut step = PayloadMeaning::NOTHING;
        if let Some(message) = line.message {
            let (thinking, content) = (text(&message.thinking), text(&message.content));
            (step.reasoning, step.text) = (length(thinking), length(content));
            self.answer.reasoning.push_str(thinking);
            self.answer.text.push_str(content);
            if message.tool_calls.first.is_some() {
                self.held.add(data)?;
            }
            for call in message.tool_calls {
                self.take(call, &mut step)?;
            }
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started && !line.done;
        self.started |= output;
        if line.done {
            step.done = true;
            self.answer.incomplete = line
                .done_reason
                .as_deref()
                .filter(|reason| *reason != "stop")
                .map(str::to_owned);
            // Nanoseconds, all of them. Loading the model is waiting for the server.
            self.answer.reported = Reported {
                queue_ns: line.load_duration.count(),
                prefill_ns: line.prompt_eval_duration.count(),
                decode_ns: line.eval_duration.count(),
                total_ns: line.total_duration.count(),
                ..Reported::default()
            };
            let counts = (line.prompt_eval_count.count(), line.eval_count.count());
            if let (Some(input_tokens), Some(output_tokens)) = counts {
                self.answer.usage = Some(Usage {
                    input_tokens,
                    output_tokens,
                    ..Usage::default()
                });
            }
        }
        Ok(step)
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
    /// Takes over a call, which always comes whole.
    fn take(&mut self, call: Value, step: &mut PayloadMeaning) -> Result<(), StreamError> {
        let function = &call["function"];
        let arguments = match &function["arguments"] {
            Value::Null => "{}".to_owned(),
            Value::String(text) => text.clone(),
            arguments => arguments.to_string(),
        };
        step.tool_arguments = step.tool_arguments.saturating_add(length(&arguments));
        let name = function["name"].as_str().unwrap_or_default();
        self.calls.whole(call["id"].as_str(), name, arguments)?;
        self.called.push(call);
        Ok(())
    }
}
