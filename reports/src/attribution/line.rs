//! The line of a trial: stretches side by side, each instant in exactly one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exchange::Segment;
use crate::data::{Span, StageValue};
use crate::stages::{Provenance, Stage};

/// A trial, attributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// Every stage that occurred, in canonical order; sums to the wall time.
    pub stages: Vec<StageValue>,
    /// The critical path, gap-free.
    pub spans: Vec<Span>,
}

/// One stretch before it is fitted into the line.
pub(super) struct Piece {
    start: u64,
    segment: Segment,
    turn: u32,
    label: Arc<str>,
}

/// Adds the stretches of one exchange or tool call, which began at `start`, as far as `to`.
pub(super) fn lay(
    pieces: &mut Vec<Piece>,
    mut start: u64,
    to: u64,
    segments: &[Segment],
    turn: u32,
    label: &Arc<str>,
) {
    for segment in segments {
        let next = segment.end.clamp(start, to.max(start));
        pieces.push(Piece {
            start,
            segment: Segment {
                end: next,
                ..*segment
            },
            turn,
            label: Arc::clone(label),
        });
        start = next;
    }
}

/// A trial's line as far as it is given to stages.
#[derive(Default)]
struct TrialLine<'a> {
    /// When the developer took his time, in order.
    developer: &'a [(u64, u64)],
    at: u64,
    spans: Vec<Span>,
    totals: BTreeMap<Stage, StageValue>,
}

impl TrialLine<'_> {
    /// Gives what lies before `segment.end` to its stage.
    fn until(&mut self, segment: Segment, turn: u32, label: Arc<str>) {
        let Segment {
            end,
            stage,
            provenance,
            error_ns,
        } = segment;
        if end <= self.at {
            return;
        }
        let start_ns = std::mem::replace(&mut self.at, end);
        let value = self.total(stage, provenance);
        value.ns += end - start_ns;
        value.provenance = value.provenance.max(provenance);
        if let Some(error) = error_ns {
            value.error_ns = Some(value.error_ns.unwrap_or(0).saturating_add(error));
        }
        self.spans.push(Span {
            start_ns,
            end_ns: end,
            stage,
            turn,
            label,
        });
    }

    /// Gives a gap to the developer where that is whose it is, else to the harness.
    fn gap(&mut self, end: u64, turn: u32) {
        let first = self.developer.partition_point(|(_, to)| *to <= self.at);
        let within = &self.developer[first..];
        for (from, to) in within.iter().take_while(|(from, _)| *from < end) {
            self.fill((*from).min(end), turn, Stage::Harness);
            self.fill((*to).min(end), turn, Stage::Developer);
        }
        self.fill(end, turn, Stage::Harness);
    }

    fn fill(&mut self, end: u64, turn: u32, stage: Stage) {
        let gap = Segment {
            end,
            stage,
            provenance: Provenance::Measured,
            error_ns: None,
        };
        self.until(gap, turn, Arc::default());
    }

    /// What a stage has so far; nothing, known like this, where it is new.
    fn total(&mut self, stage: Stage, provenance: Provenance) -> &mut StageValue {
        self.totals.entry(stage).or_insert(StageValue {
            stage,
            ns: 0,
            provenance,
            error_ns: None,
        })
    }
}

/// Puts pieces on a line from 0 to `wall`, each instant in exactly one of them. What none
/// of them covers is the harness's, or the developer's where he took his time: stretches in
/// order, none within another.
pub(super) fn line_up(
    mut pieces: Vec<Piece>,
    wall: u64,
    unavailable: &[Stage],
    developer: &[(u64, u64)],
) -> Attribution {
    pieces.sort_by_key(|piece| (piece.start, piece.segment.end));
    let mut line = TrialLine {
        developer,
        ..TrialLine::default()
    };
    for piece in pieces {
        let start = piece.start.clamp(line.at, wall);
        line.gap(start, piece.turn);
        let end = piece.segment.end.clamp(start, wall);
        let segment = Segment {
            end,
            ..piece.segment
        };
        line.until(segment, piece.turn, piece.label);
    }
    line.gap(wall, 0);
    for stage in unavailable {
        line.total(*stage, Provenance::Unavailable);
    }
    Attribution {
        stages: line.totals.into_values().collect(),
        // A copy has no room left over: there are many of these in a run.
        spans: line.spans.as_slice().to_vec(),
    }
}
