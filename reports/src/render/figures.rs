//! Every metric of the table of metrics, for the page and the terminal.

use crate::format::{
    ABSENT, capitalised, count, one_line, or_absent, ratio, ratio_range, signed_points,
};
use crate::metrics::Unit;
use crate::summary::{Comparison, MetricChange, Summary};
use crate::table::Table;

/// Widest line in the terminal.
const COLUMNS: u16 = 100;

/// The metrics of a comparison as plain text; empty when the run has one side only.
#[must_use]
pub fn changes(summary: &Summary) -> String {
    let Some(comparison) = &summary.comparison else {
        return String::new();
    };
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

/// The metrics with their names in words and in rules: compared where there are two sides,
/// else those of every endpoint. `None` where there is none.
pub(super) fn figures(summary: &Summary) -> Option<Table> {
    let table = match &summary.comparison {
        Some(comparison) => compared(comparison),
        None => alone(summary),
    };
    (!table.rows.is_empty()).then_some(table)
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
