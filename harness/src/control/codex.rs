//! Codex as `codex app-server`: threads and turns, one object of JSON on each line.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::calls::{Calls, Envelope, not_offered, reason, short, text};
use super::{Came, Dialogue, End, Message, Said, Session, Steered, Taken};

/// Items of a turn that are no tools.
const NO_TOOLS: &[&str] = &[
    "userMessage",
    "agentMessage",
    "reasoning",
    "plan",
    "hookPrompt",
    "contextCompaction",
    "enteredReviewMode",
    "exitedReviewMode",
];

/// Turns of which the number is remembered.
const TURNS: usize = 64;

/// What a request was about.
#[derive(Debug)]
enum Call {
    Initialize,
    Thread,
    Turn,
    Interrupt,
    Steer,
}

#[derive(Debug)]
struct Codex {
    session: Session,
    calls: Calls<Call>,
    thread: String,
    /// The number of its ask, for every turn.
    turns: BTreeMap<String, u32>,
    /// The turn that is worked on; empty until it has a name.
    turn: String,
    asks: u32,
    steers: u32,
    /// It is in the midst of a text: one that a steer cuts short has no end.
    speaks: bool,
    /// To be interrupted as soon as the turn has a name.
    interrupts: bool,
}

pub(super) fn begin(session: Session) -> Box<dyn Dialogue> {
    Box::new(Codex {
        session,
        calls: Calls::new(),
        thread: String::new(),
        turns: BTreeMap::new(),
        turn: String::new(),
        asks: 0,
        steers: 0,
        speaks: false,
        interrupts: false,
    })
}

impl Dialogue for Codex {
    fn open(&mut self) -> Vec<Message> {
        let client = json!({"name": "timeslip", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"clientInfo": client, "capabilities": {"experimentalApi": true}});
        self.call(Call::Initialize, "initialize", params)
    }

    fn take(&mut self, came: Came<'_>) -> Taken {
        let mut taken = Taken::default();
        let Came::Message(line) = came else {
            return taken;
        };
        match Envelope::read(line) {
            Ok(Envelope::Response { call, result }) => {
                if let Some(call) = self.calls.answered(call) {
                    self.answer(call, result, &mut taken);
                }
            }
            Ok(Envelope::Request { id, method, .. }) => {
                // It was told to ask for nothing; what it asks for all the same is allowed.
                let answer = match method.ends_with("/requestApproval") {
                    true => json!({"id": id, "result": {"decision": "accept"}}),
                    false => not_offered(id),
                };
                taken.write.push(Message::Line(answer));
            }
            Ok(Envelope::Notification { method, params }) => {
                self.notified(&method, &params, &mut taken);
            }
            Err(problem) => taken.say(self.asks, Said::Unknown(problem)),
        }
        taken
    }

    fn ask(&mut self, text: &str) -> Vec<Message> {
        self.asks += 1;
        self.turn.clear();
        (self.interrupts, self.speaks) = (false, false);
        let params = json!({"threadId": self.thread, "input": input(text)});
        self.call(Call::Turn, "turn/start", params)
    }

    fn interrupt(&mut self) -> Vec<Message> {
        if self.turn.is_empty() {
            self.interrupts = true;
            return Vec::new();
        }
        let params = json!({"threadId": self.thread, "turnId": self.turn});
        self.call(Call::Interrupt, "turn/interrupt", params)
    }

    fn steer(&mut self, text: &str) -> Vec<Message> {
        self.steers += 1;
        let params = json!({
            "threadId": self.thread,
            "expectedTurnId": self.turn,
            "clientUserMessageId": self.steer_id(),
            "input": input(text),
        });
        self.call(Call::Steer, "turn/steer", params)
    }

    fn asks(&self) -> u32 {
        self.asks
    }
}

fn input(text: &str) -> Value {
    json!([{"type": "text", "text": text, "text_elements": []}])
}

impl Codex {
    fn call(&mut self, call: Call, method: &str, params: Value) -> Vec<Message> {
        let id = self.calls.begin(call);
        vec![Message::Line(
            json!({"id": id, "method": method, "params": params}),
        )]
    }

    /// What the last steer is called.
    fn steer_id(&self) -> String {
        format!("timeslip-{}", self.steers)
    }

    /// Whether a message is the last steer.
    fn is_steer(&self, item: &Value) -> bool {
        self.steers > 0 && item["clientId"] == json!(self.steer_id())
    }

    /// Notes the name of the turn of the last ask.
    fn name_turn(&mut self, id: &Value, taken: &mut Taken) {
        let Some(id) = id.as_str().filter(|_| self.turn.is_empty()) else {
            return;
        };
        self.turn = id.to_owned();
        self.turns.insert(id.to_owned(), self.asks);
        if self.turns.len() > TURNS {
            let oldest = self.turns.iter().min_by_key(|(_, ask)| **ask);
            let oldest = oldest.map(|(id, _)| id.clone());
            oldest.and_then(|id| self.turns.remove(&id));
        }
        if std::mem::take(&mut self.interrupts) {
            taken.write.extend(self.interrupt());
        }
    }

    fn answer(&mut self, call: Call, result: Result<Value, String>, taken: &mut Taken) {
        let ask = self.asks;
        match (call, result) {
            (Call::Initialize, Ok(_)) => {
                let line = json!({"method": "initialized"});
                taken.write.push(Message::Line(line));
                let params = json!({
                    "cwd": self.session.directory,
                    "ephemeral": true,
                    "approvalPolicy": "never",
                    "sandbox": "danger-full-access",
                });
                let begun = self.call(Call::Thread, "thread/start", params);
                taken.write.extend(begun);
            }
            (Call::Thread, Ok(result)) => {
                self.thread = text(&result["thread"]["id"]);
                taken.say(ask, Said::Ready);
            }
            (Call::Turn, Ok(result)) => self.name_turn(&result["turn"]["id"], taken),
            (Call::Interrupt, Ok(_)) => taken.say(ask, Said::Confirmed),
            (Call::Steer, Ok(_)) => taken.say(ask, Said::Steered(Steered::Taken)),
            (Call::Steer, Err(why)) => taken.say(ask, Said::Steered(Steered::Refused(why))),
            (Call::Turn, Err(why)) => taken.say(ask, Said::Ended(End::Failed(why))),
            // There is nothing to interrupt any more; the end of the turn says the rest.
            (Call::Interrupt, Err(why)) => taken.say(ask, Said::Unknown(why)),
            (Call::Initialize | Call::Thread, Err(why)) => taken.say(ask, Said::Broken(why)),
        }
    }

    fn notified(&mut self, method: &str, params: &Value, taken: &mut Taken) {
        // Of an agent that this one has begun: its turns are not the session's.
        let thread = params["threadId"].as_str();
        if thread.is_some_and(|thread| thread != self.thread) {
            return;
        }
        if method == "turn/started" {
            self.name_turn(&params["turn"]["id"], taken);
        }
        let turn = params["turnId"].as_str().or(params["turn"]["id"].as_str());
        let ask = turn.and_then(|turn| self.turns.get(turn));
        let ask = ask.copied().unwrap_or(self.asks);
        let item = &params["item"];
        let kind = item["type"].as_str().unwrap_or_default();
        match method {
            "turn/started" => taken.say(ask, Said::Started),
            "item/agentMessage/delta" => taken.say(ask, Said::Text(text(&params["delta"]))),
            "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta" => {
                taken.say(ask, Said::Reasoning);
            }
            "item/started" if kind == "userMessage" && self.is_steer(item) => {
                let steered = match std::mem::take(&mut self.speaks) {
                    true => Steered::Cut,
                    false => Steered::Applied,
                };
                taken.say(ask, Said::Steered(steered));
            }
            "item/started" | "item/completed" if kind == "agentMessage" => {
                self.speaks = method == "item/started";
            }
            "item/started" if !NO_TOOLS.contains(&kind) => taken.say(
                ask,
                Said::ToolStarted {
                    id: text(&item["id"]),
                    name: short(kind),
                },
            ),
            "item/completed" if !NO_TOOLS.contains(&kind) => {
                taken.say(
                    ask,
                    Said::ToolEnded {
                        id: text(&item["id"]),
                    },
                );
            }
            "turn/completed" => {
                let turn = &params["turn"];
                let end = match turn["status"].as_str() {
                    Some("completed") => End::Finished,
                    Some("interrupted") => End::Stopped,
                    _ => End::Failed(reason(&turn["error"])),
                };
                taken.say(ask, Said::Ended(end));
            }
            // What else it tells is for its own screen: statuses, usage, output of tools.
            _ => {}
        }
    }
}
