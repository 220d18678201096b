//! What a report is computed from: one run, already attributed to stages.
//!
//! [`crate::open`] fills these from a run directory. Durations are integer nanoseconds.

mod gaps;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use gaps::Gaps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles};
use timeslip_datasets::run::journal::{
    Act, Changes, EndedBy, Outcome, Reported, StreamShape, TcpSample, ToolKind,
};
use timeslip_datasets::run::plan::PlannedEndpoint;

use crate::stages::{Provenance, Stage, StageGroup};

/// One stage of one trial, summed over its exchanges or tool calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageValue {
    /// Which stage.
    pub stage: Stage,
    /// Its total within the trial.
    pub ns: u64,
    /// The weakest provenance among its parts.
    pub provenance: Provenance,
    /// Bound on the error of `ns`, where one is known.
    pub error_ns: Option<u64>,
}

/// One interval of a trial's critical path, for the waterfall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset from the trial's start.
    pub start_ns: u64,
    /// Offset from the trial's start; never before `start_ns`.
    pub end_ns: u64,
    /// What the time was spent on.
    pub stage: Stage,
    /// Turn, from 1; 0 outside any turn.
    pub turn: u32,
    /// Short human label, e.g. a tool's name, which the spans of one call share. Untrusted
    /// text.
    pub label: Arc<str>,
}

/// `sent` → the first event of a kind, in nanoseconds; `None` when none came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstOfKind {
    /// The server says that it took the request: no model output.
    pub admitted_ns: Option<u64>,
    /// Reasoning.
    pub reasoning_ns: Option<u64>,
    /// Text.
    pub text_ns: Option<u64>,
    /// Arguments of a tool call.
    pub tool_arguments_ns: Option<u64>,
}

/// What the kernel and the protocol know of the connection; each `None` where nothing
/// told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// It was open already.
    pub reused: bool,
    /// Round trip of a WebSocket or HTTP/2 ping.
    pub ping_ns: Option<u64>,
    /// The kernel's view of it.
    pub tcp: Option<TcpSample>,
    /// Bytes read.
    pub response_bytes: Option<u64>,
}

/// One model call as the client saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeData {
    /// Turn, from 1.
    pub turn: u32,
    /// `sent` → `first_token`; `None` when no output came.
    pub ttft_ns: Option<u64>,
    /// `sent` → the first event of each kind of output.
    pub first: FirstOfKind,
    /// Events that carried model output. One may carry many tokens, one read many events.
    pub output_events: u64,
    /// What came in the stream.
    pub stream: StreamShape,
    /// What the connection did meanwhile.
    pub connection: ConnectionFacts,
    /// What the server says of its own time.
    pub reported: Reported,
    /// The server reports more time than the client's marks leave room for.
    pub contradicted: bool,
    /// It was read too late to tell when its output came: it has no times.
    pub spoilt: bool,
    /// By how much at most the times of its output are too late, where a late read may have
    /// found segments merged.
    pub too_late_by_ns: Option<u64>,
    /// Its output came as it was generated, and not held back in a few bursts.
    pub streamed: bool,
    /// Gaps between consecutive output events. One event may carry many tokens. Empty where
    /// it was not streamed.
    pub inter_event_ns: Gaps,
    /// First to last output of the streamed tokens; `None` where it was not streamed.
    pub decode_ns: Option<u64>,
    /// Output tokens by the server's usage.
    pub output_tokens: Option<u64>,
    /// Those of them that came as events: reasoning that the server kept to itself has
    /// no events, and its time is inside TTFT.
    pub streamed_tokens: Option<u64>,
    /// Prompt tokens by the server's usage.
    pub input_tokens: Option<u64>,
    /// Prompt tokens served from cache.
    pub cached_tokens: Option<u64>,
    /// Request bytes written, where they can be told from those of other exchanges.
    pub request_bytes: Option<u64>,
    /// The server cut its answer short, e.g. at its output limit.
    pub cut_short: bool,
    /// The transport really used, e.g. `websocket` or `http-sse`.
    pub transport: String,
}

/// What the client of a trial asked, and what lay between its turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCost {
    /// Requests of any kind, tries that were repeated included.
    pub requests: u32,
    /// Requests beside the conversation: titles, token counts, lists of models.
    pub side_requests: u32,
    /// Connections that were opened.
    pub connections: u32,
    /// Bytes of the requests of which they are known.
    pub request_bytes: Total,
    /// From an answer's last call, or else its end, to the agent's next request, in
    /// nanoseconds.
    pub between_turns_ns: Total,
    /// The same without the tools' own time, of the turns of which that is known.
    pub turn_overhead_ns: Total,
    /// The part of it before a tool's process, or between two, of the turns of which it is
    /// known when those ran.
    pub before_tools_ns: Total,
    /// The part of it after the last of them, likewise.
    pub after_tools_ns: Total,
    /// Prompt tokens of the requests of which they are known.
    pub prompt_tokens: Total,
    /// Prompt tokens of the requests of which it is known how many were cached, and those
    /// that were.
    pub cached_prompt_tokens: Part,
    /// Processor time of a real agent and its tools; `None` where it was not counted.
    pub cpu_ns: Option<u64>,
    /// The most memory that they held at once, without files; `None` likewise.
    pub peak_memory_bytes: Option<u64>,
}

/// A part of a whole, both summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

/// A sum and how many values it is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The sum.
    pub sum: u64,
    /// How many.
    pub count: u32,
}

impl Total {
    /// Both, for a mean; `None` of nothing.
    pub(crate) fn parts(self) -> Option<(f64, f64)> {
        (self.count > 0).then(|| (self.sum as f64, f64::from(self.count)))
    }
}

/// One attempt of one task on one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialData {
    /// Suite name.
    pub suite: String,
    /// Task id within the suite.
    pub task: String,
    /// What kind of task it is: category, difficulty, repository, keywords. Untrusted text.
    pub tags: Vec<String>,
    /// Endpoint name.
    pub endpoint: String,
    /// Attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Who ended the agent's work; `None` where not recorded.
    pub ended_by: Option<EndedBy>,
    /// One sentence on an error or a limit. Untrusted text.
    pub detail: Option<String>,
    /// Agent start → agent end. Environment set-up and grading are outside it.
    pub wall_ns: u64,
    /// Preparing the task's environment.
    pub setup_ns: u64,
    /// Whether its starting state was there (a copy-on-write layer over an earlier
    /// trial's, a container started ahead) or made while it waited; `None` where not recorded.
    pub warm: Option<bool>,
    /// Running the grader.
    pub grading_ns: u64,
    /// Every stage that occurred; sums to `wall_ns` exactly.
    pub stages: Vec<StageValue>,
    /// The critical path, in order, gap-free from 0 to `wall_ns`.
    pub spans: Vec<Span>,
    /// Model calls, in order.
    pub exchanges: Vec<ExchangeData>,
    /// What was unusual in its exchanges, and how often: kinds of failures, repeated tries
    /// included, remarks, and events of kinds that are not known. Untrusted text.
    pub unusual: BTreeMap<String, u64>,
    /// Plain sum of tool calls, which may overlap: larger than the stage when they do.
    pub tool_sum_ns: u64,
    /// Tool calls made.
    pub tool_calls: u32,
    /// The same by kind; `None` where that was not recorded of each.
    pub calls_by_kind: Option<BTreeMap<ToolKind, u32>>,
    /// What the agent changed; `None` where that could not be seen.
    pub changes: Option<Changes>,
    /// What the author's own solution changes; `None` likewise.
    pub solution_changes: Option<Changes>,
    /// What its client asked, and what lay between its turns.
    pub client: ClientCost,
    /// What the developer did, where the trial is a session.
    pub acts: Vec<Act>,
    /// US dollars for every token of the trial, retries included; `None` when a price or
    /// a usage is unknown.
    pub cost_usd: Option<f64>,
}

impl TrialData {
    /// Whether a fault ended it or it came to no verdict: its times say nothing of how
    /// fast the task is done, as failing at once would look fast.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.outcome == Outcome::Error || self.ended_by.is_some_and(EndedBy::fault)
    }

    /// Whether the endpoint failed it. An older journal does not tell whose fault an error
    /// was: it counts as the endpoint's.
    #[must_use]
    pub fn endpoint_failed(&self) -> bool {
        match self.ended_by {
            Some(by) => by == EndedBy::Endpoint,
            None => self.outcome == Outcome::Error,
        }
    }

    /// Whether it says something of quality: only the harness's own faults do not. An
    /// endpoint that fails has not solved the task.
    #[must_use]
    pub fn judged(&self) -> bool {
        self.outcome != Outcome::Ungraded && self.ended_by != Some(EndedBy::Harness)
    }

    /// Part of `wall_ns` that went into waiting: backoff and tries that gave nothing.
    #[must_use]
    pub fn wait_ns(&self) -> u64 {
        let waits = self
            .stages
            .iter()
            .filter(|value| value.stage.group() == StageGroup::Wait);
        waits.fold(0, |total, value| total.saturating_add(value.ns))
    }

    /// Task time with the waiting taken out.
    #[must_use]
    pub fn wall_without_wait_ns(&self) -> u64 {
        self.wall_ns.saturating_sub(self.wait_ns())
    }
}

/// Which side of the comparison an endpoint is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The path being considered.
    Candidate,
    /// What it is compared with.
    Baseline,
}

impl Role {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Candidate => "candidate",
            Role::Baseline => "baseline",
        }
    }
}

/// One endpoint of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointData {
    /// Name in the configuration.
    pub name: String,
    /// Side of the comparison.
    pub role: Role,
    /// Model id sent on the wire.
    pub model: String,
    /// Wire protocol, e.g. `responses`.
    pub protocol: String,
    /// Transport asked for.
    pub transport: String,
    /// True for the embedded endpoints: every page says so.
    pub simulated: bool,
    /// What it really is, as [`PlannedEndpoint::identity`]; `None` where not known.
    pub identity: Option<PlannedEndpoint>,
    /// Where a simulated profile's figures come from; shown in the report.
    pub notes: Vec<String>,
}

impl EndpointData {
    /// Whether both are really one, of any runs: compared with itself it says nothing of
    /// anything.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunData {
    /// Run id, also its directory's name.
    pub run_id: String,
    /// Start, RFC 3339 UTC.
    pub started_at: String,
    /// Version of timeslip that measured.
    pub timeslip_version: String,
    /// Seed of ordering and of the simulated endpoints.
    pub seed: u64,
    /// How tools ran: `bubblewrap` or `process`.
    pub sandbox: String,
    /// Trials at once.
    pub concurrency: u32,
    /// Trials the plan holds.
    pub planned_trials: usize,
    /// The longest that a trial may take: where times are censored.
    pub trial_limit_ns: u64,
    /// Facts about the machine, as name and value.
    pub environment: Vec<(String, String)>,
    /// Absent when calibration did not run.
    pub calibration: Option<Calibration>,
    /// How long output events of the run lay in the kernel before the client read
    /// them; absent where the kernel does not say.
    pub client_lag: Option<ErrorQuantiles>,
    /// Why the run, or one of its endpoints, must not be relied on; empty for a valid one.
    pub invalid: Vec<Objection>,
    /// Things a reader must know, e.g. an unsandboxed run.
    pub warnings: Vec<String>,
    /// Candidates first.
    pub endpoints: Vec<EndpointData>,
    /// Finished trials, in journal order.
    pub trials: Vec<TrialData>,
}

impl RunData {
    /// The run as if nothing had been measured in it, on no endpoint.
    pub(crate) fn without_trials(&self) -> Self {
        RunData {
            run_id: self.run_id.clone(),
            started_at: self.started_at.clone(),
            timeslip_version: self.timeslip_version.clone(),
            seed: self.seed,
            sandbox: self.sandbox.clone(),
            concurrency: self.concurrency,
            planned_trials: self.planned_trials,
            trial_limit_ns: self.trial_limit_ns,
            environment: self.environment.clone(),
            calibration: self.calibration.clone(),
            client_lag: self.client_lag,
            invalid: self.invalid.clone(),
            warnings: self.warnings.clone(),
            endpoints: Vec::new(),
            trials: Vec::new(),
        }
    }

    /// Why figures of these endpoints must not be relied on. What spoils one endpoint says
    /// nothing of the others.
    #[must_use]
    pub fn objections(&self, endpoints: &[&str]) -> Vec<String> {
        let against = self.invalid.iter().filter(|objection| {
            let one = objection.endpoint.as_deref();
            one.is_none_or(|one| endpoints.contains(&one))
        });
        against.map(|objection| objection.why.clone()).collect()
    }
}

/// Why figures must not be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The endpoint whose figures are meant; `None` for all of the run.
    pub endpoint: Option<String>,
    /// In words.
    pub why: String,
}

impl From<&str> for Objection {
    /// An objection to all of a run.
    fn from(why: &str) -> Self {
        Objection {
            endpoint: None,
            why: why.to_owned(),
        }
    }
}
