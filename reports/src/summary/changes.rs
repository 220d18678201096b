//! Every metric of the candidate against the baseline's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::levels::label_and_unit;
use crate::compare::{Scale, change};
use crate::metrics::{Metric, Statistic, Unit};
use crate::pairing::PairedTask;
use crate::stats::Estimate;

/// How one figure differs between the two sides, over the same pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricChange {
    /// The metric, by the name that a gate's rule would use.
    pub metric: String,
    /// The statistic, likewise.
    pub statistic: String,
    /// The candidate's figure; durations in nanoseconds.
    pub candidate: Option<f64>,
    /// The baseline's figure.
    pub baseline: Option<f64>,
    /// Candidate ÷ baseline, for shares candidate − baseline, with its 95 % interval;
    /// `n` counts tasks.
    pub change: Estimate,
    /// Whether `change` is a ratio; else it is a difference.
    pub is_ratio: bool,
    /// Pairs of trials behind it.
    pub pairs: usize,
}

impl MetricChange {
    /// The figure's name in tables, and what it is measured in.
    #[must_use]
    pub fn label_and_unit(&self) -> (String, Unit) {
        label_and_unit(&self.metric, &self.statistic)
    }
}

/// Compares every metric that both sides have.
#[must_use]
pub fn changes(tasks: &[PairedTask]) -> Vec<MetricChange> {
    let figures = Metric::all().flat_map(|metric| {
        metric
            .statistics()
            .map(move |statistic| (metric, statistic))
    });
    figures
        .filter_map(|(metric, statistic)| row(&metric, statistic, tasks))
        .collect()
}

fn row(metric: &Metric, statistic: Statistic, tasks: &[PairedTask]) -> Option<MetricChange> {
    let scale = match metric.unit {
        Unit::Share => Scale::Difference,
        _ => Scale::Log,
    };
    let found = change(metric, statistic, scale, tasks).ok()?;
    let natural = |value: f64| match scale {
        Scale::Log => value.exp(),
        Scale::Difference => value,
    };
    Some(MetricChange {
        metric: metric.name().into_owned(),
        statistic: statistic.to_string(),
        candidate: found.levels.map(|[candidate, _]| candidate),
        baseline: found.levels.map(|[_, baseline]| baseline),
        change: found.effect.estimate().map(natural),
        is_ratio: scale == Scale::Log,
        pairs: found.pairs,
    })
}
