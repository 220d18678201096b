//! The key figures at the top of the page.

use askama::Template;

use super::Section;
use crate::format::{
    ABSENT, capitalised, milliseconds, or_absent, percent, percent_range, plural, ratio,
    ratio_range, signed_points,
};
use crate::metrics::{Metric, OUTPUT_RATE, RESOLVED, TASK_TIME, TTFT};
use crate::render::figures;
use crate::stats::Estimate;
use crate::summary::{Comparison, EndpointSummary, Summary};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "figures",
    title: "Key figures",
    nav: None,
    body: |data| {
        let against = figures::against(data.summary).map(|table| {
            let headings = table.headings.iter().map(|heading| capitalised(heading));
            Table::new(headings.collect::<Vec<_>>(), table.rows)
        });
        let figures = match against {
            Some(_) => Vec::new(),
            None => key_figures(data.summary),
        };
        if figures.is_empty() && against.is_none() {
            return Ok(None);
        }
        KeyFigures { figures, against }.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/key_figures.html")]
struct KeyFigures {
    figures: Vec<KeyFigure>,
    /// In their place the candidates in a table, where there are several.
    against: Option<Table>,
}

/// One figure with what it is and what bounds it.
struct KeyFigure {
    label: String,
    value: String,
    note: String,
}

/// The figures that have a value.
fn key_figures(summary: &Summary) -> Vec<KeyFigure> {
    let mut figures = match &summary.comparison {
        Some(comparison) => compared(summary, comparison),
        None => summary
            .endpoints
            .iter()
            .flat_map(|(name, endpoint)| alone(name, endpoint))
            .collect(),
    };
    figures.retain(|figure| figure.value != ABSENT);
    figures
}

fn compared(summary: &Summary, comparison: &Comparison) -> Vec<KeyFigure> {
    let sides =
        [&comparison.candidate, &comparison.baseline].map(|name| summary.endpoints.get(name));
    let versus = |value: &dyn Fn(&EndpointSummary) -> String| {
        sides.map(|side| or_absent(side, value)).join(" / ")
    };
    let difference = &comparison.resolve_rate_difference;
    let quoted = comparison.task_time_ratio.point;
    let quoted = quoted.filter(|_| summary.headline_lacks.is_empty());
    vec![
        KeyFigure {
            label: "Tasks finish sooner".to_owned(),
            value: or_absent(quoted, ratio),
            note: bounds(&comparison.task_time_ratio, |range| {
                format!("95 % interval {}", ratio_range(range))
            }),
        },
        KeyFigure {
            label: "Tokens stream faster".to_owned(),
            value: or_absent(comparison.token_rate_ratio, ratio),
            note: format!(
                "median {}",
                versus(
                    &|side| or_absent(side.output_tokens_per_second.p50, |rate| OUTPUT_RATE
                        .show(rate))
                )
            ),
        },
        KeyFigure {
            label: "Limit of faster decode alone".to_owned(),
            value: or_absent(comparison.amdahl_limit, ratio),
            note: beyond_decode(comparison),
        },
        KeyFigure {
            label: median(&TASK_TIME),
            value: or_absent(sides[0].and_then(|side| side.wall_ms.p50), milliseconds),
            note: format!(
                "against {}",
                or_absent(sides[1].and_then(|side| side.wall_ms.p50), milliseconds)
            ),
        },
        KeyFigure {
            label: capitalised(&RESOLVED.label()),
            value: or_absent(sides[0].and_then(|side| side.resolve_rate.point), percent),
            note: format!(
                "against {}; {}",
                or_absent(sides[1].and_then(|side| side.resolve_rate.point), percent),
                or_absent(difference.point, |point| format!(
                    "{} points{}",
                    signed_points(point),
                    difference
                        .interval()
                        .map_or_else(String::new, |(low, high)| format!(
                            " ({} to {})",
                            signed_points(low),
                            signed_points(high)
                        ))
                ))
            ),
        },
    ]
}

/// What the limit of decode limits: other stages may have become shorter, too.
fn beyond_decode(comparison: &Comparison) -> String {
    let limits = "if the baseline’s decode took no time and nothing else changed";
    let measured = comparison.task_time_ratio.point;
    match (measured, comparison.amdahl_limit) {
        (Some(measured), Some(limit)) if measured > limit => {
            format!("{limits}; what was measured beyond it comes from the other stages")
        }
        _ => limits.to_owned(),
    }
}

fn median(metric: &Metric) -> String {
    format!("Median {}", metric.label())
}

fn alone(name: &str, endpoint: &EndpointSummary) -> Vec<KeyFigure> {
    vec![
        KeyFigure {
            label: median(&TASK_TIME),
            value: or_absent(endpoint.wall_ms.p50, milliseconds),
            note: format!("{name}, {}", plural(endpoint.wall_ms.n, "trial")),
        },
        KeyFigure {
            label: capitalised(&RESOLVED.label()),
            value: or_absent(endpoint.resolve_rate.point, percent),
            note: bounds(&endpoint.resolve_rate, |range| {
                format!("95 % interval {}", percent_range(range))
            }),
        },
        KeyFigure {
            label: median(&TTFT),
            value: or_absent(endpoint.ttft_ms.p50, milliseconds),
            note: plural(endpoint.ttft_ms.n, "exchange"),
        },
        KeyFigure {
            label: median(&OUTPUT_RATE),
            value: or_absent(endpoint.output_tokens_per_second.p50, |rate| {
                OUTPUT_RATE.show(rate)
            }),
            note: plural(endpoint.output_tokens_per_second.n, "exchange"),
        },
    ]
}

fn bounds(estimate: &Estimate, format: impl FnOnce((f64, f64)) -> String) -> String {
    match (estimate.interval(), &estimate.reason) {
        (Some(range), _) => format(range),
        (None, Some(reason)) => reason.clone(),
        (None, None) => ABSENT.to_owned(),
    }
}
