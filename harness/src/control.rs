//! How a running agent is asked, interrupted and steered: the control protocols that agents
//! have.
//!
//! A [`Dialogue`] is one protocol. It makes the messages that are written to an agent and says
//! what the agent's own mean; it touches no pipe and no clock. A new protocol is one file below
//! `control/` and one row in [`PROTOCOLS`].

mod acp;
mod calls;
mod claude;
mod codex;
mod opencode;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use serde_json::Value;

/// Every control protocol.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "acp",
        about: "Agent Client Protocol, version 1",
        carrier: Carrier::Pipes,
        steer: Steer::AnotherAsk,
        begin: acp::begin,
    },
    Protocol {
        name: "codex",
        about: "Codex app-server",
        carrier: Carrier::Pipes,
        steer: Steer::Command,
        begin: codex::begin,
    },
    Protocol {
        name: "claude",
        about: "Claude Code stream-json",
        carrier: Carrier::Pipes,
        steer: Steer::Command,
        begin: claude::begin,
    },
    Protocol {
        name: "opencode",
        about: "OpenCode server",
        carrier: Carrier::Http,
        steer: Steer::AnotherAsk,
        begin: opencode::begin,
    },
];

/// A control protocol.
#[derive(Debug)]
pub struct Protocol {
    /// What adapters call it.
    pub name: &'static str,
    /// A few words.
    pub about: &'static str,
    /// What carries its messages.
    pub carrier: Carrier,
    /// What a steer is.
    pub steer: Steer,
    /// Begins a session.
    pub begin: fn(Session) -> Box<dyn Dialogue>,
}

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The agent's standard input and output, an object of JSON on each line.
    Pipes,
    /// The agent is a server of HTTP; what it says by itself are server-sent events.
    Http,
}

/// What telling an agent more while it answers is in a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// A command of its own.
    Command,
    /// There is none: it is asked again before it has answered, and does with that what it
    /// likes.
    AnotherAsk,
}

/// What a session is begun with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The directory that the agent works in, as it is called where the agent runs.
    pub directory: String,
    /// The mode in which the agent asks for no permission, where it has to be chosen.
    pub mode: Option<String>,
}

/// A message to an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A line on its standard input.
    Line(Value),
    /// A request to its server.
    Post {
        /// Names the request in its answer.
        call: u64,
        /// The path.
        path: String,
        /// The body.
        body: Value,
    },
}

/// What came from an agent.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// A line of its standard output, or the data of one of its server's events.
    Message(&'a [u8]),
    /// The answer to a request.
    Answer {
        /// Which.
        call: u64,
        /// The status.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
}

/// What something that came means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// What the agent says, in order.
    pub said: Vec<Told>,
    /// What is to be written to it because of that.
    pub write: Vec<Message>,
}

/// Something that an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The number, from 1, of the ask whose answer it belongs to; 0 before the first one. A
    /// steer that is another ask has a number of its own.
    pub ask: u32,
    /// What.
    pub said: Said,
}

/// What an agent says. All its texts are untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It can be asked.
    Ready,
    /// It works on an ask.
    Started,
    /// A piece of reasoning.
    Reasoning,
    /// A piece of text.
    Text(String),
    /// A tool runs, or is about to.
    ToolStarted {
        /// The agent's id of the call.
        id: String,
        /// What it is called.
        name: String,
    },
    /// A tool has ended.
    ToolEnded {
        /// The agent's id of the call.
        id: String,
    },
    /// It says that it has stopped, or that it will.
    Confirmed,
    /// What it says to a steer.
    Steered(Steered),
    /// Its turn is over.
    Ended(End),
    /// It said something of a kind that is not known, which is named here.
    Unknown(String),
    /// It cannot go on, and why.
    Broken(String),
}

/// What an agent says to a steer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steered {
    /// It was taken.
    Taken,
    /// It is part of the conversation from here on; what was being answered had come to an end.
    Applied,
    /// The same, and it has cut short what was being answered in this turn.
    Cut,
    /// It was refused, and why.
    Refused(String),
}

/// How a turn ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The agent was done.
    Finished,
    /// It was stopped.
    Stopped,
    /// It failed, and why.
    Failed(String),
}

/// One session with an agent.
pub trait Dialogue: Debug + Send {
    /// What is written before anything came.
    fn open(&mut self) -> Vec<Message>;

    /// Reads what came.
    fn take(&mut self, came: Came<'_>) -> Taken;

    /// Asks for something. Only once it is ready, and has ended its last turn.
    fn ask(&mut self, text: &str) -> Vec<Message>;

    /// Stops the turn. Nothing where the turn cannot be named yet: it is written then as soon
    /// as it can.
    fn interrupt(&mut self) -> Vec<Message>;

    /// Says more while it answers.
    fn steer(&mut self, text: &str) -> Vec<Message>;

    /// How many asks there were, with the steers that are asks.
    fn asks(&self) -> u32;
}

/// The protocol of a name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

/// The names of all protocols.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|protocol| protocol.name)
}

impl Taken {
    fn say(&mut self, ask: u32, said: Said) {
        self.said.push(Told { ask, said });
    }
}
