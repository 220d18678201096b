//! What can be compared and gated, by name. A new metric is one row of the table here.

use crate::format::{milliseconds, percent, rate};
use crate::input::{ExchangeData, Outcome, Provenance, Stage, StageGroup, TrialData};

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Duration,
    /// Tokens per second.
    Rate,
    /// Between 0 and 1.
    Share,
    /// A plain count.
    Count,
    /// US dollars.
    Dollars,
}

impl Unit {
    /// A value of this unit as people read it.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Duration => milliseconds(value / crate::format::NS_PER_MS),
            Unit::Rate => format!("{}/s", rate(value)),
            Unit::Share => percent(value),
            Unit::Count => rate(value),
            Unit::Dollars => format!("${value:.4}"),
        }
    }
}

/// What one trial says about a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// Values of their own: one for the trial, or one for each exchange or event.
    Values(Vec<f64>),
    /// Two sums whose ratio is the metric, e.g. tokens and seconds.
    Sums(f64, f64),
    /// Whether it succeeded.
    Success(bool),
}

/// How a trial is read.
#[derive(Clone, Copy, Debug)]
enum Source {
    Trial(fn(&TrialData) -> Option<f64>),
    Exchanges(fn(&ExchangeData) -> Option<f64>),
    Gaps,
    Sums(fn(&ExchangeData) -> Option<(f64, f64)>),
    Success(fn(&TrialData) -> bool),
    Stage(Stage),
    Group(StageGroup),
}

/// Something that can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is measured in.
    pub unit: Unit,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    name: &'static str,
    source: Source,
}

const fn lower(name: &'static str, unit: Unit, source: Source) -> Metric {
    Metric {
        unit,
        higher_is_better: false,
        name,
        source,
    }
}

const fn higher(name: &'static str, unit: Unit, source: Source) -> Metric {
    Metric {
        higher_is_better: true,
        ..lower(name, unit, source)
    }
}

/// Every metric but the stages.
const METRICS: [Metric; 12] = [
    lower(
        "task_time",
        Unit::Duration,
        Source::Trial(|trial| Some(trial.wall_ns as f64)),
    ),
    lower(
        "task_time_without_wait",
        Unit::Duration,
        Source::Trial(|trial| Some(trial.wall_without_wait_ns() as f64)),
    ),
    lower(
        "ttft",
        Unit::Duration,
        Source::Exchanges(|exchange| exchange.ttft_ns.map(|ns| ns as f64)),
    ),
    lower("inter_event", Unit::Duration, Source::Gaps),
    higher(
        "output_tokens_per_second",
        Unit::Rate,
        Source::Sums(|exchange| {
            let (tokens, ns) = decoded(exchange)?;
            Some((tokens, ns / 1e9))
        }),
    ),
    lower(
        "tpot",
        Unit::Duration,
        Source::Sums(|exchange| decoded(exchange).map(|(tokens, ns)| (ns, tokens))),
    ),
    higher(
        "resolve_rate",
        Unit::Share,
        Source::Success(|trial| trial.outcome == Outcome::Resolved),
    ),
    lower(
        "error_rate",
        Unit::Share,
        Source::Success(|trial| trial.outcome == Outcome::Error),
    ),
    lower("cost", Unit::Dollars, Source::Trial(|trial| trial.cost_usd)),
    lower(
        "output_tokens",
        Unit::Count,
        Source::Trial(|trial| {
            let tokens = trial.exchanges.iter().filter_map(|e| e.output_tokens);
            tokens.reduce(u64::saturating_add).map(|sum| sum as f64)
        }),
    ),
    lower(
        "turns",
        Unit::Count,
        Source::Trial(|trial| Some(f64::from(crate::summary::turns(trial)))),
    ),
    lower(
        "tool_calls",
        Unit::Count,
        Source::Trial(|trial| Some(f64::from(trial.tool_calls))),
    ),
];

/// Before the name of a stage or a group of stages.
const STAGE: &str = "stage.";

impl Metric {
    /// The metric of that name: one of the registry, `stage.<stage>` or `stage.<group>`.
    /// A group goes before a stage of the same name: it is the whole of it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let Some(stage) = name.strip_prefix(STAGE) else {
            return METRICS.into_iter().find(|metric| metric.name == name);
        };
        let group = StageGroup::ALL.into_iter().find(|g| g.name() == stage);
        let source = match group {
            Some(group) => Source::Group(group),
            None => Source::Stage(Stage::ALL.into_iter().find(|s| s.name() == stage)?),
        };
        Some(lower("", Unit::Duration, source))
    }

    /// Every metric: those of the registry, then the groups of stages.
    pub fn all() -> impl Iterator<Item = Self> {
        let groups = StageGroup::ALL.into_iter().map(Source::Group);
        let groups = groups.map(|group| lower("", Unit::Duration, group));
        METRICS.into_iter().chain(groups)
    }

    /// Every name that [`Metric::find`] knows.
    pub fn names() -> impl Iterator<Item = String> {
        let stages = Stage::ALL
            .into_iter()
            .map(|stage| format!("{STAGE}{}", stage.name()));
        let groups: Vec<String> = Metric::all().map(|metric| metric.name()).collect();
        let stages = stages.filter({
            let groups = groups.clone();
            move |stage| !groups.contains(stage)
        });
        groups.into_iter().chain(stages)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.source {
            Source::Stage(stage) => format!("{STAGE}{}", stage.name()),
            Source::Group(group) => format!("{STAGE}{}", group.name()),
            _ => self.name.to_owned(),
        }
    }

    /// Whether a failed trial, too, says something: it failed.
    #[must_use]
    pub fn counts_failures(&self) -> bool {
        matches!(self.source, Source::Success(_))
    }

    /// Whether it is a time that a stage took: zero in many trials.
    #[must_use]
    pub fn is_stage(&self) -> bool {
        matches!(self.source, Source::Stage(_) | Source::Group(_))
    }

    /// Whether it is a ratio of two sums.
    #[must_use]
    pub fn is_ratio_of_sums(&self) -> bool {
        matches!(self.source, Source::Sums(_))
    }

    /// Whether the parts of a trial that should tell of it do: a server that leaves out
    /// what is slow must not look fast.
    #[must_use]
    pub fn told(&self, trial: &TrialData) -> Told {
        let silent: fn(&ExchangeData) -> bool = match self.source {
            Source::Exchanges(_) => |exchange| exchange.ttft_ns.is_none(),
            Source::Gaps | Source::Sums(_) => {
                |exchange| exchange.streamed_tokens.is_none() || exchange.decode_ns.is_none()
            }
            _ => {
                let missing = usize::from(self.observe(trial).is_none());
                return Told { all: 1, missing };
            }
        };
        Told {
            all: trial.exchanges.len(),
            missing: trial.exchanges.iter().filter(|e| silent(e)).count(),
        }
    }

    /// What a trial says about it; `None` when nothing, e.g. no server told its usage.
    #[must_use]
    pub fn observe(&self, trial: &TrialData) -> Option<Observation> {
        let values = |values: Vec<f64>| (!values.is_empty()).then_some(Observation::Values(values));
        match self.source {
            Source::Trial(of) => of(trial).map(|value| Observation::Values(vec![value])),
            Source::Exchanges(of) => values(trial.exchanges.iter().filter_map(of).collect()),
            Source::Gaps => {
                let gaps = trial.exchanges.iter().flat_map(|e| &e.inter_event_ns);
                values(gaps.map(|ns| *ns as f64).collect())
            }
            Source::Sums(of) => {
                let sums = trial.exchanges.iter().filter_map(of);
                let (above, below) = sums.reduce(|a, b| (a.0 + b.0, a.1 + b.1))?;
                (below > 0.0).then_some(Observation::Sums(above, below))
            }
            Source::Success(of) => Some(Observation::Success(of(trial))),
            Source::Stage(stage) => stage_time(trial, |other| other == stage),
            Source::Group(group) => stage_time(trial, |other| other.group() == group),
        }
    }
}

/// Of how many parts of a trial the metric should tell, and of how many it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Trials, or their exchanges.
    pub all: usize,
    /// Those that say nothing.
    pub missing: usize,
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

/// `None` where nobody could tell: the time is inside the residue then. A stage that did
/// not occur took no time.
fn stage_time(trial: &TrialData, holds: impl Fn(Stage) -> bool) -> Option<Observation> {
    let parts = || trial.stages.iter().filter(|value| holds(value.stage));
    if parts().any(|part| part.provenance == Provenance::Unavailable) {
        return None;
    }
    let ns = parts().fold(0_u64, |sum, value| sum.saturating_add(value.ns));
    Some(Observation::Sums(ns as f64, 1.0))
}
