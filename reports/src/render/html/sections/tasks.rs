//! The table of every task and attempt.

use std::collections::BTreeMap;

use askama::Template;
use timeslip_datasets::run::journal::EndedBy;

use super::Section;
use crate::format::{ABSENT, count, nanoseconds, one_line, or_absent, plural, ratio, shorten};
use crate::summary::{Comparison, Summary, TrialSummary};

pub(super) static SECTION: Section = Section {
    id: "tasks",
    title: "Tasks",
    nav: Some("Tasks"),
    body: |data| tasks(data.summary).render().map(Some),
};

/// Longest detail shown, in characters; the summary has all of it.
const MAX_DETAIL: usize = 300;

/// Most trials shown. A page of all that a long run has would be too large to open.
const MAX_TRIALS: usize = 2_000;

/// Every attempt, its trials side by side.
#[derive(Template)]
#[template(path = "sections/tasks.html")]
struct TaskTable {
    endpoints: Vec<String>,
    /// Headings of the ratios, one for each candidate.
    ratios: Vec<String>,
    /// Whether any task was attempted more than once.
    repeated: bool,
    rows: Vec<TaskRow>,
    /// How many attempts are shown of how many, where not all are.
    cut: Option<String>,
}

/// One attempt of one task.
struct TaskRow {
    suite: String,
    task: String,
    attempt: u32,
    /// In order of endpoints; absent where the trial did not finish.
    trials: Vec<Option<TrialCells>>,
    ratios: Vec<RatioCell>,
}

/// How many times sooner a candidate finished.
struct RatioCell {
    shown: String,
    /// As a plain number for sorting, empty when absent.
    value: String,
}

/// What is shown of one trial.
struct TrialCells {
    outcome: &'static str,
    outcome_class: &'static str,
    ended_by: Option<&'static str>,
    detail: Option<String>,
    wall: String,
    wall_ns: u64,
    turns: u32,
    tokens: String,
    tokens_value: String,
}

impl TrialCells {
    fn of(trial: &TrialSummary) -> Self {
        TrialCells {
            outcome: trial.outcome.label(),
            outcome_class: trial.outcome.name(),
            ended_by: trial.ended_by.map(EndedBy::label),
            detail: trial
                .detail
                .as_deref()
                .map(|detail| shorten(&one_line(detail), MAX_DETAIL)),
            wall: nanoseconds(trial.wall_ns),
            wall_ns: trial.wall_ns,
            turns: trial.turns,
            tokens: or_absent(trial.output_tokens, count),
            tokens_value: trial
                .output_tokens
                .map_or_else(String::new, |n| n.to_string()),
        }
    }
}

fn tasks(summary: &Summary) -> TaskTable {
    let names: Vec<&str> = summary.endpoints.keys().map(String::as_str).collect();
    let mut attempts: BTreeMap<(&str, &str, u32), Vec<Option<&TrialSummary>>> = BTreeMap::new();
    for trial in &summary.trials {
        let Some(column) = names.iter().position(|name| *name == trial.endpoint) else {
            continue;
        };
        let row = attempts
            .entry((&trial.suite, &trial.task, trial.attempt))
            .or_insert_with(|| vec![None; names.len()]);
        if let Some(cell) = row.get_mut(column) {
            cell.get_or_insert(trial);
        }
    }
    let column = |wanted: &str| names.iter().position(|name| *name == wanted);
    let pairs: Vec<Option<(usize, usize)>> = summary
        .comparisons()
        .map(|comparison| column(&comparison.candidate).zip(column(&comparison.baseline)))
        .collect();
    let heading = |comparison: &Comparison| {
        if summary.several() {
            format!("Sooner: {}", one_line(&comparison.candidate))
        } else {
            "Sooner".to_owned()
        }
    };
    let (shown, all) = (MAX_TRIALS / names.len().max(1), attempts.len());
    let rows = attempts
        .into_iter()
        .take(shown)
        .map(|((suite, task, attempt), trials)| {
            let value = |pair: &Option<(usize, usize)>| {
                let (candidate, baseline) = (*pair)?;
                time_ratio(*trials.get(candidate)?, *trials.get(baseline)?)
            };
            let ratios = pairs.iter().map(value).map(RatioCell::of).collect();
            TaskRow {
                suite: one_line(suite),
                task: one_line(task),
                attempt,
                trials: trials.into_iter().map(|t| t.map(TrialCells::of)).collect(),
                ratios,
            }
        })
        .collect();
    TaskTable {
        endpoints: names.iter().map(|name| one_line(name)).collect(),
        ratios: summary.comparisons().map(heading).collect(),
        repeated: summary.trials.iter().any(|trial| trial.attempt > 1),
        rows,
        cut: (all > shown)
            .then(|| format!("{} of {}", count(shown as u64), plural(all, "attempt"))),
    }
}

impl RatioCell {
    fn of(value: Option<f64>) -> Self {
        RatioCell {
            shown: or_absent(value, ratio),
            value: value.map_or_else(String::new, |value| format!("{value:.6}")),
        }
    }
}

fn time_ratio(candidate: Option<&TrialSummary>, baseline: Option<&TrialSummary>) -> Option<f64> {
    let timed = |trial: &&TrialSummary| !trial.failed() && trial.wall_ns > 0;
    let (candidate, baseline) = candidate.filter(timed).zip(baseline.filter(timed))?;
    Some(baseline.wall_ns as f64 / candidate.wall_ns as f64)
}
