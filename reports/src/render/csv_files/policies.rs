//! Retries of each endpoint and, over the tasks tried on both, every way to use them.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;
use crate::decision::PolicyFigures;
use crate::stats::Estimate;

pub(super) static FILE: CsvFile = CsvFile {
    name: "policies",
    columns: columns::<PolicyRecord>,
    write: |_, summary, rows| {
        for (name, retries) in &summary.decision.retries {
            for retry in retries {
                rows.push(PolicyRecord {
                    over: "all tasks of the endpoint",
                    policy: Text::of(name),
                    up_to_attempts: Some(retry.up_to),
                    tasks: retry.tasks,
                    ..PolicyRecord::of(&retry.figures)
                })?;
            }
        }
        for routing in summary.decision.routings() {
            for policy in &routing.policies {
                rows.push(PolicyRecord {
                    over: "tasks tried on both",
                    policy: Text::of(&policy.name),
                    tasks: routing.tasks,
                    on_front: Some(policy.on_front),
                    ..PolicyRecord::of(&policy.figures)
                })?;
            }
        }
        Ok(())
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct PolicyRecord {
    /// Which tasks it is computed over.
    over: &'static str,
    /// The endpoint that is retried, or the policy in words.
    policy: Text,
    /// Most attempts made at a task; empty for ways to use both endpoints.
    up_to_attempts: Option<u32>,
    /// Tasks behind it.
    tasks: usize,
    /// Share of tasks solved.
    solved: Number,
    /// Lower end of its 95 % interval.
    solved_low: Number,
    /// Upper end of its 95 % interval.
    solved_high: Number,
    /// Mean time on a task, solved or not.
    time_per_task_ms: Number,
    /// Lower end of its 95 % interval.
    time_per_task_low_ms: Number,
    /// Upper end of its 95 % interval.
    time_per_task_high_ms: Number,
    /// Time spent for every task solved.
    time_per_solved_task_ms: Number,
    /// Lower end of its 95 % interval.
    time_per_solved_task_low_ms: Number,
    /// Upper end of its 95 % interval.
    time_per_solved_task_high_ms: Number,
    /// Mean US dollars on a task; empty when the cost of any attempt is unknown.
    cost_per_task_usd: Number,
    /// US dollars spent for every task solved.
    cost_per_solved_task_usd: Number,
    /// Lower end of its 95 % interval.
    cost_per_solved_task_low_usd: Number,
    /// Upper end of its 95 % interval.
    cost_per_solved_task_high_usd: Number,
    /// Whether no other policy is better in one thing and as good in the rest; empty for
    /// retries.
    on_front: Option<bool>,
}

impl PolicyRecord {
    fn of(figures: &PolicyFigures) -> Self {
        let unknown = Estimate::default();
        let cost = figures.cost_per_solved_task_usd.as_ref();
        let cost = cost.unwrap_or(&unknown);
        let mean = figures.cost_per_task_usd.as_ref();
        PolicyRecord {
            solved: Number(figures.solved.point),
            solved_low: Number(figures.solved.low),
            solved_high: Number(figures.solved.high),
            time_per_task_ms: Number(figures.time_per_task_ms.point),
            time_per_task_low_ms: Number(figures.time_per_task_ms.low),
            time_per_task_high_ms: Number(figures.time_per_task_ms.high),
            time_per_solved_task_ms: Number(figures.time_per_solved_task_ms.point),
            time_per_solved_task_low_ms: Number(figures.time_per_solved_task_ms.low),
            time_per_solved_task_high_ms: Number(figures.time_per_solved_task_ms.high),
            cost_per_task_usd: Number(mean.and_then(|cost| cost.point)),
            cost_per_solved_task_usd: Number(cost.point),
            cost_per_solved_task_low_usd: Number(cost.low),
            cost_per_solved_task_high_usd: Number(cost.high),
            ..PolicyRecord::default()
        }
    }
}
