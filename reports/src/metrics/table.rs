//! The table of metrics.

use timeslip_datasets::run::journal::{Changes, Outcome, ToolKind};

use super::row::{P50, P95, P99, ROW};
use super::source::Source;
use super::{Better, Metric, Statistic, Unit, real_time};
use crate::data::{ExchangeData, TrialData};
use crate::stages::{Provenance, Stage, StageGroup};
use crate::trial::{group_ns, output_tokens, turns};

use StageGroup::{Decode, Network, Prefill, Queue, Residue};

/// A task's time, agent start to agent end.
pub(crate) const TASK_TIME: Metric = Metric {
    name: "task_time",
    label: "task time",
    unit: Unit::Duration,
    source: Source::Trial(|trial| Some(trial.wall_ns as f64)),
    kept: &[P95],
    key: &[Statistic::Typical],
    within: &StageGroup::ALL,
    ..ROW
};

/// Time to first token.
pub(crate) const TTFT: Metric = Metric {
    name: "ttft",
    label: "TTFT",
    unit: Unit::Duration,
    source: Source::Exchanges(|exchange| exchange.ttft_ns.map(|ns| ns as f64)),
    kept: &[P50, P95, P99],
    key: &[Statistic::Typical, P95],
    instrument: Some(|setting| setting.ttft_error),
    within: &[Network, Queue, Prefill, Residue],
    ..ROW
};

/// Time between two output events.
pub(crate) const INTER_EVENT: Metric = Metric {
    name: "inter_event",
    label: "inter-event gap",
    unit: Unit::Duration,
    source: Source::Gaps,
    instrument: Some(|setting| setting.inter_event_error),
    within: &[Decode],
    ..ROW
};

/// Output tokens per second of decode.
pub(crate) const OUTPUT_RATE: Metric = Metric {
    name: "output_tokens_per_second",
    label: "output rate",
    unit: Unit::Rate,
    better: Better::Higher,
    source: Source::Sums {
        of: |exchange| decoded(exchange).map(|(tokens, ns)| (tokens, ns / 1e9)),
        known: knows_decode,
    },
    key: &[Statistic::Mean],
    ..ROW
};

/// Share of trials resolved.
pub(crate) const RESOLVED: Metric = Metric {
    name: "resolve_rate",
    label: "resolved",
    unit: Unit::Share,
    better: Better::Higher,
    source: Source::Success(|trial| trial.judged().then_some(trial.outcome == Outcome::Resolved)),
    key: &[Statistic::Share],
    ..ROW
};

/// Every metric but the stages, in the order they are shown.
pub static METRICS: &[Metric] = &[
    TASK_TIME,
    Metric {
        name: "task_time_without_wait",
        label: "task time without waiting",
        unit: Unit::Duration,
        source: Source::Trial(|trial| Some(trial.wall_without_wait_ns() as f64)),
        within: &StageGroup::ALL,
        ..ROW
    },
    TTFT,
    INTER_EVENT,
    OUTPUT_RATE,
    Metric {
        name: "tpot",
        label: "time per output token",
        unit: Unit::Duration,
        source: Source::Sums {
            of: |exchange| decoded(exchange).map(|(tokens, ns)| (ns, tokens)),
            known: knows_decode,
        },
        within: &[Decode],
        ..ROW
    },
    Metric {
        name: "token_overhead",
        label: "time per output token beyond the server's own",
        unit: Unit::Duration,
        source: Source::Sums {
            of: beyond_server,
            known: |exchange| knows_decode(exchange) && exchange.reported.decode_ns.is_some(),
        },
        within: &[Decode],
        ..ROW
    },
    Metric {
        name: "round_trip_overhead",
        label: "network time per exchange",
        unit: Unit::Duration,
        source: Source::TrialSums(network_per_exchange),
        within: &[Network],
        ..ROW
    },
    RESOLVED,
    Metric {
        name: "error_rate",
        label: "errors",
        unit: Unit::Share,
        source: Source::Failure(TrialData::failed),
        ..ROW
    },
    Metric {
        name: "cost",
        label: "cost",
        unit: Unit::Dollars,
        source: Source::Trial(|trial| trial.cost_usd),
        ..ROW
    },
    Metric {
        name: "output_tokens",
        label: "output tokens",
        source: Source::Trial(|trial| output_tokens([trial]).map(|sum| sum as f64)),
        ..ROW
    },
    Metric {
        name: "turns",
        label: "turns",
        source: Source::Trial(|trial| Some(f64::from(turns(trial)))),
        ..ROW
    },
    Metric {
        name: "tool_calls",
        label: "tool calls",
        source: Source::Trial(|trial| Some(f64::from(trial.tool_calls))),
        ..ROW
    },
    calls("read_calls", "calls that read", ToolKind::Read),
    calls("search_calls", "calls that search", ToolKind::Search),
    calls("edit_calls", "calls that edit", ToolKind::Edit),
    calls("test_calls", "calls that run tests", ToolKind::Test),
    calls("run_calls", "calls that run something else", ToolKind::Run),
    calls(
        "delegate_calls",
        "calls to other agents",
        ToolKind::Delegate,
    ),
    calls("plan_calls", "calls that plan", ToolKind::Plan),
    calls("web_calls", "calls to the network", ToolKind::Web),
    calls("other_calls", "calls of an unknown kind", ToolKind::Other),
    Metric {
        name: "ran_tests",
        label: "ran tests before the end",
        unit: Unit::Share,
        better: Better::Higher,
        source: Source::TrialSums(|trial| {
            let tests = trial.calls_by_kind.as_ref()?.get(&ToolKind::Test);
            Some((f64::from(u8::from(tests.is_some())), 1.0))
        }),
        ..ROW
    },
    Metric {
        name: "files_changed",
        label: "files changed",
        source: Source::TrialSums(|trial| Some((f64::from(trial.changes?.files), 1.0))),
        ..ROW
    },
    Metric {
        name: "lines_changed",
        label: "lines changed",
        source: Source::TrialSums(|trial| Some((trial.changes?.lines() as f64, 1.0))),
        ..ROW
    },
    Metric {
        name: "files_against_solution",
        label: "files changed ÷ those of the author’s solution",
        source: Source::TrialSums(|trial| against_solution(trial, |of| of.files.into())),
        ..ROW
    },
    Metric {
        name: "lines_against_solution",
        label: "lines changed ÷ those of the author’s solution",
        source: Source::TrialSums(|trial| against_solution(trial, |of| of.lines() as f64)),
        ..ROW
    },
    Metric {
        name: "requests",
        label: "requests",
        source: Source::Trial(|trial| Some(f64::from(trial.client.requests))),
        ..ROW
    },
    Metric {
        name: "side_requests",
        label: "requests beside the work",
        source: Source::Trial(|trial| Some(f64::from(trial.client.side_requests))),
        ..ROW
    },
    Metric {
        name: "connections",
        label: "connections opened",
        source: Source::Trial(|trial| Some(f64::from(trial.client.connections))),
        ..ROW
    },
    Metric {
        name: "request_bytes",
        label: "bytes per request",
        unit: Unit::Bytes,
        source: Source::TrialSums(|trial| trial.client.request_bytes.parts()),
        ..ROW
    },
    Metric {
        name: "prompt_tokens",
        label: "prompt tokens per request",
        source: Source::TrialSums(|trial| trial.client.prompt_tokens.parts()),
        ..ROW
    },
    Metric {
        name: "cached_share",
        label: "cached share of prompt tokens",
        unit: Unit::Share,
        better: Better::Higher,
        source: Source::TrialSums(|trial| {
            let cached = trial.client.cached_prompt_tokens;
            Some((cached.part as f64, cached.whole as f64))
        }),
        ..ROW
    },
    Metric {
        name: "agent_start",
        label: "start of the agent",
        unit: Unit::Duration,
        source: Source::Trial(|trial| {
            let mut stages = trial.stages.iter();
            let start = stages.find(|value| value.stage == Stage::AgentStart)?;
            Some(start.ns as f64)
        }),
        within: &[StageGroup::Harness],
        ..ROW
    },
    Metric {
        name: "between_turns",
        label: "last call to next request",
        unit: Unit::Duration,
        source: Source::TrialSums(|trial| trial.client.between_turns_ns.parts()),
        ..ROW
    },
    Metric {
        name: "turn_overhead",
        label: "last call to next request, without tools",
        unit: Unit::Duration,
        source: Source::TrialSums(|trial| trial.client.turn_overhead_ns.parts()),
        ..ROW
    },
    Metric {
        name: "overhead_before_tools",
        label: "of it before tools",
        unit: Unit::Duration,
        source: Source::TrialSums(|trial| trial.client.before_tools_ns.parts()),
        ..ROW
    },
    Metric {
        name: "overhead_after_tools",
        label: "of it after tools",
        unit: Unit::Duration,
        source: Source::TrialSums(|trial| trial.client.after_tools_ns.parts()),
        ..ROW
    },
    Metric {
        name: "harness_share",
        label: "share of task time that is the harness",
        unit: Unit::Share,
        source: Source::TrialSums(|trial| {
            Some((
                group_ns(trial, StageGroup::Harness) as f64,
                trial.wall_ns as f64,
            ))
        }),
        ..ROW
    },
    Metric {
        name: "cpu_time",
        label: "processor time",
        unit: Unit::Duration,
        source: Source::Trial(|trial| trial.client.cpu_ns.map(|ns| ns as f64)),
        ..ROW
    },
    Metric {
        name: "peak_memory",
        label: "peak memory",
        unit: Unit::Bytes,
        source: Source::Trial(|trial| trial.client.peak_memory_bytes.map(|bytes| bytes as f64)),
        ..ROW
    },
    real_time::FIRST_OUTPUT,
    real_time::ACT_TIME,
    real_time::ACTS_PER_MINUTE,
    real_time::QUIET_STREAM,
    real_time::QUIET_CONFIRMED,
    real_time::QUIET_TOOL,
    real_time::STOPS_APPLIED,
    real_time::STALE_TOKENS,
    real_time::REDIRECT_TIME,
    real_time::SUGGESTION_TIME,
    real_time::SUGGESTIONS_IN_TIME,
    real_time::CANCELLED_PER_ACCEPTED,
    real_time::CHECKS_PASSED,
];

/// Tool calls of a kind.
const fn calls(name: &'static str, label: &'static str, kind: ToolKind) -> Metric {
    Metric {
        name,
        label,
        source: Source::Calls(kind),
        ..ROW
    }
}

/// What was changed, and what the author's solution changes.
fn against_solution(trial: &TrialData, of: fn(Changes) -> f64) -> Option<(f64, f64)> {
    Some((of(trial.changes?), of(trial.solution_changes?)))
}

/// The time of a stage.
pub(super) const fn of_stage(stage: Stage) -> Metric {
    Metric {
        unit: Unit::Duration,
        source: Source::Stage(stage),
        ..ROW
    }
}

/// The time of a group of stages.
pub(super) const fn of_group(group: StageGroup) -> Metric {
    Metric {
        unit: Unit::Duration,
        source: Source::Group(group),
        ..ROW
    }
}

fn knows_decode(exchange: &ExchangeData) -> bool {
    exchange.streamed_tokens.is_some() && exchange.decode_ns.is_some()
}

/// Tokens that decode timed, and its time: the first token ends TTFT.
fn decoded(exchange: &ExchangeData) -> Option<(f64, f64)> {
    let timed = exchange
        .streamed_tokens?
        .checked_sub(1)
        .filter(|n| *n > 0)?;
    let ns = exchange.decode_ns.filter(|ns| *ns > 0)?;
    Some((timed as f64, ns as f64))
}

/// First to last token beyond what the server reports, and the tokens after the first.
fn beyond_server(exchange: &ExchangeData) -> Option<(f64, f64)> {
    let beyond = exchange.decode_ns? as f64 - exchange.reported.decode_ns? as f64;
    let tokens = exchange.streamed_tokens?.checked_sub(1)?;
    Some((beyond, tokens as f64))
}

/// Connecting, sending and the round trip of every exchange, and how many there are;
/// `None` where no round trip is known.
fn network_per_exchange(trial: &TrialData) -> Option<(f64, f64)> {
    let mut stages = trial.stages.iter();
    stages.find(|value| {
        value.stage == Stage::Network && value.provenance != Provenance::Unavailable
    })?;
    let network = trial
        .stages
        .iter()
        .filter(|value| value.stage.group() == Network)
        .map(|value| value.ns as f64);
    Some((network.sum(), trial.exchanges.len() as f64))
}
