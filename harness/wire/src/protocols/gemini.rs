//! Gemini `streamGenerateContent`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::journal::Usage;

use super::calls::{Calls, Unanswered};
use super::fields::{
    Few, Held, MAX_PARTS, Number, Text, body, bound, length, parse, server_error, text, too_many,
};
use super::{Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, StreamError};

#[derive(Debug)]
pub(super) struct Gemini;

impl Protocol for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn base_path(&self) -> &'static str {
        "/v1beta"
    }

    fn path(&self, model: &str) -> String {
        format!("/models/{model}:streamGenerateContent?alt=sse")
    }

    fn headers(
        &self,
        key: Option<&str>,
        _extra: &Map<String, Value>,
    ) -> Vec<(&'static str, String)> {
        key.map(|key| ("x-goog-api-key", key.to_owned()))
            .into_iter()
            .collect()
    }

    fn bound_output(&self, extra: &mut Map<String, Value>, tokens: u32) {
        bound(extra, &["generationConfig", "maxOutputTokens"], tokens);
    }

    fn asked_wait(&self, error: &Value) -> Option<Duration> {
        let mut details = error["details"].as_array()?.iter();
        let delay = details.find_map(|detail| detail["retryDelay"].as_str()?.strip_suffix('s'));
        Duration::try_from_secs_f64(delay?.parse().ok()?).ok()
    }

    fn encode(&self, request: &Request<'_>, _form: RequestForm) -> Vec<u8> {
        let mut fields = json!({ "contents": contents(request.items) });
        if !request.instructions.is_empty() {
            fields["systemInstruction"] = json!({ "parts": [{ "text": request.instructions }] });
        }
        if !request.tools.is_empty() {
            let declarations = request.tools.iter().map(|tool| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": schema(&tool.parameters),
                })
            });
            let declarations: Vec<Value> = declarations.collect();
            fields["tools"] = json!([{ "functionDeclarations": declarations }]);
        }
        body(fields, request.extra)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<GeminiDecoder>::default()
    }
}

/// A tool's JSON Schema without what the protocol's own subset does not know.
fn schema(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "additionalProperties" | "$schema"))
            .map(|(name, value)| match (name.as_str(), value) {
                // In here the names are the tool's own.
                ("properties", Value::Object(properties)) => {
                    let properties = properties.iter();
                    let properties = properties.map(|(name, value)| (name.clone(), schema(value)));
                    (name.clone(), properties.collect())
                }
                _ => (name.clone(), schema(value)),
            })
            .collect(),
        Value::Array(values) => values.iter().map(schema).collect(),
        other => other.clone(),
    }
}

/// The conversation. What the user and the tools say between two answers is one entry.
fn contents(items: &[Item]) -> Vec<Value> {
    let mut contents = Vec::new();
    let mut said: Vec<Value> = Vec::new();
    let mut unanswered = Unanswered::default();
    for item in items {
        match item {
            Item::User(text) => said.push(json!({ "text": text })),
            Item::ToolResult { call_id, output } => {
                let (id, name) = unanswered.answered(call_id);
                let mut response = json!({ "name": name, "response": { "output": output } });
                if let Some(id) = id {
                    response["id"] = json!(id);
                }
                said.push(json!({ "functionResponse": response }));
            }
            Item::Output(content) => {
                if !said.is_empty() {
                    let parts = std::mem::take(&mut said);
                    contents.push(json!({ "role": "user", "parts": parts }));
                }
                for part in content["parts"].as_array().into_iter().flatten() {
                    if let Some(name) = part["functionCall"]["name"].as_str() {
                        unanswered.called(part["functionCall"]["id"].as_str(), name);
                    }
                }
                contents.push(content.clone());
            }
        }
    }
    if !said.is_empty() {
        contents.push(json!({ "role": "user", "parts": said }));
    }
    contents
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Few<Candidate<'a>>,
    #[serde(borrow, default)]
    response_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    model_version: Option<Text<'a>>,
    #[serde(default)]
    usage_metadata: Option<UsageMetadata>,
    #[serde(borrow, default)]
    prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Few<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default)]
    thought_signature: Option<Text<'a>>,
    #[serde(default)]
    function_call: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow, default)]
    block_reason: Option<Text<'a>>,
}

/// Counts so far; every chunk may carry them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    #[serde(default)]
    prompt_token_count: Number,
    #[serde(default)]
    cached_content_token_count: Number,
    #[serde(default)]
    candidates_token_count: Number,
    #[serde(default)]
    thoughts_token_count: Number,
}

impl UsageMetadata {
    fn usage(&self) -> Option<Usage> {
        let thoughts = self.thoughts_token_count.count();
        // A count of nothing is left out.
        let spoken = self.candidates_token_count.count();
        Some(Usage {
            input_tokens: self.prompt_token_count.count()?,
            cached_tokens: self.cached_content_token_count.count(),
            output_tokens: spoken.unwrap_or(0).saturating_add(thoughts.unwrap_or(0)),
            reasoning_tokens: thoughts,
        })
    }
}

/// One part of the answer, as it goes back as context.
enum Kept {
    /// A run of texts of one kind. A signature ends it: what is signed stays apart.
    Text {
        thought: bool,
        text: String,
        signature: Option<String>,
    },
    /// Anything else.
    Whole(Value),
}

#[derive(Default)]
struct GeminiDecoder {
    answer: Answer,
    calls: Calls,
    kept: Vec<Kept>,
    held: Held,
    /// Some output has come.
    started: bool,
    /// A reason to finish has come; usage comes with it, or after it.
    finished: bool,
}

impl Decoder for GeminiDecoder {
    fn payload(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        let chunk: Chunk<'_> = parse("chunk", data)?;
        if let Some(error) = chunk.error {
            return Err(failed(&error));
        }
        if let Some(reason) = chunk.prompt_feedback.and_then(|said| said.block_reason) {
            return Err(StreamError::Server {
                status: None,
                code: reason.to_string(),
                message: "the prompt was blocked".into(),
                retry_after: None,
            });
        }
        if self.answer.id.is_none() {
            self.answer.id = chunk.response_id.as_deref().map(str::to_owned);
        }
        if self.answer.served_model.is_none() {
            self.answer.served_model = chunk.model_version.as_deref().map(str::to_owned);
        }
        let mut step = PayloadMeaning::NOTHING;
        if let Some(candidate) = chunk.candidates.first {
            for part in candidate
                .content
                .map(|content| content.parts)
                .into_iter()
                .flatten()
            {
                if part.function_call.is_some() {
                    self.held.add(data)?;
                }
                self.take(part, &mut step)?;
            }
            if let Some(reason) = candidate.finish_reason.as_deref() {
                self.finished = true;
                if reason != "STOP" {
                    self.answer.incomplete = Some(reason.to_owned());
                }
            }
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started;
        self.started |= output;
        if let Some(usage) = chunk.usage_metadata {
            self.answer.usage = usage.usage().or(self.answer.usage);
            step.done = self.finished;
        }
        Ok(step)
    }

    fn may_end(&self) -> bool {
        self.finished
    }

    fn answer(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        answer.calls = std::mem::take(&mut self.calls).finish(answer.id.as_deref());
        let parts: Vec<Value> = self.kept.drain(..).map(Kept::part).collect();
        if !parts.is_empty() {
            answer.items = vec![json!({ "role": "model", "parts": parts })];
        }
        answer
    }
}

impl GeminiDecoder {
    fn take(&mut self, part: Part<'_>, step: &mut PayloadMeaning) -> Result<(), StreamError> {
        let said = text(&part.text);
        let thought = part.thought.unwrap_or_default();
        let signature = part.thought_signature.as_deref();
        let (bytes, to) = if thought {
            (&mut step.reasoning, &mut self.answer.reasoning)
        } else {
            (&mut step.text, &mut self.answer.text)
        };
        *bytes = bytes.saturating_add(length(said));
        to.push_str(said);
        if let Some(call) = part.function_call {
            let arguments = match &call["args"] {
                Value::Null => "{}".to_owned(),
                arguments => arguments.to_string(),
            };
            step.tool_arguments = step.tool_arguments.saturating_add(length(&arguments));
            let name = call["name"].as_str().unwrap_or_default();
            self.calls.whole(call["id"].as_str(), name, arguments)?;
            let mut whole = json!({ "functionCall": call });
            if let Some(signature) = signature {
                whole["thoughtSignature"] = json!(signature);
            }
            return self.keep(Kept::Whole(whole));
        }
        if let Some(Kept::Text {
            thought: of,
            text,
            signature: None,
        }) = self.kept.last_mut()
            && *of == thought
            && signature.is_none()
        {
            text.push_str(said);
            return Ok(());
        }
        if said.is_empty() && signature.is_none() {
            return Ok(());
        }
        self.keep(Kept::Text {
            thought,
            text: said.to_owned(),
            signature: signature.map(str::to_owned),
        })
    }

    fn keep(&mut self, part: Kept) -> Result<(), StreamError> {
        if self.kept.len() == MAX_PARTS {
            return Err(too_many("parts"));
        }
        self.kept.push(part);
        Ok(())
    }
}

impl Kept {
    fn part(self) -> Value {
        match self {
            Kept::Whole(part) => part,
            Kept::Text {
                thought,
                text,
                signature,
            } => {
                let mut part = json!({ "text": text });
                if thought {
                    part["thought"] = json!(true);
                }
                if let Some(signature) = signature {
                    part["thoughtSignature"] = json!(signature);
                }
                part
            }
        }
    }
}

/// An error of the stream.
fn failed(error: &Value) -> StreamError {
    let mut failure = server_error(error, None);
    if let StreamError::Server { retry_after, .. } = &mut failure {
        *retry_after = Gemini.asked_wait(error).or(*retry_after);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keywords_are_left_out_of_a_schema() {
        let given = json!({
            "$schema": "s",
            "additionalProperties": false,
            "properties": {
                "additionalProperties": { "type": "string", "$schema": "s" },
                "$schema": { "type": "array", "items": { "additionalProperties": true } },
            },
        });
        let expected = json!({ "properties": {
            "additionalProperties": { "type": "string" },
            "$schema": { "type": "array", "items": {} },
        } });
        assert_eq!(schema(&given), expected);
    }
}
