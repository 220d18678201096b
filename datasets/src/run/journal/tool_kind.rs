//! What kind of work a tool call is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a tool call is for, as far as its name and its command tell.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Reads files.
    Read,
    /// Looks for files, or for something in them.
    Search,
    /// Writes, changes, moves or removes files.
    Edit,
    /// Runs tests.
    Test,
    /// Runs any other command.
    Run,
    /// Hands work to another agent, or waits for one.
    Delegate,
    /// Keeps a plan or a list of what is to be done.
    Plan,
    /// Asks the network.
    Web,
    /// Says that the work is done.
    Finish,
    /// Nothing of this is known of it.
    Other,
}

impl ToolKind {
    /// All there are.
    pub const ALL: [ToolKind; 10] = [
        Self::Read,
        Self::Search,
        Self::Edit,
        Self::Test,
        Self::Run,
        Self::Delegate,
        Self::Plan,
        Self::Web,
        Self::Finish,
        Self::Other,
    ];
}
