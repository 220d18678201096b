//! Every metric of the table of metrics, for the page and the terminal.

use crate::format::{
    ABSENT, capitalised, count, estimate, milliseconds, one_line, or_absent, percent, ratio,
    ratio_range, signed_points,
};
use crate::metrics::{OUTPUT_RATE, RESOLVED, TASK_TIME, TTFT, Unit};
use crate::summary::{Comparison, MetricChange, Summary};
use crate::table::Table;

/// Widest line in the terminal.
const COLUMNS: u16 = 100;

/// The metrics of every comparison as plain text; empty when the run has one side only.
#[must_use]
pub fn changes(summary: &Summary) -> String {
    let several = summary.several();
    let text = |comparison: &Comparison| {
        let name = one_line(&comparison.candidate);
        let baseline = one_line(&comparison.baseline);
        let whose = several.then(|| format!("\n{name} against {baseline}"));
        format!("{}{}", whose.unwrap_or_default(), changes_of(comparison))
    };
    summary.comparisons().map(text).collect()
}

fn changes_of(comparison: &Comparison) -> String {
    let headings = [
        "metric",
        "candidate",
        "baseline",
        "change (95 % interval)",
        "tasks",
    ];
    let rows = comparison.changes.iter().map(|row| {
        let (_, unit) = row.label_and_unit();
        vec![
            format!("{} {}", row.metric, row.statistic),
            level(row.candidate, unit),
            level(row.baseline, unit),
            change(row),
            count(row.change.n as u64),
        ]
    });
    format!("\n{}", Table::new(headings, rows).to_text(COLUMNS))
}

/// Every candidate of several against the baseline, in order, and the baseline itself.
pub(super) fn against(summary: &Summary) -> Option<Table> {
    let baseline = summary.comparison.as_ref().filter(|_| summary.several())?;
    let headings = [
        "against ".to_owned() + &one_line(&baseline.baseline),
        "tasks sooner".to_owned(),
        RESOLVED.label().into_owned(),
        "difference in points".to_owned(),
        format!("{} p50", TASK_TIME.label()),
        format!("{} p50", TTFT.label()),
        format!("{} p50", OUTPUT_RATE.label()),
    ];
    let levels = |name: &str| {
        let endpoint = summary.endpoints.get(name);
        let duration = |value: Option<f64>| or_absent(value, milliseconds);
        [
            duration(endpoint.and_then(|e| e.wall_ms.p50)),
            duration(endpoint.and_then(|e| e.ttft_ms.p50)),
            or_absent(
                endpoint.and_then(|e| e.output_tokens_per_second.p50),
                |rate| OUTPUT_RATE.show(rate),
            ),
        ]
    };
    let resolved = |name: &str| {
        let endpoint = summary.endpoints.get(name);
        or_absent(endpoint.and_then(|e| e.resolve_rate.point), percent)
    };
    let mut rows: Vec<Vec<String>> = summary
        .comparisons()
        .map(|comparison| {
            let name = &comparison.candidate;
            let sooner = &comparison.task_time_ratio;
            let sooner = comparison.lacks.is_empty().then_some(sooner);
            let points = &comparison.resolve_rate_difference;
            let range = |(low, high)| format!("{} to {}", signed_points(low), signed_points(high));
            let mut row = vec![
                one_line(name),
                or_absent(sooner, |sooner| estimate(sooner, ratio, ratio_range)),
                resolved(name),
                estimate(points, signed_points, range),
            ];
            row.extend(levels(name));
            row
        })
        .collect();
    let mut last = vec![
        one_line(&baseline.baseline),
        ABSENT.to_owned(),
        resolved(&baseline.baseline),
        ABSENT.to_owned(),
    ];
    last.extend(levels(&baseline.baseline));
    rows.push(last);
    Some(Table::new(headings, rows))
}

/// The metrics with their names in words and in rules: every comparison's, or where nothing
/// is compared those of every endpoint. Empty where there is none.
pub(super) fn figures(summary: &Summary) -> Vec<Table> {
    let mut tables: Vec<Table> = summary.comparisons().map(compared).collect();
    if tables.is_empty() {
        tables.push(alone(summary));
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn compared(comparison: &Comparison) -> Table {
    let headings = [
        "Figure".to_owned(),
        one_line(&comparison.baseline),
        one_line(&comparison.candidate),
        "Change (95 % interval)".to_owned(),
        "Tasks".to_owned(),
        "In rules".to_owned(),
    ];
    let rows = comparison.changes.iter().map(|row| {
        let (label, unit) = row.label_and_unit();
        vec![
            capitalised(&label),
            level(row.baseline, unit),
            level(row.candidate, unit),
            change(row),
            count(row.change.n as u64),
            format!("{} {}", row.metric, row.statistic),
        ]
    });
    Table::new(headings, rows)
}

fn alone(summary: &Summary) -> Table {
    let names = summary.endpoints.keys().map(|name| one_line(name));
    let headings = std::iter::once("Figure".to_owned())
        .chain(names)
        .chain(std::iter::once("In rules".to_owned()));
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (index, endpoint) in summary.endpoints.values().enumerate() {
        for figure in &endpoint.metrics {
            let rule = format!("{} {}", figure.metric, figure.statistic);
            let (label, unit) = figure.label_and_unit();
            let place = rows.iter().position(|(known, _)| *known == rule);
            let place = place.unwrap_or_else(|| {
                let mut cells = vec![ABSENT.to_owned(); summary.endpoints.len() + 2];
                cells[0] = capitalised(&label);
                cells[summary.endpoints.len() + 1].clone_from(&rule);
                rows.push((rule, cells));
                rows.len() - 1
            });
            rows[place].1[index + 1] = unit.show(figure.value);
        }
    }
    Table::new(headings, rows.into_iter().map(|(_, cells)| cells))
}

fn level(value: Option<f64>, unit: Unit) -> String {
    or_absent(value, |value| unit.show(value))
}

/// A change with its interval: `1.23× (1.10–1.35)`, `−4 points (−9 to +1)`.
fn change(row: &MetricChange) -> String {
    let Some(point) = row.change.point else {
        return or_absent(None, ratio);
    };
    match (row.is_ratio, row.change.interval()) {
        (true, Some(range)) => format!("{} ({})", ratio(point), ratio_range(range)),
        (true, None) => ratio(point),
        (false, Some((low, high))) => format!(
            "{} points ({} to {})",
            signed_points(point),
            signed_points(low),
            signed_points(high)
        ),
        (false, None) => format!("{} points", signed_points(point)),
    }
}
