//! Prefill speed where the server does not report it: the slope of TTFT over
//! uncached prompt tokens, which a few queued or cached requests must not bend.

use timeslip_datasets::journal::Exchange;
use timeslip_reports::stats::{quantile, sorted};

use super::exchange::PrefillModel;
use crate::regression::theil_sen;

/// Fewer exchanges say nothing.
const MIN_POINTS: usize = 8;

/// The share of exchanges that surely found the server idle.
const UNLOADED: f64 = 0.1;

/// Fits the exchanges of one endpoint; `None` when they cannot tell, or when the
/// server reports prefill itself.
#[must_use]
pub fn fit_prefill<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Option<PrefillModel> {
    let mut points = Vec::new();
    let own = exchanges.filter(|exchange| exchange.backoff_until.is_none());
    for exchange in own {
        if exchange.reported.prefill_ns.is_some() {
            return None;
        }
        if let (Some(sent), Some(first), Some(usage)) = (
            exchange.marks.sent,
            exchange.marks.first_token,
            exchange.usage,
        ) {
            let uncached = usage
                .input_tokens
                .saturating_sub(usage.cached_tokens.unwrap_or(0));
            points.push((uncached as f64, first.saturating_sub(sent) as f64));
        }
    }
    if points.len() < MIN_POINTS {
        return None;
    }
    let line = theil_sen(&points)?;
    let fixed = sorted(points.iter().map(|(x, y)| y - line.slope * x));
    (line.slope > 0.0).then_some(PrefillModel {
        ns_per_token: line.slope,
        unloaded_ns: quantile(&fixed, UNLOADED)?.max(0.0) as u64,
        error_ns: line.residual as u64,
    })
}
