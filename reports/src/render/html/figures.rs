//! The key figures at the top of the page.

use crate::format::{
    ABSENT, milliseconds, or_absent, percent, percent_range, rate, ratio, ratio_range,
    signed_points,
};
use crate::stats::Estimate;
use crate::summary::{Comparison, EndpointSummary, Summary};

/// One figure with what it is and what bounds it.
pub(super) struct Figure {
    pub(super) label: String,
    pub(super) value: String,
    pub(super) note: String,
}

/// The figures that have a value.
pub(super) fn key_figures(summary: &Summary) -> Vec<Figure> {
    let mut figures = match &summary.comparison {
        Some(comparison) => compared(summary, comparison),
        None => summary
            .endpoints_in_order()
            .into_iter()
            .flat_map(|(name, endpoint)| alone(name, endpoint))
            .collect(),
    };
    figures.retain(|figure| figure.value != ABSENT);
    figures
}

fn compared(summary: &Summary, comparison: &Comparison) -> Vec<Figure> {
    let sides =
        [&comparison.candidate, &comparison.baseline].map(|name| summary.endpoints.get(name));
    let versus = |value: &dyn Fn(&EndpointSummary) -> String| {
        sides.map(|side| or_absent(side, value)).join(" / ")
    };
    let difference = &comparison.resolve_rate_difference;
    vec![
        Figure {
            label: "Tasks finish sooner".to_owned(),
            value: or_absent(comparison.task_time_ratio.point, ratio),
            note: bounds(&comparison.task_time_ratio, |range| {
                format!("95 % interval {}", ratio_range(range))
            }),
        },
        Figure {
            label: "Tokens stream faster".to_owned(),
            value: or_absent(comparison.token_rate_ratio, ratio),
            note: format!(
                "{} tokens/s (median)",
                versus(&|side| or_absent(side.output_tokens_per_second.p50, rate))
            ),
        },
        Figure {
            label: "Limit with instant decode".to_owned(),
            value: or_absent(comparison.amdahl_limit, ratio),
            note: "if the baseline’s decode took no time".to_owned(),
        },
        Figure {
            label: "Median task time".to_owned(),
            value: or_absent(sides[0].and_then(|side| side.wall_ms.p50), milliseconds),
            note: format!(
                "against {}",
                or_absent(sides[1].and_then(|side| side.wall_ms.p50), milliseconds)
            ),
        },
        Figure {
            label: "Resolved".to_owned(),
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

fn alone(name: &str, endpoint: &EndpointSummary) -> Vec<Figure> {
    vec![
        Figure {
            label: "Median task time".to_owned(),
            value: or_absent(endpoint.wall_ms.p50, milliseconds),
            note: format!("{name}, n = {}", endpoint.wall_ms.n),
        },
        Figure {
            label: "Resolved".to_owned(),
            value: or_absent(endpoint.resolve_rate.point, percent),
            note: bounds(&endpoint.resolve_rate, |range| {
                format!("95 % interval {}", percent_range(range))
            }),
        },
        Figure {
            label: "Median TTFT".to_owned(),
            value: or_absent(endpoint.ttft_ms.p50, milliseconds),
            note: format!("n = {} exchanges", endpoint.ttft_ms.n),
        },
        Figure {
            label: "Output tokens per second".to_owned(),
            value: or_absent(endpoint.output_tokens_per_second.p50, rate),
            note: format!(
                "median of {} exchanges",
                endpoint.output_tokens_per_second.n
            ),
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
