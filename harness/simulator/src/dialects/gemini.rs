//! Gemini's `generateContent` and `streamGenerateContent`.

use hyper::Uri;
use serde::Serialize;
use serde_json::{Value, json};

use super::reading::{self, count, texts};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::Wire;

/// The protocol.
#[derive(Debug)]
pub struct Gemini;

/// Model and method in a path.
fn address(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/v1beta/models/")?.rsplit_once(':')
}

impl Dialect for Gemini {
    fn home(&self) -> &'static str {
        "/v1beta/models"
    }

    fn takes(&self, path: &str) -> bool {
        matches!(
            address(path),
            Some((_, "generateContent" | "streamGenerateContent"))
        )
    }

    fn read(&self, uri: &Uri, mut body: Value) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        let (model, method) = address(uri.path()).unwrap_or_default();
        let stream = method == "streamGenerateContent";
        let mut query = uri.query().unwrap_or_default().split('&');
        if stream && !query.any(|parameter| parameter == "alt=sse") {
            let message = "This simulated endpoint streams with '?alt=sse' only.";
            return Err(Refusal::bad_request("unsupported", message));
        }
        let tools = body["tools"].as_array().into_iter().flatten();
        let functions = tools.flat_map(|tool| {
            tool["functionDeclarations"]
                .as_array()
                .into_iter()
                .flatten()
        });
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
            stream,
            output_limit: body["generationConfig"]["maxOutputTokens"].as_u64(),
            tools: functions.filter_map(schema).collect(),
            ..ModelRequest::default()
        };
        call.prompt = vec![body["tools"].take(), body["systemInstruction"].take()];
        let Value::Array(contents) = body["contents"].take() else {
            return Err(Refusal::missing("contents"));
        };
        // Whoever says nothing of a role is the user.
        call.user = texts(&contents, |content| content["role"] != "model");
        call.calls_so_far = count(&contents, "parts", |part| part["functionCall"].is_object());
        call.prompt.extend(contents);
        Ok((call, Box::new(GeminiVoice)))
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let status = match refusal.status {
            404 => "NOT_FOUND",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        };
        let message = &refusal.message;
        json!({ "error": { "code": refusal.status, "message": message, "status": status } })
    }
}

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
            "finishReason": "STOP",
            "index": 0,
        }],
        "usageMetadata": usage,
        "modelVersion": answer.model,
        "responseId": answer.id,
    })
}
