//! How long tools took: from a call's own last byte to the request that brings its result.

use std::collections::HashMap;

use timeslip_datasets::run::journal::Tool;
use timeslip_wire::protocols::ItemKind;

use super::{AnsweredCall, Asked, Conversations, Role};
use crate::tool_kinds;

/// How clients write into a result how long the tool took, in seconds: what stands before the
/// number, and what after it.
const REPORTS: &[(&str, &str)] = &[
    ("Wall time: ", " second"),
    ("\"duration_seconds\":", "}"),
    ("\"duration_seconds\":", ","),
];
/// Bytes at the beginning of a result in which that is looked for.
const REPORT_WITHIN: usize = 400;

/// All calls of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolTimes {
    /// Calls whose results came, in the order in which they came. `turn` and `agent` are of the
    /// answer that made the call, `end` is the beginning of the request that brought the
    /// result.
    pub tools: Vec<Tool>,
    /// Calls of whole answers whose results never came: the session ended, or went on without
    /// them.
    pub unanswered: Vec<Unanswered>,
}

/// A call whose result never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The agent.
    pub agent: usize,
    /// Its turn.
    pub turn: u32,
    /// The call.
    pub call: AnsweredCall,
}

/// The agents of a recording, as their callers know them.
struct Callees<'r> {
    conversations: &'r Conversations,
    /// By who called and the call's id: the agent that the call began.
    begun: HashMap<(usize, &'r str), usize>,
    /// When the last answer of each agent had come.
    done: Vec<u64>,
}

impl<'r> Callees<'r> {
    fn of(requests: &[Asked], conversations: &'r Conversations) -> Self {
        let mut done = vec![0; conversations.agents.len()];
        for (asked, placed) in requests.iter().zip(&conversations.placed) {
            if let Some(agent) = placed.agent {
                done[agent] = asked.done.max(done[agent]);
            }
        }
        let begun = conversations.agents.iter().enumerate();
        let begun = begun.filter_map(|(agent, known)| {
            Some(((known.parent?, known.begun_by.as_deref()?), agent))
        });
        Callees {
            conversations,
            begun: begun.collect(),
            done,
        }
    }

    /// The agent that a call began; or the one for which it waited: it names an agent of the
    /// same caller that was done while it lasted. Of several the last that was.
    fn of_call(&self, caller: usize, call: &AnsweredCall, end: u64) -> Option<u32> {
        let AnsweredCall { call, at } = call;
        let begun = self.begun.get(&(caller, call.call_id.as_str())).copied();
        let agents = self.conversations.agents.iter().enumerate();
        let waited_for = agents.filter(|(agent, known)| {
            let done = (at + 1..=end).contains(&self.done[*agent]);
            let named = known
                .id
                .as_deref()
                .is_some_and(|id| call.arguments.contains(id));
            known.parent == Some(caller) && done && named
        });
        let waited_for = waited_for.map(|(agent, _)| agent);
        let agent = begun.or_else(|| waited_for.max_by_key(|agent| self.done[*agent]));
        u32::try_from(agent?).ok()
    }
}

/// A call whose result has not come yet.
struct Pending<'r> {
    agent: usize,
    turn: u32,
    call: &'r AnsweredCall,
    /// The end of the answer that made it.
    done: u64,
    /// The answer came to its end: of one that was cut off a client may run what it has of it,
    /// or ask again.
    is_wanted: bool,
}

impl ToolTimes {
    /// The times of the tools of some requests, which were told apart.
    #[must_use]
    pub fn of(requests: &[Asked], conversations: &Conversations) -> Self {
        let mut times = ToolTimes::default();
        let callees = Callees::of(requests, conversations);
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for (asked, placed) in requests.iter().zip(&conversations.placed) {
            let (Some(agent), Role::Turn { turn, .. }) = (placed.agent, placed.role) else {
                continue;
            };
            let items = asked.seen.as_ref().map_or(&[][..], |seen| &seen.items);
            for item in items.get(placed.fresh..).unwrap_or_default() {
                let ItemKind::Result {
                    call_id,
                    name,
                    text,
                } = &item.kind
                else {
                    continue;
                };
                let own = |call: &Pending<'_>| call.agent == agent && call.call.at <= asked.began;
                let found = match call_id {
                    // Some servers give an id again in a later answer.
                    Some(id) => pending
                        .iter()
                        .rposition(|call| own(call) && call.call.call.call_id == *id),
                    // Without ids results come in the order of the calls.
                    None => pending.iter().position(|call| {
                        let named = name
                            .as_ref()
                            .is_none_or(|name| call.call.call.name == *name);
                        own(call) && named
                    }),
                };
                if let Some(found) = found {
                    times
                        .tools
                        .push(pending.remove(found).answered(asked.began, text, &callees));
                }
            }
            pending.extend(asked.calls.iter().map(|call| Pending {
                agent,
                turn,
                call,
                done: asked.done,
                is_wanted: !asked.has_failed(),
            }));
        }
        times.unanswered = pending
            .into_iter()
            .filter(|call| call.is_wanted)
            .map(|call| Unanswered {
                agent: call.agent,
                turn: call.turn,
                call: call.call.clone(),
            })
            .collect();
        times
    }
}

impl Pending<'_> {
    fn answered(self, end: u64, result: &str, callees: &Callees<'_>) -> Tool {
        let AnsweredCall { call, at: start } = self.call;
        let overlap = self.done.min(end).saturating_sub(*start);
        Tool {
            turn: self.turn,
            agent: u32::try_from(self.agent).ok(),
            began: callees.of_call(self.agent, self.call, end),
            call_id: call.call_id.clone(),
            name: call.name.clone(),
            kind: Some(tool_kinds::of(&call.name, &call.arguments)),
            start: *start,
            end,
            overlap_ns: Some(overlap),
            reported_ns: reported_ns(result),
            status: "answered".to_owned(),
            output_bytes: result.len() as u64,
            ..Tool::default()
        }
    }
}

/// How long the client itself says that a tool took.
fn reported_ns(result: &str) -> Option<u64> {
    let places = result.char_indices().map(|(place, _)| place);
    let within = places.take_while(|place| *place <= REPORT_WITHIN);
    let beginning = match result.len() > REPORT_WITHIN {
        true => &result[..within.last().unwrap_or(0)],
        false => result,
    };
    let seconds = REPORTS.iter().find_map(|(before, after)| {
        let (_, rest) = beginning.split_once(before)?;
        rest.split_once(after)?.0.trim().parse::<f64>().ok()
    })?;
    // A day; a longer one was not measured.
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| (seconds * 1e9).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_report_is_found_in_the_result() {
        for (result, expected) in [
            (
                "Chunk ID: 1\nWall time: 0.1531 seconds\nOutput:\nx",
                Some(153_100_000),
            ),
            (
                "Exit code: 0\nWall time: 1 second\nOutput:",
                Some(1_000_000_000),
            ),
            (
                r#"{"output":"x","metadata":{"exit_code":0,"duration_seconds":0.5}}"#,
                Some(500_000_000),
            ),
            ("Wall time: soon seconds", None),
            ("Wall time: -1 seconds", None),
            ("Wall time: 1e300 seconds", None),
            ("no time at all", None),
        ] {
            assert_eq!(reported_ns(result), expected, "{result}");
        }
        let late = format!("{}Wall time: 1 seconds", "ä".repeat(REPORT_WITHIN));
        assert_eq!(reported_ns(&late), None);
    }
}
