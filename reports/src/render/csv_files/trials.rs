//! Every finished trial, in journal order.

use schemars::JsonSchema;
use serde::Serialize;
use timeslip_datasets::run::journal::EndedBy;

use super::CsvFile;
use super::cells::{Text, TrialKey};
use super::columns::trial_columns;

pub(super) static FILE: CsvFile = CsvFile {
    name: "trials",
    columns: trial_columns::<TrialRecord>,
    write: |run, summary, rows| {
        for (trial, line) in run.trials.iter().zip(&summary.trials) {
            let row = TrialRecord {
                outcome: line.outcome.name(),
                ended_by: line.ended_by.map(EndedBy::name),
                detail: Text::of(line.detail.as_deref().unwrap_or_default()),
                wall_ns: line.wall_ns,
                wait_ns: line.wait_ns,
                setup_ns: line.setup_ns,
                warm: line.warm,
                grading_ns: line.grading_ns,
                turns: line.turns,
                tool_calls: line.tool_calls,
                tool_sum_ns: trial.tool_sum_ns,
                output_tokens: line.output_tokens,
            };
            rows.push((TrialKey::of(trial), row))?;
        }
        Ok(())
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct TrialRecord {
    /// How it ended: resolved, unresolved, limit_reached or error.
    outcome: &'static str,
    /// Who ended the agent's work, whatever the grader found: agent, turn_limit, time_limit,
    /// context_limit, output_limit, disk_limit, endpoint or harness; empty where not recorded.
    ended_by: Option<&'static str>,
    /// One sentence on an error or a limit.
    detail: Text,
    /// Task time, agent start to agent end, in nanoseconds.
    wall_ns: u64,
    /// Backoff and tries that gave nothing; part of wall_ns.
    wait_ns: u64,
    /// Preparing the task's environment; not part of wall_ns.
    setup_ns: u64,
    /// Whether its starting state was there or made while it waited.
    warm: Option<bool>,
    /// Running the grader; not part of wall_ns.
    grading_ns: u64,
    /// Turns begun.
    turns: u32,
    /// Tool calls made.
    tool_calls: u32,
    /// Plain sum of tool calls, which may overlap.
    tool_sum_ns: u64,
    /// Output tokens by the servers' usage.
    output_tokens: Option<u64>,
}
