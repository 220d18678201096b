//! A journal's event without a word of what was said: names, counts, times and lengths.

use super::journal::{Act, Event, Exchange, Record, Tool, TrialFinished};

/// Longest name that is kept.
const LONGEST_NAME: usize = 128;

/// How a failure begins in timeslip's own words; what a server or a tool adds is left out.
const FAILURES: &[&str] = &[
    "broken",
    "cannot",
    "cut off",
    "no byte for",
    "no connection",
    "stalled",
    "the answer ended early",
    "the answer is empty",
    "the client left",
    "the proxy was stopped",
    "the response exceeds",
    "the server reports",
    "the stream ended early",
    "the upstream broke off",
];

/// What a failure is called that is none of these.
const OTHER_FAILURE: &str = "failed";

/// Whether a text can be the name of a tool, a model or a call and not more: ASCII letters,
/// digits and `-_.:/@`.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits)
}

/// A name, or what stands for a text in the place of one.
pub(super) fn name_or_text(name: &str) -> &str {
    match is_name(name) {
        true => name,
        false => "(text)",
    }
}

/// What kind of failure some words tell of.
fn failure(words: &str) -> String {
    if let Some(rest) = words.strip_prefix("HTTP ") {
        let digits = rest.chars().take_while(char::is_ascii_digit);
        return format!("HTTP {}", digits.collect::<String>());
    }
    let known = FAILURES.iter().find(|known| words.starts_with(**known));
    known.copied().unwrap_or(OTHER_FAILURE).to_owned()
}

impl Record {
    /// The same without texts that a model, a tool, a client or a server wrote. Names are kept
    /// where they can be nothing else: of tools, models and calls.
    #[must_use]
    pub fn without_text(&self) -> Self {
        let mut record = self.clone();
        match &mut record.event {
            Event::Exchange(exchange) => of_exchange(exchange),
            Event::Tool(tool) => of_tool(tool),
            Event::Act(act) => of_act(act),
            Event::TrialFinished(finished) => of_end(finished),
            Event::TrialStarted(_) | Event::AgentRun(_) => {}
        }
        record
    }
}

fn of_exchange(exchange: &mut Exchange) {
    let names = [
        &mut exchange.lane,
        &mut exchange.response_id,
        &mut exchange.served_model,
        &mut exchange.served_tier,
        &mut exchange.served_speed,
        &mut exchange.incomplete,
    ];
    for name in names.into_iter().flatten() {
        *name = name_or_text(name).to_owned();
    }
    for call in &mut exchange.calls {
        call.call_id = name_or_text(&call.call_id).to_owned();
        call.name = name_or_text(&call.name).to_owned();
    }
    exchange.remarks.clear();
    for (name, count) in std::mem::take(&mut exchange.unknown) {
        let name = name_or_text(&name).to_owned();
        *exchange.unknown.entry(name).or_default() += count;
    }
    exchange.error = exchange.error.as_deref().map(failure);
}

fn of_tool(tool: &mut Tool) {
    tool.call_id = name_or_text(&tool.call_id).to_owned();
    tool.name = name_or_text(&tool.name).to_owned();
}

fn of_act(act: &mut Act) {
    act.name = name_or_text(&act.name).to_owned();
    act.detail = act.detail.as_deref().map(failure);
    if let Some(check) = &mut act.check {
        check.reason = None;
    }
}

fn of_end(finished: &mut TrialFinished) {
    finished.detail = finished.detail.as_deref().map(failure);
    finished.failed_tests.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::{CallArrival, Outcome, TrialKey};

    const TEXT: &str = "Der Käufer zahlt 12 € nicht";

    #[test]
    fn whatever_a_stranger_wrote_is_left_out() {
        let text = || TEXT.to_owned();
        let exchange = Exchange {
            lane: Some(text()),
            calls: vec![CallArrival {
                call_id: text(),
                name: text(),
                at: 1,
            }],
            unknown: [(text(), 2), (format!("{TEXT}."), 3)].into(),
            remarks: vec![text()],
            response_id: Some(text()),
            served_model: Some(text()),
            served_tier: Some(text()),
            served_speed: Some(text()),
            incomplete: Some(text()),
            error: Some(text()),
            ..Exchange::default()
        };
        let tool = Tool {
            call_id: text(),
            name: text(),
            ..Tool::default()
        };
        let finished = TrialFinished {
            outcome: Outcome::Error,
            ended_by: None,
            detail: Some(text()),
            wall_ns: 1,
            grading_ns: 0,
            reward: None,
            failed_tests: vec![text()],
            changes: None,
            solution_changes: None,
        };
        for event in [
            Event::Exchange(Box::new(exchange)),
            Event::Tool(tool),
            Event::TrialFinished(finished),
        ] {
            let trial = TrialKey {
                suite: "s".into(),
                task: "t".into(),
                endpoint: "e".into(),
                attempt: 1,
            };
            let record = Record { trial, event }.without_text();
            let written = serde_json::to_string(&record).unwrap();
            assert!(!written.contains("Käufer"), "{written}");
            assert!(!written.contains("12 "), "{written}");
        }
    }

    #[test]
    fn names_and_kinds_of_failures_stay() {
        for name in [
            "call_00_9x.Y",
            "gpt-5.3-codex",
            "openai/gpt-5",
            "mcp__a:b@1",
        ] {
            assert_eq!(name_or_text(name), name);
        }
        for text in ["", "two words", "ä", &"a".repeat(LONGEST_NAME + 1)] {
            assert_eq!(name_or_text(text), "(text)");
        }
        for (words, expected) in [
            ("HTTP 429: Rate limit of org-1 reached", "HTTP 429"),
            ("the server reports my own: words", "the server reports"),
            ("the stream ended early: x", "the stream ended early"),
            ("exit status: 3", OTHER_FAILURE),
        ] {
            assert_eq!(failure(words), expected);
        }
    }
}
