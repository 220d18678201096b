//! Verdicts as a table for the terminal.

use std::fmt::Write;

use timeslip_datasets::text::plural;

use super::{Folder, ScoreOutcome, TaskScore};
use crate::console::indented;

/// How many failed tests are named; all of them are in `verdict.json`.
const NAMED: usize = 10;

/// One line per verdict, below it why it is not resolved and where its log is kept, and how
/// many there are of each outcome.
#[must_use]
pub fn table(verdicts: &[TaskScore], folder: Option<&Folder>) -> String {
    let shown: Vec<&TaskScore> = verdicts
        .iter()
        .filter(|verdict| verdict.outcome != ScoreOutcome::Missing)
        .collect();
    let width = shown.iter().map(|verdict| verdict.task.len());
    let width = width.max().unwrap_or_default().max(4);
    let mut text = format!(
        "{:<width$}  {:<14}  {:>11}  {:>11}  {:>8}\n",
        "task", "verdict", "fail→pass", "pass→pass", "seconds"
    );
    for verdict in shown {
        let count = |count: Option<(usize, usize)>| {
            count.map_or_else(|| "–".to_owned(), |(passed, all)| format!("{passed}/{all}"))
        };
        let _ = writeln!(
            text,
            "{:<width$}  {:<14}  {:>11}  {:>11}  {:>8.1}",
            verdict.task,
            verdict.outcome.name(),
            count(verdict.fail_to_pass),
            count(verdict.pass_to_pass),
            verdict.seconds,
        );
        text.push_str(&indented(&why(verdict)));
        if let Some(log) = folder.and_then(|folder| folder.log(verdict)) {
            text.push_str(&indented(&format!("log: {}", log.display())));
        }
    }
    let all = [
        ScoreOutcome::Resolved,
        ScoreOutcome::Unresolved,
        ScoreOutcome::EmptyPatch,
        ScoreOutcome::DoesNotApply,
        ScoreOutcome::NoVerdict,
        ScoreOutcome::Error,
        ScoreOutcome::Missing,
    ];
    let counted: Vec<String> = all
        .iter()
        .map(|outcome| (outcome, count(verdicts, *outcome)))
        .filter(|(_, count)| *count > 0)
        .map(|(outcome, count)| format!("{count} {}", outcome.name()))
        .collect();
    let _ = writeln!(
        text,
        "\n{}: {}",
        plural(verdicts.len(), "task"),
        counted.join(", ")
    );
    text
}

fn count(verdicts: &[TaskScore], outcome: ScoreOutcome) -> usize {
    let of = |verdict: &&TaskScore| verdict.outcome == outcome;
    verdicts.iter().filter(of).count()
}

/// The reason, the tests that failed, and what the log shows of a broken environment.
fn why(verdict: &TaskScore) -> String {
    let mut text = verdict.detail.clone().unwrap_or_default();
    let names = verdict.failed_tests.iter().take(NAMED);
    for name in names {
        let _ = write!(text, "\n  {name}");
    }
    if let Some(more) = verdict.failed_tests.len().checked_sub(NAMED + 1) {
        let _ = write!(text, "\n  and {} more", more + 1);
    }
    match &verdict.infrastructure {
        Some((reason, true)) => text + &format!("\n[infrastructure: {reason}]"),
        Some((reason, false)) => text + &format!("\n[maybe {reason}]"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_and_why_it_is_not_resolved() {
        let verdict = |task: &str, outcome, detail: Option<&str>| TaskScore {
            task: task.to_owned(),
            model: "m".to_owned(),
            key: String::new(),
            outcome,
            detail: detail.map(str::to_owned),
            failed_tests: detail.map(|_| "t::x".to_owned()).into_iter().collect(),
            fail_to_pass: Some((1, 2)),
            pass_to_pass: None,
            infrastructure: detail.map(|_| ("out_of_memory".to_owned(), true)),
            reported: true,
            seconds: 1.25,
            reused: false,
        };
        let verdicts = [
            verdict("a__b-1", ScoreOutcome::Resolved, None),
            verdict("a__b-10", ScoreOutcome::NoVerdict, Some("it\nbroke")),
            verdict("a__b-2", ScoreOutcome::Missing, None),
        ];
        insta::assert_snapshot!(table(&verdicts, None), @r"
        task     verdict           fail→pass    pass→pass   seconds
        a__b-1   resolved                1/2            –       1.2
        a__b-10  no verdict              1/2            –       1.2
            it
            broke
              t::x
            [infrastructure: out_of_memory]

        3 tasks: 1 resolved, 1 no verdict, 1 no prediction
        ");
    }
}
