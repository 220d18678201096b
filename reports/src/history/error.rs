//! What can go wrong with a history.

use std::path::{Path, PathBuf};

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not exist.
    #[error("{path}: no history here; add a run first: `timeslip history add RUN`", path = path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is not a history that this timeslip can use.
    #[error("{path}: {problem}; nothing is lost, make it again from the run directories: `timeslip history rebuild`", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two runs of one name.
    #[error("run {run_id} of {second} is in the history already, as another run, of {first}; rename one of the directories and its run_id", second = second.display(), first = first.display())]
    Namesake {
        /// Their name.
        run_id: String,
        /// The one that is in the history.
        first: PathBuf,
        /// The one that should be added.
        second: PathBuf,
    },
    /// The database or the system refused something.
    #[error("{path}: {source}", path = path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The system refused something.
    #[error("{path}: {source}", path = path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether other input would help, as against another machine.
    #[must_use]
    pub fn is_input(&self) -> bool {
        !matches!(self, Error::Database { .. } | Error::System { .. })
    }

    /// Tells a broken file from a refusal.
    pub(super) fn of(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        use rusqlite::Error as Sql;
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TooBig};
        let path = path.to_owned();
        move |source| {
            let broken = match &source {
                Sql::SqliteFailure(failure, _) => {
                    matches!(failure.code, DatabaseCorrupt | NotADatabase | TooBig)
                }
                Sql::FromSqlConversionFailure(..)
                | Sql::IntegralValueOutOfRange(..)
                | Sql::Utf8Error(..)
                | Sql::InvalidColumnType(..) => true,
                _ => false,
            };
            if broken {
                Error::Unusable {
                    path: path.clone(),
                    problem: format!("is not a sound history ({source})"),
                }
            } else {
                Error::Database {
                    path: path.clone(),
                    source,
                }
            }
        }
    }
}
