//! The agent's `edit_file` tool.

use std::path::Path;

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The file did not exist.
    Created,
    /// The whole file was replaced.
    Overwritten,
    /// One occurrence of the old text was replaced.
    Replaced,
}

/// Why an edit was refused; the message is meant for the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Placeholder until the tool is written.
    #[error("{0}")]
    Refused(String),
}

/// Replaces the one exact occurrence of `old` in `path` by `new`; an empty `old`
/// creates or overwrites the file. `path` is relative to `root` and cannot leave it.
pub fn apply(_root: &Path, _path: &str, _old: &str, _new: &str) -> Result<Edited, EditError> {
    todo!()
}
