//! OpenCode as `opencode serve`: requests over HTTP, events from its stream.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::calls::{Calls, reason, short, text};
use super::{Came, Dialogue, End, Message, Said, Session, Steered, Taken};

/// Messages and parts that are remembered.
const REMEMBERED: usize = 64;

/// What a request was about.
#[derive(Debug)]
enum Call {
    Session,
    /// The ask of this number.
    Prompt(u32),
    Abort,
}

#[derive(Debug)]
struct OpenCode {
    calls: Calls<Call>,
    session: String,
    asks: u32,
    /// The ask that it works on.
    current: u32,
    /// The last ask that was a steer.
    steered: u32,
    /// How the turn will have ended once it is over; absent while there is nothing that could
    /// end. A server is idle twice after an abort, and the second time may be long after the
    /// next ask.
    end: Option<End>,
    /// Questions that have come to the conversation.
    questions: u32,
    /// The ask of a message, by its id: of questions, and of their answers.
    messages: Remembered<u32>,
    /// Parts that were told of: what they are.
    parts: Remembered<Part>,
}

/// A part of an answer that is no text.
#[derive(Clone, Copy, Debug)]
enum Part {
    Reasoning,
    Tool,
}

/// The last things that were told of some ids.
#[derive(Debug)]
struct Remembered<T>(VecDeque<(String, T)>);

impl<T: Copy> Remembered<T> {
    fn get(&self, id: &Value) -> Option<T> {
        let id = id.as_str()?;
        let found = self.0.iter().find(|(known, _)| known == id);
        found.map(|(_, about)| *about)
    }

    fn add(&mut self, id: &Value, about: T) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((text(id), about));
    }
}

pub(super) fn begin(_: Session) -> Box<dyn Dialogue> {
    Box::new(OpenCode {
        calls: Calls::new(),
        session: String::new(),
        asks: 0,
        current: 0,
        steered: 0,
        end: None,
        questions: 0,
        messages: Remembered(VecDeque::new()),
        parts: Remembered(VecDeque::new()),
    })
}

impl Dialogue for OpenCode {
    fn open(&mut self) -> Vec<Message> {
        // With a title of its own it asks its model for none.
        let body = json!({"title": "timeslip"});
        self.post(Call::Session, "/session".to_owned(), body)
    }

    fn take(&mut self, came: Came<'_>) -> Taken {
        let mut taken = Taken::default();
        match came {
            Came::Message(data) => match serde_json::from_slice::<Value>(data) {
                Ok(event) => self.happened(&event, &mut taken),
                Err(error) => {
                    let problem = format!("an event that is no message ({error})");
                    taken.say(self.current, Said::Unknown(problem));
                }
            },
            Came::Answer { call, status, body } => {
                if let Some(call) = self.calls.answered(call) {
                    let body = serde_json::from_slice(body).unwrap_or_default();
                    self.answer(&call, status, &body, &mut taken);
                }
            }
        }
        taken
    }

    fn ask(&mut self, text: &str) -> Vec<Message> {
        let written = self.prompt(text);
        self.current = self.asks;
        self.end = None;
        written
    }

    fn interrupt(&mut self) -> Vec<Message> {
        let path = format!("/session/{}/abort", self.session);
        self.post(Call::Abort, path, json!({}))
    }

    fn steer(&mut self, text: &str) -> Vec<Message> {
        let written = self.prompt(text);
        self.steered = self.asks;
        written
    }

    fn asks(&self) -> u32 {
        self.asks
    }
}

impl OpenCode {
    fn post(&mut self, call: Call, path: String, body: Value) -> Vec<Message> {
        let call = self.calls.begin(call);
        vec![Message::Post { call, path, body }]
    }

    fn prompt(&mut self, text: &str) -> Vec<Message> {
        self.asks += 1;
        let path = format!("/session/{}/prompt_async", self.session);
        let body = json!({"parts": [{"type": "text", "text": text}]});
        self.post(Call::Prompt(self.asks), path, body)
    }

    fn answer(&mut self, call: &Call, status: u16, body: &Value, taken: &mut Taken) {
        let failed = (status >= 400).then(|| format!("status {status}: {}", reason(body)));
        match (call, failed) {
            (Call::Session, None) => {
                self.session = text(&body["id"]);
                taken.say(0, Said::Ready);
            }
            (Call::Session, Some(why)) => taken.say(0, Said::Broken(why)),
            (Call::Prompt(ask), None) if *ask == self.steered => {
                taken.say(*ask, Said::Steered(Steered::Taken));
            }
            (Call::Prompt(ask), Some(why)) if *ask == self.steered => {
                taken.say(*ask, Said::Steered(Steered::Refused(why)));
            }
            (Call::Prompt(_), None) => {}
            (Call::Prompt(ask), Some(why)) => taken.say(*ask, Said::Ended(End::Failed(why))),
            (Call::Abort, None) => taken.say(self.current, Said::Confirmed),
            (Call::Abort, Some(why)) => taken.say(self.current, Said::Unknown(why)),
        }
    }

    fn happened(&mut self, event: &Value, taken: &mut Taken) {
        let about = &event["properties"];
        let session = [
            &about["sessionID"],
            &about["info"]["sessionID"],
            &about["part"]["sessionID"],
        ];
        if !session
            .iter()
            .any(|session| **session == json!(self.session))
        {
            // Of an agent that this one has begun, or of the server.
            return;
        }
        match event["type"].as_str().unwrap_or_default() {
            "message.updated" => self.message(&about["info"], taken),
            "message.part.delta" if about["field"] == "text" => {
                let ask = self.messages.get(&about["messageID"]);
                let said = match self.parts.get(&about["partID"]) {
                    Some(Part::Reasoning) => Said::Reasoning,
                    _ => Said::Text(text(&about["delta"])),
                };
                taken.say(ask.unwrap_or(self.current), said);
            }
            "message.part.updated" => self.part(&about["part"], taken),
            "session.error" => {
                let error = &about["error"];
                self.end = Some(match error["name"].as_str() {
                    Some("MessageAbortedError") => End::Stopped,
                    _ => End::Failed(reason(&error["data"])),
                });
            }
            "session.idle" => {
                if let Some(end) = self.end.take() {
                    taken.say(self.current, Said::Ended(end));
                }
            }
            // What else happens is for its own screen.
            _ => {}
        }
    }

    /// A message has come to the conversation, or has changed.
    fn message(&mut self, info: &Value, taken: &mut Taken) {
        if self.messages.get(&info["id"]).is_some() {
            return;
        }
        if info["role"] == "user" {
            self.questions += 1;
            self.messages.add(&info["id"], self.questions);
            return;
        }
        let ask = self.messages.get(&info["parentID"]).unwrap_or(self.current);
        self.messages.add(&info["id"], ask);
        self.current = self.current.max(ask);
        if ask == self.current {
            self.end.get_or_insert(End::Finished);
        }
        if ask == self.steered {
            taken.say(ask, Said::Steered(Steered::Applied));
        }
        taken.say(ask, Said::Started);
    }

    fn part(&mut self, part: &Value, taken: &mut Taken) {
        let ask = self
            .messages
            .get(&part["messageID"])
            .unwrap_or(self.current);
        let id = text(&part["callID"]);
        // A part is told anew with every piece of it.
        let is_new = self.parts.get(&part["id"]).is_none();
        match (part["type"].as_str(), part["state"]["status"].as_str()) {
            (Some("reasoning"), _) if is_new => self.parts.add(&part["id"], Part::Reasoning),
            (Some("tool"), Some("running")) if is_new => {
                self.parts.add(&part["id"], Part::Tool);
                let name = short(&text(&part["tool"]));
                taken.say(ask, Said::ToolStarted { id, name });
            }
            (Some("tool"), Some("completed" | "error")) => {
                taken.say(ask, Said::ToolEnded { id });
            }
            _ => {}
        }
    }
}
