//! What can be measured, compared and gated: one table, read by the gate, comparisons,
//! history, claims, CSV, page and terminal. A new metric is one row of [`METRICS`].

mod real_time;
mod row;
mod source;
mod statistic;
mod table;
mod unit;

pub(crate) use real_time::ACT_TIME;
pub use source::{Coverage, Observation};
pub use statistic::Statistic;
pub use table::METRICS;
pub(crate) use table::{INTER_EVENT, OUTPUT_RATE, RESOLVED, TASK_TIME, TTFT};
pub use unit::Unit;

use std::borrow::Cow;

use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles, StreamCalibration};

use crate::data::TrialData;
use crate::stages::{Stage, StageGroup};
use source::Source;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less of it is better.
    Lower,
    /// More of it is better.
    Higher,
}

/// Something that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is measured in.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// In machine-readable output and in the rules of a gate.
    name: &'static str,
    /// In tables and sentences for people.
    label: &'static str,
    source: Source,
    /// Figures that are kept beside the usual one.
    kept: &'static [Statistic],
    /// Figures that stand for a run where there is room for few.
    key: &'static [Statistic],
    /// The calibration figure that bounds its error, for times of one exchange.
    instrument: Option<fn(&StreamCalibration) -> ErrorQuantiles>,
    /// The stage groups whose time it is made of, for a time.
    within: &'static [StageGroup],
}

/// Before the name of a stage or a group of stages.
const STAGE: &str = "stage.";

impl Metric {
    /// The metric of that name: one of [`METRICS`], `stage.<stage>` or `stage.<group>`.
    /// A group goes before a stage of the same name: it is the whole of it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        let Some(stage) = name.strip_prefix(STAGE) else {
            return METRICS.iter().copied().find(|metric| metric.name == name);
        };
        let group = StageGroup::ALL.into_iter().find(|g| g.name() == stage);
        Some(match group {
            Some(group) => table::of_group(group),
            None => table::of_stage(Stage::ALL.into_iter().find(|s| s.name() == stage)?),
        })
    }

    /// Every metric that is shown: those of the table, then the groups of stages.
    pub fn all() -> impl Iterator<Item = Self> {
        let groups = StageGroup::ALL.into_iter().map(table::of_group);
        METRICS.iter().copied().chain(groups)
    }

    /// Every name that [`Metric::find`] knows.
    pub fn names() -> impl Iterator<Item = String> {
        let shown: Vec<String> = Metric::all().map(|metric| metric.name().into()).collect();
        let stages: Vec<String> = Stage::ALL
            .into_iter()
            .map(|stage| table::of_stage(stage).name().into())
            .filter(|stage| !shown.contains(stage))
            .collect();
        shown.into_iter().chain(stages)
    }

    /// The name used in machine-readable output and in the rules of a gate.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self.source {
            Source::Stage(stage) => format!("{STAGE}{}", stage.name()).into(),
            Source::Group(group) => format!("{STAGE}{}", group.name()).into(),
            _ => self.name.into(),
        }
    }

    /// The words used in tables and sentences.
    #[must_use]
    pub fn label(&self) -> Cow<'static, str> {
        match self.source {
            Source::Stage(stage) => format!("{} time", stage.label()).into(),
            Source::Group(group) => format!("{} time", group.label()).into(),
            _ => self.label.into(),
        }
    }

    /// The label of one of its figures, e.g. `TTFT p95`. A share and a mean of sums are
    /// the metric itself.
    #[must_use]
    pub fn figure_label(&self, statistic: Statistic) -> String {
        if statistic == self.usual() && statistic != Statistic::Typical {
            return self.label().into();
        }
        format!("{} {statistic}", self.label())
    }

    /// The figure that is meant when none is named.
    #[must_use]
    pub fn usual(&self) -> Statistic {
        if self.counts_failures() {
            Statistic::Share
        } else if self.is_ratio_of_sums() || self.is_stage() {
            Statistic::Mean
        } else {
            Statistic::Typical
        }
    }

    /// The figures that are kept of it, the usual one first.
    pub fn statistics(&self) -> impl Iterator<Item = Statistic> + use<> {
        std::iter::once(self.usual()).chain(self.kept.iter().copied())
    }

    /// The figures that stand for a run where there is room for few.
    pub fn key_statistics(&self) -> impl Iterator<Item = Statistic> + use<> {
        self.key.iter().copied()
    }

    /// Whether more of it is worse.
    #[must_use]
    pub fn more_is_worse(&self) -> bool {
        self.better == Better::Lower
    }

    /// Whether a failed trial, too, says something: it failed.
    #[must_use]
    pub fn counts_failures(&self) -> bool {
        matches!(self.source, Source::Success(_) | Source::Failure(_))
    }

    /// Whether attempts at a task can succeed together: pass@k and pass^k.
    #[must_use]
    pub fn has_passes(&self) -> bool {
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
        matches!(
            self.source,
            Source::Sums { .. } | Source::TrialSums(_) | Source::Calls(_)
        )
    }

    /// The stage groups whose time it is made of; none for what is no time or a stage
    /// itself.
    #[must_use]
    pub fn stage_groups(&self) -> &'static [StageGroup] {
        self.within
    }

    /// The error of the instrument at one calibrated setting; `None` when nothing bounds it.
    pub fn instrument_error(&self, setting: &StreamCalibration) -> Option<ErrorQuantiles> {
        self.instrument.map(|of| of(setting))
    }

    /// Its error in milliseconds: the largest 99th percentile that was calibrated.
    #[must_use]
    pub fn worst_error_ms(&self, calibration: Option<&Calibration>) -> Option<f64> {
        let settings = &calibration?.settings;
        let errors = settings.iter().filter_map(|s| self.instrument_error(s));
        let worst = errors.map(|error| error.p99_ns).max()?;
        Some(worst as f64 / crate::format::NS_PER_MS)
    }

    /// Of how many parts of a trial it should tell, and of how many it does not: a server
    /// that leaves out what is slow must not look fast.
    #[must_use]
    pub fn coverage(&self, trial: &TrialData) -> Coverage {
        self.source.coverage(trial)
    }

    /// What a trial says about it; `None` when nothing, e.g. no server told its usage.
    #[must_use]
    pub fn observe(&self, trial: &TrialData) -> Option<Observation> {
        self.source.observe(trial)
    }

    /// Its single values in a trial: one for the trial, or one for each exchange or event.
    #[must_use]
    pub fn values(&self, trial: &TrialData) -> Vec<f64> {
        self.source.values(trial)
    }

    /// A value as people read it.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        self.unit.show(value)
    }
}
