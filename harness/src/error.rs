//! What can go wrong in a way that a user can do something about.

use std::path::{Path, PathBuf};

use timeslip_datasets::run;

use crate::exit;

/// An error with enough in it to act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration file or a plan is wrong.
    #[error("{place}: {problem}")]
    Config {
        /// File and field.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A profile of a simulated endpoint is wrong.
    #[error(transparent)]
    Profile(#[from] timeslip_simulator::ProfileError),
    /// A suite, a task or a sandbox is wrong.
    #[error(transparent)]
    Suite(#[from] timeslip_suites::Error),
    /// An endpoint cannot be reached, or refuses what it is asked.
    #[error("endpoint {endpoint}: {problem}; nothing was run")]
    Unreachable {
        /// Its name.
        endpoint: String,
        /// What was tried and seen.
        problem: String,
    },
    /// More than one thing is wrong.
    #[error("{}", lines(.0))]
    Several(Vec<Error>),
    /// The record of a run cannot be read or written.
    #[error(transparent)]
    Record(#[from] run::Error),
    /// A run is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Run {
        /// The directory or a file in it.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A public dataset cannot be had.
    #[error("dataset {dataset}: {problem}")]
    Download {
        /// Its name.
        dataset: String,
        /// What the server did, or what is wrong with what it gave.
        problem: String,
    },
    /// An agent cannot be had, or not be run here.
    #[error("agent {agent}: {problem}")]
    Agent {
        /// Its name.
        agent: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The plan holds no trial.
    #[error("nothing to run: {0}")]
    Empty(String),
    /// A command could not use what it was given, or not write what it made.
    #[error("{problem}")]
    Command {
        /// What went wrong.
        problem: Box<dyn std::error::Error + Send + Sync>,
        /// The exit code of the process.
        exit: u8,
    },
    /// The system refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run ended itself before its end.
    #[error("{why}; go on with `timeslip run --resume {run}`", run = run.display())]
    Stopped {
        /// What it met.
        why: String,
        /// The run directory.
        run: PathBuf,
    },
    /// Ctrl-C, SIGTERM or SIGHUP came.
    #[error("interrupted; go on with `timeslip run --resume {run}`", run = run.display())]
    Interrupted {
        /// The run directory.
        run: PathBuf,
    },
}

impl Error {
    /// A configuration error at a place in a file.
    pub fn config(path: &Path, problem: impl Into<String>) -> Self {
        Error::Config {
            place: path.display().to_string(),
            problem: problem.into(),
        }
    }

    /// Turns a system error into one that says what was being done.
    pub fn system(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Error::System { doing, source }
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config { .. }
            | Error::Profile(_)
            | Error::Suite(_)
            | Error::Unreachable { .. }
            | Error::Agent { .. }
            | Error::Several(_)
            | Error::Run { .. } => exit::USAGE,
            Error::Record(run::Error::Journal(_)) | Error::Stopped { .. } => exit::INVALID,
            Error::Record(run::Error::System { .. }) => exit::UNEXPECTED,
            Error::Record(_) => exit::USAGE,
            Error::Empty(_) => exit::NOTHING_RAN,
            Error::Command { exit, .. } => *exit,
            Error::System { .. } | Error::Download { .. } => exit::UNEXPECTED,
            Error::Interrupted { .. } => exit::INTERRUPTED,
        }
    }
}

/// Errors, a line each.
fn lines(errors: &[Error]) -> String {
    let lines: Vec<String> = errors.iter().map(Error::to_string).collect();
    lines.join("\n")
}
