//! Prefill speed where the server does not report it: the slope of TTFT over
//! uncached prompt tokens, by the Theil–Sen estimator (median of pairwise slopes),
//! which a few queued or cached requests do not bend.

use timeslip_datasets::journal::Exchange;

use super::exchange::PrefillModel;

/// Fewer exchanges say nothing.
const MIN_POINTS: usize = 8;
/// More pairs add cost, not knowledge.
const MAX_POINTS: usize = 600;

/// Fits the exchanges of one endpoint; `None` when they cannot tell, or when the
/// server reports prefill itself.
#[must_use]
pub fn fit_prefill<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Option<PrefillModel> {
    let mut points = Vec::new();
    for exchange in exchanges {
        if exchange.reported.prefill_ns.is_some() {
            return None;
        }
        if let (Some(sent), Some(first), Some(usage), true) = (
            exchange.marks.sent,
            exchange.marks.first_token,
            exchange.usage,
            points.len() < MAX_POINTS,
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
    let mut slopes = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let others = &points[index + 1..];
        slopes.extend(
            others
                .iter()
                .filter(|(other, _)| other != x)
                .map(|(other, z)| (z - y) / (other - x)),
        );
    }
    let slope = median(&mut slopes)?;
    if slope <= 0.0 {
        return None;
    }
    let mut intercepts: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let intercept = median(&mut intercepts)?;
    let mut residuals: Vec<f64> = points
        .iter()
        .map(|(x, y)| (y - slope * x - intercept).abs())
        .collect();
    Some(PrefillModel {
        ns_per_token: slope,
        error_ns: median(&mut residuals)? as u64,
    })
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
