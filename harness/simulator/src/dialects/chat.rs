//! Chat Completions, as OpenAI defined it and inference servers speak it.

use serde::Serialize;
use serde_json::{Value, json};

use super::checks::{ANY, Rules, Wanted, whole};
use super::openai;
use super::reading::{conversation, count};
use crate::dialect::{Dialect, ModelReply, ModelRequest, Problem, Refusal, Voice};
use crate::output::Output;
use crate::tools::Tool;
use crate::wire::Wire;

/// The protocol.
#[derive(Debug)]
pub struct Chat;

impl Dialect for Chat {
    fn home(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn read(
        &self,
        _path: &str,
        mut body: Value,
    ) -> Result<(ModelRequest, Box<dyn Voice>), Refusal> {
        RULES.check(self, &body)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let voice = ChatVoice {
            usage: body["stream_options"]["include_usage"] == true,
            metrics: body["include_metrics"] == true,
            timings: body["timings_per_token"] == true,
            calls: 0,
        };
        let mut call = ModelRequest {
            model: text("model").unwrap_or_default(),
            generate: true,
            stream: body["stream"] == true,
            output_limit: ["max_completion_tokens", "max_tokens"]
                .iter()
                .find_map(|field| whole(&body[*field])),
            cache_key: text("prompt_cache_key")
                .or_else(|| text("user"))
                .unwrap_or_default(),
            ..ModelRequest::default()
        };
        read_conversation(&mut call, &mut body);
        Ok((call, Box::new(voice)))
    }

    fn word(&self, problem: &Problem<'_>, at: &[&str]) -> Refusal {
        openai::word(problem, at)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        openai::error(refusal)
    }
}

const RULES: Rules = Rules {
    required: &[(&["model"], Wanted::Text), (&["messages"], Wanted::List)],
    optional: &[
        (&["stream"], Wanted::Flag),
        (&["stream_options"], Wanted::Object),
        (&["max_completion_tokens"], Wanted::Integer(1.0, ANY)),
        (&["max_tokens"], Wanted::Integer(1.0, ANY)),
        (&["temperature"], Wanted::Number(0.0, 2.0)),
        (&["top_p"], Wanted::Number(0.0, 1.0)),
        (&["presence_penalty"], Wanted::Number(-2.0, 2.0)),
        (&["frequency_penalty"], Wanted::Number(-2.0, 2.0)),
        // Here there is one choice.
        (&["n"], Wanted::Integer(1.0, 1.0)),
        (&["logprobs"], Wanted::Flag),
        (&["top_logprobs"], Wanted::Integer(0.0, 20.0)),
        (&["seed"], Wanted::Integer(-ANY, ANY)),
        (&["stop"], Wanted::TextOrList),
        (&["tools"], Wanted::List),
        (&["tool_choice"], Wanted::TextOrObject),
        (&["parallel_tool_calls"], Wanted::Flag),
        (&["response_format"], Wanted::Object),
        (&["reasoning_effort"], Wanted::Text),
        (&["metadata"], Wanted::Object),
        (&["user"], Wanted::Text),
        (&["prompt_cache_key"], Wanted::Text),
    ],
    conversation: "messages",
    roles: &[
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ],
    role_required: true,
    content: ("content", Wanted::TextOrList),
    may_be_empty: false,
};

/// Reads `tools` and `messages`, which Ollama shapes the same way.
pub(super) fn read_conversation(call: &mut ModelRequest, body: &mut Value) {
    let tools = body["tools"].as_array().into_iter().flatten();
    call.tools = tools
        .filter_map(|tool| Tool::read(&tool["function"], "parameters"))
        .collect();
    call.prompt = vec![body["tools"].take()];
    let Value::Array(messages) = body["messages"].take() else {
        return;
    };
    let user = |message: &Value| message["role"] == "user";
    conversation(call, &messages, user, |message| {
        count(message, "tool_calls", |_| true)
    });
    call.prompt.extend(messages);
}

/// Says a response.
#[derive(Debug)]
struct ChatVoice {
    /// Send a usage chunk.
    usage: bool,
    /// Report times as vLLM does.
    metrics: bool,
    /// Report times as llama.cpp does.
    timings: bool,
    /// Calls opened so far.
    calls: usize,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [Choice<'a>; 1],
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u8,
    delta: Delta<'a>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

fn chunk<'a>(
    answer: &'a ModelReply,
    delta: Delta<'a>,
    finish_reason: Option<&'static str>,
) -> Chunk<'a> {
    Chunk {
        id: &answer.id,
        object: "chat.completion.chunk",
        created: answer.created_at,
        model: &answer.model,
        choices: [Choice {
            index: 0,
            delta,
            finish_reason,
        }],
    }
}

impl Voice for ChatVoice {
    fn protocol(&self) -> &'static str {
        "chat-completions"
    }

    fn id_prefix(&self) -> &'static str {
        "chatcmpl-"
    }

    fn begin(&mut self, answer: &ModelReply, wire: &mut Wire) {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        wire.event(&chunk(answer, delta, None));
    }

    fn open(&mut self, answer: &ModelReply, index: usize, wire: &mut Wire) {
        let Output::Call { name, .. } = &answer.outputs[index] else {
            return;
        };
        let call = CallDelta {
            index: self.calls,
            id: Some(answer.item_id("call_", index)),
            kind: Some("function"),
            function: FunctionDelta {
                name: Some(name),
                arguments: "",
            },
        };
        self.calls += 1;
        let delta = Delta {
            tool_calls: Some([call]),
            ..Delta::default()
        };
        wire.event(&chunk(answer, delta, None));
    }

    fn delta(&mut self, answer: &ModelReply, index: usize, text: &str, wire: &mut Wire) {
        let mut delta = Delta::default();
        match &answer.outputs[index] {
            Output::Reasoning(_) => delta.reasoning_content = Some(text),
            Output::Text(_) => delta.content = Some(text),
            Output::Call { .. } => {
                delta.tool_calls = Some([CallDelta {
                    index: self.calls.saturating_sub(1),
                    id: None,
                    kind: None,
                    function: FunctionDelta {
                        name: None,
                        arguments: text,
                    },
                }]);
            }
        }
        wire.event(&chunk(answer, delta, None));
    }

    fn finish(&mut self, answer: &ModelReply, wire: &mut Wire) {
        let reason = Some(finish_reason(answer));
        let mut last = json!(chunk(answer, Delta::default(), reason));
        if self.usage {
            wire.event(&last);
            last["choices"] = json!([]);
            last["usage"] = usage(answer);
        }
        self.report(answer, &mut last);
        wire.event(&last);
        wire.literal("[DONE]");
    }

    fn whole(&self, answer: &ModelReply) -> Value {
        let mut message = json!({
            "role": "assistant",
            "content": answer.said_text(),
            "refusal": null,
            "annotations": [],
        });
        if let Some(reasoning) = answer.said_reasoning() {
            message["reasoning_content"] = json!(reasoning);
        }
        let calls: Vec<Value> = std::iter::zip(0.., &answer.outputs)
            .filter_map(|(index, output)| match output {
                Output::Call { name, arguments } => Some(json!({
                    "id": answer.item_id("call_", index),
                    "type": "function",
                    "function": { "name": name, "arguments": arguments },
                })),
                _ => None,
            })
            .collect();
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        let mut whole = json!({
            "id": answer.id,
            "object": "chat.completion",
            "created": answer.created_at,
            "model": answer.model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": finish_reason(answer),
            }],
            "usage": usage(answer),
        });
        self.report(answer, &mut whole);
        whole
    }
}

impl ChatVoice {
    /// Adds the server's own times, in the shapes that were asked for.
    fn report(&self, answer: &ModelReply, object: &mut Value) {
        let timing = answer.timing;
        let ms = |ns: u64| ns as f64 / 1e6;
        let tokens = answer.output_tokens();
        let gaps = tokens.saturating_sub(1) as f64;
        let per_token = |ns: u64| (gaps > 0.0).then(|| ms(ns) / gaps);
        let per_second = |ns: u64| (ns > 0).then(|| tokens as f64 * 1e9 / ns as f64);
        if self.metrics {
            object["metrics"] = json!({
                "time_to_first_token_ms": ms(timing.first_token_ns),
                "queue_time_ms": ms(timing.queue_ns),
                "generation_time_ms": ms(timing.generation_ns),
                "mean_itl_ms": per_token(timing.generation_ns),
                "tokens_per_second": per_second(timing.decode_ns),
            });
        }
        if self.timings {
            object["timings"] = json!({
                "cache_n": answer.prompt.cached,
                "prompt_n": answer.prompt.tokens - answer.prompt.cached,
                "prompt_ms": ms(timing.prefill_ns),
                "predicted_n": tokens,
                "predicted_ms": ms(timing.decode_ns),
                "predicted_per_second": per_second(timing.decode_ns),
            });
        }
    }
}

fn finish_reason(answer: &ModelReply) -> &'static str {
    match (answer.cut.is_some(), answer.calls()) {
        (true, _) => "length",
        (false, true) => "tool_calls",
        (false, false) => "stop",
    }
}

fn usage(answer: &ModelReply) -> Value {
    let output_tokens = answer.output_tokens();
    json!({
        "prompt_tokens": answer.prompt.tokens,
        "prompt_tokens_details": { "cached_tokens": answer.prompt.cached },
        "completion_tokens": output_tokens,
        "completion_tokens_details": { "reasoning_tokens": answer.reasoning_tokens() },
        "total_tokens": answer.prompt.tokens + output_tokens,
    })
}
