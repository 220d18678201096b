//! Claude Code as `claude -p --input-format stream-json`: lines of messages and of control.

use serde_json::{Value, json};

use super::calls::{Calls, reason, short, text};
use super::{Came, Dialogue, End, Message, Said, Session, Steered, Taken};

/// What a request was about.
#[derive(Debug)]
enum Call {
    Initialize,
    Interrupt,
}

#[derive(Debug)]
struct Claude {
    calls: Calls<Call>,
    asks: u32,
    /// The last ask that was a steer.
    steered: u32,
    /// Asks that have ended.
    ended: u32,
    /// The last ask whose beginning was told.
    started: u32,
}

pub(super) fn begin(_: Session) -> Box<dyn Dialogue> {
    Box::new(Claude {
        calls: Calls::new(),
        asks: 0,
        steered: 0,
        ended: 0,
        started: 0,
    })
}

impl Dialogue for Claude {
    fn open(&mut self) -> Vec<Message> {
        self.control(Call::Initialize, "initialize")
    }

    fn take(&mut self, came: Came<'_>) -> Taken {
        let mut taken = Taken::default();
        let Came::Message(line) = came else {
            return taken;
        };
        // Every turn ends by a result, so that what comes belongs to the first without one.
        let ask = self.asks.min(self.ended + 1);
        let line: Value = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                let problem = format!("a line that is no message ({error})");
                taken.say(ask, Said::Unknown(problem));
                return taken;
            }
        };
        let own = line["parent_tool_use_id"].is_null();
        match line["type"].as_str().unwrap_or_default() {
            "control_response" => self.answer(&line["response"], ask, &mut taken),
            "control_request" => {
                let id = &line["request_id"];
                let allowed = line["request"]["subtype"] == "can_use_tool";
                taken
                    .write
                    .push(Message::Line(permission(id, &line, allowed)));
            }
            "stream_event" if own => self.streamed(&line["event"], ask, &mut taken),
            "assistant" => tools(&line, "tool_use", |part| {
                let (id, name) = (text(&part["id"]), short(&text(&part["name"])));
                taken.say(ask, Said::ToolStarted { id, name });
            }),
            "user" => tools(&line, "tool_result", |part| {
                let id = text(&part["tool_use_id"]);
                taken.say(ask, Said::ToolEnded { id });
            }),
            "result" => {
                self.ended = ask;
                taken.say(ask, Said::Ended(end(&line)));
            }
            "stream_event" | "system" | "rate_limit_event" | "keep_alive" | "tool_progress" => {}
            other => taken.say(ask, Said::Unknown(short(other))),
        }
        taken
    }

    fn ask(&mut self, text: &str) -> Vec<Message> {
        // What was said while a tool ran has become part of that turn.
        self.ended = self.asks;
        self.asks += 1;
        vec![Message::Line(user(text))]
    }

    fn interrupt(&mut self) -> Vec<Message> {
        self.control(Call::Interrupt, "interrupt")
    }

    fn steer(&mut self, text: &str) -> Vec<Message> {
        self.asks += 1;
        self.steered = self.asks;
        let mut line = user(text);
        line["priority"] = json!("now");
        vec![Message::Line(line)]
    }

    fn asks(&self) -> u32 {
        self.asks
    }
}

fn user(text: &str) -> Value {
    json!({
        "type": "user",
        "message": {"role": "user", "content": [{"type": "text", "text": text}]},
        "parent_tool_use_id": null,
        "session_id": "",
    })
}

/// The answer to a request of the agent's: tools may run, and nothing else is offered.
fn permission(id: &Value, line: &Value, allowed: bool) -> Value {
    let response = match allowed {
        true => json!({
            "subtype": "success",
            "request_id": id,
            "response": {"behavior": "allow", "updatedInput": line["request"]["input"]},
        }),
        false => json!({"subtype": "error", "request_id": id, "error": "not offered"}),
    };
    json!({"type": "control_response", "response": response})
}

/// The parts of a message that are of one kind.
fn tools(line: &Value, kind: &str, say: impl FnMut(&Value)) {
    let parts = line["message"]["content"].as_array();
    let parts = parts.into_iter().flatten();
    parts.filter(|part| part["type"] == kind).for_each(say);
}

/// How a turn ended. An interrupted one says that it has failed, which is no failure; one
/// that was cut by what was said with priority calls itself a success.
fn end(line: &Value) -> End {
    let why = line["terminal_reason"].as_str().unwrap_or_default();
    if why.starts_with("aborted") {
        return End::Stopped;
    }
    match line["is_error"].as_bool() {
        Some(true) => {
            let words = line["result"].as_str().unwrap_or_default();
            End::Failed(match words.is_empty() {
                true => short(&line["errors"].to_string()),
                false => short(words),
            })
        }
        _ => End::Finished,
    }
}

impl Claude {
    fn control(&mut self, call: Call, subtype: &str) -> Vec<Message> {
        let id = self.calls.begin(call).to_string();
        vec![Message::Line(json!({
            "type": "control_request",
            "request_id": id,
            "request": {"subtype": subtype},
        }))]
    }

    fn answer(&mut self, response: &Value, ask: u32, taken: &mut Taken) {
        let call = response["request_id"].as_str();
        let call = call.and_then(|call| self.calls.answered(call.parse().ok()?));
        let failed = response["subtype"] == "error";
        match (call, failed) {
            (Some(Call::Initialize), false) => taken.say(ask, Said::Ready),
            (Some(Call::Interrupt), false) => taken.say(ask, Said::Confirmed),
            (Some(Call::Initialize), true) => {
                taken.say(ask, Said::Broken(reason(&response["error"])));
            }
            (Some(Call::Interrupt), true) => {
                taken.say(ask, Said::Unknown(reason(&response["error"])));
            }
            (None, _) => {}
        }
    }

    fn streamed(&mut self, event: &Value, ask: u32, taken: &mut Taken) {
        let delta = &event["delta"];
        match (event["type"].as_str(), delta["type"].as_str()) {
            (Some("message_start"), _) if self.started < ask => {
                self.started = ask;
                if self.steered == ask {
                    taken.say(ask, Said::Steered(Steered::Applied));
                }
                taken.say(ask, Said::Started);
            }
            (_, Some("text_delta")) => taken.say(ask, Said::Text(text(&delta["text"]))),
            (_, Some("thinking_delta")) => taken.say(ask, Said::Reasoning),
            _ => {}
        }
    }
}
