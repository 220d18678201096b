//! What the harness costs: what each agent asks beside the work, and what lies between an
//! answer and the next request.

use askama::Template;

use super::Section;
use crate::format::{one_line, or_absent};
use crate::metrics::Metric;
use crate::summary::{EndpointSummary, Summary};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "harness",
    title: "What the harness costs",
    nav: Some("Harness"),
    body: |data| {
        let table = table(data.summary);
        Harness { table }.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/harness.html")]
struct Harness {
    table: Table,
}

/// The metrics that are shown, by name; what each is called comes from their table.
const METRICS: [&str; 8] = [
    "turns",
    "requests",
    "side_requests",
    "connections",
    "request_bytes",
    "between_turns",
    "turn_overhead",
    "harness_share",
];

fn table(summary: &Summary) -> Table {
    let names = summary.endpoints.keys().map(|name| one_line(name));
    let headings = std::iter::once("Figure".to_owned()).chain(names);
    let rows = METRICS.iter().filter_map(|name| {
        let metric = Metric::find(name)?;
        let statistic = metric.statistics().next()?;
        let wanted = (*name, statistic.to_string());
        let value = |endpoint: &EndpointSummary| {
            let mut levels = endpoint.metrics.iter();
            let level =
                levels.find(|level| (&*level.metric, &level.statistic) == (wanted.0, &wanted.1));
            or_absent(level, |level| metric.show(level.value))
        };
        let cells = summary.endpoints.values().map(value);
        Some(
            std::iter::once(metric.figure_label(statistic))
                .chain(cells)
                .collect(),
        )
    });
    Table::new(headings, rows)
}
