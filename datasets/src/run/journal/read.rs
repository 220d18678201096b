//! Reading a journal back, whole or cut off.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{
    Act, AgentRun, Event, Exchange, Header, Record, Tool, TrialFinished, TrialKey, TrialStarted,
    line,
};
use crate::run::formats;

/// No honest line is longer; a longer one means the file is not a journal.
const MAX_LINE: u64 = 256 << 20;

/// A journal that is read trial by trial: of a run of any length no more is held than the
/// trials that were under way at once.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run_id: String,
    whole_bytes: u64,
    lines: BufReader<File>,
    line: Vec<u8>,
    /// Lines read, the header included.
    number: usize,
    open: HashMap<TrialKey, Open>,
    /// Exchanges of attempts that were cut off and begun again.
    dropped: Vec<(TrialKey, Vec<Exchange>)>,
    ended: bool,
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
    /// Runs of a real agent's process, in order; none for the built-in agent.
    pub agent_runs: Vec<AgentRun>,
    /// What the developer did, in order; nothing but in sessions of the real-time mode.
    pub acts: Vec<Act>,
    /// Its end.
    pub finished: TrialFinished,
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

#[derive(Debug, Default)]
struct Open {
    started: Option<TrialStarted>,
    exchanges: Vec<Exchange>,
    tools: Vec<Tool>,
    agent_runs: Vec<AgentRun>,
    acts: Vec<Act>,
}

impl Journal {
    /// Opens a journal and reads its header.
    ///
    /// # Errors
    /// [`ReadError`] names the file and the line.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut journal = Journal {
            path: path.to_owned(),
            run_id: String::new(),
            whole_bytes: 0,
            lines: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            number: 0,
            open: HashMap::new(),
            dropped: Vec::new(),
            ended: false,
        };
        if !journal.next_line()? {
            return Err(journal.bad("no journal header; the run never began, start it again"));
        }
        let header: Header = serde_json::from_slice(&journal.line)
            .map_err(|error| journal.bad(format!("not a journal header: {error}")))?;
        formats::JOURNAL
            .check(header.timeslip_journal)
            .map_err(|problem| journal.bad(problem))?;
        journal.run_id = header.run_id;
        Ok(journal)
    }

    /// The run it belongs to.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Length of the complete lines that were read so far. Once there are no more trials, what
    /// follows is a torn line.
    #[must_use]
    pub fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    /// The exchanges of attempts that were cut off, of all that was read so far: they are part
    /// of no trial, and were paid for all the same.
    pub fn cut_off(&self) -> impl Iterator<Item = (&TrialKey, &[Exchange])> {
        let dropped = self.dropped.iter();
        let dropped = dropped.map(|(key, exchanges)| (key, exchanges.as_slice()));
        let open = self.open.iter();
        dropped.chain(open.map(|(key, open)| (key, open.exchanges.as_slice())))
    }

    /// Reads the next whole line; false at the end, and where only a torn one is left.
    fn next_line(&mut self) -> Result<bool, ReadError> {
        self.line.clear();
        let mut lines = self.lines.by_ref().take(MAX_LINE);
        let length = lines
            .read_until(b'\n', &mut self.line)
            .map_err(|source| ReadError::Io {
                path: self.path.clone(),
                source,
            })? as u64;
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.whole_bytes += length;
            return Ok(true);
        }
        if length == MAX_LINE {
            return Err(self.bad("line is longer than 256 MiB: not a journal of timeslip"));
        }
        Ok(false)
    }

    /// Reads on to the end of a trial.
    fn next_trial(&mut self) -> Result<Option<Trial>, ReadError> {
        while self.next_line()? {
            if let Some(trial) = self.take().map_err(|problem| self.bad(problem))? {
                return Ok(Some(trial));
            }
        }
        Ok(None)
    }

    /// Takes in the line that was read; a trial where it ends one.
    fn take(&mut self) -> Result<Option<Trial>, String> {
        let Record { trial: key, event } =
            line::read(&self.line).map_err(|error| format!("broken record: {error}"))?;
        match event {
            // A new start drops what an earlier, cut-off attempt left behind.
            Event::TrialStarted(started) => {
                let open = Open {
                    started: Some(started),
                    ..Open::default()
                };
                if let Some(cut_off) = self.open.insert(key.clone(), open) {
                    self.dropped.push((key, cut_off.exchanges));
                }
            }
            Event::Exchange(exchange) => self.under_way(key).exchanges.push(*exchange),
            Event::Tool(tool) => self.under_way(key).tools.push(tool),
            Event::AgentRun(agent_run) => self.under_way(key).agent_runs.push(agent_run),
            Event::Act(act) => self.under_way(key).acts.push(*act),
            Event::TrialFinished(finished) => {
                let Some(Open {
                    started: Some(started),
                    exchanges,
                    tools,
                    agent_runs,
                    acts,
                }) = self.open.remove(&key)
                else {
                    return Err(format!("trial {key} ends without having started"));
                };
                return Ok(Some(Trial {
                    key,
                    started,
                    exchanges,
                    tools,
                    agent_runs,
                    acts,
                    finished,
                }));
            }
        }
        Ok(None)
    }

    fn under_way(&mut self, key: TrialKey) -> &mut Open {
        self.open.entry(key).or_default()
    }

    fn bad(&self, problem: impl Into<String>) -> ReadError {
        ReadError::Line {
            path: self.path.clone(),
            line: self.number,
            problem: problem.into(),
        }
    }
}

/// Finished trials, in the order they finished. A torn last line, as a crash leaves it, is left
/// out; a broken line elsewhere is an error, and the end.
impl Iterator for Journal {
    type Item = Result<Trial, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_trial().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Writer};
    use super::*;

    /// All that a journal holds, and how long its whole lines are.
    fn read(path: &Path) -> Result<(Vec<Trial>, u64), ReadError> {
        let mut journal = Journal::open(path)?;
        let trials = journal.by_ref().collect::<Result<_, _>>()?;
        Ok((trials, journal.whole_bytes()))
    }

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
            changes: None,
            solution_changes: None,
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
            let (trials, whole_bytes) = read(&path).unwrap();
            let expected = lines[1..].iter().filter(|end| **end <= cut).count() / 3;
            assert_eq!(trials.len(), expected, "cut at {cut}");
            let mut writer = Writer::resume(&path, whole_bytes).unwrap();
            for event in [started(), finished()] {
                writer
                    .append(&Record {
                        trial: key("c"),
                        event,
                    })
                    .unwrap();
            }
            let (again, _) = read(&path).unwrap();
            assert_eq!(again[..expected], trials[..]);
            assert_eq!(again.len(), expected + 1);
            assert_eq!(
                std::fs::read(&path).unwrap()[..whole_bytes as usize],
                bytes[..whole_bytes as usize]
            );
        }
    }

    #[test]
    fn what_was_cut_off_is_part_of_no_trial_and_still_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut writer = Writer::create(&path, "r").unwrap();
        let exchange = || Event::Exchange(Box::default());
        let events = [
            ("a", started()),
            ("a", exchange()),
            ("a", exchange()),
            ("b", started()),
            ("b", exchange()),
            ("a", started()),
            ("a", exchange()),
            ("a", finished()),
        ];
        for (task, event) in events {
            let trial = key(task);
            writer.append(&Record { trial, event }).unwrap();
        }
        let mut journal = Journal::open(&path).unwrap();
        let trials: Vec<_> = journal.by_ref().map(Result::unwrap).collect();
        assert_eq!(trials.len(), 1);
        let cut_off = journal.cut_off();
        let cut_off: Vec<_> = cut_off.map(|(key, all)| (key.clone(), all.len())).collect();
        assert_eq!(cut_off, [(key("a"), 2), (key("b"), 1)]);
    }

    /// A journal that was written by others: its fields in another order.
    const BEGUN: &str = concat!(
        "{\"timeslip_journal\":1,\"run_id\":\"r\"}\n",
        "{\"setup_ns\":5,\"event\":\"trial_started\",\"at\":\"2026-01-01T00:00:00Z\",",
        "\"trial\":{\"attempt\":1,\"endpoint\":\"e\",\"task\":\"a\",\"suite\":\"s\"}}\n",
        "{\"wall_ns\":7,\"grading_ns\":3,\"outcome\":\"resolved\",\"event\":\"trial_finished\",",
        "\"trial\":{\"attempt\":1,\"endpoint\":\"e\",\"task\":\"a\",\"suite\":\"s\"}}\n",
    );

    #[test]
    fn trials_come_before_what_follows_them_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let finish = BEGUN.lines().last().unwrap();
        std::fs::write(&path, format!("{BEGUN}{finish}\n{finish}\n")).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.run_id(), "r");
        assert_eq!(journal.next().unwrap().unwrap().key, key("a"));
        assert_eq!(journal.whole_bytes(), BEGUN.len() as u64);
        let error = journal.next().unwrap().unwrap_err().to_string();
        let expected = "journal.jsonl:4: trial s/a/e/1 ends without having started";
        assert!(error.ends_with(expected), "{error}");
        assert!(journal.next().is_none(), "nothing after what is broken");
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
