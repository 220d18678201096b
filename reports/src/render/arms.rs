//! Figures of every endpoint of a run, one row each.

use crate::format::{capitalised, one_line, or_absent};
use crate::metrics::Metric;
use crate::summary::{EndpointSummary, Summary};
use crate::table::Table;

/// A column: a metric by name, or something that is no metric.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// The usual figure of a metric; its label is the heading.
    Metric(&'static str),
    /// A heading, and what stands below it.
    Text(&'static str, fn(&EndpointSummary) -> String),
}

/// A row for each endpoint. A column that nothing is known of on any of them is left out.
pub(super) fn table(summary: &Summary, columns: &[Column]) -> Table {
    let endpoints = || summary.endpoints.iter();
    let known = columns.iter().filter(|column| {
        let mut cells = endpoints().map(|(_, endpoint)| column.cell(endpoint));
        cells.any(|cell| cell.is_some())
    });
    let columns: Vec<&Column> = known.collect();
    let headings = columns.iter().map(|column| column.heading());
    let rows = endpoints().map(|(name, endpoint)| {
        let cells = columns.iter().map(|column| column.cell(endpoint));
        let cells = cells.map(|cell| or_absent(cell, |cell| cell));
        std::iter::once(one_line(name)).chain(cells).collect()
    });
    Table::new(std::iter::once("Endpoint".to_owned()).chain(headings), rows)
}

impl Column {
    fn heading(self) -> String {
        match self {
            Column::Text(heading, _) => heading.to_owned(),
            Column::Metric(name) => {
                let label = Metric::find(name).map(|metric| capitalised(&metric.label()));
                label.unwrap_or_default()
            }
        }
    }

    fn cell(self, endpoint: &EndpointSummary) -> Option<String> {
        match self {
            Column::Text(_, cell) => Some(cell(endpoint)).filter(|cell| !cell.is_empty()),
            Column::Metric(name) => {
                let metric = Metric::find(name)?;
                let usual = metric.usual().to_string();
                let mut levels = endpoint.metrics.iter();
                let level =
                    levels.find(|level| level.metric == name && level.statistic == usual)?;
                Some(metric.show(level.value))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::METRICS;

    /// Every metric that a column names is one of the table.
    pub(in crate::render) fn are_metrics(columns: &[Column]) -> bool {
        columns.iter().all(|column| match column {
            Column::Metric(name) => METRICS.iter().any(|metric| metric.name() == *name),
            Column::Text(..) => true,
        })
    }

    #[test]
    fn a_column_of_no_metric_is_found_out() {
        assert!(are_metrics(&[Column::Metric("turns")]));
        assert!(!are_metrics(&[Column::Metric("turn")]));
    }
}
