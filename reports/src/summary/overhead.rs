//! What trials take beside the task itself: set-up, grading, sandboxes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{RunData, TrialData};
use crate::format::NS_PER_MS;
use crate::stages::Stage;
use crate::stats::Distribution;
use crate::trial::stage_totals;

/// What trials take beside the task itself, over all endpoints: none of it depends on
/// the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overhead {
    /// Set-up of trials whose starting state was made while they waited, in milliseconds.
    pub cold_setup_ms: Distribution,
    /// Set-up of trials whose starting state was there, in milliseconds.
    pub warm_setup_ms: Distribution,
    /// Grading, in milliseconds.
    pub grading_ms: Distribution,
    /// Set-up ÷ (set-up + task + grading), summed over all trials.
    pub setup_share: Option<f64>,
    /// Grading, likewise.
    pub grading_share: Option<f64>,
    /// Starting and tearing down the sandbox ÷ tool calls, in milliseconds.
    pub sandbox_ms_per_tool_call: Option<f64>,
    /// Starting and tearing down sandboxes ÷ task time.
    pub sandbox_share: Option<f64>,
}

impl Overhead {
    /// Over the trials whose environment could be made.
    pub(super) fn of(run: &RunData) -> Self {
        let trials = || run.trials.iter().filter(|trial| trial.wall_ns > 0);
        let milliseconds = |ns: u64| ns as f64 / NS_PER_MS;
        let setup = |warm: bool| {
            let alike = trials().filter(|trial| trial.warm == Some(warm));
            Distribution::of(alike.map(|trial| milliseconds(trial.setup_ns)))
        };
        let total = |of: fn(&TrialData) -> u64| trials().map(of).map(|ns| ns as f64).sum::<f64>();
        let (setup_ns, task_ns) = (total(|trial| trial.setup_ns), total(|trial| trial.wall_ns));
        let grading_ns = total(|trial| trial.grading_ns);
        let calls = total(|trial| trial.tool_calls.into());
        let sandbox_ns = stage_totals(trials()).get(&Stage::ToolSandbox).copied();
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let all = setup_ns + task_ns + grading_ns;
        Overhead {
            cold_setup_ms: setup(false),
            warm_setup_ms: setup(true),
            grading_ms: Distribution::of(trials().map(|trial| milliseconds(trial.grading_ns))),
            setup_share: share(setup_ns, all),
            grading_share: share(grading_ns, all),
            sandbox_ms_per_tool_call: sandbox_ns
                .and_then(|ns| share(ns as f64, calls))
                .map(|ns| ns / NS_PER_MS),
            sandbox_share: sandbox_ns.and_then(|ns| share(ns as f64, task_ns)),
        }
    }
}
