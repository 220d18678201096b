//! Which of a client's processes are a tool's: when the tool itself ran.
//!
//! A client is known to run a command where a process that started while the call lasted has
//! that command among its arguments. Where none has (it ended before they could be read, or the
//! client writes its commands otherwise), whatever the client started meanwhile is the tool, if
//! there is no other call that it could belong to. Tools that run no command are the client's
//! own work, and nothing can be told from outside.

use std::collections::HashMap;

use timeslip_datasets::run::journal::Tool;

use super::Asked;
use crate::tool_kinds;

/// Characters of a command that are looked for.
const TELLING: usize = 500;

/// A process of the client's. Times are offsets on the clock of the recording, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The place of the process that started it.
    pub parent: Option<usize>,
    /// It started.
    pub start: u64,
    /// It ended; `None` if it was still there at last.
    pub end: Option<u64>,
    /// The arguments of each program that it became, a line each.
    pub words: String,
}

/// The processes of a client, in the order in which they started.
#[derive(Debug, Default)]
pub struct Processes(Vec<Process>);

impl Processes {
    /// Of a client's sandbox, in the order in which they started.
    #[must_use]
    pub fn new(mut all: Vec<Process>) -> Self {
        for process in &mut all {
            process.words = plain(&process.words);
        }
        Processes(all)
    }

    /// Writes into each tool when its own processes ran.
    pub(super) fn mark(&self, tools: &mut [Tool], requests: &[Asked]) {
        if self.0.is_empty() {
            return;
        }
        let calls = requests.iter().flat_map(|asked| &asked.calls);
        let commands: HashMap<(u64, &str), String> = calls
            .filter_map(|call| {
                let command = tool_kinds::command(&call.call.name, &call.call.arguments)?;
                Some(((call.at, call.call.call_id.as_str()), command))
            })
            .collect();
        let lasted: Vec<(u64, u64)> = tools.iter().map(|tool| (tool.start, tool.end)).collect();
        for (place, tool) in tools.iter_mut().enumerate() {
            let Some(command) = commands.get(&(tool.start, tool.call_id.as_str())) else {
                continue;
            };
            let beside = |(other, (start, end)): (usize, &(u64, u64))| {
                other != place && *start < tool.end && tool.start < *end
            };
            let is_alone = || !lasted.iter().enumerate().any(beside);
            let own = self.of_command(command, tool.start, tool.end);
            let own = own.or_else(|| {
                is_alone()
                    .then(|| self.begun(tool.start, tool.end))
                    .flatten()
            });
            if let Some((start, end)) = own {
                // What goes on after the result is not the tool's any more.
                let end = end.filter(|end| *end <= tool.end);
                (tool.command_start, tool.command_end) = (Some(start), end);
            }
        }
    }

    /// Those that started within some time, with their places.
    fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (usize, &Process)> {
        let first = self.0.partition_point(|process| process.start < from);
        let started = self.0.iter().enumerate().skip(first);
        started.take_while(move |(_, process)| process.start < to)
    }

    /// When the processes of a command ran.
    fn of_command(&self, command: &str, from: u64, to: u64) -> Option<Lasted> {
        let command: String = plain(command).chars().take(TELLING).collect();
        let has_it = |process: &Process| !command.is_empty() && holds(&process.words, &command);
        let outermost = self.within(from, to).filter(|(_, process)| {
            let parent = process.parent.and_then(|parent| self.0.get(parent));
            has_it(process) && !parent.is_some_and(|parent| parent.start >= from && has_it(parent))
        });
        lasted(outermost)
    }

    /// When what was started by the client's own processes ran.
    fn begun(&self, from: u64, to: u64) -> Option<Lasted> {
        let by_older = self.within(from, to).filter(|(_, process)| {
            let parent = process.parent.and_then(|parent| self.0.get(parent));
            parent.is_some_and(|parent| parent.start < from)
        });
        lasted(by_older)
    }
}

/// A start, and an end where it is known.
type Lasted = (u64, Option<u64>);

/// From the first start to the last end.
fn lasted<'p>(processes: impl Iterator<Item = (usize, &'p Process)>) -> Option<Lasted> {
    let lasted = processes.map(|(_, process)| (process.start, process.end));
    lasted.reduce(|(start, end), (next, its_end)| {
        let last = end.zip(its_end).map(|(end, its_end)| end.max(its_end));
        (start.min(next), last)
    })
}

/// Text without what shells and clients quote it with, and with one space for several.
fn plain(text: &str) -> String {
    let unquoted = text.replace(['\'', '"', '\\'], "");
    let words: Vec<&str> = unquoted.split_whitespace().collect();
    words.join(" ")
}

/// Whether a text holds another as words of their own: `ls` is not in `git ls-files`.
fn holds(text: &str, wanted: &str) -> bool {
    let is_edge = |letter: Option<char>| {
        letter.is_none_or(|letter| letter.is_whitespace() || ";&|(){}<>/".contains(letter))
    };
    text.match_indices(wanted).any(|(place, found)| {
        let before = text[..place].chars().next_back();
        let after = text[place + found.len()..].chars().next();
        is_edge(before) && (is_edge(after) || wanted.len() >= TELLING)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::AnsweredCall;
    use timeslip_wire::protocols::ToolCall;

    fn process(parent: Option<usize>, start: u64, end: u64, words: &str) -> Process {
        Process {
            parent,
            start,
            end: Some(end).filter(|end| *end > 0),
            words: words.to_owned(),
        }
    }

    /// What is marked of calls at some times, each with its command, which lasted until 1000.
    fn marked(processes: Vec<Process>, calls: &[(u64, &str)]) -> Vec<(Option<u64>, Option<u64>)> {
        let asked = |(at, command): &(u64, &str)| AnsweredCall {
            call: ToolCall {
                call_id: "c".to_owned(),
                name: "shell".to_owned(),
                arguments: serde_json::json!({ "command": command }).to_string(),
            },
            at: *at,
        };
        let requests = [Asked {
            calls: calls.iter().map(asked).collect(),
            ..Asked::default()
        }];
        let tool = |(start, _): &(u64, &str)| Tool {
            call_id: "c".to_owned(),
            start: *start,
            end: 1000,
            ..Tool::default()
        };
        let mut tools: Vec<Tool> = calls.iter().map(tool).collect();
        Processes::new(processes).mark(&mut tools, &requests);
        let marks = tools
            .iter()
            .map(|tool| (tool.command_start, tool.command_end));
        marks.collect()
    }

    #[test]
    fn a_command_is_found_in_the_arguments_of_its_process() {
        let agent = || process(None, 1, 0, "node agent.js");
        let shell = |start, end| process(Some(0), start, end, "/bin/bash -c eval 'ls' < /dev/null");
        let one = [(100, "ls")];
        let other = |start, end| process(Some(0), start, end, "git ls-files");
        for (processes, expected) in [
            (vec![agent(), shell(110, 200)], (Some(110), Some(200))),
            // What the client does beside it is not the tool.
            (
                vec![agent(), other(105, 108), shell(110, 200), other(210, 900)],
                (Some(110), Some(200)),
            ),
            // What the shell started goes with it.
            (
                vec![agent(), shell(110, 200), process(Some(1), 120, 0, "ls")],
                (Some(110), Some(200)),
            ),
            // Unknown arguments.
            (
                vec![agent(), process(Some(0), 110, 130, "")],
                (Some(110), Some(130)),
            ),
            // It goes on when the result is there.
            (vec![agent(), shell(110, 1500)], (Some(110), None)),
            (vec![agent(), shell(50, 200)], (None, None)),
            (vec![agent()], (None, None)),
            (vec![], (None, None)),
        ] {
            let told = format!("{processes:?}");
            assert_eq!(marked(processes, &one), [expected], "{told}");
        }
    }

    #[test]
    fn of_two_calls_at_once_each_has_its_own() {
        let agent = process(None, 1, 0, "agent");
        let sleeps = |start, end, words: &str| process(Some(0), start, end, words);
        let processes = vec![
            agent,
            sleeps(110, 300, "sh -c \"sleep 1\""),
            sleeps(120, 200, "sh -c 'sleep 2'"),
            sleeps(130, 400, ""),
        ];
        let calls = [(100, "sleep 1"), (105, "sleep 2"), (107, "sleep 3")];
        let expected = [(Some(110), Some(300)), (Some(120), Some(200)), (None, None)];
        assert_eq!(marked(processes, &calls), expected);
    }
}
