//! The lives of a process and of all that came of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use super::connector::ProcessEvent;
use crate::sandbox::execution::ProcessLife;

/// Processes beyond which nothing is kept of any.
const MOST: usize = 1 << 17;

/// Bytes that are kept of the arguments of one program, and of all.
const WORDS: usize = 8 << 10;
const ALL_WORDS: usize = 32 << 20;

/// The lives of a process and its descendants, as they are told.
pub(super) struct Lives {
    all: Vec<ProcessLife>,
    /// The place of each process that has not ended, by its number.
    alive: HashMap<u32, usize>,
    words: usize,
}

impl Lives {
    /// Of a process that has just been started.
    pub(super) fn of(process: u32, started: Instant) -> Self {
        let mut lives = Lives {
            all: Vec::new(),
            alive: HashMap::new(),
            words: 0,
        };
        lives.begin(process, None, started);
        lives
    }

    /// Takes in what happened; most of it happened to others.
    pub(super) fn take(&mut self, at: Instant, event: ProcessEvent) {
        match event {
            ProcessEvent::Forked { parent, child } => {
                if let Some(parent) = self.alive.get(&parent).copied() {
                    self.begin(child, Some(parent), at);
                }
            }
            ProcessEvent::Became(process) => {
                if let Some(place) = self.alive.get(&process) {
                    let words = words(process);
                    self.words += words.len();
                    if self.words <= ALL_WORDS {
                        self.all[*place].words.push_str(&words);
                    }
                }
            }
            ProcessEvent::Ended(process) => {
                if let Some(place) = self.alive.remove(&process) {
                    self.all[place].ended = Some(at);
                }
            }
            ProcessEvent::Answered(_) => {}
        }
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.all.len() > MOST
    }

    pub(super) fn finish(self) -> Vec<ProcessLife> {
        self.all
    }

    fn begin(&mut self, process: u32, parent: Option<usize>, started: Instant) {
        self.alive.insert(process, self.all.len());
        self.all.push(ProcessLife {
            parent,
            started,
            ended: None,
            words: String::new(),
        });
    }
}

/// The arguments of a process, in a line; nothing where it has ended already.
fn words(process: u32) -> String {
    let path = Path::new("/proc").join(process.to_string()).join("cmdline");
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(WORDS as u64).read_to_end(&mut bytes));
    if read.is_err() || bytes.is_empty() {
        return String::new();
    }
    let mut words = String::from_utf8_lossy(&bytes).replace('\0', " ");
    words.push('\n');
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_process_and_what_came_of_it_are_told_from_others() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        // Numbers that no process of this machine has.
        let [root, child, grandchild, other] = [1 << 30, (1 << 30) + 1, (1 << 30) + 2, 7];
        let mut lives = Lives::of(root, start);
        let forked = |parent, child| ProcessEvent::Forked { parent, child };
        for (ms, event) in [
            (1, forked(root, child)),
            (2, forked(other, 8)),
            (3, ProcessEvent::Became(child)),
            (4, forked(child, grandchild)),
            (5, ProcessEvent::Ended(child)),
            // The number is given away.
            (6, forked(other, child)),
            (7, ProcessEvent::Ended(child)),
        ] {
            lives.take(at(ms), event);
        }
        let life = |parent, started, ended: Option<u64>| ProcessLife {
            parent,
            started: at(started),
            ended: ended.map(at),
            words: String::new(),
        };
        let expected = [
            life(None, 0, None),
            life(Some(0), 1, Some(5)),
            life(Some(1), 4, None),
        ];
        assert_eq!(lives.finish(), expected);
    }
}
