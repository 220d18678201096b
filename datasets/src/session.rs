//! Session files of the real-time mode: what a developer does with an agent, act by act,
//! what has to hold after each act, and what the simulated model says to it.
//!
//! A source of sessions is a directory: its `*.toml` files are the sessions, by name, and
//! the directories in `repositories/` are what they begin with, each with a `Dockerfile`.
//! The format is described in `docs/guides/real-time.md`.

mod file;
mod recording;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::run::journal::ActKind;
use crate::{Result, files};

/// One session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The name of its file, without the ending.
    pub name: String,
    /// What kind of session it is.
    pub tags: Vec<String>,
    /// The directory with the `Dockerfile` of what it begins with.
    pub repository: PathBuf,
    /// How long all of it may take.
    pub time: Duration,
    /// Seeds the times between keystrokes.
    pub seed: u64,
    /// What the developer does, in order; at least one act.
    pub acts: Vec<ScriptedAct>,
}

/// One act of a session file.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedAct {
    /// Unique in its session.
    pub name: String,
    /// What is done.
    pub does: Does,
    /// What has to hold once the act is over.
    pub check: Option<Check>,
    /// What the simulated model says to it, step by step.
    pub answer: Vec<AnswerStep>,
    /// What it says instead where it fails; the same where this is empty.
    pub wrong: Vec<AnswerStep>,
}

/// What a developer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Does {
    /// Asks for something, once nothing is being answered any more.
    Ask {
        /// In these words.
        text: String,
    },
    /// Reads along until this holds, or the answer has ended.
    Wait {
        /// The condition.
        until: Until,
    },
    /// Stops what is being answered, at once.
    Interrupt,
    /// Says more while it is being answered, at once.
    Steer {
        /// In these words.
        text: String,
    },
    /// Types into a file, once nothing is being answered any more.
    Type(Typed),
    /// Takes over the suggestion of the last `type`.
    Accept,
    /// Drops the suggestion of the last `type`; after an answer, takes back what it changed.
    Reject,
    /// Takes back what the last answer or acceptance changed.
    Undo,
}

impl Does {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ActKind {
        match self {
            Does::Ask { .. } => ActKind::Ask,
            Does::Wait { .. } => ActKind::Wait,
            Does::Interrupt => ActKind::Interrupt,
            Does::Steer { .. } => ActKind::Steer,
            Does::Type(_) => ActKind::Type,
            Does::Accept => ActKind::Accept,
            Does::Reject => ActKind::Reject,
            Does::Undo => ActKind::Undo,
        }
    }
}

/// What is typed, where, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// The keys, one a character.
    pub text: String,
    /// Path below the working directory.
    pub file: String,
    /// The text behind which it is typed; it occurs once in the file.
    pub after: String,
    /// How fast.
    pub typing: Typing,
    /// What the simulated model offers to go on with once all is typed.
    pub suggestion: String,
}

/// How a developer types: the times between keys are log-normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Typing {
    /// Median of the times between keys, in milliseconds.
    pub median_ms: f64,
    /// Standard deviation of their natural logarithm.
    pub sigma: f64,
    /// Milliseconds without a key after which a suggestion is asked for.
    pub debounce_ms: f64,
}

/// A median of 200 ms is 60 words a minute; the spread is assumed; an editor's 75 ms.
impl Default for Typing {
    fn default() -> Self {
        Typing {
            median_ms: 200.0,
            sigma: 0.5,
            debounce_ms: 75.0,
        }
    }
}

/// A condition of the output of what is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Until {
    /// So many tokens have come, of any kind.
    Tokens(u32),
    /// The answer's text holds this.
    Text(String),
    /// The answer's text matches this regular expression.
    Matches(String),
    /// A tool of this name has begun to run; with an empty name, any.
    Tool(String),
    /// So many milliseconds have passed since the act began.
    Ms(u64),
    /// The answer has ended.
    End(bool),
}

/// What has to hold once an act is over; all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// A line for the shell, in the working directory, exits with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The text of the act's answer, or the suggestion, matches this regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// It does not match this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says_not: Option<String>,
}

/// One model call's worth of what the simulated model says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerStep {
    /// Reasoning, before the text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub think: String,
    /// Text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub say: String,
    /// Tokens of four bytes that the text has at least: it is repeated.
    pub tokens: usize,
    /// A command for the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// The session files of a source, by name.
///
/// # Errors
/// The directory cannot be read.
pub fn list(source: &Path) -> Result<Vec<PathBuf>> {
    files::with_ending(source, "toml")
}

/// Reads a session file of the source that it lies in.
///
/// # Errors
/// What is wrong, with the file, the line and the field.
pub fn read(file: &Path) -> Result<Session> {
    file::read(file)
}
