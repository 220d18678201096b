//! One trial's line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::journal::{EndedBy, Outcome};

use crate::data::TrialData;
use crate::stages::Stage;
use crate::trial::{output_tokens, stage_totals, turns};

/// One attempt of one task on one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialSummary {
    /// Suite name.
    pub suite: String,
    /// Task id within the suite.
    pub task: String,
    /// Endpoint name.
    pub endpoint: String,
    /// Attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Who ended the agent's work; `null` where not recorded.
    #[serde(default)]
    pub ended_by: Option<EndedBy>,
    /// One sentence on an error or a limit.
    pub detail: Option<String>,
    /// Agent start to agent end.
    pub wall_ns: u64,
    /// Backoff and tries that gave nothing; part of `wall_ns`.
    pub wait_ns: u64,
    /// Preparing the task's environment; not part of `wall_ns`.
    pub setup_ns: u64,
    /// Whether its starting state was there or made while it waited; `null` where not
    /// recorded.
    pub warm: Option<bool>,
    /// Running the grader; not part of `wall_ns`.
    pub grading_ns: u64,
    /// Turns begun.
    pub turns: u32,
    /// Tool calls made.
    pub tool_calls: u32,
    /// Output tokens by the servers' usage; `null` when none was reported.
    pub output_tokens: Option<u64>,
    /// Time of every stage that occurred; sums to `wall_ns`.
    pub stages_ns: BTreeMap<Stage, u64>,
}

impl TrialSummary {
    /// As of the trial itself.
    pub(crate) fn failed(&self) -> bool {
        self.outcome == Outcome::Error || self.ended_by.is_some_and(EndedBy::fault)
    }

    /// The line of one trial.
    #[must_use]
    pub fn of(trial: &TrialData) -> Self {
        TrialSummary {
            suite: trial.suite.clone(),
            task: trial.task.clone(),
            endpoint: trial.endpoint.clone(),
            attempt: trial.attempt,
            outcome: trial.outcome,
            ended_by: trial.ended_by,
            detail: trial.detail.clone(),
            wall_ns: trial.wall_ns,
            wait_ns: trial.wait_ns(),
            setup_ns: trial.setup_ns,
            warm: trial.warm,
            grading_ns: trial.grading_ns,
            turns: turns(trial),
            tool_calls: trial.tool_calls,
            output_tokens: output_tokens([trial]),
            stages_ns: stage_totals([trial]),
        }
    }
}
