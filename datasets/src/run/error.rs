//! What can be wrong with a run directory.

use std::io;
use std::path::PathBuf;

use super::journal;

/// Why a run directory cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of it is missing or cannot be read.
    #[error(transparent)]
    File(#[from] crate::Error),
    /// The directory or a file in it is not what it should be.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The directory or the file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::ReadError),
    /// The system refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Turns a system error into one that says what was being done.
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Error::System { doing, source }
    }
}
