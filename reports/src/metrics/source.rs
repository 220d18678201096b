//! How a metric is read from a trial.

use timeslip_datasets::run::journal::{Act, ToolKind};

use crate::data::{ExchangeData, TrialData};
use crate::stages::{Provenance, Stage, StageGroup};

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

/// Of how many parts of a trial a metric should tell, and of how many it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Trials, or their exchanges or acts.
    pub all: usize,
    /// Those that say nothing.
    pub missing: usize,
}

/// How a trial is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A value for the trial.
    Trial(fn(&TrialData) -> Option<f64>),
    /// A value for each exchange.
    Exchanges(fn(&ExchangeData) -> Option<f64>),
    /// A value for each act of a session.
    Acts {
        /// The act's value: nanoseconds, or a count.
        of: fn(&Act) -> Option<u64>,
        /// Whether it should have one.
        asked: fn(&Act) -> bool,
    },
    /// The gaps between output events.
    Gaps,
    /// Two sums over exchanges.
    Sums {
        /// The exchange's part of both.
        of: fn(&ExchangeData) -> Option<(f64, f64)>,
        /// Whether the exchange tells what the sums are made of.
        known: fn(&ExchangeData) -> bool,
    },
    /// Two sums over trials.
    TrialSums(fn(&TrialData) -> Option<(f64, f64)>),
    /// Tool calls of a kind.
    Calls(ToolKind),
    /// Whether the trial succeeded, where that can be said.
    Success(fn(&TrialData) -> Option<bool>),
    /// Whether it failed.
    Failure(fn(&TrialData) -> bool),
    /// The time of a stage.
    Stage(Stage),
    /// The time of a group of stages.
    Group(StageGroup),
}

impl Source {
    pub(super) fn coverage(self, trial: &TrialData) -> Coverage {
        let missing = match self {
            Source::Acts { of, asked } => {
                let asked: Vec<&Act> = trial.acts.iter().filter(|act| asked(act)).collect();
                return Coverage {
                    all: asked.len(),
                    missing: asked.iter().filter(|act| of(act).is_none()).count(),
                };
            }
            Source::Exchanges(of) => trial.exchanges.iter().filter(|e| of(e).is_none()).count(),
            Source::Gaps => {
                let silent =
                    |e: &&ExchangeData| e.streamed_tokens.is_none() || e.decode_ns.is_none();
                trial.exchanges.iter().filter(silent).count()
            }
            Source::Sums { known, .. } => trial.exchanges.iter().filter(|e| !known(e)).count(),
            _ => {
                let missing = usize::from(self.observe(trial).is_none());
                return Coverage { all: 1, missing };
            }
        };
        Coverage {
            all: trial.exchanges.len(),
            missing,
        }
    }

    pub(super) fn observe(self, trial: &TrialData) -> Option<Observation> {
        match self {
            Source::Trial(_) | Source::Exchanges(_) | Source::Acts { .. } | Source::Gaps => {
                let values = self.values(trial);
                (!values.is_empty()).then_some(Observation::Values(values))
            }
            Source::Sums { of, .. } => {
                let sums = trial.exchanges.iter().filter_map(of);
                ratio(sums.reduce(|a, b| (a.0 + b.0, a.1 + b.1))?)
            }
            Source::TrialSums(of) => ratio(of(trial)?),
            Source::Calls(kind) => {
                let calls = trial.calls_by_kind.as_ref()?.get(&kind);
                ratio((f64::from(calls.copied().unwrap_or(0)), 1.0))
            }
            Source::Success(of) => of(trial).map(Observation::Success),
            Source::Failure(of) => Some(Observation::Success(of(trial))),
            Source::Stage(stage) => stage_time(trial, |other| other == stage),
            Source::Group(group) => stage_time(trial, |other| other.group() == group),
        }
    }

    pub(super) fn values(self, trial: &TrialData) -> Vec<f64> {
        match self {
            Source::Trial(of) => of(trial).into_iter().collect(),
            Source::Exchanges(of) => trial.exchanges.iter().filter_map(of).collect(),
            Source::Acts { of, .. } => {
                let values = trial.acts.iter().filter_map(of);
                values.map(|value| value as f64).collect()
            }
            Source::Gaps => {
                let gaps = trial.exchanges.iter().flat_map(|e| e.inter_event_ns.iter());
                gaps.map(|ns| ns as f64).collect()
            }
            Source::Sums { of, .. } => {
                let sums = trial.exchanges.iter().filter_map(of);
                sums.filter(|(_, below)| *below > 0.0)
                    .map(|(above, below)| above / below)
                    .collect()
            }
            Source::TrialSums(_) | Source::Calls(_) | Source::Stage(_) | Source::Group(_) => {
                match self.observe(trial) {
                    Some(Observation::Sums(above, below)) => vec![above / below],
                    _ => Vec::new(),
                }
            }
            Source::Success(of) => of(trial)
                .map(|of| f64::from(u8::from(of)))
                .into_iter()
                .collect(),
            Source::Failure(of) => vec![f64::from(u8::from(of(trial)))],
        }
    }
}

fn ratio((above, below): (f64, f64)) -> Option<Observation> {
    (below > 0.0).then_some(Observation::Sums(above, below))
}

/// `None` where the stage is not known: its time is inside `residue` then. A stage that did
/// not occur took no time.
fn stage_time(trial: &TrialData, holds: impl Fn(Stage) -> bool) -> Option<Observation> {
    let parts = || trial.stages.iter().filter(|value| holds(value.stage));
    if parts().any(|part| part.provenance == Provenance::Unavailable) {
        return None;
    }
    let ns = parts().fold(0_u64, |sum, value| sum.saturating_add(value.ns));
    Some(Observation::Sums(ns as f64, 1.0))
}
