//! What a developer did in a session of the real-time mode, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One act of a session. Its line is appended once the act is over; the lines of its
/// exchanges and tool calls come before it or after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Number in the session, from 1: the order in which acts began.
    pub act: u32,
    /// The session file's name for it.
    pub name: String,
    /// What was done.
    pub kind: ActKind,
    /// The act that it stops, redirects or judges; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub of: Option<u32>,
    /// When what happened.
    pub marks: ActMarks,
    /// What came of a stop or of a redirection; absent for other acts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub race: Option<Race>,
    /// By what way a stop or a redirection was told; absent for other acts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub way: Option<StopWay>,
    /// A tool was running when a stop was told.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub in_tool: bool,
    /// How often what.
    #[serde(default, skip_serializing_if = "ActCounts::is_empty")]
    pub counts: ActCounts,
    /// The keystrokes of a `type` act, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub keystrokes: Vec<Keystroke>,
    /// What the act's check found; absent where it has none, or was not reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub check: Option<ActCheck>,
    /// One sentence where something was unusual: why it was refused, or not possible with
    /// what is driven. Untrusted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

impl Act {
    /// An act that has just begun, `began` nanoseconds after the trial's start.
    #[must_use]
    pub fn begun(act: u32, name: impl Into<String>, kind: ActKind, began: u64) -> Self {
        Act {
            act,
            name: name.into(),
            kind,
            of: None,
            marks: ActMarks {
                began,
                ended: began,
                ..ActMarks::default()
            },
            race: None,
            way: None,
            in_tool: false,
            counts: ActCounts::default(),
            keystrokes: Vec::new(),
            check: None,
            detail: None,
        }
    }
}

/// What a developer does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// Asks for something. The act lasts until its answer has ended, whole or stopped.
    Ask,
    /// Reads along until something holds.
    Wait,
    /// Stops what is being answered.
    Interrupt,
    /// Says more while it is being answered, which is to redirect the answer.
    Steer,
    /// Types, and is offered a continuation after each keystroke.
    Type,
    /// Takes over what was offered.
    Accept,
    /// Does not take over what was offered, or takes back what the last answer changed.
    Reject,
    /// Takes back what the last answer or acceptance changed.
    Undo,
}

impl ActKind {
    /// All there are.
    pub const ALL: [ActKind; 8] = [
        Self::Ask,
        Self::Wait,
        Self::Interrupt,
        Self::Steer,
        Self::Type,
        Self::Accept,
        Self::Reject,
        Self::Undo,
    ];

    /// The name used in every machine-readable output and in session files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ActKind::Ask => "ask",
            ActKind::Wait => "wait",
            ActKind::Interrupt => "interrupt",
            ActKind::Steer => "steer",
            ActKind::Type => "type",
            ActKind::Accept => "accept",
            ActKind::Reject => "reject",
            ActKind::Undo => "undo",
        }
    }

    /// Whether it stops or redirects what is being answered: then it has an outcome of the
    /// race, and the marks of a stop.
    #[must_use]
    pub const fn stops(self) -> bool {
        matches!(self, ActKind::Interrupt | ActKind::Steer)
    }
}

/// When what happened in an act, in nanoseconds from the trial's start. What did not
/// happen, or cannot be seen by this driver, is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActMarks {
    /// The developer began.
    pub began: u64,
    /// The last key was pressed. Only of `type` acts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_keystroke: Option<u64>,
    /// What the act says was told: the request of an `ask` was asked for; a stop or a
    /// redirection was handed to whoever carries it out. Every boundary of quiet is counted
    /// from here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub told: Option<u64>,
    /// The last event of the old answer that arrived after `told`; absent where none did,
    /// and it was quiet at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_event: Option<u64>,
    /// The other side said that it has stopped, or that it will go another way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confirmed: Option<u64>,
    /// The process of the tool that was running is gone; only where one was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tool_gone: Option<u64>,
    /// The first useful output: text for the developer, or a tool that began to run.
    /// Reasoning is none. Of a `type` act, the first of the last keystroke's suggestion.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_output: Option<u64>,
    /// The first output of any kind of the answer that goes the new way. Of an `interrupt`,
    /// that of the `ask` which follows it at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redirected: Option<u64>,
    /// The act was over: its answer had ended; a stop had been seen to its end; the wait's
    /// condition held; the change was made. Its check comes afterwards, while the trial's
    /// clock stands still.
    pub ended: u64,
}

/// What comes of a stop or a redirection, which always races against the answer.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Race {
    /// The answer was cut: what it would have said did not come.
    Applied,
    /// It was taken, but only once the old answer or the running tool had come to its own
    /// end.
    Queued,
    /// The old answer had ended before.
    TooLate,
    /// The other side said no.
    Refused,
    /// It was taken, and the old answer went on to its end all the same: a missed stop.
    Missed,
    /// Nothing was heard of it, and nothing of the answer, within the time that is waited.
    Lost,
}

impl Race {
    /// All there are.
    pub const ALL: [Race; 6] = [
        Self::Applied,
        Self::Queued,
        Self::TooLate,
        Self::Refused,
        Self::Missed,
        Self::Lost,
    ];

    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Race::Applied => "applied",
            Race::Queued => "queued",
            Race::TooLate => "too_late",
            Race::Refused => "refused",
            Race::Missed => "missed",
            Race::Lost => "lost",
        }
    }
}

/// By what way a stop or a redirection is told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StopWay {
    /// The connection was closed (HTTP/1.1).
    Close,
    /// The stream was reset, and the connection kept (HTTP/2).
    Reset,
    /// The WebSocket was closed.
    SocketClose,
    /// The route that cancels a background response was called.
    CancelRoute,
    /// `response.steer` was sent.
    ResponseSteer,
    /// The running tool was killed; nothing was being answered.
    ToolKill,
    /// An agent's own command to interrupt.
    AgentInterrupt,
    /// An agent's own command to redirect.
    AgentSteer,
    /// There is no command to redirect: the answer was stopped, and the new text asked.
    InterruptAndAsk,
}

impl StopWay {
    /// All there are.
    pub const ALL: [StopWay; 9] = [
        Self::Close,
        Self::Reset,
        Self::SocketClose,
        Self::CancelRoute,
        Self::ResponseSteer,
        Self::ToolKill,
        Self::AgentInterrupt,
        Self::AgentSteer,
        Self::InterruptAndAsk,
    ];

    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StopWay::Close => "close",
            StopWay::Reset => "reset",
            StopWay::SocketClose => "socket_close",
            StopWay::CancelRoute => "cancel_route",
            StopWay::ResponseSteer => "response_steer",
            StopWay::ToolKill => "tool_kill",
            StopWay::AgentInterrupt => "agent_interrupt",
            StopWay::AgentSteer => "agent_steer",
            StopWay::InterruptAndAsk => "interrupt_and_ask",
        }
    }
}

/// How often what happened in an act. Tokens are those that the stream itself counts; where
/// it does not, each output event is taken for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActCounts {
    /// Requests that the act made.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub requests: u32,
    /// Of these, those that it cancelled itself.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub cancelled: u32,
    /// Output events of the old answer that had arrived when the stop was told.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub events_before: u32,
    /// Tokens in them.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub tokens_before: u32,
    /// Output events of the old answer that arrived after the stop was told: stale ones.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub stale_events: u32,
    /// Tokens in them.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub stale_tokens: u32,
    /// Tool calls that the act's answers ran.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub tools: u32,
}

impl ActCounts {
    fn is_empty(&self) -> bool {
        *self == ActCounts::default()
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One keystroke of a `type` act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keystroke {
    /// The key was pressed.
    pub at: u64,
    /// A suggestion was asked for, after the debounce; absent where the next key came before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked: Option<u64>,
    /// The first text of that suggestion arrived; absent where it was cancelled before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shown: Option<u64>,
    /// The suggestion was whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub whole: Option<u64>,
    /// The request was cancelled, because the next key was pressed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cancelled: Option<u64>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActCheck {
    /// It holds.
    pub passed: bool,
    /// Why it does not. Untrusted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// How long it took; the trial's clock stood still.
    pub took_ns: u64,
}

/// Why an exchange ended before its answer was whole, where that was wanted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeEnd {
    /// The developer stopped it.
    Interrupted,
    /// The developer redirected it, and a successor goes on.
    Steered,
    /// The next keystroke made it pointless.
    Superseded,
}

impl ExchangeEnd {
    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ExchangeEnd::Interrupted => "interrupted",
            ExchangeEnd::Steered => "steered",
            ExchangeEnd::Superseded => "superseded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_journal() {
        for kind in ActKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for race in Race::ALL {
            assert_eq!(serde_json::to_value(race).unwrap(), race.name());
        }
        for way in StopWay::ALL {
            assert_eq!(serde_json::to_value(way).unwrap(), way.name());
        }
        for end in [
            ExchangeEnd::Interrupted,
            ExchangeEnd::Steered,
            ExchangeEnd::Superseded,
        ] {
            assert_eq!(serde_json::to_value(end).unwrap(), end.name());
        }
    }

    #[test]
    fn what_did_not_happen_is_absent() {
        let mut act = Act::begun(1, "rename", ActKind::Ask, 5);
        act.marks.ended = 9;
        let line = serde_json::to_string(&act).unwrap();
        assert_eq!(
            line,
            r#"{"act":1,"name":"rename","kind":"ask","marks":{"began":5,"ended":9}}"#
        );
        assert_eq!(serde_json::from_str::<Act>(&line).unwrap(), act);
    }
}
