//! The machine-readable summary of a run: `summary.json`.
//!
//! Missing values are `null`, never 0. Durations are milliseconds in fields
//! ending in `_ms` and whole nanoseconds in fields ending in `_ns`.

mod bridge;
mod changes;
mod checks;
mod comparison;
mod endpoint;
mod levels;
mod overhead;
mod real_time;
mod reconciliation;
mod trial;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles};

use crate::claims::{self, Answer, ClaimsFile};
use crate::data::{EndpointData, RunData};
use crate::decision::Decision;
use crate::headline;
use crate::metrics::Metric;
pub use bridge::BridgeRow;
pub(crate) use bridge::rows as stage_bridge;
pub use changes::MetricChange;
pub use comparison::Comparison;
pub use endpoint::{
    EndpointSummary, FirstOfKindSummary, GroupSummary, RateSummary, RepeatedSummary, StageSummary,
    StreamSummary,
};
pub use levels::MetricLevel;
pub use overhead::Overhead;
pub use real_time::{
    INSTANT, QUIET_MS, Quiet, RESPONSE, RealTime, RealTimeEndpoint, Saved, Threshold, Within,
};
pub use reconciliation::Reconciliation;
pub use trial::TrialSummary;

/// Version of the layout of `summary.json`; it changes when a field is renamed
/// or removed, or changes its meaning.
pub const SCHEMA_VERSION: u32 = 3;

/// A fact about the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Everything a run showed, computed from its trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Version of this layout.
    pub schema_version: u32,
    /// Run id, also its directory's name.
    pub run_id: String,
    /// Start, RFC 3339 UTC.
    pub started_at: String,
    /// Version of timeslip that measured.
    pub timeslip_version: String,
    /// Seed of ordering and of the simulated endpoints.
    pub seed: u64,
    /// How tools ran.
    pub sandbox: String,
    /// Trials at once.
    pub concurrency: u32,
    /// Whether every planned trial finished.
    pub complete: bool,
    /// Trials the plan holds.
    pub planned_trials: usize,
    /// Trials that finished, with whatever outcome.
    pub finished_trials: usize,
    /// Whether the figures may be relied on: the client was not the bottleneck, and few
    /// trials ended in an error.
    pub valid: bool,
    /// Why not, when they may not.
    pub invalid: Vec<String>,
    /// Why ratios say nothing of how much sooner tasks get done; empty where all may be
    /// quoted. Of several candidates each comparison has its own.
    #[serde(default)]
    pub headline_lacks: Vec<String>,
    /// Things a reader must know.
    pub warnings: Vec<String>,
    /// Facts about the machine.
    pub environment: Vec<Fact>,
    /// The instrument's own error; `null` when calibration did not run.
    pub calibration: Option<Calibration>,
    /// How long output events lay in the kernel before the client read them; `null`
    /// where the kernel does not say.
    pub client_lag: Option<ErrorQuantiles>,
    /// Each endpoint's figures, by name; candidates first, else in the run's order.
    pub endpoints: IndexMap<String, EndpointSummary>,
    /// Candidate against baseline, of several candidates the first; `null` when the run
    /// has one side only.
    pub comparison: Option<Comparison>,
    /// The other candidates against the baseline, in order; empty with one candidate.
    #[serde(default)]
    pub further_comparisons: Vec<Comparison>,
    /// What the sessions of a developer show; `null` where the run has none.
    #[serde(default)]
    pub real_time: Option<RealTime>,
    /// What trials take beside the task itself: set-up, grading, sandboxes.
    pub overhead: Overhead,
    /// Speed and quality at once: timeouts, retries, routing.
    pub decision: Decision,
    /// What the run says to a vendor's claims.
    pub claims: Vec<Answer>,
    /// Every finished trial, in journal order.
    pub trials: Vec<TrialSummary>,
}

impl Summary {
    /// Computes the summary of a run, whole or cut short, with answers to the published
    /// claims of the fast path.
    #[must_use]
    pub fn from_run(run: &RunData) -> Self {
        // A test holds that the shipped claims can be read.
        Self::with_claims(run, &ClaimsFile::fast_path().unwrap_or_default())
    }

    /// The same with answers to other claims.
    #[must_use]
    pub fn with_claims(run: &RunData, asked: &ClaimsFile) -> Self {
        let mut warnings = run.warnings.clone();
        warnings.extend(checks::warnings(run));
        let mut comparisons = Comparison::all(run).into_iter();
        let endpoints = endpoints(run);
        Summary {
            schema_version: SCHEMA_VERSION,
            run_id: run.run_id.clone(),
            started_at: run.started_at.clone(),
            timeslip_version: run.timeslip_version.clone(),
            seed: run.seed,
            sandbox: run.sandbox.clone(),
            concurrency: run.concurrency,
            complete: run.trials.len() >= run.planned_trials,
            planned_trials: run.planned_trials,
            finished_trials: run.trials.len(),
            valid: run.invalid.is_empty(),
            invalid: run.invalid.iter().map(|why| why.why.clone()).collect(),
            headline_lacks: headline::all_lacks(run),
            warnings,
            environment: run
                .environment
                .iter()
                .map(|(name, value)| Fact {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            calibration: run.calibration.clone(),
            client_lag: run.client_lag,
            real_time: RealTime::of(run, endpoints.keys().cloned()),
            endpoints,
            comparison: comparisons.next(),
            further_comparisons: comparisons.collect(),
            overhead: Overhead::of(run),
            decision: Decision::of(run),
            claims: claims::answer(asked, run),
            trials: run.trials.iter().map(TrialSummary::of).collect(),
        }
    }

    /// Every candidate against the baseline, in order.
    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.comparison.iter().chain(&self.further_comparisons)
    }

    /// Whether several candidates are compared with the baseline.
    #[must_use]
    pub fn several(&self) -> bool {
        !self.further_comparisons.is_empty()
    }

    /// Error of a metric in milliseconds: the largest 99th percentile it was calibrated at.
    #[must_use]
    pub fn error_ms(&self, metric: &Metric) -> Option<f64> {
        metric.worst_error_ms(self.calibration.as_ref())
    }

    /// Whether any endpoint is simulated.
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.endpoints.values().any(|endpoint| endpoint.simulated)
    }
}

fn endpoints(run: &RunData) -> IndexMap<String, EndpointSummary> {
    let mut endpoints: Vec<&EndpointData> = run.endpoints.iter().collect();
    endpoints.sort_by_key(|endpoint| endpoint.role);
    let summaries = endpoints.into_iter().map(|endpoint| {
        let summary = EndpointSummary::of(endpoint, &run.trials);
        (endpoint.name.clone(), summary)
    });
    summaries.collect()
}

/// The JSON Schema of `summary.json`.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Summary).to_value()
}
