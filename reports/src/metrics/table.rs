//! The table of metrics.

use timeslip_datasets::run::journal::{Act, ActKind, Outcome, Race};

use super::source::Source;
use super::{Better, Metric, Statistic, Unit};
use crate::acts::{self, Boundary};
use crate::data::{ExchangeData, TrialData};
use crate::stages::{Provenance, Stage, StageGroup};
use crate::trial::{group_ns, output_tokens, turns};

use StageGroup::{Decode, Network, Prefill, Queue, Residue};

const P50: Statistic = Statistic::Quantile(50);
const P95: Statistic = Statistic::Quantile(95);
const P99: Statistic = Statistic::Quantile(99);

/// What most rows have in common.
const ROW: Metric = Metric {
    name: "",
    label: "",
    unit: Unit::Count,
    better: Better::Lower,
    source: Source::Gaps,
    kept: &[],
    key: &[],
    instrument: None,
    within: &[],
};

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

/// An act's time, from the developer's beginning to the end of its answer.
pub(crate) const ACT_TIME: Metric = Metric {
    name: "act_time",
    label: "time per act",
    unit: Unit::Duration,
    source: Source::Acts {
        of: |act| ns(acts::act_time(act)),
        asked: acts::has_answer,
    },
    kept: &[Statistic::Mean, P95],
    ..ROW
};

/// A time to quiet after a stop.
const QUIET: Metric = Metric {
    unit: Unit::Duration,
    kept: &[P50, P95],
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
        source: Source::TrialSums(|trial| trial.client.request_bytes.parts()),
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
        name: "first_output",
        label: "ask to first useful output",
        unit: Unit::Duration,
        source: Source::Acts {
            of: |act| ns(acts::first_output(act)),
            asked: |act| act.kind == ActKind::Ask && act.marks.told.is_some(),
        },
        kept: &[P50, P95],
        key: &[Statistic::Typical],
        ..ROW
    },
    ACT_TIME,
    Metric {
        name: "acts_per_minute",
        label: "acts per minute",
        better: Better::Higher,
        source: Source::TrialSums(acts_and_minutes),
        ..ROW
    },
    Metric {
        name: "quiet_stream",
        label: "stop to last event",
        source: Source::Acts {
            of: |act| ns(acts::quiet(act, Boundary::Stream)),
            asked: |act| acts::has_boundary(act, Boundary::Stream),
        },
        ..QUIET
    },
    Metric {
        name: "quiet_confirmed",
        label: "stop to confirmation",
        source: Source::Acts {
            of: |act| ns(acts::quiet(act, Boundary::Confirmation)),
            asked: |act| acts::has_boundary(act, Boundary::Confirmation),
        },
        ..QUIET
    },
    Metric {
        name: "quiet_tool",
        label: "stop to tool gone",
        source: Source::Acts {
            of: |act| ns(acts::quiet(act, Boundary::Tool)),
            asked: |act| acts::has_boundary(act, Boundary::Tool),
        },
        ..QUIET
    },
    Metric {
        name: "stops_applied",
        label: "stops that cut the answer",
        unit: Unit::Share,
        better: Better::Higher,
        source: Source::TrialSums(stops_applied),
        ..ROW
    },
    Metric {
        name: "stale_tokens",
        label: "tokens after a stop",
        source: Source::Acts {
            of: |act| acts::stopped(act).then(|| f64::from(act.counts.stale_tokens)),
            asked: acts::stopped,
        },
        kept: &[Statistic::Mean],
        ..ROW
    },
    Metric {
        name: "redirect_time",
        label: "redirection to first output of the new way",
        unit: Unit::Duration,
        source: Source::Acts {
            of: |act| ns(acts::redirected(act)),
            asked: |act| act.kind == ActKind::Steer && acts::stopped(act),
        },
        kept: &[P50, P95],
        ..ROW
    },
    Metric {
        name: "suggestion_time",
        label: "last key to suggestion",
        unit: Unit::Duration,
        source: Source::Acts {
            of: |act| ns(acts::suggestion(act)),
            asked: |act| act.marks.last_keystroke.is_some(),
        },
        kept: &[P50, P95],
        ..ROW
    },
    Metric {
        name: "suggestions_in_time",
        label: "suggestions before the next key",
        unit: Unit::Share,
        better: Better::Higher,
        source: Source::TrialSums(|trial| Some(suggestions_in_time(trial))),
        ..ROW
    },
    Metric {
        name: "cancelled_per_accepted",
        label: "cancelled requests per accepted suggestion",
        source: Source::TrialSums(cancelled_per_accepted),
        ..ROW
    },
    Metric {
        name: "checks_passed",
        label: "acts whose check passed",
        unit: Unit::Share,
        better: Better::Higher,
        source: Source::TrialSums(checks_passed),
        key: &[Statistic::Mean],
        ..ROW
    },
];

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

fn ns(duration: Option<u64>) -> Option<f64> {
    duration.map(|ns| ns as f64)
}

/// How many acts of a session `holds` is true of.
fn count(trial: &TrialData, holds: impl Fn(&Act) -> bool) -> f64 {
    trial.acts.iter().filter(|act| holds(act)).count() as f64
}

/// Acts with an answer, and the minutes of their session.
fn acts_and_minutes(trial: &TrialData) -> Option<(f64, f64)> {
    let answered = count(trial, acts::has_answer);
    (answered > 0.0).then_some((answered, trial.wall_ns as f64 / 60e9))
}

/// Stops that cut their answer, and all that had something to stop.
fn stops_applied(trial: &TrialData) -> Option<(f64, f64)> {
    let applied = |act: &Act| acts::stopped(act) && act.race == Some(Race::Applied);
    Some((count(trial, applied), count(trial, acts::stopped)))
}

fn suggestions_in_time(trial: &TrialData) -> (f64, f64) {
    let keys = trial.acts.iter().map(acts::in_time);
    keys.fold((0.0, 0.0), |(shown, asked), [a, b]| {
        (shown + f64::from(a), asked + f64::from(b))
    })
}

/// Requests that later keys made pointless, and suggestions that were taken over.
fn cancelled_per_accepted(trial: &TrialData) -> Option<(f64, f64)> {
    let typed = trial.acts.iter().filter(|act| act.kind == ActKind::Type);
    let cancelled = typed.map(|act| f64::from(act.counts.cancelled)).sum();
    let accepted = count(trial, |act| act.kind == ActKind::Accept);
    Some((cancelled, accepted))
}

/// Checks that passed, and all that were made.
fn checks_passed(trial: &TrialData) -> Option<(f64, f64)> {
    let passed = |act: &Act| act.check.as_ref().is_some_and(|check| check.passed);
    Some((
        count(trial, passed),
        count(trial, |act| act.check.is_some()),
    ))
}
