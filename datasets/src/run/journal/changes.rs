//! How much was changed.

use serde::{Deserialize, Serialize};

/// Files and lines of text that were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Files that were made, changed or removed.
    pub files: u32,
    /// Lines that are new.
    pub added: u32,
    /// Lines that are gone; a changed line is one of each.
    pub removed: u32,
}

impl Changes {
    /// Both kinds of lines.
    #[must_use]
    pub fn lines(self) -> u64 {
        u64::from(self.added) + u64::from(self.removed)
    }
}
