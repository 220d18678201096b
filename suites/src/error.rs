//! What can go wrong around a task, apart from the task not being solved.

use std::io;
use std::path::{Path, PathBuf};

/// Everything this crate can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task file is not what its format asks for.
    #[error(transparent)]
    Dataset(#[from] timeslip_datasets::Error),
    /// A suite file is not understood.
    #[error("{file}: {message}")]
    SuiteFile {
        /// The suite file, or the name of a shipped suite.
        file: String,
        /// The field, what is wrong with it, and what to do.
        message: String,
    },
    /// A task asks for something that is not there.
    #[error("{task}: {message}")]
    Unsupported {
        /// The task.
        task: String,
        /// What it asks for, and what to do.
        message: String,
    },
    /// Several tasks of a suite cannot be used.
    #[error(
        "{first} (and {} cannot be used; `timeslip suites` with the suite lists them all)",
        timeslip_datasets::text::plural(*more, "more task")
    )]
    Unusable {
        /// What is wrong with the first.
        first: Box<Error>,
        /// How many others there are.
        more: usize,
    },
    /// Something on disk could not be read, written or removed.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Temporary directories are where no program may run.
    #[error(
        "{}: is on a file system mounted noexec, so no program of a task could run in it; set TMPDIR to a directory on another file system",
        path.display()
    )]
    NoPrograms {
        /// Where they would be made.
        path: PathBuf,
    },
    /// The sandbox cannot be used on this machine.
    #[error("sandbox {backend}: {message}")]
    Sandbox {
        /// Which backend.
        backend: &'static str,
        /// What is missing, and what to do.
        message: String,
    },
    /// Preparing a task's environment failed.
    #[error("{task}: preparing the environment failed: {message}")]
    Prepare {
        /// The task.
        task: String,
        /// The step that failed and what it printed.
        message: String,
    },
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_path_buf(),
            source,
        }
    }
}
