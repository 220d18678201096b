//! What the model says, whatever protocol it is said in.

use timeslip_datasets::run::journal::EventKind;

use super::tokens;

/// One thing the model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Reasoning.
    Reasoning(String),
    /// Text for the user.
    Text(String),
    /// A tool call.
    Call {
        /// Tool name.
        name: String,
        /// Arguments, as JSON text.
        arguments: String,
    },
}

impl Output {
    /// What is streamed of it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Output::Reasoning(text) | Output::Text(text) => text,
            Output::Call { arguments, .. } => arguments,
        }
    }

    /// What kind of event carries it.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Output::Reasoning(_) => EventKind::Reasoning,
            Output::Text(_) => EventKind::Text,
            Output::Call { .. } => EventKind::ToolArguments,
        }
    }

    /// Tokens in it.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        tokens::split(self.text()).count() as u64
    }
}
