//! The real-time mode: how soon an answer begins, how soon it is quiet after a stop, and what
//! came of stops.

use askama::Template;

use super::{ChartView, Section};
use crate::conclusion::a_day;
use crate::format::{
    ABSENT, capitalised, milliseconds, one_line, or_absent, percent, percent_range, rate,
    round_duration,
};
use crate::render::arms::{self, Column};
use crate::stats::Estimate;
use crate::summary::{QUIET_MS, RESPONSE, RealTime, Threshold, Within};
use crate::table::Table;
use timeslip_datasets::run::journal::Race;

pub(super) static SECTION: Section = Section {
    id: "real-time",
    title: "Real time",
    nav: Some("Real time"),
    body: |data| {
        let Some(real_time) = &data.summary.real_time else {
            return Ok(None);
        };
        let section = RealTimeSection {
            saved: real_time.saved.iter().map(a_day).collect(),
            response: response(real_time),
            flow: arms::table(data.summary, &FLOW),
            quiet: quiet(real_time),
            outcomes: outcomes(real_time),
            typing: Some(arms::table(data.summary, &TYPING)).filter(|t| t.headings.len() > 1),
            thresholds: RESPONSE
                .iter()
                .map(threshold)
                .collect::<Vec<_>>()
                .join("; "),
            charts: data.charts_of(&SECTION),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/real_time.html")]
struct RealTimeSection<'a> {
    saved: Vec<String>,
    response: Table,
    flow: Table,
    /// Where nothing was stopped there is none.
    quiet: Option<Table>,
    outcomes: Option<Table>,
    typing: Option<Table>,
    /// What the times mean, and who says so.
    thresholds: String,
    charts: Vec<ChartView<'a>>,
}

const FLOW: [Column; 5] = [
    Column::Metric("first_output"),
    Column::Metric("act_time"),
    Column::Metric("acts_per_minute"),
    Column::Metric("redirect_time"),
    Column::Metric("checks_passed"),
];

const TYPING: [Column; 3] = [
    Column::Metric("suggestion_time"),
    Column::Metric("suggestions_in_time"),
    Column::Metric("cancelled_per_accepted"),
];

fn within(limit_ms: f64) -> String {
    format!("Within {}", round_duration(limit_ms))
}

fn threshold(limit: &Threshold) -> String {
    format!(
        "{} {} ({})",
        round_duration(limit.ms),
        limit.feels,
        limit.source
    )
}

fn share(estimate: &Estimate) -> String {
    crate::format::estimate(estimate, percent, percent_range)
}

fn shares(within: &[Within]) -> impl Iterator<Item = String> {
    within.iter().map(|one| share(&one.share))
}

fn response(real_time: &RealTime) -> Table {
    let limits = RESPONSE.iter().map(|limit| within(limit.ms));
    let headings = ["Endpoint", "Answers", "Median"].map(str::to_owned);
    let rows = real_time.endpoints.iter().map(|(name, endpoint)| {
        let first = [
            one_line(name),
            endpoint.response_ms.n.to_string(),
            or_absent(endpoint.response_ms.p50, milliseconds),
        ];
        first.into_iter().chain(shares(&endpoint.within)).collect()
    });
    Table::new(headings.into_iter().chain(limits), rows)
}

/// A row for each clock of each endpoint.
fn quiet(real_time: &RealTime) -> Option<Table> {
    let headings = ["Endpoint", "Until", "Stops", "Median", "p95"].map(str::to_owned);
    let limits = QUIET_MS.map(within);
    let after = ["Tokens after it".to_owned()];
    let rows: Vec<Vec<String>> = real_time
        .endpoints
        .iter()
        .flat_map(|(name, endpoint)| {
            endpoint.quiet.iter().map(move |clock| {
                let first = [
                    one_line(name),
                    clock.clock.clone(),
                    clock.ms.n.to_string(),
                    or_absent(clock.ms.p50, milliseconds),
                    or_absent(clock.ms.p95, milliseconds),
                ];
                let tokens = or_absent(endpoint.stale_tokens.mean, rate);
                first
                    .into_iter()
                    .chain(shares(&clock.within))
                    .chain([tokens])
                    .collect()
            })
        })
        .collect();
    let headings = headings.into_iter().chain(limits).chain(after);
    (!rows.is_empty()).then(|| Table::new(headings, rows))
}

fn outcomes(real_time: &RealTime) -> Option<Table> {
    let endpoints = || real_time.endpoints.iter();
    endpoints().find(|(_, endpoint)| !endpoint.outcomes.is_empty())?;
    let races = || Race::ALL.into_iter();
    let headings = races().map(|race| capitalised(&race.name().replace('_', " ")));
    let rows = endpoints().map(|(name, endpoint)| {
        let counts = races().map(|race| match endpoint.outcomes.get(&race) {
            Some(count) => count.to_string(),
            None => ABSENT.to_owned(),
        });
        std::iter::once(one_line(name)).chain(counts).collect()
    });
    Some(Table::new(
        std::iter::once("Endpoint".to_owned()).chain(headings),
        rows,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::arms::tests::are_metrics;

    #[test]
    fn every_column_is_a_metric() {
        assert!(are_metrics(&FLOW) && are_metrics(&TYPING));
    }
}
