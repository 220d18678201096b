//! Gemini `streamGenerateContent`.

mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::Usage;

use super::calls::{Calls, Unanswered};
use super::endings::{self, Ending};
use super::fields::{
    Few, Held, MAX_PARTS, Number, Object, Text, body, bound, length, literal_text, named, parse,
    taken, text, too_many,
};
use super::mend::mended;
use super::partial_arguments::{self, Growing};
use super::unknown::Unknown;
use super::usage::{Counts, tokens};
use super::{
    Answer, Decoder, Item, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    StreamError, failure_in, says_error, server_error, whole,
};

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

    fn is_asked_at(&self, path: &str) -> bool {
        request::is_asked_at(path)
    }

    fn request_fields(&self) -> &'static [&'static str] {
        request::FIELDS
    }

    fn request_seen(&self, path: &str, body: &Value) -> Option<RequestSeen> {
        request::seen(path, body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<GeminiDecoder>::default()
    }

    /// It reads like an event. A stream that was not asked for as events is a list of them.
    fn whole(&self, body: &[u8]) -> Vec<Vec<u8>> {
        match whole::document(body) {
            Some(Value::Array(events)) => whole::payloads(events),
            _ => vec![body.to_vec()],
        }
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
    usage_metadata: Object<UsageMetadata>,
    #[serde(borrow, default)]
    prompt_feedback: Object<PromptFeedback<'a>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Object<Content<'a>>,
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
    /// `true`, or anything that is not `false` in its place.
    #[serde(default)]
    thought: Option<Value>,
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
    #[serde(default)]
    total_token_count: Number,
}

impl UsageMetadata {
    fn usage(&self) -> Option<Usage> {
        let thoughts = tokens(self.thoughts_token_count);
        // A count of nothing is left out, unless nothing has been counted yet.
        let spoken = tokens(self.candidates_token_count);
        let counted = tokens(self.total_token_count).is_some();
        let output = match (spoken, thoughts) {
            (None, None) if !counted => Number::default(),
            (spoken, thoughts) => {
                Number::of(spoken.unwrap_or(0).saturating_add(thoughts.unwrap_or(0)))
            }
        };
        let counts = Counts {
            input: self.prompt_token_count,
            cached: self.cached_content_token_count,
            output,
            reasoning: self.thoughts_token_count,
            ..Counts::default()
        };
        counts.usage()
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
    unknown: Unknown,
    /// A call whose arguments come in pieces.
    growing: Option<Growing>,
    /// Some output has come.
    started: bool,
    /// A reason to finish has come; more may follow, because some gateways begin with one.
    finished: bool,
    /// Calls that the latest event was about.
    touched: Vec<usize>,
}

impl Decoder for GeminiDecoder {
    fn heard(&self) -> &str {
        &self.answer.text
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

    fn answer(&mut self) -> Answer {
        // What does not fit any more was said while it came.
        let _ = self.end_call();
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
    fn event(&mut self, data: &[u8]) -> Result<PayloadMeaning, StreamError> {
        if data == b"[DONE]" {
            return Ok(if self.finished {
                PayloadMeaning::DONE
            } else {
                PayloadMeaning::NOTHING
            });
        }
        let Object(Some(chunk)) = parse::<Object<Chunk<'_>>>("chunk", data)? else {
            self.unknown.count("not an object");
            return Ok(PayloadMeaning::NOTHING);
        };
        if let Some(error) = chunk.error.filter(says_error) {
            return Err(failed(&error));
        }
        let feedback = chunk.prompt_feedback.0;
        let blocked = feedback.and_then(|said| said.block_reason);
        if let Some(reason) = blocked.filter(|reason| !reason.is_empty()) {
            return Err(StreamError::Server {
                status: None,
                code: reason.to_string(),
                message: "the prompt was blocked".into(),
                retry_after: None,
            });
        }
        let keep = |known: &mut Option<String>, said: &str| {
            if known.is_none() && !said.is_empty() {
                *known = Some(said.to_owned());
            }
        };
        keep(&mut self.answer.id, text(&chunk.response_id));
        keep(&mut self.answer.served_model, text(&chunk.model_version));
        let usage = chunk.usage_metadata.0;
        let mut moved = usage.is_some();
        let mut step = PayloadMeaning::NOTHING;
        match chunk.candidates.first {
            Some(candidate) => moved |= self.candidate(candidate, &mut step, data)?,
            None if usage.is_none() => {
                self.unknown.count("without a candidate");
                if let Some(failure) = failure_in(&parse("chunk", data)?) {
                    return Err(failure);
                }
            }
            None => {}
        }
        let output = step != PayloadMeaning::NOTHING;
        step.admitted = !output && !self.started;
        step.keep_alive = !output && self.started && !moved;
        self.started |= output;
        if let Some(usage) = usage {
            self.answer.usage = usage.usage().or(self.answer.usage);
        }
        Ok(step)
    }

    /// Takes a candidate; true when it is the end of the answer, as far as it says so.
    fn candidate(
        &mut self,
        candidate: Candidate<'_>,
        step: &mut PayloadMeaning,
        data: &[u8],
    ) -> Result<bool, StreamError> {
        let parts = candidate.content.0.map(|content| content.parts);
        let parts = parts.unwrap_or_default();
        if parts
            .first
            .iter()
            .chain(&parts.rest)
            .any(|part| part.function_call.is_some())
        {
            self.held.add(data)?;
        }
        for part in parts {
            self.take(part, step)?;
        }
        let reason = candidate.finish_reason.as_deref().unwrap_or_default();
        if reason.is_empty() {
            return Ok(false);
        }
        self.finished = true;
        match endings::known(reason) {
            Some(Ending::Normal) => self.answer.incomplete = None,
            Some(Ending::Cut) => self.answer.incomplete = Some(reason.to_owned()),
            Some(Ending::Failed(status)) => return Err(endings::failure(reason, status)),
            None => self.unknown.count_value("finishReason", reason),
        }
        Ok(true)
    }

    fn take(&mut self, part: Part<'_>, step: &mut PayloadMeaning) -> Result<(), StreamError> {
        let said = text(&part.text);
        let thought = part
            .thought
            .is_some_and(|thought| thought != Value::Bool(false));
        let signature = part
            .thought_signature
            .as_deref()
            .filter(|signature| !signature.is_empty());
        let (bytes, to) = if thought {
            (&mut step.reasoning, &mut self.answer.reasoning)
        } else {
            (&mut step.text, &mut self.answer.text)
        };
        *bytes = bytes.saturating_add(length(said));
        to.push_str(said);
        if let Some(call) = part.function_call.filter(Value::is_object) {
            return self.call(call, signature, step);
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

    /// Takes a call: whole, or a piece of one that goes on in the events after it.
    fn call(
        &mut self,
        mut call: Value,
        signature: Option<&str>,
        step: &mut PayloadMeaning,
    ) -> Result<(), StreamError> {
        let goes_on = call["willContinue"] == true;
        let has_name = named(&call["name"]).is_some();
        if has_name {
            self.end_call()?;
        }
        // Whether it is whole or grows, it will be the next one.
        self.touched.push(self.calls.next());
        if self.growing.is_none() && (goes_on || !call["partialArgs"].is_null()) {
            self.growing = Some(Growing::default());
        }
        let Some(growing) = &mut self.growing else {
            let arguments = match literal_text(&call["args"]) {
                none if none.is_empty() => "{}".to_owned(),
                arguments => arguments,
            };
            step.tool_arguments = step.tool_arguments.saturating_add(length(&arguments));
            return self.whole(call, signature, arguments);
        };
        let pieces = taken(&mut call, "partialArgs");
        let bytes = partial_arguments::bytes(&pieces);
        step.tool_arguments = step.tool_arguments.saturating_add(bytes);
        growing.take(&call, signature, &pieces)?;
        if goes_on {
            return Ok(());
        }
        self.end_call()
    }

    /// Ends the call whose arguments came in pieces.
    fn end_call(&mut self) -> Result<(), StreamError> {
        let Some(growing) = self.growing.take() else {
            return Ok(());
        };
        let (call, signature) = growing.finish();
        let arguments = call["args"].to_string();
        self.whole(call, signature.as_deref(), arguments)
    }

    fn whole(
        &mut self,
        call: Value,
        signature: Option<&str>,
        arguments: String,
    ) -> Result<(), StreamError> {
        let name = literal_text(&call["name"]);
        self.calls.whole(call["id"].as_str(), &name, arguments)?;
        let mut whole = json!({ "functionCall": call });
        if let Some(signature) = signature {
            whole["thoughtSignature"] = json!(signature);
        }
        self.keep(Kept::Whole(whole))
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
