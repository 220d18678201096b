//! Every endpoint, candidate first.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;
use crate::summary::EndpointSummary;

pub(super) static FILE: CsvFile = CsvFile {
    name: "endpoints",
    columns: columns::<EndpointRecord>,
    write: |_, summary, rows| {
        let mut endpoints = summary.endpoints.iter();
        endpoints.try_for_each(|(name, endpoint)| rows.push(EndpointRecord::of(name, endpoint)))
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct EndpointRecord {
    /// Its name.
    endpoint: Text,
    /// Side of the comparison: candidate or baseline.
    role: &'static str,
    /// Model id sent on the wire.
    model: Text,
    /// Wire protocol.
    protocol: Text,
    /// Transport asked for.
    transport: Text,
    /// Transports really used, with spaces between them.
    transports_used: Text,
    /// Whether it is an embedded endpoint.
    simulated: bool,
    /// Trials finished, errors included.
    trials: usize,
    /// Trials the grader accepted.
    resolved: usize,
    /// Trials in which the endpoint or the sandbox failed.
    errors: usize,
    /// resolved ÷ trials.
    resolve_rate: Number,
    /// Lower end of its 95 % interval.
    resolve_rate_low: Number,
    /// Upper end of its 95 % interval.
    resolve_rate_high: Number,
    /// Median task time, trials that ended in an error left out as in all times.
    wall_p50_ms: Number,
    /// 95th percentile of task time.
    wall_p95_ms: Number,
    /// Median task time by nearest rank, a trial that the endpoint failed counted as
    /// infinitely late; inf where it is among these.
    wall_error_adjusted_p50_ms: Number,
    /// 95th percentile, likewise; empty with fewer than 21 trials.
    wall_error_adjusted_p95_ms: Number,
    /// Mean task time.
    wall_mean_ms: Number,
    /// Median TTFT over exchanges.
    ttft_p50_ms: Number,
    /// 95th percentile of TTFT.
    ttft_p95_ms: Number,
    /// Median gap between consecutive output events.
    inter_event_p50_ms: Number,
    /// 95th percentile of the gaps.
    inter_event_p95_ms: Number,
    /// Median output rate over exchanges.
    output_tokens_per_second_p50: Number,
    /// Output tokens of all trials by the servers' usage.
    output_tokens: Option<u64>,
}

impl EndpointRecord {
    fn of(name: &str, endpoint: &EndpointSummary) -> Self {
        EndpointRecord {
            endpoint: Text::of(name),
            role: endpoint.role.name(),
            model: Text::of(&endpoint.model),
            protocol: Text::of(&endpoint.protocol),
            transport: Text::of(&endpoint.transport),
            transports_used: Text::of(&endpoint.transports_used.join(" ")),
            simulated: endpoint.simulated,
            trials: endpoint.trials,
            resolved: endpoint.resolved,
            errors: endpoint.errors,
            resolve_rate: Number(endpoint.resolve_rate.point),
            resolve_rate_low: Number(endpoint.resolve_rate.low),
            resolve_rate_high: Number(endpoint.resolve_rate.high),
            wall_p50_ms: Number(endpoint.wall_ms.p50),
            wall_p95_ms: Number(endpoint.wall_ms.p95),
            wall_error_adjusted_p50_ms: Number(endpoint.wall_error_adjusted_ms.median()),
            wall_error_adjusted_p95_ms: Number(endpoint.wall_error_adjusted_ms.tail()),
            wall_mean_ms: Number(endpoint.wall_ms.mean),
            ttft_p50_ms: Number(endpoint.ttft_ms.p50),
            ttft_p95_ms: Number(endpoint.ttft_ms.p95),
            inter_event_p50_ms: Number(endpoint.inter_event_ms.p50),
            inter_event_p95_ms: Number(endpoint.inter_event_ms.p95),
            output_tokens_per_second_p50: Number(endpoint.output_tokens_per_second.p50),
            output_tokens: endpoint.output_tokens,
        }
    }
}
