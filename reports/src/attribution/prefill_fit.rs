//! Prefill speed where the server does not report it: the slope of TTFT over
//! uncached prompt tokens, which a few queued or cached requests must not bend.

use timeslip_datasets::run::journal::Exchange;

use crate::stats::{quantile, sorted, theil_sen};

/// Fewer exchanges say nothing.
const MIN_POINTS: usize = 8;

/// The share of exchanges that surely found the server idle.
const UNLOADED: f64 = 0.1;
/// Noise is read off the fastest quarter, which queues reach last: the distance of its
/// ends in standard deviations of a normal distribution.
const QUARTER: (f64, f64) = (0.05, 0.25);
const QUARTER_DEVIATIONS: f64 = 0.971;
/// What lies so many standard deviations above that quarter is a queue: three and a half above
/// the median, which noise of a run seldom reaches.
const QUEUE_DEVIATIONS: f64 = 0.674 + 3.5;

/// Prefill time as fitted over many exchanges of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillModel {
    /// Nanoseconds for one uncached prompt token.
    pub ns_per_token: f64,
    /// Half the 95 % interval of that.
    pub slope_error: f64,
    /// TTFT of an empty prompt while nothing queues: round trip and fixed cost.
    pub unloaded_ns: u64,
    /// TTFT of an empty prompt above which there surely was a queue.
    pub busy_ns: u64,
    /// Median absolute residual of the fit.
    pub error_ns: u64,
}

impl PrefillModel {
    /// Time to read so many tokens, and the bound on its error.
    pub(super) fn prefill(&self, uncached: u64) -> (u64, u64) {
        let tokens = uncached as f64;
        let error = (self.slope_error * tokens) as u64;
        (
            (self.ns_per_token * tokens).max(0.0) as u64,
            error.saturating_add(self.error_ns),
        )
    }
}

/// What prefill of one endpoint is fitted from.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrefillPoints {
    /// Uncached prompt tokens and TTFT of each exchange.
    points: Vec<(f64, f64)>,
    /// The server reports prefill itself.
    reported: bool,
}

impl PrefillPoints {
    /// Takes in an exchange of the endpoint.
    pub(crate) fn add(&mut self, exchange: &Exchange) {
        if exchange.backoff_until.is_some() {
            return;
        }
        self.reported |= exchange.reported.prefill_ns.is_some();
        if let (false, Some(sent), Some(first), Some(uncached)) = (
            self.reported,
            exchange.marks.sent,
            exchange.marks.first_token,
            uncached_tokens(exchange),
        ) {
            let ttft = first.saturating_sub(sent);
            self.points.push((uncached as f64, ttft as f64));
        }
    }

    /// The fit. `None` when there are too few exchanges, when zero lies within the slope's
    /// interval, and when the server reports prefill itself.
    pub(crate) fn fit(&self) -> Option<PrefillModel> {
        let points = &self.points;
        if self.reported || points.len() < MIN_POINTS {
            return None;
        }
        let line = theil_sen(points)?;
        let (low, high) = line.slope_interval;
        if low <= 0.0 {
            // TTFT that may not grow with the prompt at all shows no prefill.
            return None;
        }
        let fixed = sorted(points.iter().map(|(x, y)| y - line.slope * x));
        let (low_end, high_end) = (quantile(&fixed, QUARTER.0)?, quantile(&fixed, QUARTER.1)?);
        let deviation = (high_end - low_end) / QUARTER_DEVIATIONS;
        Some(PrefillModel {
            ns_per_token: line.slope,
            slope_error: (high - low) / 2.0,
            unloaded_ns: quantile(&fixed, UNLOADED)?.max(0.0) as u64,
            busy_ns: (high_end + QUEUE_DEVIATIONS * deviation).max(0.0) as u64,
            error_ns: line.residual as u64,
        })
    }
}

/// Fits the exchanges of one endpoint, as [`crate::open`] does. `None` when they show no
/// prefill, or the server reports it.
#[must_use]
pub fn fit_prefill<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Option<PrefillModel> {
    let mut points = PrefillPoints::default();
    exchanges.for_each(|exchange| points.add(exchange));
    points.fit()
}

/// Prompt tokens that had to be read; `None` where nobody knows: from the second turn on
/// a prefix may be cached, whether the server says so or not.
pub(super) fn uncached_tokens(exchange: &Exchange) -> Option<u64> {
    let usage = exchange
        .usage
        .filter(|usage| usage.contradiction().is_none())?;
    let cached = usage
        .cached_tokens
        .or_else(|| (exchange.turn <= 1).then_some(0))?;
    Some(usage.input()?.saturating_sub(cached))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use timeslip_datasets::run::journal::{Marks, Usage};

    use super::super::Context;
    use super::*;
    use crate::stages::Stage;

    /// A run of 60 exchanges with normal noise of 5 ms on 100 ms and the given slope; a
    /// share of them wait in a queue for 60 to 200 ms.
    fn run(seed: u64, ns_per_token: f64, queued: f64) -> Vec<Exchange> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut unit = || (f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0;
        (0..60)
            .map(|_| {
                let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
                let tokens = 100.0 + 4_000.0 * unit();
                let queue = if unit() < queued {
                    60e6 + 140e6 * unit()
                } else {
                    0.0
                };
                let ttft = 100e6 + 5e6 * normal + ns_per_token * tokens + queue;
                Exchange {
                    turn: 1,
                    marks: Marks {
                        sent: Some(0),
                        first_token: Some(ttft as u64),
                        ..Marks::default()
                    },
                    usage: Some(Usage {
                        input_tokens: tokens as u64,
                        ..Usage::default()
                    }),
                    // What it truly waited, where the attribution does not look.
                    response_id: (queue > 0.0).then(String::new),
                    ..Exchange::default()
                }
            })
            .collect()
    }

    /// Exchanges of many runs, by whether they waited and were found to have.
    fn found(queued: f64) -> [[u32; 2]; 2] {
        let mut count = [[0; 2]; 2];
        for seed in 0..100 {
            let run = run(seed, 20_000.0, queued);
            let Some(model) = fit_prefill(run.iter()) else {
                continue;
            };
            for exchange in &run {
                let context = Context {
                    prefill: Some(model),
                    ..Context::default()
                };
                let segments = super::super::segments(exchange, context);
                let queue = segments.iter().any(|segment| segment.stage == Stage::Queue);
                count[usize::from(exchange.response_id.is_some())][usize::from(queue)] += 1;
            }
        }
        count
    }

    #[test]
    fn noise_is_seldom_a_slope() {
        let found = (0..400).filter(|seed| fit_prefill(run(*seed, 0.0, 0.0).iter()).is_some());
        // One tail of a 95 % interval: ten are expected.
        let found = found.count();
        assert!(found <= 20, "{found} of 400");
    }

    #[test]
    fn a_slope_is_found_within_its_error() {
        for seed in 0..100 {
            let model = fit_prefill(run(seed, 20_000.0, 0.0).iter()).expect("20 µs a token");
            assert!((model.ns_per_token - 20_000.0).abs() < 3.0 * model.slope_error);
        }
    }

    #[test]
    fn noise_is_seldom_a_queue() {
        let [[quiet, alarms], _] = found(0.0);
        assert!(
            alarms * 100 < quiet + alarms,
            "{alarms} of {}",
            quiet + alarms
        );
    }

    #[test]
    fn queues_are_found_even_when_every_second_exchange_waits() {
        for queued in [0.1, 0.3, 0.5] {
            let [_, [missed, found]] = found(queued);
            assert!(
                found > 9 * missed,
                "{queued}: {found} found, {missed} missed"
            );
        }
    }
}
