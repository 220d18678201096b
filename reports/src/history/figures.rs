//! The figures of a run that are kept, and how people read them.

use std::collections::BTreeSet;

use super::{ALL_SUITES, Figure};
use crate::format::{NS_PER_MS, count, milliseconds, percent, rate};
use crate::input::{Outcome, RunData, StageGroup, TrialData};
use crate::stats::{Distribution, token_rate};

/// What is shown of a run unless something else is asked for: metric and statistic.
pub(super) const KEY_FIGURES: [(&str, &str); 5] = [
    ("task_time", "p50"),
    ("ttft", "p50"),
    ("ttft", "p95"),
    ("decode_rate", "p50"),
    ("resolve_rate", "mean"),
];

/// Whether a metric is a share between 0 and 1: its changes are differences, not ratios.
pub(super) fn is_share(metric: &str) -> bool {
    metric == "resolve_rate"
}

/// A value as people read it.
pub(super) fn value_text(metric: &str, value: f64) -> String {
    match metric {
        "decode_rate" => format!("{} tok/s", rate(value)),
        "output_tokens" => count(value.max(0.0).round() as u64),
        metric if is_share(metric) => percent(value),
        _ => milliseconds(value),
    }
}

/// The figures of every endpoint, over all suites and for each. Times leave out trials
/// that ended in an error; what cannot be computed is absent.
#[must_use]
pub fn figures(run: &RunData) -> Vec<Figure> {
    let suites: BTreeSet<&str> = run.trials.iter().map(|trial| &*trial.suite).collect();
    let mut figures = Vec::new();
    for suite in std::iter::once(ALL_SUITES).chain(suites) {
        for endpoint in &run.endpoints {
            let trials: Vec<&TrialData> = run
                .trials
                .iter()
                .filter(|trial| trial.endpoint == endpoint.name)
                .filter(|trial| suite == ALL_SUITES || trial.suite == suite)
                .collect();
            figures.extend(of_trials(&trials).into_iter().filter_map(
                |(metric, statistic, value, n)| {
                    Some(Figure {
                        suite: suite.to_owned(),
                        endpoint: endpoint.name.clone(),
                        metric,
                        statistic: statistic.to_owned(),
                        value: value.filter(|value| value.is_finite())?,
                        n,
                    })
                },
            ));
        }
    }
    figures
}

type Named = (String, &'static str, Option<f64>, usize);

fn of_trials(trials: &[&TrialData]) -> Vec<Named> {
    let timed: Vec<&&TrialData> = trials
        .iter()
        .filter(|trial| trial.outcome != Outcome::Error)
        .collect();
    let exchanges = || timed.iter().flat_map(|trial| &trial.exchanges);
    let ms = |ns: u64| ns as f64 / NS_PER_MS;
    let task_time = Distribution::of(timed.iter().map(|trial| ms(trial.wall_ns)));
    let ttft = Distribution::of(exchanges().filter_map(|exchange| exchange.ttft_ns).map(ms));
    let rates = Distribution::of(
        exchanges()
            .filter_map(|exchange| token_rate(exchange.streamed_tokens?, exchange.decode_ns?)),
    );
    let tokens = Distribution::of(timed.iter().filter_map(|trial| {
        let told = trial
            .exchanges
            .iter()
            .map(|exchange| exchange.output_tokens);
        told.sum::<Option<u64>>().map(|tokens| tokens as f64)
    }));
    let resolved = Distribution::of(
        trials
            .iter()
            .map(|trial| f64::from(u8::from(trial.outcome == Outcome::Resolved))),
    );
    let mut named: Vec<Named> = [
        ("task_time", "p50", task_time.p50, task_time.n),
        ("task_time", "mean", task_time.mean, task_time.n),
        ("ttft", "p50", ttft.p50, ttft.n),
        ("ttft", "p95", ttft.p95, ttft.n),
        ("decode_rate", "p50", rates.p50, rates.n),
        ("resolve_rate", "mean", resolved.mean, resolved.n),
        ("output_tokens", "mean", tokens.mean, tokens.n),
    ]
    .map(|(metric, statistic, value, n)| (metric.to_owned(), statistic, value, n))
    .into();
    for group in StageGroup::ALL {
        let times = timed.iter().map(|trial| ms(stage_group_ns(trial, group)));
        let times = Distribution::of(times);
        // A stage that never occurred is absent, not zero.
        let mean = times.mean.filter(|mean| *mean > 0.0);
        named.push((format!("stage.{}", group.name()), "mean", mean, times.n));
    }
    named
}

fn stage_group_ns(trial: &TrialData, group: StageGroup) -> u64 {
    let of_group = trial
        .stages
        .iter()
        .filter(|value| value.stage.group() == group);
    of_group.fold(0, |total, value| total.saturating_add(value.ns))
}
