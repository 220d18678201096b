//! What can be wrong with a file somebody hands us.

use std::io;
use std::path::PathBuf;

/// Everything a reader or writer of this crate can fail with.
///
/// Messages start with the file, then say what is wrong with it and, where it is
/// not obvious, what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be opened or read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("{}: cannot be written: {source}", file.display())]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A required file or directory does not exist.
    #[error("{}: is missing; {remedy}", file.display())]
    Missing {
        /// The file or directory that should exist.
        file: PathBuf,
        /// What it is needed for.
        remedy: String,
    },
    /// A file is larger than any honest file of its kind.
    #[error("{}: is larger than {limit_mb} MB, more than is read for a file of this kind", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The bound in megabytes.
        limit_mb: u64,
    },
    /// The content of a file is not what its format asks for.
    #[error("{}: {message}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The field, what is wrong with it, and what to do.
        message: String,
    },
    /// Like [`Error::Invalid`], where the line is known.
    #[error("{}:{line}: {message}", file.display())]
    InvalidLine {
        /// The file.
        file: PathBuf,
        /// One-based line number.
        line: u64,
        /// What is wrong with the line, and what to do.
        message: String,
    },
    /// Nothing of that name is embedded in this build.
    #[error("no bundled dataset is called {name:?}; there are {}", available.join(", "))]
    UnknownBundle {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
}

/// The result of reading or writing a format.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn invalid(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Invalid {
            file: file.into(),
            message: message.into(),
        }
    }

    pub(crate) fn invalid_line(
        file: impl Into<PathBuf>,
        line: u64,
        message: impl Into<String>,
    ) -> Self {
        Self::InvalidLine {
            file: file.into(),
            line,
            message: message.into(),
        }
    }
}
