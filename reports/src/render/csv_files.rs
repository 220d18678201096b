//! The run as CSV: trials, stages, exchanges, endpoints, and what they mean.
//!
//! Absent values are empty cells. Text that a spreadsheet would take for a
//! formula gets a leading apostrophe.

mod meaning;

use csv::Writer;

use crate::input::{ExchangeData, RunData, TrialData};
use crate::stats::{Distribution, token_rate};
use crate::summary::{EndpointSummary, Summary, TrialSummary};

/// Every table as (file name without extension, content).
///
/// # Errors
///
/// Never for data: only if writing to memory fails.
pub fn all(run: &RunData, summary: &Summary) -> Result<Vec<(&'static str, Vec<u8>)>, csv::Error> {
    Ok(vec![
        ("trials", trials(run, summary)?),
        ("stages", stages(run)?),
        ("exchanges", exchanges(run)?),
        ("endpoints", endpoints(summary)?),
        ("policies", meaning::policies(summary)?),
        ("claims", meaning::claims(summary)?),
    ])
}

/// Untrusted text, made harmless in a spreadsheet.
fn text(value: &str) -> String {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{value}")
    } else {
        value.to_owned()
    }
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn table(
    headings: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Vec<u8>, csv::Error> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(headings)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

/// The columns that name a trial.
fn identity(trial: &TrialData) -> Vec<String> {
    vec![
        text(&trial.suite),
        text(&trial.task),
        text(&trial.endpoint),
        trial.attempt.to_string(),
    ]
}

fn trials(run: &RunData, summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "suite",
        "task",
        "endpoint",
        "attempt",
        "outcome",
        "detail",
        "wall_ns",
        "wait_ns",
        "setup_ns",
        "warm",
        "grading_ns",
        "turns",
        "tool_calls",
        "tool_sum_ns",
        "output_tokens",
    ];
    let row = |(trial, line): (&TrialData, &TrialSummary)| {
        let mut cells = identity(trial);
        cells.extend([
            line.outcome.name().to_owned(),
            line.detail.as_deref().map_or_else(String::new, text),
            line.wall_ns.to_string(),
            line.wait_ns.to_string(),
            line.setup_ns.to_string(),
            optional(line.warm),
            line.grading_ns.to_string(),
            line.turns.to_string(),
            line.tool_calls.to_string(),
            trial.tool_sum_ns.to_string(),
            optional(line.output_tokens),
        ]);
        cells
    };
    table(&headings, run.trials.iter().zip(&summary.trials).map(row))
}

fn stages(run: &RunData) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "suite",
        "task",
        "endpoint",
        "attempt",
        "stage",
        "group",
        "ns",
        "provenance",
        "error_ns",
    ];
    let rows = run.trials.iter().flat_map(|trial| {
        trial.stages.iter().map(|value| {
            let mut cells = identity(trial);
            cells.extend([
                value.stage.name().to_owned(),
                value.stage.group().name().to_owned(),
                value.ns.to_string(),
                value.provenance.name().to_owned(),
                optional(value.error_ns),
            ]);
            cells
        })
    });
    table(&headings, rows)
}

fn exchanges(run: &RunData) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "suite",
        "task",
        "endpoint",
        "attempt",
        "exchange",
        "turn",
        "transport",
        "ttft_ns",
        "admitted_ns",
        "first_reasoning_ns",
        "first_text_ns",
        "first_tool_arguments_ns",
        "decode_ns",
        "output_events",
        "output_reads",
        "keep_alives",
        "gaps",
        "inter_event_p50_ns",
        "inter_event_p95_ns",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "streamed_tokens",
        "output_tokens_per_second",
        "request_bytes",
        "response_bytes",
        "segments_out",
        "segments_in",
        "retransmits",
        "tcp_min_rtt_ns",
        "ping_ns",
        "reused_connection",
        "reported_queue_ns",
        "reported_prefill_ns",
        "reported_decode_ns",
        "reported_ttft_ns",
        "reported_total_ns",
        "contradicts_server",
    ];
    let row = |trial: &TrialData, index: usize, exchange: &ExchangeData| {
        let gaps = Distribution::of(exchange.inter_event_ns.iter().map(|ns| *ns as f64));
        let rate = exchange
            .streamed_tokens
            .zip(exchange.decode_ns)
            .and_then(|(tokens, decode)| token_rate(tokens, decode));
        let connection = &exchange.connection;
        let mut cells = identity(trial);
        cells.extend([
            (index + 1).to_string(),
            exchange.turn.to_string(),
            text(&exchange.transport),
            optional(exchange.ttft_ns),
            optional(exchange.first.admitted_ns),
            optional(exchange.first.reasoning_ns),
            optional(exchange.first.text_ns),
            optional(exchange.first.tool_arguments_ns),
            optional(exchange.decode_ns),
            exchange.output_events.to_string(),
            exchange.stream.output_reads.to_string(),
            exchange.stream.keep_alives.to_string(),
            gaps.n.to_string(),
            optional(gaps.p50.map(f64::round)),
            optional(gaps.p95.map(f64::round)),
            optional(exchange.input_tokens),
            optional(exchange.cached_tokens),
            optional(exchange.output_tokens),
            optional(exchange.streamed_tokens),
            optional(rate.map(|rate| format!("{rate:.3}"))),
            optional(exchange.request_bytes),
            optional(connection.response_bytes),
            optional(connection.tcp.map(|tcp| tcp.segments_out)),
            optional(connection.tcp.map(|tcp| tcp.segments_in)),
            optional(connection.tcp.map(|tcp| tcp.retransmits)),
            optional(connection.tcp.map(|tcp| tcp.min_rtt_ns)),
            optional(connection.ping_ns),
            connection.reused.to_string(),
            optional(exchange.reported.queue_ns),
            optional(exchange.reported.prefill_ns),
            optional(exchange.reported.decode_ns),
            optional(exchange.reported.ttft_ns),
            optional(exchange.reported.total_ns),
            exchange.contradicted.to_string(),
        ]);
        cells
    };
    let rows = run.trials.iter().flat_map(|trial| {
        let exchanges = trial.exchanges.iter().enumerate();
        exchanges.map(move |(index, exchange)| row(trial, index, exchange))
    });
    table(&headings, rows)
}

fn endpoints(summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "endpoint",
        "role",
        "model",
        "protocol",
        "transport",
        "transports_used",
        "simulated",
        "trials",
        "resolved",
        "errors",
        "resolve_rate",
        "resolve_rate_low",
        "resolve_rate_high",
        "wall_p50_ms",
        "wall_p95_ms",
        "wall_mean_ms",
        "ttft_p50_ms",
        "ttft_p95_ms",
        "inter_event_p50_ms",
        "inter_event_p95_ms",
        "output_tokens_per_second_p50",
        "output_tokens",
    ];
    let row = |(name, endpoint): (&str, &EndpointSummary)| {
        vec![
            text(name),
            endpoint.role.name().to_owned(),
            text(&endpoint.model),
            text(&endpoint.protocol),
            text(&endpoint.transport),
            text(&endpoint.transports_used.join(" ")),
            endpoint.simulated.to_string(),
            endpoint.trials.to_string(),
            endpoint.resolved.to_string(),
            endpoint.errors.to_string(),
            optional(endpoint.resolve_rate.point),
            optional(endpoint.resolve_rate.low),
            optional(endpoint.resolve_rate.high),
            optional(endpoint.wall_ms.p50),
            optional(endpoint.wall_ms.p95),
            optional(endpoint.wall_ms.mean),
            optional(endpoint.ttft_ms.p50),
            optional(endpoint.ttft_ms.p95),
            optional(endpoint.inter_event_ms.p50),
            optional(endpoint.inter_event_ms.p95),
            optional(endpoint.output_tokens_per_second.p50),
            optional(endpoint.output_tokens),
        ]
    };
    table(&headings, summary.endpoints_in_order().into_iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_starts_like_a_formula(value in any::<String>()) {
            prop_assert!(!text(&value).starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }
}
