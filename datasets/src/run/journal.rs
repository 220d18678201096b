//! `journal.jsonl`, the run's journal: one JSON object a line, appended and never rewritten.
//!
//! The first line is a [`Header`]; every later line is a [`Record`]. A trial is
//! finished when its [`TrialFinished`] line is whole; lines of a trial that never
//! finished belong to an attempt that was cut off and are ignored by readers.
//! Times are integer nanoseconds from the start of the trial they belong to, on
//! the client's monotonic clock, so trials from several machines can be
//! put side by side. A mark that did not happen is absent, never zero.

mod act;
mod ended_by;
mod events;
mod read;
mod write;

pub use act::{Act, ActCheck, ActCounts, ActKind, ActMarks, ExchangeEnd, Keystroke, Race, StopWay};
pub use ended_by::EndedBy;
pub use events::{EventColumns, EventKind, StreamEvent};
pub use read::{Journal, ReadError, Trial};
pub use write::Writer;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// First line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the line format.
    pub timeslip_journal: u32,
    /// The run this journal belongs to.
    pub run_id: String,
}

/// Identity of a trial: what was attempted, where, and which time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrialKey {
    /// Suite name.
    pub suite: String,
    /// Task id within the suite.
    pub task: String,
    /// Endpoint name.
    pub endpoint: String,
    /// Attempt, from 1.
    pub attempt: u32,
}

impl std::fmt::Display for TrialKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.suite, self.task, self.endpoint, self.attempt
        )
    }
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The trial this line is about.
    pub trial: TrialKey,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a journal line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The agent got the task; offset 0 of every other time of the trial.
    TrialStarted(TrialStarted),
    /// A model call ended, well or badly.
    Exchange(Box<Exchange>),
    /// A tool call ended.
    Tool(Tool),
    /// A real agent's process ended.
    AgentRun(AgentRun),
    /// An act of a developer is over, in a session of the real-time mode.
    Act(Box<Act>),
    /// The trial is over and graded.
    TrialFinished(TrialFinished),
}

/// The agent got the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialStarted {
    /// Wall-clock time, RFC 3339 UTC: for people, never for durations.
    pub at: String,
    /// How long preparing the environment took, before the trial's clock began.
    pub setup_ns: u64,
    /// What that began from; absent where it failed, and in older journals.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warmth: Option<Warmth>,
}

/// What a trial's environment is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmth {
    /// Its starting state was made while it waited: checked out, built, unpacked, or a
    /// container started.
    Cold,
    /// Its starting state was there: a copy-on-write layer over an earlier trial's, or a
    /// container started ahead.
    Warm,
}

/// Marks of one exchange, as defined in the measurement contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The agent asks for a model call.
    pub start: u64,
    /// The end of the previous answer's body was read, or no longer waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled: Option<u64>,
    /// The server refused to upgrade the first connection; the marks from `dns` to
    /// `upgraded` are of the second one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgrade_refused: Option<u64>,
    /// Name resolved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dns: Option<u64>,
    /// TCP connected, to the proxy where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tcp: Option<u64>,
    /// A proxy opened the tunnel; absent on a direct way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proxy: Option<u64>,
    /// TLS handshake done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tls: Option<u64>,
    /// WebSocket upgrade done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgraded: Option<u64>,
    /// Last request byte handed to the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent: Option<u64>,
    /// First response byte.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_byte: Option<u64>,
    /// First protocol event that is not model output.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub admitted: Option<u64>,
    /// First event carrying model output of any kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token: Option<u64>,
    /// Last event carrying model output.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_token: Option<u64>,
    /// What came last of an answer that is whole but whose end did not come; from here to
    /// `done` the end was awaited in vain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub whole: Option<u64>,
    /// Terminal event parsed, or the failure noticed, or the end no longer waited for.
    pub done: u64,
}

/// Token counts by the server's own usage report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Prompt tokens served from cache.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning_tokens: Option<u64>,
    /// The count that the server left out: here it is 0 and means nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<MissingCount>,
}

/// A count that a usage report has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingCount {
    /// Of the prompt.
    Input,
    /// Of the output.
    Output,
}

impl Usage {
    /// Prompt tokens, where the server says.
    #[must_use]
    pub fn input(&self) -> Option<u64> {
        (self.missing != Some(MissingCount::Input)).then_some(self.input_tokens)
    }

    /// Output tokens, where the server says.
    #[must_use]
    pub fn output(&self) -> Option<u64> {
        (self.missing != Some(MissingCount::Output)).then_some(self.output_tokens)
    }

    /// How the report contradicts itself: no cost and no fit can be made of one that does.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let exceeds = |part: Option<u64>, whole: Option<u64>| {
            Some((part?, whole?)).filter(|(part, whole)| part > whole)
        };
        if let Some((cached, input)) = exceeds(self.cached_tokens, self.input()) {
            return Some(format!("{cached} cached of {input} prompt tokens"));
        }
        let (reasoning, output) = exceeds(self.reasoning_tokens, self.output())?;
        Some(format!("{reasoning} reasoning of {output} output tokens"))
    }
}

/// Durations the server reported about one exchange; never subtracted across clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Round trip of the link in front of the server.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link_ns: Option<u64>,
    /// Time in the server's queue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue_ns: Option<u64>,
    /// Time reading the prompt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prefill_ns: Option<u64>,
    /// Time generating.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decode_ns: Option<u64>,
    /// Request taken → first token, on the server's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttft_ns: Option<u64>,
    /// Request taken → last token, on the server's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_ns: Option<u64>,
}

impl Reported {
    /// All that the server says happened before the first token.
    #[must_use]
    pub fn before_first_token_ns(&self) -> Option<u64> {
        let parts = [self.queue_ns, self.prefill_ns];
        let known = parts.iter().any(Option::is_some);
        let sum = parts.into_iter().flatten().fold(0, u64::saturating_add);
        self.ttft_ns.or(known.then_some(sum))
    }

    /// Takes over every duration `other` knows.
    pub fn merge(&mut self, other: &Reported) {
        self.link_ns = other.link_ns.or(self.link_ns);
        self.queue_ns = other.queue_ns.or(self.queue_ns);
        self.prefill_ns = other.prefill_ns.or(self.prefill_ns);
        self.decode_ns = other.decode_ns.or(self.decode_ns);
        self.ttft_ns = other.ttft_ns.or(self.ttft_ns);
        self.total_ns = other.total_ns.or(self.total_ns);
    }
}

/// What the kernel knew of the connection when the exchange ended (`TCP_INFO`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSample {
    /// Smallest round trip seen on this connection.
    pub min_rtt_ns: u64,
    /// Smoothed round trip.
    pub rtt_ns: u64,
    /// Segments retransmitted in this exchange.
    pub retransmits: u32,
    /// Segments received in this exchange, acknowledgements included.
    #[serde(default)]
    pub segments_in: u32,
    /// Of these, the ones that brought bytes.
    #[serde(default)]
    pub data_segments_in: u32,
    /// Segments sent in this exchange, acknowledgements included.
    #[serde(default)]
    pub segments_out: u32,
}

/// What came in one response stream, by what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamShape {
    /// Payloads of the protocol, whatever they carry.
    pub payloads: u32,
    /// Keep-alives: comments of the stream, pings of the protocol.
    pub keep_alives: u32,
    /// Arrivals that brought at least one output event. Fewer than output events when
    /// several arrived together.
    pub output_reads: u32,
    /// Output events whose time may be too late, because a late read found their segment
    /// merged with a younger one, whose stamp it has.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub merged: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Who says when bytes arrived, the least exact first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum StampSource {
    /// The moment at which they were read.
    Read,
    /// The kernel's stamp on a read: the time of its youngest segment.
    Receive,
    /// The captured headers of their packets: a time for every segment.
    #[default]
    Capture,
}

impl StampSource {
    /// All there are, the least exact first.
    pub const ALL: [StampSource; 3] = [Self::Read, Self::Receive, Self::Capture];

    /// Its name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            StampSource::Read => "read",
            StampSource::Receive => "receive",
            StampSource::Capture => "capture",
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            StampSource::Read => "the reads",
            StampSource::Receive => "the kernel's stamp of each read",
            StampSource::Capture => "the captured headers of packets",
        }
    }
}

/// A tool call of an answer, and when all of it had come: whoever runs it may begin then,
/// while the answer goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallArrival {
    /// The model's id for the call. Untrusted.
    pub call_id: String,
    /// Tool name as the model wrote it. Untrusted.
    pub name: String,
    /// What came last that belongs to this call alone: its announcement, its arguments, or
    /// their end.
    pub at: u64,
}

/// One request and its response stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Turn, from 1, of its agent; 0 for a warm-up and for what is beside the conversation.
    pub turn: u32,
    /// The agent, from 0, of a recording in which agents are told apart.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<u32>,
    /// What it is for, where it is beside the conversation: `title`, `compaction` …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub side: Option<String>,
    /// The server was only asked to read ahead of the first turn: no output is expected.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub warm_up: bool,
    /// 0 for the first try of this turn, then one more for every retry.
    pub retry: u32,
    /// The transport really used.
    pub transport: String,
    /// The lane of a connection shared with other conversations. What cannot be told
    /// apart there is absent: bytes, segments and the kernel's view of the connection.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lane: Option<String>,
    /// True when the connection was open already.
    pub reused_connection: bool,
    /// True when the messages of a WebSocket were compressed, as the server agreed to.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub compressed: bool,
    /// True when only the new input was sent, on top of a previous response.
    pub incremental: bool,
    /// The number of the developer's act that it answers, in a session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<u32>,
    /// Why it ended before its answer was whole, where that was wanted. It is no failure
    /// then: `error` is absent, and `usage` is what the server said before, as a rule
    /// nothing. `marks.done` is when nothing more of it was waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_by: Option<ExchangeEnd>,
    /// The number of the act that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_by_act: Option<u32>,
    /// The marks.
    pub marks: Marks,
    /// Every output event, in order.
    pub events: EventColumns,
    /// The tool calls of the answer, in order; absent in older journals.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub calls: Vec<CallArrival>,
    /// What else the stream carried.
    #[serde(default)]
    pub shape: StreamShape,
    /// Who says when its output arrived, the least exact of all that did; absent without
    /// output.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stamped_by: Option<StampSource>,
    /// Events of kinds that are not known, by name. Untrusted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub unknown: BTreeMap<String, u32>,
    /// What was unusual on its way, a sentence each. Untrusted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub remarks: Vec<String>,
    /// Output tokens that the server counted before it showed any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hidden_tokens: Option<u64>,
    /// Usage, when the server gave it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Usage>,
    /// Server-side durations, when the server gave them.
    #[serde(default)]
    pub reported: Reported,
    /// Kernel view of the connection, where the platform has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tcp: Option<TcpSample>,
    /// Ping round trip (WebSocket or HTTP/2) taken during this exchange.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ping_ns: Option<u64>,
    /// Bytes written for the request, framing and encryption included; absent when no
    /// connection was opened, or when it was shared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_bytes: Option<u64>,
    /// Bytes read for the response, framing and encryption included; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_bytes: Option<u64>,
    /// The server's id for the response, to match its own logs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_id: Option<String>,
    /// Model the server says it ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub served_model: Option<String>,
    /// Service tier the server says it used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub served_tier: Option<String>,
    /// Speed mode the server says it used, e.g. `fast`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub served_speed: Option<String>,
    /// Why the server cut its answer short, e.g. at its output limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// Why the exchange failed; absent when it completed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Backoff slept after this exchange before the next try.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backoff_until: Option<u64>,
    /// What the request said, in `bodies.jsonl`: its SHA-256 in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request_body: Option<String>,
    /// What the response said, likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub response_body: Option<String>,
}

/// Bytes that a token of reasoning has at least, on the average of any text.
const BYTES_PER_TOKEN: u64 = 2;

impl Exchange {
    /// Whether the reasoning that the server counted came as events. Of some only a summary
    /// is shown, which is far shorter than its tokens.
    #[must_use]
    pub fn shows_reasoning(&self) -> bool {
        let events = self.events.as_slice().iter();
        let shown = events.filter(|event| event.kind == EventKind::Reasoning);
        let bytes: u64 = shown.map(|event| u64::from(event.bytes)).sum();
        let counted = self.usage.and_then(|usage| usage.reasoning_tokens);
        bytes >= counted.unwrap_or(0).saturating_mul(BYTES_PER_TOKEN)
    }

    /// Output tokens that came as events. What the server kept to itself is used but not
    /// streamed: tokens counted before the first event, whose time is inside TTFT, and those
    /// of reasoning that is not shown, or only as a summary, are not counted.
    #[must_use]
    pub fn streamed_tokens(&self) -> Option<u64> {
        let usage = self.usage?;
        let hidden = usage.reasoning_tokens.filter(|_| !self.shows_reasoning());
        let hidden = hidden.unwrap_or(0);
        let hidden = hidden.max(self.hidden_tokens.unwrap_or(0));
        Some(usage.output()?.saturating_sub(hidden))
    }
}

/// One tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Turn, from 1, of the agent.
    pub turn: u32,
    /// The agent, from 0, of a recording in which there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<u32>,
    /// The agent that the call began, or for which it waited: its time is that agent's work.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub began: Option<u32>,
    /// The model's id for the call.
    pub call_id: String,
    /// Tool name as the model wrote it. Untrusted.
    pub name: String,
    /// Call began; of a recorded agent, the call's own last byte was delivered.
    pub start: u64,
    /// The command itself began, inside the sandbox.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command_start: Option<u64>,
    /// The command itself ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command_end: Option<u64>,
    /// Result ready for the model; of a recorded agent, the request that brings it began.
    pub end: u64,
    /// For how much of that time the answer that made the call still came, where an agent
    /// need not wait for its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overlap_ns: Option<u64>,
    /// How long the agent itself says that the tool took.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reported_ns: Option<u64>,
    /// For how long, while it ran, at least one process of this machine waited for a core;
    /// absent where the kernel does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores_waited_for_ns: Option<u64>,
    /// How it ended: `exit 0`, `timed out after 5 s`, `refused` …
    pub status: String,
    /// Bytes the command wrote, before any cut.
    pub output_bytes: u64,
}

/// One run of a real agent's process; the built-in agent has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// Its sandbox was asked to start.
    pub start: u64,
    /// The agent's own command began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command_start: Option<u64>,
    /// The first byte of its first request came, of any kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_request: Option<u64>,
    /// The agent's own command ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command_end: Option<u64>,
    /// Nothing of it was left.
    pub end: u64,
    /// How it ended: `exit 0`, `signal 9` …
    pub status: String,
    /// Bytes it printed.
    pub output_bytes: u64,
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
    /// The agent met a limit; graded as it stood, and rejected.
    LimitReached,
    /// The endpoint failed before the grader accepted what was left, or there is no
    /// verdict; counted as not resolved, shown apart.
    Error,
    /// Nobody graded it: a recording of somebody's own work.
    Ungraded,
}

impl Outcome {
    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Resolved => "resolved",
            Outcome::Unresolved => "unresolved",
            Outcome::LimitReached => "limit_reached",
            Outcome::Error => "error",
            Outcome::Ungraded => "ungraded",
        }
    }

    /// The word used in tables for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::LimitReached => "limit reached",
            other => other.name(),
        }
    }
}

/// The trial is over and graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialFinished {
    /// Verdict.
    pub outcome: Outcome,
    /// Who ended the agent's work; absent in older journals.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_by: Option<EndedBy>,
    /// One sentence on an error, a limit or the grader's finding. Untrusted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// Agent start → agent end.
    pub wall_ns: u64,
    /// Duration of grading, while the trial's clock stood still.
    pub grading_ns: u64,
    /// Reward the verifier gave, for suites that have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reward: Option<f64>,
    /// Tests that should have passed and did not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed_tests: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_that_was_not_streamed_is_not_counted_as_streamed() {
        let mut exchange = Exchange {
            usage: Some(Usage {
                output_tokens: 600,
                reasoning_tokens: Some(500),
                ..Usage::default()
            }),
            ..Exchange::default()
        };
        let event = |at, kind| StreamEvent {
            at,
            kind,
            bytes: 4,
            tokens: None,
            lag_ns: None,
        };
        exchange.events.push(event(1, EventKind::Text));
        assert_eq!(exchange.streamed_tokens(), Some(100));
        exchange.events.push(event(2, EventKind::Reasoning));
        assert_eq!(exchange.streamed_tokens(), Some(100), "a summary");
        for at in 3..253 {
            exchange.events.push(event(at, EventKind::Reasoning));
        }
        assert_eq!(exchange.streamed_tokens(), Some(600));
        exchange.hidden_tokens = Some(20);
        assert_eq!(exchange.streamed_tokens(), Some(580));
        exchange.usage = None;
        assert_eq!(exchange.streamed_tokens(), None);
    }
}
