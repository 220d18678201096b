//! Every metric of one endpoint by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::level_of;
use crate::data::TrialData;
use crate::metrics::{Metric, Statistic, Unit};

/// One figure of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricLevel {
    /// The metric, by the name that a gate's rule would use.
    pub metric: String,
    /// The statistic, likewise.
    pub statistic: String,
    /// Over the endpoint's own trials, paired or not; durations in nanoseconds.
    pub value: f64,
}

impl MetricLevel {
    /// The figure's name in tables, and what it is measured in.
    #[must_use]
    pub fn label_and_unit(&self) -> (String, Unit) {
        label_and_unit(&self.metric, &self.statistic)
    }
}

/// A summary that was read back may name a metric that this version does not know.
pub(super) fn label_and_unit(metric: &str, statistic: &str) -> (String, Unit) {
    match Metric::find(metric).zip(Statistic::parse(statistic)) {
        Some((metric, statistic)) => (metric.figure_label(statistic), metric.unit),
        None => (format!("{metric} {statistic}"), Unit::Count),
    }
}

/// Every figure that the trials have.
pub(super) fn levels<'a>(trials: impl Iterator<Item = &'a TrialData> + Clone) -> Vec<MetricLevel> {
    let figures = Metric::all().flat_map(|metric| {
        metric
            .statistics()
            .map(move |statistic| (metric, statistic))
    });
    figures
        .filter_map(|(metric, statistic)| {
            Some(MetricLevel {
                metric: metric.name().into_owned(),
                statistic: statistic.to_string(),
                value: level_of(&metric, statistic, trials.clone())?,
            })
        })
        .collect()
}
