//! The figures of a run that are kept: those that a gate's rules look at.

use std::collections::BTreeSet;

use super::{ALL_SUITES, Figure};
use crate::compare::{Statistic, level_of};
use crate::input::RunData;
use crate::metrics::{Metric, Unit};

/// What is shown of a run unless something else is asked for: metric and statistic.
pub(super) const KEY_FIGURES: [(&str, &str); 5] = [
    ("task_time", "typical"),
    ("ttft", "typical"),
    ("ttft", "p95"),
    ("output_tokens_per_second", "mean"),
    ("resolve_rate", "share"),
];

/// What is kept beside the usual figure of a metric.
const MORE: [(&str, Statistic); 4] = [
    ("task_time", Statistic::Quantile(95)),
    ("ttft", Statistic::Quantile(50)),
    ("ttft", Statistic::Quantile(95)),
    ("ttft", Statistic::Quantile(99)),
];

/// Whether a metric is a share between 0 and 1: its changes are differences, not ratios.
pub(super) fn is_share(metric: &str) -> bool {
    unit(metric) == Unit::Share
}

/// A value as people read it.
pub(super) fn value_text(metric: &str, value: f64) -> String {
    unit(metric).show(value)
}

/// A history may hold a metric that this version does not know.
fn unit(metric: &str) -> Unit {
    Metric::find(metric).map_or(Unit::Count, |metric| metric.unit)
}

/// The figures of every endpoint, over all suites and for each. All but the shares leave
/// out trials that ended in an error; what cannot be computed is absent, and so is a time
/// of zero: a stage that never occurred.
#[must_use]
pub fn figures(run: &RunData) -> Vec<Figure> {
    let suites: BTreeSet<&str> = run.trials.iter().map(|trial| &*trial.suite).collect();
    let kept: Vec<(Metric, Statistic)> = Metric::all().flat_map(kept).collect();
    let mut figures = Vec::new();
    for suite in std::iter::once(ALL_SUITES).chain(suites) {
        for endpoint in &run.endpoints {
            let trials = || {
                run.trials
                    .iter()
                    .filter(|trial| trial.endpoint == endpoint.name)
                    .filter(|trial| suite == ALL_SUITES || trial.suite == suite)
            };
            figures.extend(kept.iter().filter_map(|(metric, statistic)| {
                let value = level_of(metric, *statistic, trials())?;
                (metric.unit != Unit::Duration || value > 0.0).then(|| Figure {
                    suite: suite.to_owned(),
                    endpoint: endpoint.name.clone(),
                    metric: metric.name(),
                    statistic: statistic.to_string(),
                    value,
                    n: trials().count(),
                })
            }));
        }
    }
    figures
}

fn kept(metric: Metric) -> impl Iterator<Item = (Metric, Statistic)> {
    let more = MORE
        .into_iter()
        .filter(move |(name, _)| *name == metric.name());
    std::iter::once(Statistic::usual(&metric))
        .chain(more.map(|(_, statistic)| statistic))
        .map(move |statistic| (metric, statistic))
}
