//! From samples to figures: pure functions.

use timeslip_datasets::run::journal::Exchange;
use timeslip_reports::stats::{Line, median, theil_sen};
use timeslip_simulator::{Faults, Profile};

use crate::instrument::probing::Samples;

/// A figure and how it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    /// Its value, in the unit its field names.
    pub(super) value: f64,
    /// Median absolute residual of the fit behind it, in nanoseconds of TTFT or of one
    /// token; absent where nothing was fitted.
    pub(super) residual_ns: Option<f64>,
}

/// What an endpoint is like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figures {
    /// Model the server says it ran.
    pub(super) model: String,
    /// Round trip to the server, in nanoseconds, and how it was measured.
    pub(super) round_trip_ns: f64,
    /// `ping`, `reported by the server` or `TCP`.
    pub(super) round_trip_from: &'static str,
    /// Time of one uncached prompt token, in nanoseconds.
    pub(super) prefill_ns_per_token: Figure,
    /// Time of one cached prompt token, in nanoseconds; absent when the server reports
    /// none as cached.
    pub(super) cached_ns_per_token: Option<Figure>,
    /// What every request costs beside the round trip, prompt and first token, in
    /// nanoseconds: queue and fixed work of the server.
    pub(super) overhead_ns: f64,
    /// Time of one output token after an empty context, in nanoseconds.
    pub(super) decode_ns_per_token: Figure,
    /// By how much an output token takes longer for 1,000 tokens of context, as a share.
    pub(super) decode_slowdown_per_1k_context: f64,
    /// Output tokens per stream event.
    pub(super) tokens_per_event: f64,
    /// Standard deviation of the logarithm of the gaps between events, robustly (from
    /// the median absolute deviation).
    pub(super) jitter: f64,
    /// Answered prompts.
    pub(super) samples: usize,
}

/// Cached tokens below this cannot show a slope.
const MIN_CACHED: f64 = 64.0;
/// The median absolute deviation of a normal distribution, times this, is its
/// standard deviation.
const MAD_TO_SD: f64 = 1.4826;

impl Figures {
    /// Works the figures out.
    ///
    /// # Errors
    /// A sentence on what the samples lack.
    pub(super) fn of(samples: &Samples) -> Result<Self, String> {
        let new: Vec<&Exchange> = exchanges(samples, false);
        let again: Vec<&Exchange> = exchanges(samples, true);
        let prefill = theil_sen(&points(&new, |exchange| {
            Some((prompt(exchange)?.0, ttft(exchange)?))
        }))
        .ok_or("no two prompts differ in their uncached tokens; the server must report token usage with every answer")?;
        let decode = theil_sen(&points(
            samples.iter().map(|sample| &sample.exchange),
            |exchange| {
                let usage = exchange.usage?;
                Some((usage.input()? as f64, per_token(exchange)?))
            },
        ))
        .ok_or("no answer has two output events, so there is no decode rate")?;
        let (round_trip_ns, round_trip_from) = round_trip(samples)
            .ok_or("nothing tells the round trip: no ping, no TCP_INFO, no report")?;
        let cached = cached(&again, prefill);
        let decode_ns = decode.intercept.max(1.0);
        Ok(Figures {
            model: samples
                .iter()
                .find_map(|sample| sample.exchange.served_model.clone())
                .unwrap_or_default(),
            round_trip_ns,
            round_trip_from,
            prefill_ns_per_token: figure(prefill.slope, prefill),
            cached_ns_per_token: cached.map(|line| figure(line.slope, line)),
            overhead_ns: (prefill.intercept - round_trip_ns - decode_ns).max(0.0),
            decode_ns_per_token: figure(decode_ns, decode),
            decode_slowdown_per_1k_context: (decode.slope * 1e3 / decode_ns).max(0.0),
            tokens_per_event: tokens_per_event(samples).ok_or("no usage, no events")?,
            jitter: jitter(samples),
            samples: samples.len(),
        })
    }

    /// A profile that `timeslip serve` plays back. What a probe cannot find out is
    /// named in the notes.
    #[must_use]
    pub(super) fn profile(&self, origin: &str) -> Profile {
        let per_second = |ns: f64| 1e9 / ns.max(1.0);
        let mut notes = vec![format!(
            "measured by timeslip probe on {origin}, {} answers; round trip by {}",
            self.samples, self.round_trip_from
        )];
        if self.cached_ns_per_token.is_none() {
            notes.push("cached_tokens_per_second: the server reported no cached tokens, so it is the uncached speed".into());
        }
        notes.push(
            "queue_slots, resolve_rate and stop_reaction_ms: not measured, set them yourself"
                .into(),
        );
        let prefill = self.prefill_ns_per_token;
        Profile {
            model: self.model.clone(),
            decode_tokens_per_second: per_second(self.decode_ns_per_token.value),
            decode_slowdown_per_1k_context: self.decode_slowdown_per_1k_context,
            resolve_rate: 1.0,
            prefill_tokens_per_second: per_second(prefill.value),
            cached_tokens_per_second: per_second(self.cached_ns_per_token.unwrap_or(prefill).value),
            tokens_per_event: self.tokens_per_event.round().max(1.0) as u32,
            jitter: self.jitter,
            queue_slots: 64,
            request_overhead_ms: self.overhead_ns / 1e6,
            link_round_trip_ms: self.round_trip_ns / 1e6,
            stop_reaction_ms: 0.0,
            heeds_stops: true,
            notes,
            faults: Faults::default(),
        }
    }
}

fn exchanges(samples: &Samples, repeated: bool) -> Vec<&Exchange> {
    let chosen = samples.iter().filter(|sample| sample.repeated == repeated);
    chosen.map(|sample| &sample.exchange).collect()
}

fn points<'a>(
    exchanges: impl IntoIterator<Item = &'a (impl std::borrow::Borrow<Exchange> + 'a)>,
    point: impl Fn(&Exchange) -> Option<(f64, f64)>,
) -> Vec<(f64, f64)> {
    let exchanges = exchanges.into_iter();
    exchanges
        .filter_map(|exchange| point(exchange.borrow()))
        .collect()
}

fn figure(value: f64, line: Line) -> Figure {
    Figure {
        value,
        residual_ns: Some(line.residual),
    }
}

/// Uncached and cached prompt tokens.
fn prompt(exchange: &Exchange) -> Option<(f64, f64)> {
    let usage = exchange.usage?;
    let cached = usage.cached_tokens.unwrap_or(0);
    Some((usage.input()?.saturating_sub(cached) as f64, cached as f64))
}

/// TTFT without the round trips that a large prompt needs to cross a new connection.
fn ttft(exchange: &Exchange) -> Option<f64> {
    let marks = &exchange.marks;
    let ttft = marks.first_token?.checked_sub(marks.sent?)? as f64;
    let round_trip = exchange.tcp.map_or(0.0, |tcp| tcp.min_rtt_ns as f64);
    // A shared connection does not tell whose bytes it carried.
    let flights = exchange.request_bytes.map_or(0, extra_flights);
    Some(ttft - round_trip * f64::from(flights))
}

/// Flights beyond the first that so many bytes need in slow start: an initial window of
/// ten segments (RFC 6928), doubled with every round trip (RFC 5681). Every prompt is
/// sent on a connection of its own, so that the window is known.
fn extra_flights(bytes: u64) -> u32 {
    const INITIAL_WINDOW: u64 = 10 * 1460;
    let windows = bytes.div_ceil(INITIAL_WINDOW).max(1);
    // After n flights 2ⁿ − 1 windows have crossed.
    windows.ilog2()
}

/// Time per output token: (last − first) ÷ (tokens − those of the first event).
fn per_token(exchange: &Exchange) -> Option<f64> {
    let (first, last) = (exchange.marks.first_token?, exchange.marks.last_token?);
    let tokens = exchange.streamed_tokens()? as f64;
    let events = exchange.events.as_slice().len() as f64;
    // Tokens of the first event were there when the stretch began.
    let timed = tokens - (tokens / events).max(1.0);
    (timed >= 1.0 && last > first).then(|| (last - first) as f64 / timed)
}

/// What cached tokens cost: TTFT of repeated prompts, less what their uncached rest
/// costs, against cached tokens.
fn cached(again: &[&Exchange], prefill: Line) -> Option<Line> {
    let points = points(again, |exchange| {
        let (uncached, cached) = prompt(exchange)?;
        let rest = ttft(exchange)? - uncached * prefill.slope;
        (cached >= MIN_CACHED).then_some((cached, rest))
    });
    theil_sen(&points).map(|line| Line {
        slope: line.slope.max(0.0),
        ..line
    })
}

fn round_trip(samples: &Samples) -> Option<(f64, &'static str)> {
    let smallest = |of: fn(&Exchange) -> Option<u64>| {
        let all = samples.iter().filter_map(|sample| of(&sample.exchange));
        all.min().map(|ns| ns as f64)
    };
    let ping = smallest(|exchange| exchange.ping_ns).map(|ns| (ns, "ping"));
    let link = smallest(|exchange| exchange.reported.link_ns);
    // Behind a proxy TCP ends there. Every sample opens a connection of its own.
    let tcp = smallest(|exchange| {
        let direct = exchange.marks.proxy.is_none();
        exchange.tcp.filter(|_| direct).map(|tcp| tcp.min_rtt_ns)
    });
    ping.or(link.map(|ns| (ns, "the server's report")))
        .or(tcp.map(|ns| (ns, "TCP")))
}

fn tokens_per_event(samples: &Samples) -> Option<f64> {
    let (mut tokens, mut events) = (0, 0);
    for exchange in samples.iter().map(|sample| &sample.exchange) {
        tokens += exchange.streamed_tokens()?;
        events += exchange.events.as_slice().len();
    }
    (events > 0).then(|| tokens as f64 / events as f64)
}

fn jitter(samples: &Samples) -> f64 {
    let mut logarithms: Vec<f64> = samples
        .iter()
        .flat_map(|sample| sample.exchange.events.as_slice().windows(2))
        .map(|pair| (pair[1].at - pair[0].at) as f64)
        .filter(|gap| *gap > 0.0)
        .map(f64::ln)
        .collect();
    let Some(middle) = median(&mut logarithms) else {
        return 0.0;
    };
    for value in &mut logarithms {
        *value = (*value - middle).abs();
    }
    median(&mut logarithms).unwrap_or(0.0) * MAD_TO_SD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_with_every_round_trip() {
        let window = 14_600;
        for (bytes, flights) in [
            (0, 0),
            (1, 0),
            (window, 0),
            (window + 1, 1),
            (3 * window, 1),
            (3 * window + 1, 2),
            (7 * window, 2),
            (7 * window + 1, 3),
        ] {
            assert_eq!(extra_flights(bytes), flights, "{bytes} bytes");
        }
    }
}
