//! What a report is computed from: one run, already attributed to stages.
//!
//! The harness fills these from the journal; nothing in this crate knows how a
//! number was taken. Durations are integer nanoseconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{quantile, sorted};

/// Where the time of a trial can go. Exclusive and exhaustive: the stages of a
/// trial sum to its wall time exactly.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Name resolution.
    ConnectDns,
    /// TCP handshake, and the tunnel of a proxy where there is one.
    ConnectTcp,
    /// TLS handshake.
    ConnectTls,
    /// WebSocket upgrade.
    ConnectUpgrade,
    /// Handing the request to the kernel.
    Send,
    /// One round trip inside `sent` → `first_token`.
    Network,
    /// Waiting for the server to begin.
    Queue,
    /// Reading the prompt.
    Prefill,
    /// What of `sent` → `first_token` the three above do not explain.
    Residue,
    /// Streaming reasoning.
    DecodeReasoning,
    /// Streaming text.
    DecodeText,
    /// Streaming tool-call arguments.
    DecodeToolArguments,
    /// `last_token` → `done`.
    Tail,
    /// Starting and tearing down the sandbox around a tool call.
    ToolSandbox,
    /// The command of a tool call itself.
    ToolCommand,
    /// Prompt building, parsing, bookkeeping: everything else.
    Harness,
    /// Rate-limit backoff, retries, permits.
    Wait,
}

/// The coarse group a stage is shown under.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StageGroup {
    /// Connection steps, sending and one round trip per request.
    Network,
    /// Waiting in the server's queue.
    Queue,
    /// Reading the prompt.
    Prefill,
    /// The unexplained part of TTFT.
    Residue,
    /// Streaming output, token by token, and its tail.
    Decode,
    /// Tool calls.
    Tool,
    /// The agent harness itself.
    Harness,
    /// Backoff and retries.
    Wait,
}

impl Stage {
    /// Every stage, in the order reports show them.
    pub const ALL: [Stage; 17] = [
        Stage::ConnectDns,
        Stage::ConnectTcp,
        Stage::ConnectTls,
        Stage::ConnectUpgrade,
        Stage::Send,
        Stage::Network,
        Stage::Queue,
        Stage::Prefill,
        Stage::Residue,
        Stage::DecodeReasoning,
        Stage::DecodeText,
        Stage::DecodeToolArguments,
        Stage::Tail,
        Stage::ToolSandbox,
        Stage::ToolCommand,
        Stage::Harness,
        Stage::Wait,
    ];

    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::ConnectDns => "connect_dns",
            Stage::ConnectTcp => "connect_tcp",
            Stage::ConnectTls => "connect_tls",
            Stage::ConnectUpgrade => "connect_upgrade",
            Stage::Send => "send",
            Stage::Network => "network",
            Stage::Queue => "queue",
            Stage::Prefill => "prefill",
            Stage::Residue => "residue",
            Stage::DecodeReasoning => "decode_reasoning",
            Stage::DecodeText => "decode_text",
            Stage::DecodeToolArguments => "decode_tool_arguments",
            Stage::Tail => "tail",
            Stage::ToolSandbox => "tool_sandbox",
            Stage::ToolCommand => "tool_command",
            Stage::Harness => "harness",
            Stage::Wait => "wait",
        }
    }

    /// The group a stage is shown under.
    #[must_use]
    pub const fn group(self) -> StageGroup {
        match self {
            Stage::ConnectDns
            | Stage::ConnectTcp
            | Stage::ConnectTls
            | Stage::ConnectUpgrade
            | Stage::Send
            | Stage::Network => StageGroup::Network,
            Stage::Queue => StageGroup::Queue,
            Stage::Prefill => StageGroup::Prefill,
            Stage::Residue => StageGroup::Residue,
            Stage::DecodeReasoning
            | Stage::DecodeText
            | Stage::DecodeToolArguments
            | Stage::Tail => StageGroup::Decode,
            Stage::ToolSandbox | Stage::ToolCommand => StageGroup::Tool,
            Stage::Harness => StageGroup::Harness,
            Stage::Wait => StageGroup::Wait,
        }
    }
}

/// How a stage value came to be known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// From the client's own marks.
    Measured,
    /// From a duration the server reported.
    Reported,
    /// Fitted or bounded from other measurements.
    Estimated,
    /// Not known: the time is inside `residue`.
    Unavailable,
}

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
    /// Short human label, e.g. a tool's name. Untrusted text.
    pub label: String,
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

/// What came in one response stream. One event may carry many tokens, one read many
/// events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Events that carried model output.
    pub output_events: u64,
    /// Reads that brought them.
    pub output_reads: u64,
    /// Comments and pings that only keep the connection alive.
    pub keep_alives: u64,
}

/// What the kernel and the protocol know of the connection; each `None` where nothing
/// told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// It was open already.
    pub reused: bool,
    /// Round trip of a WebSocket or HTTP/2 ping.
    pub ping_ns: Option<u64>,
    /// Smallest TCP round trip.
    pub tcp_min_rtt_ns: Option<u64>,
    /// Segments retransmitted.
    pub retransmits: Option<u32>,
    /// Segments received.
    pub segments_in: Option<u32>,
    /// Segments sent.
    pub segments_out: Option<u32>,
    /// Bytes read.
    pub response_bytes: Option<u64>,
}

/// Durations that the server reported, on its own clock; each `None` where it reported
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedTimes {
    /// In its queue.
    pub queue_ns: Option<u64>,
    /// Reading the prompt.
    pub prefill_ns: Option<u64>,
    /// Generating.
    pub decode_ns: Option<u64>,
    /// Request taken → first token.
    pub ttft_ns: Option<u64>,
    /// Request taken → last token.
    pub total_ns: Option<u64>,
}

impl ReportedTimes {
    /// All that it says happened before the first token.
    #[must_use]
    pub fn before_first_token_ns(&self) -> Option<u64> {
        let parts = [self.queue_ns, self.prefill_ns];
        let known = parts.iter().any(Option::is_some);
        let sum = parts.into_iter().flatten().fold(0, u64::saturating_add);
        self.ttft_ns.or(known.then_some(sum))
    }
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
    /// What came in the stream.
    pub stream: StreamCounts,
    /// What the connection did meanwhile.
    pub connection: ConnectionFacts,
    /// What the server says of its own time.
    pub reported: ReportedTimes,
    /// The server reports more time than the client's marks leave room for.
    pub contradicted: bool,
    /// Gaps between consecutive output events. One event may carry many tokens.
    pub inter_event_ns: Vec<u64>,
    /// `first_token` → `last_token`.
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

/// How a trial ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The grader accepted the result.
    Resolved,
    /// The grader rejected the result.
    Unresolved,
    /// The agent ran out of turns or wall-clock time; graded as it stood, and rejected.
    LimitReached,
    /// The endpoint or the sandbox failed; counted as not resolved, shown apart.
    Error,
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
    /// Plain sum of tool calls, which may overlap: larger than the stage when they do.
    pub tool_sum_ns: u64,
    /// Tool calls made.
    pub tool_calls: u32,
    /// US dollars for every token of the trial, retries included; `None` when a price or
    /// a usage is unknown.
    pub cost_usd: Option<f64>,
}

impl TrialData {
    /// Part of `wall_ns` that went into waiting: backoff and tries that gave nothing.
    #[must_use]
    pub fn wait_ns(&self) -> u64 {
        let waits = self
            .stages
            .iter()
            .filter(|value| value.stage == Stage::Wait);
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

/// One endpoint of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Where a simulated profile's figures come from; shown in the report.
    pub notes: Vec<String>,
}

/// The instrument's own error, in nanoseconds, against a server that logs its
/// true emission times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Smallest step of the clock.
    pub clock_resolution_ns: u64,
    /// One entry for each setting it was taken at.
    pub settings: Vec<StreamCalibration>,
}

/// The instrument's own error at one number of concurrent streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamCalibration {
    /// Wire protocol.
    pub protocol: String,
    /// Transport.
    pub transport: String,
    /// Concurrent streams.
    pub streams: u32,
    /// Output events per second the server really sent, over all streams.
    pub events_per_second: u64,
    /// TTFT as measured.
    pub ttft_ns: ErrorQuantiles,
    /// |measured − true| TTFT.
    pub ttft_error: ErrorQuantiles,
    /// Gap between consecutive output events as measured.
    pub inter_event_ns: ErrorQuantiles,
    /// |measured − true| gap between consecutive output events.
    pub inter_event_error: ErrorQuantiles,
    /// |measured − true| end of the stream.
    pub end_error: ErrorQuantiles,
    /// How long output events lay in the kernel before the client read them; absent
    /// where the kernel does not say.
    pub client_lag: Option<ErrorQuantiles>,
    /// How late the client's event loop woke from a timer.
    pub loop_lag: Option<ErrorQuantiles>,
    /// Processor time of the client per output event; absent when the server shared
    /// its process.
    pub cpu_ns_per_event: Option<u64>,
}

/// Where a set of errors lies, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorQuantiles {
    /// How many.
    pub n: usize,
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile, type 7; close to the maximum below 100 values.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl ErrorQuantiles {
    /// Summarises errors in any order; `None` when there are none.
    #[must_use]
    pub fn of(errors: impl IntoIterator<Item = u64>) -> Option<Self> {
        let ascending = sorted(errors.into_iter().map(|error| error as f64));
        let at = |p| quantile(&ascending, p).map(|value| value.round() as u64);
        Some(ErrorQuantiles {
            n: ascending.len(),
            p50_ns: at(0.5)?,
            p99_ns: at(0.99)?,
            max_ns: at(1.0)?,
        })
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
    /// Why the run must not be relied on; empty for a valid one.
    pub invalid: Vec<String>,
    /// Things a reader must know, e.g. an unsandboxed run.
    pub warnings: Vec<String>,
    /// Candidate first.
    pub endpoints: Vec<EndpointData>,
    /// Finished trials, in journal order.
    pub trials: Vec<TrialData>,
}
