//! Where the time of an average trial goes, by stage group.

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, WIDTH, draw};
use super::plot::{Insets, Plot};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::format::{milliseconds, one_line, or_absent, percent};
use crate::stages::StageGroup;
use crate::summary::{EndpointSummary, GroupSummary};
use crate::svg::Slot;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "stages",
    title: "Where the time goes",
    section: "charts",
    per_candidate: false,
    draw: chart,
};

const ROW: f64 = 74.0;
const BAR: f64 = 38.0;
const RIGHT: f64 = 84.0;
/// Room for half of the axis's first label.
const LEFT: f64 = 6.0;
const NAMES: f64 = 118.0;
const LEGEND_LINE: f64 = 22.0;

type EndpointBar<'a> = (&'a str, &'a EndpointSummary);

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let rows: Vec<EndpointBar> = source
        .summary
        .endpoints
        .iter()
        .map(|(name, endpoint)| (name.as_str(), endpoint))
        .filter(|(_, endpoint)| total_ms(endpoint) > 0.0)
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let groups: Vec<StageGroup> = StageGroup::ALL
        .into_iter()
        .filter(|group| {
            rows.iter()
                .any(|(_, endpoint)| endpoint.groups.contains_key(group))
        })
        .collect();
    let subtitle = source.subtitle("Mean time per trial, by stage group");
    let description = description(&rows);
    let heading = source.heading(&CHART, &subtitle, &description);
    let axis_bottom = CONTENT_TOP + ROW * rows.len() as f64 + 30.0;
    let height = axis_bottom + LEGEND_LINE * (rows.len() as f64 + 1.0) + 8.0;
    let document = draw(&heading, height, |canvas| {
        let longest = rows.iter().map(|(_, e)| total_ms(e)).fold(0.0, f64::max);
        let insets = Insets {
            top: CONTENT_TOP,
            right: RIGHT,
            bottom: height - axis_bottom,
            left: LEFT,
        };
        let plot = Plot::new(canvas, insets, Axis::linear_ms(longest), Axis::rows(1.0))?;
        for (index, row) in rows.iter().enumerate() {
            bar(canvas, &plot, CONTENT_TOP + ROW * index as f64, row)?;
        }
        legend(canvas, axis_bottom + 4.0, &groups, &rows)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&groups, &rows),
    }))
}

fn total_ms(endpoint: &EndpointSummary) -> f64 {
    endpoint.groups.values().map(|group| group.mean_ms).sum()
}

fn bar(
    canvas: &Canvas,
    plot: &Plot,
    top: f64,
    (name, endpoint): &EndpointBar,
) -> Result<(), ChartError> {
    let role = endpoint.role.name();
    let shown = Look::BODY.bold().fit(name, 500.0);
    canvas.text(&shown, (LEFT + 5.0, top + 14.0), Look::BODY.bold())?;
    let role_x = LEFT + 5.0 + Look::BODY.bold().width(&shown) + 8.0;
    canvas.text(role, (role_x, top + 14.0), Look::MUTED)?;
    let (bar_top, bar_bottom) = (top + 26.0, top + 26.0 + BAR);
    let mut start = 0.0;
    for (group, summary) in &endpoint.groups {
        let end = start + summary.mean_ms;
        let ((x0, _), (x1, _)) = (plot.at(start, 0.0), plot.at(end, 0.0));
        start = end;
        let value = milliseconds(summary.mean_ms);
        let share = or_absent(summary.share, percent);
        let title = format!("{}: {} {value} ({share})", one_line(name), group.label());
        canvas.titled(&title, || {
            let slot = Slot::Group(*group);
            // A gap in the surface's colour keeps neighbours apart.
            let right = if x1 - x0 > 2.0 { x1 - 1.0 } else { x1 };
            canvas.rect((x0, bar_top), (right, bar_bottom), slot)?;
            let look = Look::BODY.size(12.0).bold().centre().slot(slot.ink());
            let middle = ((x0 + right) / 2.0, (bar_top + bar_bottom) / 2.0);
            let room = right - x0 - 8.0;
            if look.width(&value).max(look.width(group.label())) <= room {
                canvas.text(group.label(), (middle.0, middle.1 - 7.5), look)?;
                canvas.text(
                    &value,
                    (middle.0, middle.1 + 8.0),
                    Look {
                        bold: false,
                        ..look
                    },
                )?;
            } else if look.width(&value) <= room {
                canvas.text(
                    &value,
                    middle,
                    Look {
                        bold: false,
                        ..look
                    },
                )?;
            }
            Ok(())
        })?;
    }
    let (end, _) = plot.at(start, 0.0);
    let middle = (bar_top + bar_bottom) / 2.0;
    canvas.text(
        &milliseconds(start),
        (end + 8.0, middle),
        Look::BODY.bold().size(13.0),
    )
}

/// Swatches in stack order with each endpoint's value beneath them.
fn legend(
    canvas: &Canvas,
    top: f64,
    groups: &[StageGroup],
    rows: &[EndpointBar],
) -> Result<(), ChartError> {
    let column = (WIDTH - NAMES) / groups.len().max(1) as f64;
    for (index, group) in groups.iter().enumerate() {
        let (x, y) = (NAMES + column * index as f64, top + LEGEND_LINE / 2.0);
        canvas.rect((x, y - 5.5), (x + 11.0, y + 5.5), Slot::Group(*group))?;
        canvas.text(group.label(), (x + 17.0, y), Look::BODY)?;
    }
    for (line, (name, endpoint)) in rows.iter().enumerate() {
        let y = top + LEGEND_LINE * (line as f64 + 1.5);
        let name = Look::MUTED.fit(name, NAMES - 10.0);
        canvas.text(&name, (LEFT, y), Look::MUTED)?;
        for (index, group) in groups.iter().enumerate() {
            let value = endpoint.groups.get(group);
            let x = NAMES + column * index as f64;
            canvas.text(
                &or_absent(value, mean_and_share),
                (x, y),
                Look::MUTED.size(11.0),
            )?;
        }
    }
    Ok(())
}

fn mean_and_share(group: &GroupSummary) -> String {
    let share = or_absent(group.share, percent);
    format!("{} · {share}", milliseconds(group.mean_ms))
}

fn description(rows: &[EndpointBar]) -> String {
    rows.iter()
        .map(|(name, endpoint)| {
            let parts: Vec<String> = endpoint
                .groups
                .iter()
                .map(|(group, summary)| {
                    format!("{} {}", group.label(), milliseconds(summary.mean_ms))
                })
                .collect();
            format!(
                "{name}: {} in all; {}.",
                milliseconds(total_ms(endpoint)),
                parts.join(", ")
            )
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn table(groups: &[StageGroup], rows: &[EndpointBar]) -> Table {
    let mut headings = vec!["Stage group".to_owned()];
    for (name, _) in rows {
        headings.push(format!("{name}: mean per trial"));
        headings.push(format!("{name}: share"));
    }
    let body = groups.iter().map(|group| {
        let mut cells = vec![group.label().to_owned()];
        for (_, endpoint) in rows {
            let summary = endpoint.groups.get(group);
            cells.push(or_absent(summary, |s| milliseconds(s.mean_ms)));
            cells.push(or_absent(summary.and_then(|s| s.share), percent));
        }
        cells
    });
    Table::new(headings, body)
}
