//! Reading a journal back, whole or cut off.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Event, Exchange, Header, Record, Tool, TrialFinished, TrialKey, TrialStarted};
use crate::run::formats;

/// No honest line is longer; a longer one means the file is not a journal.
const MAX_LINE: u64 = 256 << 20;

/// A journal as far as it is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// The run it belongs to.
    pub run_id: String,
    /// Finished trials, in the order they finished.
    pub trials: Vec<Trial>,
    /// Length of the complete lines; what follows is a torn line.
    pub whole_bytes: u64,
}

/// A finished trial with everything that happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What was attempted.
    pub key: TrialKey,
    /// Its beginning.
    pub started: TrialStarted,
    /// Model calls, in order.
    pub exchanges: Vec<Exchange>,
    /// Tool calls, in order.
    pub tools: Vec<Tool>,
    /// Its end.
    pub finished: TrialFinished,
}

impl Journal {
    /// Keys of the finished trials.
    #[must_use]
    pub fn finished(&self) -> HashSet<TrialKey> {
        self.trials.iter().map(|trial| trial.key.clone()).collect()
    }
}

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("{path}: cannot read the journal: {source}", path = path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what the format says.
    #[error("{path}:{line}: {problem}", path = path.display())]
    Line {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
}

#[derive(Default)]
struct Open {
    started: Option<TrialStarted>,
    exchanges: Vec<Exchange>,
    tools: Vec<Tool>,
}

/// Reads a journal. A torn last line, as a crash leaves it, is left out; a broken
/// line elsewhere is an error.
///
/// # Errors
/// [`ReadError`] names the file and the line.
pub fn read(path: &Path) -> Result<Journal, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let bad = |line, problem: String| ReadError::Line {
        path: path.to_owned(),
        line,
        problem,
    };
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?);
    let mut journal = Journal {
        run_id: String::new(),
        trials: Vec::new(),
        whole_bytes: 0,
    };
    let mut open: HashMap<TrialKey, Open> = HashMap::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(io)?;
        if line.last() != Some(&b'\n') {
            if length as u64 == MAX_LINE {
                return Err(bad(
                    number,
                    "line is longer than 256 MiB: not a journal of timeslip".into(),
                ));
            }
            break;
        }
        if number == 1 {
            let header: Header = serde_json::from_slice(&line)
                .map_err(|error| bad(number, format!("not a journal header: {error}")))?;
            formats::JOURNAL
                .check(header.timeslip_journal)
                .map_err(|problem| bad(number, problem))?;
            journal.run_id = header.run_id;
        } else {
            let record: Record = serde_json::from_slice(&line)
                .map_err(|error| bad(number, format!("broken record: {error}")))?;
            take(&mut journal, &mut open, record).map_err(|problem| bad(number, problem))?;
        }
        journal.whole_bytes += length as u64;
    }
    if journal.whole_bytes == 0 {
        return Err(bad(
            1,
            "no journal header; the run never began, start it again".into(),
        ));
    }
    Ok(journal)
}

fn take(
    journal: &mut Journal,
    open: &mut HashMap<TrialKey, Open>,
    record: Record,
) -> Result<(), String> {
    let key = record.trial;
    match record.event {
        // A new start drops what an earlier, cut-off attempt left behind.
        Event::TrialStarted(started) => {
            open.insert(
                key,
                Open {
                    started: Some(started),
                    ..Open::default()
                },
            );
        }
        Event::Exchange(exchange) => open.entry(key).or_default().exchanges.push(*exchange),
        Event::Tool(tool) => open.entry(key).or_default().tools.push(tool),
        Event::TrialFinished(finished) => {
            let Some(Open {
                started: Some(started),
                exchanges,
                tools,
            }) = open.remove(&key)
            else {
                return Err(format!("trial {key} ends without having started"));
            };
            journal.trials.push(Trial {
                key,
                started,
                exchanges,
                tools,
                finished,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Writer};
    use super::*;

    fn key(task: &str) -> TrialKey {
        TrialKey {
            suite: "s".into(),
            task: task.into(),
            endpoint: "e".into(),
            attempt: 1,
        }
    }

    fn started() -> Event {
        Event::TrialStarted(TrialStarted {
            at: "2026-01-01T00:00:00Z".into(),
            setup_ns: 5,
            warmth: None,
        })
    }

    fn finished() -> Event {
        Event::TrialFinished(TrialFinished {
            outcome: Outcome::Resolved,
            ended_by: None,
            detail: None,
            wall_ns: 7,
            grading_ns: 3,
            reward: None,
            failed_tests: Vec::new(),
        })
    }

    #[test]
    fn a_cut_anywhere_loses_only_the_trial_in_flight() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut writer = Writer::create(&path, "r").unwrap();
        for task in ["a", "b"] {
            for event in [started(), Event::Exchange(Box::default()), finished()] {
                writer
                    .append(&Record {
                        trial: key(task),
                        event,
                    })
                    .unwrap();
            }
        }
        let bytes = std::fs::read(&path).unwrap();
        let lines: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        for cut in lines[0]..=bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let journal = read(&path).unwrap();
            let expected = lines[1..].iter().filter(|end| **end <= cut).count() / 3;
            assert_eq!(journal.trials.len(), expected, "cut at {cut}");
            let mut writer = Writer::resume(&path, journal.whole_bytes).unwrap();
            for event in [started(), finished()] {
                writer
                    .append(&Record {
                        trial: key("c"),
                        event,
                    })
                    .unwrap();
            }
            let again = read(&path).unwrap();
            assert_eq!(again.trials[..expected], journal.trials[..]);
            assert_eq!(again.trials.len(), expected + 1);
            assert_eq!(
                std::fs::read(&path).unwrap()[..journal.whole_bytes as usize],
                bytes[..journal.whole_bytes as usize]
            );
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        std::fs::write(
            &path,
            "{\"timeslip_journal\":1,\"run_id\":\"r\"}\n{\"trial\":3}\n",
        )
        .unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("journal.jsonl:2: broken record"), "{error}");
        std::fs::write(&path, "{\"timeslip_journal\":9,\"run_id\":\"r\"}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("newer"));
    }
}
