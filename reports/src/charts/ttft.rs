//! Time to first token of every exchange.

use super::cumulative::{Cumulative, draw_cumulative};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::metrics::TTFT;

pub(super) static CHART: ChartKind = ChartKind {
    name: "ttft",
    title: "Time to first token",
    section: "charts",
    per_candidate: false,
    draw,
};

fn draw(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let shown = Cumulative {
        kind: &CHART,
        subtitle: "Share of exchanges whose first token came within a time",
        axis: "time to first token, logarithmic",
        metric: TTFT,
    };
    draw_cumulative(source, &shown)
}
