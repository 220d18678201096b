//! The metrics of the real-time mode: what the acts of a session say.

use timeslip_datasets::run::journal::{Act, ActKind, Race};

use super::row::{P50, P95, ROW};
use super::source::Source;
use super::{Better, Metric, Statistic, Unit};
use crate::acts::{self, Boundary};
use crate::data::TrialData;

/// A time of every act that it is asked of.
const fn duration(
    name: &'static str,
    label: &'static str,
    of: fn(&Act) -> Option<u64>,
    asked: fn(&Act) -> bool,
) -> Metric {
    Metric {
        name,
        label,
        unit: Unit::Duration,
        source: Source::Acts { of, asked },
        kept: &[P50, P95],
        ..ROW
    }
}

/// An act's time, from the developer's beginning to the end of its answer.
pub(crate) const ACT_TIME: Metric = Metric {
    kept: &[Statistic::Mean, P95],
    ..duration("act_time", "time per act", acts::act_time, acts::has_answer)
};

/// From an ask to the first useful output of its answer.
pub(super) const FIRST_OUTPUT: Metric = Metric {
    key: &[Statistic::Typical],
    ..duration(
        "first_output",
        "ask to first useful output",
        acts::first_output,
        |act| act.kind == ActKind::Ask && act.marks.told.is_some(),
    )
};

/// Acts with an answer, a minute of their session.
pub(super) const ACTS_PER_MINUTE: Metric = Metric {
    name: "acts_per_minute",
    label: "acts per minute",
    better: Better::Higher,
    source: Source::TrialSums(acts_and_minutes),
    ..ROW
};

/// From a stop to the last event of the old answer.
pub(super) const QUIET_STREAM: Metric = duration(
    "quiet_stream",
    "stop to last event",
    |act| acts::quiet(act, Boundary::Stream),
    |act| acts::has_boundary(act, Boundary::Stream),
);

/// From a stop to its confirmation.
pub(super) const QUIET_CONFIRMED: Metric = duration(
    "quiet_confirmed",
    "stop to confirmation",
    |act| acts::quiet(act, Boundary::Confirmation),
    |act| acts::has_boundary(act, Boundary::Confirmation),
);

/// From a stop to the end of the running tool.
pub(super) const QUIET_TOOL: Metric = duration(
    "quiet_tool",
    "stop to tool gone",
    |act| acts::quiet(act, Boundary::Tool),
    |act| acts::has_boundary(act, Boundary::Tool),
);

/// Share of stops that cut their answer.
pub(super) const STOPS_APPLIED: Metric = Metric {
    name: "stops_applied",
    label: "stops that cut the answer",
    unit: Unit::Share,
    better: Better::Higher,
    source: Source::TrialSums(stops_applied),
    ..ROW
};

/// Tokens of the old answer after a stop.
pub(super) const STALE_TOKENS: Metric = Metric {
    name: "stale_tokens",
    label: "tokens after a stop",
    source: Source::Acts {
        of: |act| acts::stopped(act).then(|| act.counts.stale_tokens.into()),
        asked: acts::stopped,
    },
    kept: &[Statistic::Mean],
    ..ROW
};

/// From a redirection to the first output of the new way.
pub(super) const REDIRECT_TIME: Metric = duration(
    "redirect_time",
    "redirection to first output of the new way",
    acts::redirected,
    |act| act.kind == ActKind::Steer && acts::stopped(act),
);

/// From the last key to the first text of a suggestion.
pub(super) const SUGGESTION_TIME: Metric = duration(
    "suggestion_time",
    "last key to suggestion",
    acts::suggestion,
    |act| act.marks.last_keystroke.is_some(),
);

/// Share of suggestions that came before the next key.
pub(super) const SUGGESTIONS_IN_TIME: Metric = Metric {
    name: "suggestions_in_time",
    label: "suggestions before the next key",
    unit: Unit::Share,
    better: Better::Higher,
    source: Source::TrialSums(|trial| Some(suggestions_in_time(trial))),
    ..ROW
};

/// Requests that later keys made pointless, an accepted suggestion.
pub(super) const CANCELLED_PER_ACCEPTED: Metric = Metric {
    name: "cancelled_per_accepted",
    label: "cancelled requests per accepted suggestion",
    source: Source::TrialSums(cancelled_per_accepted),
    ..ROW
};

/// Share of checks after acts that passed.
pub(super) const CHECKS_PASSED: Metric = Metric {
    name: "checks_passed",
    label: "acts whose check passed",
    unit: Unit::Share,
    better: Better::Higher,
    source: Source::TrialSums(checks_passed),
    key: &[Statistic::Mean],
    ..ROW
};

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
