//! Where the time of each endpoint went, and what trials take beside the task itself.

use askama::Template;

use super::Section;
use crate::format::{count, measured, milliseconds, one_line, or_absent, percent};
use crate::metrics::TTFT;
use crate::stats::Distribution;
use crate::summary::{EndpointSummary, Summary};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "stages",
    title: "Stages",
    nav: Some("Stages"),
    body: |data| {
        let section = Stages {
            stages: stages(data.summary),
            overhead: overhead(data.summary),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/stages.html")]
struct Stages {
    stages: Vec<StageTable>,
    overhead: Option<OverheadTable>,
}

/// The stages of one endpoint.
struct StageTable {
    endpoint: String,
    rows: Vec<StageRow>,
    total: String,
    tool_sum: String,
}

/// One stage; `group` is also the name of its swatch.
struct StageRow {
    group: &'static str,
    group_label: &'static str,
    stage: String,
    total: String,
    mean: String,
    share: String,
    provenance: &'static str,
    error: String,
}

fn stages(summary: &Summary) -> Vec<StageTable> {
    let error_ms = summary.error_ms(&TTFT);
    summary
        .endpoints
        .iter()
        .filter(|(_, endpoint)| !endpoint.stages.is_empty())
        .map(|(name, endpoint)| StageTable {
            endpoint: one_line(name),
            rows: stage_rows(endpoint, error_ms),
            total: milliseconds(endpoint.stages.values().map(|stage| stage.total_ms).sum()),
            tool_sum: milliseconds(endpoint.tool_sum_ms),
        })
        .collect()
}

/// `error_ms` is that of one stretch between two marks. A trial's stage is the sum of one
/// for every exchange, and so is the bound on its error.
fn stage_rows(endpoint: &EndpointSummary, error_ms: Option<f64>) -> Vec<StageRow> {
    let trials = endpoint.wall_ms.n.max(1) as f64;
    let error_ms = error_ms.map(|error| error * endpoint.ttft_ms.n as f64 / trials);
    endpoint
        .stages
        .iter()
        .map(|(stage, summary)| StageRow {
            group: stage.group().name(),
            group_label: stage.group().label(),
            stage: stage.label(),
            total: milliseconds(summary.total_ms),
            mean: measured(summary.total_ms / trials, error_ms),
            share: or_absent(summary.share, percent),
            provenance: summary.provenance.name(),
            error: or_absent(summary.error_ms, |ms| format!("±{}", milliseconds(ms))),
        })
        .collect()
}

/// The shares in words, and what one trial takes.
struct OverheadTable {
    words: String,
    table: Table,
}

/// `None` where no trial has finished with a time.
fn overhead(summary: &Summary) -> Option<OverheadTable> {
    let overhead = &summary.overhead;
    let (setup, grading) = (overhead.setup_share?, overhead.grading_share?);
    let mut words = format!(
        "Of the time that trials took in all, set-up was {} and grading {}; neither is part of task time.",
        percent(setup),
        percent(grading)
    );
    if let Some((each, share)) = overhead
        .sandbox_ms_per_tool_call
        .zip(overhead.sandbox_share)
    {
        words.push_str(&format!(
            " The sandbox around a tool call took {} on average, {} of task time.",
            milliseconds(each),
            percent(share)
        ));
    }
    let rows = [
        ("Set-up, cold", &overhead.cold_setup_ms),
        ("Set-up, warm", &overhead.warm_setup_ms),
        ("Grading", &overhead.grading_ms),
    ];
    let row = |(name, times): (&str, &Distribution)| {
        let cell = |value: Option<f64>| or_absent(value, milliseconds);
        vec![
            name.to_owned(),
            count(times.n as u64),
            cell(times.p50),
            cell(times.p95),
            cell(times.mean),
        ]
    };
    Some(OverheadTable {
        words,
        table: Table::new(
            ["Outside task time", "Trials", "p50", "p95", "Mean"],
            rows.into_iter().filter(|(_, times)| times.n > 0).map(row),
        ),
    })
}
