//! The table of every task and attempt.

use std::collections::BTreeMap;

use crate::format::{count, nanoseconds, one_line, or_absent, ratio, shorten};
use crate::input::{Outcome, RunData};
use crate::pairing::sides;
use crate::summary::{Summary, TrialSummary};

/// Longest detail shown, in characters; the summary has all of it.
const MAX_DETAIL: usize = 300;

/// Every attempt, its trials side by side.
pub(super) struct TaskTable {
    pub(super) endpoints: Vec<String>,
    pub(super) compared: bool,
    /// Whether any task was attempted more than once.
    pub(super) repeated: bool,
    pub(super) rows: Vec<TaskRow>,
}

/// One attempt of one task.
pub(super) struct TaskRow {
    pub(super) suite: String,
    pub(super) task: String,
    pub(super) attempt: u32,
    /// In order of endpoints; absent where the trial did not finish.
    pub(super) trials: Vec<Option<TrialCells>>,
    pub(super) ratio: String,
    /// The ratio as a plain number for sorting, empty when absent.
    pub(super) ratio_value: String,
}

/// What is shown of one trial.
pub(super) struct TrialCells {
    pub(super) outcome: &'static str,
    pub(super) outcome_class: &'static str,
    pub(super) detail: Option<String>,
    pub(super) wall: String,
    pub(super) wall_ns: u64,
    pub(super) turns: u32,
    pub(super) tokens: String,
    pub(super) tokens_value: String,
}

impl TrialCells {
    fn of(trial: &TrialSummary) -> Self {
        TrialCells {
            outcome: trial.outcome.label(),
            outcome_class: trial.outcome.name(),
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

pub(super) fn tasks(run: &RunData, summary: &Summary) -> TaskTable {
    let names: Vec<&str> = summary
        .endpoints_in_order()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
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
    let pair = sides(run).and_then(|(candidate, baseline)| {
        let column = |wanted: &str| names.iter().position(|name| *name == wanted);
        column(&candidate.name).zip(column(&baseline.name))
    });
    let rows = attempts
        .into_iter()
        .map(|((suite, task, attempt), trials)| {
            let value = pair.and_then(|(candidate, baseline)| {
                time_ratio(*trials.get(candidate)?, *trials.get(baseline)?)
            });
            TaskRow {
                suite: one_line(suite),
                task: one_line(task),
                attempt,
                trials: trials.into_iter().map(|t| t.map(TrialCells::of)).collect(),
                ratio: or_absent(value, ratio),
                ratio_value: value.map_or_else(String::new, |value| format!("{value:.6}")),
            }
        })
        .collect();
    TaskTable {
        endpoints: names.into_iter().map(one_line).collect(),
        compared: pair.is_some(),
        repeated: summary.trials.iter().any(|trial| trial.attempt > 1),
        rows,
    }
}

fn time_ratio(candidate: Option<&TrialSummary>, baseline: Option<&TrialSummary>) -> Option<f64> {
    let timed = |trial: &&TrialSummary| trial.outcome != Outcome::Error && trial.wall_ns > 0;
    let (candidate, baseline) = candidate.filter(timed).zip(baseline.filter(timed))?;
    Some(baseline.wall_ns as f64 / candidate.wall_ns as f64)
}
