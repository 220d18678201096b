//! From the baseline's task time to the candidate's: a waterfall over stage groups.

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, WIDTH, draw, stroke};
use super::plot::{Insets, Plot};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::format::{
    estimate, milliseconds, or_absent, plural, ratio, ratio_range, signed_milliseconds,
};
use crate::stages::StageGroup;
use crate::stats::Estimate;
use crate::summary::{BridgeRow, Comparison};
use crate::svg::Slot;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "bridge",
    title: "From baseline to candidate",
    section: "meaning",
    per_candidate: true,
    draw: chart,
};

const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
const NAMES: f64 = 150.0;
/// Where the column of ceilings ends, and how wide it is.
const CEILINGS: f64 = 140.0;
/// Room for a value behind the longest bar.
const VALUES: f64 = 74.0;
const HEADINGS: f64 = 24.0;

/// One bar, from its start to its end.
struct Bar<'a> {
    name: &'a str,
    slot: Slot,
    from: f64,
    to: f64,
    value: String,
    limit: Option<&'a Estimate>,
}

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let Some(comparison) = source.comparison() else {
        return Ok(None);
    };
    let rows = &comparison.stage_bridge;
    if rows.is_empty() {
        return Ok(None);
    }
    let bars = bars(comparison, Slot::Candidate(source.candidate));
    let pairs = comparison.pairs - comparison.pairs_with_errors;
    let subtitle = source.subtitle(&format!(
        "Mean task time over {}; the differences add up exactly",
        plural(pairs, "pair")
    ));
    let description = bars
        .iter()
        .map(|bar| format!("{}: {}.", bar.name, bar.value))
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(&CHART, &subtitle, &description);
    let top = CONTENT_TOP + HEADINGS;
    let height = top + ROW * bars.len() as f64 + 34.0;
    let document = draw(&heading, height, |canvas| {
        let y = CONTENT_TOP + 8.0;
        let look = Look::MUTED.right();
        canvas.text("sooner if it took no time", (WIDTH - 4.0, y), look)?;
        let longest = bars
            .iter()
            .map(|bar| bar.from.max(bar.to))
            .fold(0.0, f64::max);
        let insets = Insets {
            top,
            right: CEILINGS + VALUES,
            bottom: 10.0,
            left: NAMES,
        };
        let rows = Axis::rows(bars.len() as f64);
        let plot = Plot::new(canvas, insets, Axis::linear_ms(longest), rows)?;
        for (index, bar) in bars.iter().enumerate() {
            draw_bar(canvas, &plot, index, bar)?;
        }
        for (index, bar) in bars.iter().enumerate().take(bars.len() - 1) {
            let (x, y) = plot.at(bar.to, index as f64 + 0.5);
            let ends = [(x, y + BAR / 2.0), (x, y + ROW - BAR / 2.0)];
            canvas.line(&ends, stroke(Slot::Axis, 1.0))?;
        }
        Ok(())
    })?;
    Ok(Some(Drawing {
        document,
        table: table(comparison),
    }))
}

/// The baseline's whole time, each group's change, the candidate's whole time.
fn bars(comparison: &Comparison, own: Slot) -> Vec<Bar<'_>> {
    let rows = &comparison.stage_bridge;
    let total = |side: fn(&BridgeRow) -> f64| rows.iter().map(side).sum::<f64>();
    let (baseline, candidate) = (total(|row| row.baseline_ms), total(|row| row.candidate_ms));
    let whole = |name, slot, ms| Bar {
        name,
        slot,
        from: 0.0,
        to: ms,
        value: milliseconds(ms),
        limit: None,
    };
    let mut bars = vec![whole(&comparison.baseline, Slot::Baseline, baseline)];
    let mut running = baseline;
    for row in rows {
        let from = running;
        running += row.delta_ms;
        bars.push(Bar {
            name: row.group.label(),
            slot: Slot::Group(row.group),
            from,
            to: running.max(0.0),
            value: signed_milliseconds(row.delta_ms),
            limit: Some(&row.limit),
        });
    }
    bars.push(whole(&comparison.candidate, own, candidate));
    bars
}

fn draw_bar(canvas: &Canvas, plot: &Plot, index: usize, bar: &Bar) -> Result<(), ChartError> {
    let ((from, y), (to, _)) = (
        plot.at(bar.from, index as f64 + 0.5),
        plot.at(bar.to, index as f64 + 0.5),
    );
    let whole = bar.limit.is_none();
    let look = Look {
        bold: whole,
        ..Look::BODY
    };
    let limit = bar.limit.map(with_interval);
    let tooltip = match &limit {
        Some(limit) => format!(
            "{}: {}; sooner if it took no time: {limit}",
            bar.name, bar.value
        ),
        None => format!("{}: {}", bar.name, bar.value),
    };
    canvas.titled(&tooltip, || {
        let name = look.fit(bar.name, NAMES - 16.0);
        canvas.text(&name, (NAMES - 10.0, y), look.right())?;
        // A change too small to see still has a place.
        let (left, right) = (from.min(to), from.max(to).max(from.min(to) + 1.5));
        let corners = ((left, y - BAR / 2.0), (right, y + BAR / 2.0));
        canvas.rect(corners.0, corners.1, bar.slot)?;
        canvas.text(&bar.value, (right + 7.0, y), look)?;
        match &limit {
            Some(limit) => canvas.text(limit, (WIDTH - 4.0, y), Look::MUTED.right()),
            None => Ok(()),
        }
    })
}

fn with_interval(limit: &Estimate) -> String {
    estimate(limit, ratio, ratio_range)
}

fn table(comparison: &Comparison) -> Table {
    let headings = [
        "Stage group".to_owned(),
        format!("{}: mean", comparison.baseline),
        format!("{}: mean", comparison.candidate),
        "Difference".to_owned(),
        "Sooner if it took no time (95 %)".to_owned(),
    ];
    let line = |name: &str, baseline: f64, candidate: f64, limit: String| {
        vec![
            name.to_owned(),
            milliseconds(baseline),
            milliseconds(candidate),
            signed_milliseconds(candidate - baseline),
            limit,
        ]
    };
    let rows = &comparison.stage_bridge;
    let label = |group: StageGroup| group.label();
    let mut lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let limit = with_interval(&row.limit);
            line(label(row.group), row.baseline_ms, row.candidate_ms, limit)
        })
        .collect();
    lines.push(line(
        "all",
        rows.iter().map(|row| row.baseline_ms).sum(),
        rows.iter().map(|row| row.candidate_ms).sum(),
        or_absent(None, ratio),
    ));
    Table::new(headings, lines)
}
