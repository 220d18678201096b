//! The figures of a run that are kept: those that the table of metrics names.

use std::collections::BTreeSet;

use super::{ALL_SUITES, Figure, Key};
use crate::compare::level_of;
use crate::data::RunData;
use crate::format::one_line;
use crate::metrics::{METRICS, Metric, Statistic, Unit};

/// The place of a figure among those that stand for a run; `None` for any other.
pub(super) fn key_place(key: &Key) -> Option<usize> {
    let figures = METRICS.iter().flat_map(|metric| {
        let statistics = metric.key_statistics();
        statistics.map(move |statistic| (metric.name(), statistic.to_string()))
    });
    let mut figures = figures.enumerate();
    let found = figures
        .find(|(_, (metric, statistic))| *metric == key.metric && *statistic == key.statistic);
    found.map(|(place, _)| place)
}

/// What a figure is called; a history may hold one that this version does not know.
pub(super) fn label(key: &Key) -> String {
    match Metric::find(&key.metric).zip(Statistic::parse(&key.statistic)) {
        Some((metric, statistic)) => metric.figure_label(statistic),
        None => format!("{} {}", one_line(&key.metric), one_line(&key.statistic)),
    }
}

/// Whether a metric is a share between 0 and 1: its changes are differences, not ratios.
pub(super) fn is_share(metric: &str) -> bool {
    unit(metric) == Unit::Share
}

/// A value as people read it.
pub(super) fn value_text(metric: &str, value: f64) -> String {
    unit(metric).show(value)
}

fn unit(metric: &str) -> Unit {
    Metric::find(metric).map_or(Unit::Count, |metric| metric.unit)
}

/// The figures of every endpoint, over all suites and for each. All but the shares leave
/// out trials that ended in an error; what cannot be computed is absent, and so is a time
/// of zero: a stage that never occurred.
#[must_use]
pub fn figures(run: &RunData) -> Vec<Figure> {
    let suites: BTreeSet<&str> = run.trials.iter().map(|trial| &*trial.suite).collect();
    let kept: Vec<(Metric, Statistic)> = Metric::all()
        .flat_map(|metric| {
            metric
                .statistics()
                .map(move |statistic| (metric, statistic))
        })
        .collect();
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
                    metric: metric.name().into_owned(),
                    statistic: statistic.to_string(),
                    value,
                    n: trials().count(),
                })
            }));
        }
    }
    figures
}
