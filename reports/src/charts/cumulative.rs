//! Distributions as cumulative curves on a logarithmic time axis.

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Point, draw, stroke};
use super::legend::{self, CURVE};
use super::plot::{Insets, Plot, axis_name};
use super::{Arm, ChartData, ChartError, ChartKind, Drawing};
use crate::format::{NS_PER_MS, count, milliseconds, or_absent};
use crate::metrics::Metric;
use crate::stats::{Distribution, quantile, sorted};
use crate::table::Table;

const HEIGHT: f64 = 400.0;
/// Room for half of the axis's last label.
const RIGHT: f64 = 28.0;

/// Most points of a drawn curve; figures use every value.
const MAX_POINTS: usize = 320;

/// Shortest duration a logarithmic axis goes down to, in milliseconds.
const FLOOR_MS: f64 = 1e-3;

struct CumulativeCurve<'a> {
    arm: Arm<'a>,
    values: Vec<f64>,
}

/// What a chart of this kind shows.
pub(super) struct Cumulative {
    pub(super) kind: &'static ChartKind,
    pub(super) subtitle: &'static str,
    /// Name of the horizontal axis.
    pub(super) axis: &'static str,
    /// The metric whose values are drawn: durations.
    pub(super) metric: Metric,
}

/// Draws a curve for each endpoint.
pub(super) fn draw_cumulative(
    source: ChartData,
    shown: &Cumulative,
) -> Result<Option<Drawing>, ChartError> {
    let curves: Vec<CumulativeCurve> = source
        .endpoints()
        .into_iter()
        .map(|arm| CumulativeCurve {
            arm,
            values: sorted(
                source
                    .trials(arm.name)
                    .filter(|trial| !trial.failed())
                    .flat_map(|trial| shown.metric.values(trial))
                    .map(|ns| ns / NS_PER_MS),
            ),
        })
        .filter(|curve| !curve.values.is_empty())
        .collect();
    if curves.is_empty() {
        return Ok(None);
    }
    let subtitle = source.subtitle(shown.subtitle);
    let legend: Vec<(Arm, String)> = curves
        .iter()
        .map(|curve| (curve.arm, figures(&curve.values)))
        .collect();
    let description = legend
        .iter()
        .map(|(arm, words)| format!("{}: {words}.", arm.name))
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(shown.kind, &subtitle, &description);
    let top = CONTENT_TOP + legend::LINE * curves.len() as f64 + 10.0;
    let document = draw(&heading, HEIGHT, |canvas| {
        legend::lines(canvas, CONTENT_TOP - 4.0, &legend)?;
        let insets = Insets {
            top,
            right: RIGHT,
            bottom: 22.0,
            left: 50.0,
        };
        let mut plot = Plot::new(canvas, insets, axis(&curves), Axis::shares())?;
        for curve in &curves {
            let points = cumulative(&curve.values, plot.x_low());
            plot.curve(&points, stroke(curve.arm.slot, CURVE))?;
        }
        for curve in &curves {
            if let Some(median) = quantile(&curve.values, 0.5) {
                legend::marker(canvas, plot.at(median, 0.5), curve.arm.slot, true)?;
            }
        }
        axis_name(canvas, shown.axis, RIGHT, HEIGHT - 9.0)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&curves),
    }))
}

fn axis(curves: &[CumulativeCurve]) -> Axis {
    // The shortest per cent may be several events in one read, at almost 0:
    // the curve then begins above 0 at the left edge.
    let low = curves
        .iter()
        .filter_map(|curve| quantile(&curve.values, 0.01))
        .fold(f64::INFINITY, f64::min);
    let high = curves
        .iter()
        .filter_map(|curve| curve.values.last().copied())
        .fold(0.0, f64::max);
    Axis::log_ms(low.max(FLOOR_MS), high)
}

/// The empirical distribution function from its first rise to its top: steps
/// for few values, a thinned line for many. Values below `low` are in its
/// starting height.
fn cumulative(ascending: &[f64], low: f64) -> Vec<Point> {
    let n = ascending.len() as f64;
    let below = ascending.partition_point(|value| *value <= low);
    let mut points = Vec::new();
    if below > 0 {
        points.push((low, below as f64 / n));
    }
    if ascending.len() <= MAX_POINTS {
        for (index, value) in ascending.iter().enumerate().skip(below) {
            points.push((*value, index as f64 / n));
            points.push((*value, (index + 1) as f64 / n));
        }
    } else {
        let last = ascending.len() - 1;
        let chosen = (0..MAX_POINTS).map(|i| i * last / (MAX_POINTS - 1));
        points.extend(
            chosen
                .filter(|index| *index >= below)
                .filter_map(|index| Some((*ascending.get(index)?, (index + 1) as f64 / n))),
        );
    }
    points
}

fn figures(ascending: &[f64]) -> String {
    let summary = Distribution::of(ascending.iter().copied());
    let p95 = summary.p95.map_or_else(
        || "too few for p95".to_owned(),
        |p95| format!("p95 {}", milliseconds(p95)),
    );
    format!(
        "p50 {} · {p95} · n = {}",
        or_absent(summary.p50, milliseconds),
        count(summary.n as u64)
    )
}

fn table(curves: &[CumulativeCurve]) -> Table {
    const SHARES: [(&str, f64); 7] = [
        ("smallest", 0.0),
        ("p5", 0.05),
        ("p25", 0.25),
        ("p50", 0.5),
        ("p75", 0.75),
        ("p95", 0.95),
        ("largest", 1.0),
    ];
    let headings = std::iter::once("Quantile".to_owned()).chain(curves.iter().map(|curve| {
        format!(
            "{} (n = {})",
            curve.arm.name,
            count(curve.values.len() as u64)
        )
    }));
    let rows = SHARES.into_iter().map(|(label, share)| {
        let values = curves
            .iter()
            .map(|curve| or_absent(quantile(&curve.values, share), milliseconds));
        std::iter::once(label.to_owned()).chain(values).collect()
    });
    Table::new(headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_drawn_curve_never_falls_and_is_thin(
            values in prop::collection::vec(0.0..1e6_f64, 1..2000),
        ) {
            let values = sorted(values);
            let points = cumulative(&values, 0.5);
            prop_assert!(points.len() <= 2 * MAX_POINTS + 2);
            for pair in points.windows(2) {
                prop_assert!(pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1 + 1e-12);
            }
        }
    }
}
