//! The vendors' claims with their answers.

use crate::claims::{Answer, Metric};
use crate::format::{ABSENT, one_line, plural};
use crate::summary::Summary;

/// One claim as the page shows it.
pub(super) struct ClaimRow {
    pub(super) text: String,
    pub(super) source: String,
    pub(super) ruling: &'static str,
    pub(super) simulated: bool,
    pub(super) claimed: String,
    pub(super) measured: String,
    pub(super) on: String,
    pub(super) why: String,
    pub(super) measured_as: Option<String>,
}

pub(super) fn claims(summary: &Summary) -> Vec<ClaimRow> {
    summary.claims.iter().map(row).collect()
}

fn row(answer: &Answer) -> ClaimRow {
    let bounds = [("≥", answer.at_least), ("≤", answer.at_most)];
    let shown = |metric: Metric| {
        let mut claimed = bounds
            .into_iter()
            .filter_map(|(sign, value)| Some(format!("{sign} {}", metric.show(value?))));
        claimed.next()
    };
    let measured = answer.metric.zip(answer.measured.point);
    let tasks = plural(answer.measured.n, "task");
    let on = match (&answer.endpoint, &answer.against) {
        (Some(own), Some(other)) => {
            format!("{} against {}, {tasks}", one_line(own), one_line(other))
        }
        (Some(own), None) => format!("{}, {tasks}", one_line(own)),
        (None, _) => String::new(),
    };
    ClaimRow {
        text: one_line(&answer.text),
        source: one_line(&answer.source),
        ruling: answer.ruling.name(),
        simulated: answer.simulated,
        claimed: answer
            .metric
            .and_then(shown)
            .unwrap_or_else(|| ABSENT.to_owned()),
        measured: measured.map_or_else(|| ABSENT.to_owned(), |(metric, value)| metric.show(value)),
        on,
        why: one_line(&answer.why),
        measured_as: answer.measured_as.as_deref().map(one_line),
    }
}
