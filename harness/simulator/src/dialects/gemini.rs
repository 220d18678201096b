//! Gemini's `generateContent` and `streamGenerateContent`.

use serde::Serialize;
use serde_json::{Value, json};

use super::checks::{ANY, Rules, Wanted, bracketed, quoted, whole};
use super::reading::{self, conversation, count};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Problem, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::{Framing, Wire};

/// The protocol.
#[derive(Debug)]
pub struct Gemini;

/// Versions of the interface.
const VERSIONS: &[&str] = &["v1", "v1beta", "v1alpha", "v1beta1"];

/// Model and method in a path: `/VERSION/models/MODEL:METHOD`, where Vertex AI has
/// `projects/…/publishers/google/` in front of `models`.
fn address(path: &str) -> Option<(&str, &str)> {
    let (collection, call) = path.rsplit_once("/models/")?;
    let mut steps = collection.trim_start_matches('/').splitn(2, '/');
    let version = steps.next().filter(|step| !step.is_empty());
    let known = version.is_none_or(|version| VERSIONS.contains(&version));
    let vertex = steps.next().is_none_or(|rest| rest.contains("publishers/"));
    call.rsplit_once(':').filter(|_| known && vertex)
}

/// Lists that may also be given as their only element, and objects in them.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        Value::Null => &[],
        only => std::slice::from_ref(only),
    }
}

/// Fields whose content is the user's own.
const FREE: &[&str] = &[
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
    "labels",
];

/// Gives every field the one of its two names that is read here: `systemInstruction`
/// for `system_instruction`.
fn camel_case(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(camel_case),
        Value::Object(fields) => {
            let names: Vec<String> = fields
                .keys()
                .filter(|name| name.contains('_'))
                .cloned()
                .collect();
            for name in names {
                if let Some(value) = fields.remove(&name) {
                    fields.insert(camel(&name), value);
                }
            }
            let known = fields
                .iter_mut()
                .filter(|(name, _)| !FREE.contains(&name.as_str()));
            known.for_each(|(_, value)| camel_case(value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes a request in one way of the several there are.
fn normalize(body: &mut Value) {
    camel_case(body);
    // A count may be asked for a whole request.
    if body["generateContentRequest"].is_object() {
        *body = body["generateContentRequest"].take();
    }
    match &mut body["contents"] {
        Value::Null | Value::Array(_) => {}
        only => *only = json!([only.take()]),
    }
    for content in body["contents"].as_array_mut().into_iter().flatten() {
        let parts = &content["parts"];
        if parts.is_object() {
            content["parts"] = json!([parts]);
        }
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        name + &initial.to_uppercase() + rest
    })
}

/// A name as the provider's messages write it.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

impl Dialect for Gemini {
    fn home(&self) -> &'static str {
        "/v1beta/models"
    }

    fn claims(&self, path: &str) -> bool {
        let later = VERSIONS.iter().filter(|version| **version != "v1");
        let mut later = later.map(|version| format!("/{version}/"));
        address(path).is_some() || later.any(|version| path.starts_with(&version))
    }

    fn takes(&self, path: &str) -> bool {
        matches!(
            address(path),
            Some((
                _,
                "generateContent" | "streamGenerateContent" | "countTokens"
            ))
        )
    }

    fn counts_tokens(&self, path: &str) -> bool {
        matches!(address(path), Some((_, "countTokens")))
    }

    fn count(&self, tokens: u64) -> Value {
        json!({
            "totalTokens": tokens,
            "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": tokens }],
        })
    }

    fn framing(&self, query: Option<&str>) -> Framing {
        let mut query = query.unwrap_or_default().split('&');
        if query.any(|parameter| matches!(parameter, "alt=sse" | "$alt=sse" | "%24alt=sse")) {
            Framing::ServerSentEvents
        } else {
            Framing::Array
        }
    }

    fn read(&self, path: &str, mut body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        normalize(&mut body);
        RULES.check(self, &body)?;
        let (model, method) = address(path).unwrap_or_default();
        let functions = list(&body["tools"])
            .iter()
            .flat_map(|tool| list(&tool["functionDeclarations"]));
        let schema = |function: &Value| {
            let fields = ["parametersJsonSchema", "parameters"];
            let known = fields
                .into_iter()
                .find(|field| function[*field].is_object());
            Tool::read(function, known.unwrap_or("parameters"))
        };
        let mut call = ModelRequest {
            model: model.to_owned(),
            generate: true,
            stream: method == "streamGenerateContent",
            output_limit: whole(&body["generationConfig"]["maxOutputTokens"]),
            tools: functions.filter_map(schema).collect(),
            ..ModelRequest::default()
        };
        call.prompt = vec![body["tools"].take(), body["systemInstruction"].take()];
        if let Value::Array(contents) = body["contents"].take() {
            // Whoever says nothing of a role is the user.
            let user = |content: &Value| content["role"] != "model";
            conversation(&mut call, &contents, user, |content| {
                count(content, "parts", |part| part["functionCall"].is_object())
            });
            call.prompt.extend(contents);
        }
        Ok((call, Box::new(GeminiVoice)))
    }

    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal {
        let names: Vec<String> = at.iter().map(|name| snake(name)).collect();
        let place = bracketed(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let field = names.last().map_or("", String::as_str);
        let (status, message) = match *problem {
            Problem::Missing | Problem::Empty => (
                400,
                format!("* GenerateContentRequest.{place}: {field} is not specified\n"),
            ),
            Problem::WrongType { wanted, found } => (
                400,
                format!("Invalid value at '{place}', {wanted} is expected, {found}"),
            ),
            Problem::OutOfRange { low, high, .. } if high.is_finite() => (
                400,
                format!(
                    "* GenerateContentRequest.{place}: {field} must be in the range [{low}, {high}].\n"
                ),
            ),
            Problem::OutOfRange { low, .. } => (
                400,
                format!("* GenerateContentRequest.{place}: {field} must be at least {low}.\n"),
            ),
            Problem::UnknownWord { .. } => (400, "Please use a valid role: user, model.".into()),
            Problem::UnknownModel { name, known } => (
                404,
                format!(
                    "models/{name} is not found, or is not supported for this method. Call ListModels to see the list of available models and their supported methods. This simulated endpoint has {}.",
                    quoted(known)
                ),
            ),
        };
        Refusal::new(status, "", message)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let status = match refusal.status {
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        };
        let message = &refusal.message;
        let mut error = json!({ "code": refusal.status, "message": message, "status": status });
        if let Some(seconds) = refusal.retry_after {
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{seconds}s"),
            }]);
        }
        json!({ "error": error })
    }
}

const RULES: Rules = Rules {
    required: &[(&["contents"], Wanted::List)],
    optional: &[
        (&["generationConfig"], Wanted::Object),
        (
            &["generationConfig", "maxOutputTokens"],
            Wanted::Integer(1.0, ANY),
        ),
        (
            &["generationConfig", "temperature"],
            Wanted::Number(0.0, 2.0),
        ),
        (&["generationConfig", "topP"], Wanted::Number(0.0, 1.0)),
        (&["generationConfig", "topK"], Wanted::Integer(1.0, ANY)),
        // Here there is one candidate.
        (
            &["generationConfig", "candidateCount"],
            Wanted::Integer(1.0, 1.0),
        ),
        (&["generationConfig", "stopSequences"], Wanted::List),
        (&["generationConfig", "responseMimeType"], Wanted::Text),
        (&["toolConfig"], Wanted::Object),
        (&["cachedContent"], Wanted::Text),
    ],
    conversation: "contents",
    roles: &["user", "model", "function", "tool", ""],
    role_required: false,
    content: ("parts", Wanted::List),
    may_be_empty: false,
};

/// Says a response.
#[derive(Debug)]
struct GeminiVoice;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: [Candidate<'a>; 1],
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
struct Candidate<'a> {
    content: Content<'a>,
    index: u8,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
    role: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Thought {
        text: &'a str,
        thought: bool,
    },
    Text {
        text: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: Value,
    },
}

/// A part with so much of an output.
fn part<'a>(answer: &'a ModelReply, index: usize, text: &'a str) -> Part<'a> {
    match &answer.outputs[index] {
        Output::Reasoning(_) => Part::Thought {
            text,
            thought: true,
        },
        Output::Text(_) => Part::Text { text },
        Output::Call { name, .. } => Part::Call {
            function_call: json!({
                "id": answer.item_id("call_", index),
                "name": name,
                "args": reading::object(text),
            }),
        },
    }
}

impl Voice for GeminiVoice {
    fn protocol(&self) -> &'static str {
        "gemini"
    }

    fn id_prefix(&self) -> &'static str {
        ""
    }

    fn streams_arguments(&self) -> bool {
        false
    }

    fn delta(&mut self, answer: &ModelReply, index: usize, text: &str, wire: &mut Wire) {
        wire.event(&Chunk {
            candidates: [Candidate {
                content: Content {
                    parts: [part(answer, index, text)],
                    role: "model",
                },
                index: 0,
            }],
            model_version: &answer.model,
            response_id: &answer.id,
        });
    }

    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire) {
        wire.event(&last(answer, &[Part::Text { text: "" }]));
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let parts: Vec<Part<'_>> = std::iter::zip(0.., &answer.outputs)
            .map(|(index, output)| part(answer, index, output.text()))
            .collect();
        last(answer, &parts)
    }
}

/// What ends a response: the reason, and the usage.
fn last(answer: &ModelReply, parts: &[Part<'_>]) -> Value {
    let (output, thoughts) = (answer.output_tokens(), answer.reasoning_tokens());
    let mut usage = json!({
        "promptTokenCount": answer.prompt.tokens,
        "candidatesTokenCount": output - thoughts,
        "totalTokenCount": answer.prompt.tokens + output,
    });
    for (field, tokens) in [
        ("cachedContentTokenCount", answer.prompt.cached),
        ("thoughtsTokenCount", thoughts),
    ] {
        if tokens > 0 {
            usage[field] = json!(tokens);
        }
    }
    json!({
        "candidates": [{
            "content": { "parts": parts, "role": "model" },
            "finishReason": if answer.cut.is_some() { "MAX_TOKENS" } else { "STOP" },
            "index": 0,
        }],
        "usageMetadata": usage,
        "modelVersion": answer.model,
        "responseId": answer.id,
    })
}
