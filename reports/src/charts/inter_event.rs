//! Gaps between consecutive output events.

use super::cumulative::{Cumulative, draw_cumulative};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::metrics::INTER_EVENT;

pub(super) static CHART: ChartKind = ChartKind {
    name: "inter-event",
    title: "Gap between output events",
    section: "charts",
    per_candidate: false,
    draw,
};

fn draw(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let shown = Cumulative {
        kind: &CHART,
        subtitle: "Share of gaps no longer than a time; one event may carry several tokens",
        axis: "gap between events, logarithmic",
        metric: INTER_EVENT,
    };
    draw_cumulative(source, &shown)
}
