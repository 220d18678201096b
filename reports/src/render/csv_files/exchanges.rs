//! Every model call of every trial.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text, TrialKey};
use super::columns::trial_columns;
use crate::data::ExchangeData;
use crate::stats::Distribution;
use crate::trial::exchange_rate;

pub(super) static FILE: CsvFile = CsvFile {
    name: "exchanges",
    columns: trial_columns::<ExchangeRecord>,
    write: |run, _, rows| {
        for trial in &run.trials {
            let key = TrialKey::of(trial);
            for (index, exchange) in trial.exchanges.iter().enumerate() {
                rows.push((&key, ExchangeRecord::of(index + 1, exchange)))?;
            }
        }
        Ok(())
    },
};

/// Times are in nanoseconds from the last request byte, except where a column says else.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ExchangeRecord {
    /// Number within the trial, from 1.
    exchange: usize,
    /// Turn, from 1.
    turn: u32,
    /// The transport really used.
    transport: Text,
    /// To the first event with model output of any kind.
    ttft_ns: Option<u64>,
    /// To the event with which the server says that it took the request.
    admitted_ns: Option<u64>,
    /// To the first reasoning.
    first_reasoning_ns: Option<u64>,
    /// To the first text.
    first_text_ns: Option<u64>,
    /// To the first arguments of a tool call.
    first_tool_arguments_ns: Option<u64>,
    /// It was read too late to tell when its output came; its times are empty.
    spoilt: bool,
    /// By how much at most the times of its output are too late, where a late read may have
    /// found segments merged.
    too_late_by_ns: Option<u64>,
    /// Its output came as it was generated; else there are no rate and no gaps.
    streamed: bool,
    /// First to last streamed token.
    decode_ns: Option<u64>,
    /// Events that carried model output.
    output_events: u64,
    /// Reads that brought them.
    output_reads: u64,
    /// Comments and pings that only keep the connection alive.
    keep_alives: u64,
    /// Gaps between consecutive output events.
    gaps: usize,
    /// Median gap.
    inter_event_p50_ns: Number,
    /// 95th percentile of the gaps; empty below 21.
    inter_event_p95_ns: Number,
    /// Prompt tokens by the server's usage.
    input_tokens: Option<u64>,
    /// Prompt tokens served from cache.
    cached_tokens: Option<u64>,
    /// Output tokens by the server's usage.
    output_tokens: Option<u64>,
    /// Those of them that came as events.
    streamed_tokens: Option<u64>,
    /// (streamed_tokens − 1) ÷ decode_ns.
    output_tokens_per_second: Option<String>,
    /// Request bytes written.
    request_bytes: Option<u64>,
    /// Response bytes read.
    response_bytes: Option<u64>,
    /// TCP segments sent.
    segments_out: Option<u32>,
    /// TCP segments received.
    segments_in: Option<u32>,
    /// TCP segments retransmitted.
    retransmits: Option<u32>,
    /// Smallest TCP round trip.
    tcp_min_rtt_ns: Option<u64>,
    /// Round trip of a WebSocket or HTTP/2 ping.
    ping_ns: Option<u64>,
    /// Whether the connection was open already.
    reused_connection: bool,
    /// Time in the server's queue, as it reports it.
    reported_queue_ns: Option<u64>,
    /// Time reading the prompt, as the server reports it.
    reported_prefill_ns: Option<u64>,
    /// Time generating, as the server reports it.
    reported_decode_ns: Option<u64>,
    /// Request taken to first token, as the server reports it.
    reported_ttft_ns: Option<u64>,
    /// Request taken to last token, as the server reports it.
    reported_total_ns: Option<u64>,
    /// Whether the server reports more time than the client's marks leave room for.
    contradicts_server: bool,
}

impl ExchangeRecord {
    fn of(number: usize, exchange: &ExchangeData) -> Self {
        let gaps = Distribution::of(exchange.inter_event_ns.iter().map(|ns| ns as f64));
        let connection = &exchange.connection;
        ExchangeRecord {
            exchange: number,
            turn: exchange.turn,
            transport: Text::of(&exchange.transport),
            ttft_ns: exchange.ttft_ns,
            admitted_ns: exchange.first.admitted_ns,
            first_reasoning_ns: exchange.first.reasoning_ns,
            first_text_ns: exchange.first.text_ns,
            first_tool_arguments_ns: exchange.first.tool_arguments_ns,
            spoilt: exchange.spoilt,
            too_late_by_ns: exchange.too_late_by_ns,
            streamed: exchange.streamed,
            decode_ns: exchange.decode_ns,
            output_events: exchange.output_events,
            output_reads: exchange.stream.output_reads.into(),
            keep_alives: exchange.stream.keep_alives.into(),
            gaps: gaps.n,
            inter_event_p50_ns: Number(gaps.p50.map(f64::round)),
            inter_event_p95_ns: Number(gaps.p95.map(f64::round)),
            input_tokens: exchange.input_tokens,
            cached_tokens: exchange.cached_tokens,
            output_tokens: exchange.output_tokens,
            streamed_tokens: exchange.streamed_tokens,
            output_tokens_per_second: exchange_rate(exchange).map(|rate| format!("{rate:.3}")),
            request_bytes: exchange.request_bytes,
            response_bytes: connection.response_bytes,
            segments_out: connection.tcp.map(|tcp| tcp.segments_out),
            segments_in: connection.tcp.map(|tcp| tcp.segments_in),
            retransmits: connection.tcp.map(|tcp| tcp.retransmits),
            tcp_min_rtt_ns: connection.tcp.map(|tcp| tcp.min_rtt_ns),
            ping_ns: connection.ping_ns,
            reused_connection: connection.reused,
            reported_queue_ns: exchange.reported.queue_ns,
            reported_prefill_ns: exchange.reported.prefill_ns,
            reported_decode_ns: exchange.reported.decode_ns,
            reported_ttft_ns: exchange.reported.ttft_ns,
            reported_total_ns: exchange.reported.total_ns,
            contradicts_server: exchange.contradicted,
        }
    }
}
