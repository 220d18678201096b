//! The Agent Client Protocol, version 1, as a client. Its types are those of the protocol's own
//! crate; its runtime is not used, because it does not tell when a line came.

use std::collections::VecDeque;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    CancelNotification, ContentBlock, Implementation, InitializeRequest, NewSessionRequest,
    NewSessionResponse, PermissionOptionKind, PromptRequest, PromptResponse,
    RequestPermissionOutcome, RequestPermissionRequest, RequestPermissionResponse,
    SelectedPermissionOutcome, SessionId, SessionNotification, SessionUpdate,
    SetSessionModeRequest, StopReason, ToolCallStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::calls::{Calls, Envelope, not_offered, rpc, short};
use super::{Came, Dialogue, End, Message, Said, Session, Steered, Taken};

/// What a request was about.
#[derive(Debug)]
enum Call {
    Initialize,
    Session,
    Mode,
    /// The ask of this number.
    Prompt(u32),
}

#[derive(Debug)]
struct Acp {
    session: Session,
    calls: Calls<Call>,
    id: Option<SessionId>,
    asks: u32,
    /// The asks that have no end yet, in order.
    open: VecDeque<u32>,
    /// The last ask that was a steer.
    steered: u32,
    /// The last ask whose beginning was told.
    started: u32,
}

pub(super) fn begin(session: Session) -> Box<dyn Dialogue> {
    Box::new(Acp {
        session,
        calls: Calls::new(),
        id: None,
        asks: 0,
        open: VecDeque::new(),
        steered: 0,
        started: 0,
    })
}

impl Dialogue for Acp {
    fn open(&mut self) -> Vec<Message> {
        let client = Implementation::new("timeslip", env!("CARGO_PKG_VERSION"));
        let params = InitializeRequest::new(ProtocolVersion::V1).client_info(client);
        self.call(Call::Initialize, "initialize", &params)
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
            Ok(Envelope::Request { id, method, params }) => {
                taken
                    .write
                    .push(Message::Line(rpc(asked(id, &method, params))));
            }
            Ok(Envelope::Notification { method, params }) if method == "session/update" => {
                self.updated(params, &mut taken);
            }
            // Others are extensions of the agent's own.
            Ok(Envelope::Notification { .. }) => {}
            Err(problem) => taken.say(self.asks, Said::Unknown(problem)),
        }
        taken
    }

    fn ask(&mut self, text: &str) -> Vec<Message> {
        let Some(id) = self.id.clone() else {
            return Vec::new();
        };
        self.asks += 1;
        self.open.push_back(self.asks);
        let prompt = PromptRequest::new(id, vec![ContentBlock::from(text.to_owned())]);
        self.call(Call::Prompt(self.asks), "session/prompt", &prompt)
    }

    fn interrupt(&mut self) -> Vec<Message> {
        let Some(id) = self.id.clone() else {
            return Vec::new();
        };
        let params = CancelNotification::new(id);
        vec![Message::Line(rpc(
            json!({"method": "session/cancel", "params": params}),
        ))]
    }

    fn steer(&mut self, text: &str) -> Vec<Message> {
        let written = self.ask(text);
        self.steered = self.asks;
        written
    }

    fn asks(&self) -> u32 {
        self.asks
    }
}

impl Acp {
    fn call(&mut self, call: Call, method: &str, params: &impl Serialize) -> Vec<Message> {
        let id = self.calls.begin(call);
        vec![Message::Line(rpc(
            json!({"id": id, "method": method, "params": params}),
        ))]
    }

    /// The ask that the agent works on: the oldest without an end.
    fn current(&self) -> u32 {
        self.open.front().copied().unwrap_or(self.asks)
    }

    fn answer(&mut self, call: Call, result: Result<Value, String>, taken: &mut Taken) {
        let ask = self.asks;
        match (call, result) {
            (Call::Initialize, Ok(_)) => {
                let params = NewSessionRequest::new(&self.session.directory);
                let begun = self.call(Call::Session, "session/new", &params);
                taken.write.extend(begun);
            }
            (Call::Session, Ok(result)) => match read::<NewSessionResponse>(result) {
                Ok(new) => {
                    self.id = Some(new.session_id.clone());
                    match self.session.mode.clone() {
                        Some(mode) => {
                            let params = SetSessionModeRequest::new(new.session_id, mode);
                            let set = self.call(Call::Mode, "session/set_mode", &params);
                            taken.write.extend(set);
                        }
                        None => taken.say(ask, Said::Ready),
                    }
                }
                Err(why) => taken.say(ask, Said::Broken(why)),
            },
            (Call::Mode, Ok(_)) => taken.say(ask, Said::Ready),
            (Call::Prompt(ask), result) => self.ended(ask, result, taken),
            (Call::Initialize | Call::Session | Call::Mode, Err(why)) => {
                taken.say(ask, Said::Broken(why));
            }
        }
    }

    /// The answer to a prompt is the end of its turn, and with it the confirmation of a stop.
    fn ended(&mut self, ask: u32, result: Result<Value, String>, taken: &mut Taken) {
        let busy = self.open.front().is_some_and(|first| *first < ask);
        self.open.retain(|one| *one != ask);
        let end = match result.and_then(read::<PromptResponse>) {
            Ok(response) if response.stop_reason == StopReason::Cancelled => {
                taken.say(ask, Said::Confirmed);
                End::Stopped
            }
            Ok(_) => End::Finished,
            Err(why) if ask == self.steered && busy => {
                return taken.say(ask, Said::Steered(Steered::Refused(why)));
            }
            Err(why) => End::Failed(why),
        };
        taken.say(ask, Said::Ended(end));
    }

    fn updated(&mut self, params: Value, taken: &mut Taken) {
        let ask = self.current();
        let kind = short(
            params["update"]["sessionUpdate"]
                .as_str()
                .unwrap_or_default(),
        );
        let Ok(notification) = read::<SessionNotification>(params) else {
            return taken.say(ask, Said::Unknown(kind));
        };
        if self.id.as_ref() != Some(&notification.session_id) {
            // Of an agent that this one has begun.
            return;
        }
        let said = match notification.update {
            SessionUpdate::AgentMessageChunk(chunk) => match chunk.content {
                ContentBlock::Text(text) => Said::Text(text.text),
                _ => Said::Text(String::new()),
            },
            SessionUpdate::AgentThoughtChunk(_) => Said::Reasoning,
            SessionUpdate::ToolCall(call) => match is_over(call.status) {
                true => Said::ToolEnded {
                    id: call.tool_call_id.to_string(),
                },
                false => Said::ToolStarted {
                    id: call.tool_call_id.to_string(),
                    name: short(call.name.as_deref().unwrap_or(&call.title)),
                },
            },
            SessionUpdate::ToolCallUpdate(update) if update.fields.status.is_some_and(is_over) => {
                Said::ToolEnded {
                    id: update.tool_call_id.to_string(),
                }
            }
            // What else it tells is for a screen: plans, modes, commands, usage.
            _ => return,
        };
        if self.started < ask {
            self.started = ask;
            if self.steered == ask {
                taken.say(ask, Said::Steered(Steered::Applied));
            }
            taken.say(ask, Said::Started);
        }
        taken.say(ask, said);
    }
}

fn is_over(status: ToolCallStatus) -> bool {
    matches!(status, ToolCallStatus::Completed | ToolCallStatus::Failed)
}

/// A message's content; why it is none.
fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| short(&error.to_string()))
}

/// The answer to a request of the agent's: tools may run, and nothing else is offered.
fn asked(id: Value, method: &str, params: Value) -> Value {
    let request = match method {
        "session/request_permission" => read::<RequestPermissionRequest>(params),
        _ => return not_offered(id),
    };
    let options = request.map(|request| request.options).unwrap_or_default();
    let allowing = [
        PermissionOptionKind::AllowOnce,
        PermissionOptionKind::AllowAlways,
    ];
    let option = allowing.iter().find_map(|kind| {
        let mut options = options.iter();
        options.find(|option| option.kind == *kind)
    });
    let outcome = match option {
        Some(option) => {
            let selected = SelectedPermissionOutcome::new(option.option_id.clone());
            RequestPermissionOutcome::Selected(selected)
        }
        None => RequestPermissionOutcome::Cancelled,
    };
    json!({"id": id, "result": RequestPermissionResponse::new(outcome)})
}
