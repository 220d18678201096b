//! Attribution: from the marks in the journal to stages that sum to the wall time.
//!
//! Pure functions over finished trials, so that a better attribution can be applied
//! to an old run. Every instant of a trial is given to exactly one stage: the spans
//! of exchanges and tool calls are laid on a line in order of their start, what an
//! earlier span covers is cut from a later one, and the gaps are the harness's own.

mod exchange;
mod fit;

pub use exchange::{Context, PrefillModel, Segment, contradicts, segments};
pub use fit::fit_prefill;

use std::collections::BTreeMap;

use timeslip_datasets::journal::{Exchange, Tool, Trial};
use timeslip_reports::input::{Provenance, Span, Stage, StageValue};

/// A trial, attributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// Every stage that occurred, in canonical order; sums to the wall time.
    pub stages: Vec<StageValue>,
    /// The critical path, gap-free.
    pub spans: Vec<Span>,
}

/// One stretch before it is fitted into the line.
struct Piece {
    start: u64,
    segment: Segment,
    turn: u32,
    label: String,
}

/// Attributes a trial.
#[must_use]
pub fn attribute(trial: &Trial, prefill: Option<PrefillModel>) -> Attribution {
    let exchanges = || trial.exchanges.iter();
    let context = Context {
        ping_ns: exchanges().filter_map(|exchange| exchange.ping_ns).min(),
        prefill,
        proxied: exchanges().any(|exchange| exchange.marks.proxy.is_some()),
    };
    let mut pieces = Vec::new();
    for exchange in &trial.exchanges {
        lay(
            &mut pieces,
            exchange.marks.start,
            segments(exchange, context),
            exchange.turn,
            |_| exchange.transport.clone(),
        );
    }
    for tool in &trial.tools {
        lay(
            &mut pieces,
            tool.start,
            tool_segments(tool),
            tool.turn,
            |_| tool.name.chars().take(40).collect(),
        );
    }
    line_up(
        pieces,
        trial.finished.wall_ns,
        &unavailable(&trial.exchanges, context),
    )
}

fn lay(
    pieces: &mut Vec<Piece>,
    mut start: u64,
    segments: Vec<Segment>,
    turn: u32,
    label: impl Fn(Stage) -> String,
) {
    for segment in segments {
        let next = segment.end.max(start);
        pieces.push(Piece {
            start,
            segment,
            turn,
            label: label(segment.stage),
        });
        start = next;
    }
}

fn tool_segments(tool: &Tool) -> Vec<Segment> {
    let measured = |end, stage| Segment {
        end,
        stage,
        provenance: Provenance::Measured,
        error_ns: None,
    };
    match tool.command_start {
        Some(start) => vec![
            measured(start, Stage::ToolSandbox),
            // A killed command ran until the end.
            measured(tool.command_end.unwrap_or(tool.end), Stage::ToolCommand),
            measured(tool.end, Stage::ToolSandbox),
        ],
        None => vec![measured(tool.end, Stage::ToolSandbox)],
    }
}

/// Stages no exchange could tell: shown as unavailable rather than as zero.
fn unavailable(exchanges: &[Exchange], context: Context) -> Vec<Stage> {
    let answered = exchanges.iter().filter(|exchange| {
        exchange.marks.first_token.is_some() && exchange.backoff_until.is_none()
    });
    answered
        .map(|exchange| exchange::untold(exchange, context).collect::<Vec<Stage>>())
        .reduce(|all, own| {
            all.into_iter()
                .filter(|stage| own.contains(stage))
                .collect()
        })
        .unwrap_or_default()
}

/// Puts pieces on a line from 0 to `wall`, each instant in exactly one of them.
fn line_up(mut pieces: Vec<Piece>, wall: u64, unavailable: &[Stage]) -> Attribution {
    pieces.sort_by_key(|piece| (piece.start, piece.segment.end));
    let mut spans: Vec<Span> = Vec::new();
    let mut totals: BTreeMap<Stage, StageValue> = BTreeMap::new();
    let mut at = 0;
    let mut put = |from: u64,
                   to: u64,
                   stage: Stage,
                   provenance,
                   error_ns: Option<u64>,
                   turn,
                   label: String| {
        let value = totals.entry(stage).or_insert(StageValue {
            stage,
            ns: 0,
            provenance,
            error_ns: None,
        });
        value.ns += to - from;
        value.provenance = value.provenance.max(provenance);
        if let Some(error) = error_ns {
            value.error_ns = Some(value.error_ns.unwrap_or(0).saturating_add(error));
        }
        spans.push(Span {
            start_ns: from,
            end_ns: to,
            stage,
            turn,
            label,
        });
    };
    for Piece {
        start,
        segment,
        turn,
        label,
    } in pieces
    {
        let start = start.clamp(at, wall);
        let end = segment.end.clamp(start, wall);
        if start > at {
            put(
                at,
                start,
                Stage::Harness,
                Provenance::Measured,
                None,
                turn,
                String::new(),
            );
        }
        if end > start {
            put(
                start,
                end,
                segment.stage,
                segment.provenance,
                segment.error_ns,
                turn,
                label,
            );
        }
        at = end;
    }
    if wall > at {
        put(
            at,
            wall,
            Stage::Harness,
            Provenance::Measured,
            None,
            0,
            String::new(),
        );
    }
    for stage in unavailable {
        totals.entry(*stage).or_insert(StageValue {
            stage: *stage,
            ns: 0,
            provenance: Provenance::Unavailable,
            error_ns: None,
        });
    }
    Attribution {
        stages: totals.into_values().collect(),
        spans,
    }
}

#[cfg(test)]
mod tests;
