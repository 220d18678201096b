//! Every metric of a comparison, as a plain text table.

use crate::format::{or_absent, ratio, ratio_range, signed_points};
use crate::summary::{MetricChange, Summary};

/// Renders the table; empty when the run has one side only.
#[must_use]
pub fn changes(summary: &Summary) -> String {
    let Some(comparison) = &summary.comparison else {
        return String::new();
    };
    let mut out = format!(
        "\n{:<34}{:>12}{:>12}  {:<24}{:>6}\n",
        "metric", "candidate", "baseline", "change (95 % interval)", "tasks"
    );
    for row in &comparison.changes {
        let unit = row.unit();
        let level = |value: Option<f64>| or_absent(value, |value| unit.show(value));
        out.push_str(&format!(
            "{:<34}{:>12}{:>12}  {:<24}{:>6}\n",
            format!("{} {}", row.metric, row.statistic),
            level(row.candidate),
            level(row.baseline),
            change(row),
            row.change.n
        ));
    }
    out
}

/// A change with its interval: `1.23× (1.10–1.35)`, `−4 points (−9 to +1)`.
#[must_use]
pub(super) fn change(row: &MetricChange) -> String {
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
