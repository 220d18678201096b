//! Whether an answer was streamed: whether its output came as it was generated.
//!
//! Something on the way may hold an answer back and let it go in a few bursts. Such a stream
//! has a first token and an end, but what lies between says nothing of how fast the model
//! writes: it has no rate and no gaps.

use timeslip_datasets::run::journal::{EventKind, Exchange, StreamEvent};

use crate::data::Gaps;

/// Output events, and tokens, a second that no model generates: about the fastest that any
/// maker of hardware claims for one stream is 17,000.
const FASTEST: u64 = 20_000;

/// Pauses that may lie between the bursts of an answer that was not streamed.
const PAUSES: usize = 3;

/// Of so many events at once, one part may have come by itself.
const MOST_AT_ONCE: usize = 10;

/// Fewer events, or tokens, come together often enough by chance: a short answer.
const FEWEST: usize = 16;

/// First to last output that came as it was generated, and the gaps between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decode {
    /// Whether it did, as far as that can be told.
    pub(crate) streamed: bool,
    /// `None` without output, and where the answer was not streamed.
    pub(crate) ns: Option<u64>,
    /// Between consecutive output events.
    pub(crate) gaps_ns: Gaps,
}

impl Decode {
    /// Of an exchange whose times are not known.
    pub(crate) fn unknown() -> Self {
        Decode {
            streamed: true,
            ..Decode::default()
        }
    }

    /// Of one exchange. Reasoning of which only a summary is shown is left out, as its
    /// tokens are.
    pub(crate) fn of(exchange: &Exchange) -> Self {
        if !is_streamed(exchange) {
            return Decode::default();
        }
        let events = exchange.events.as_slice();
        let shown = exchange.shows_reasoning();
        let mut counted = events
            .iter()
            .filter(|event| shown || event.kind != EventKind::Reasoning);
        let first = counted.next();
        let last = counted.next_back().or(first);
        Decode {
            streamed: true,
            ns: first.zip(last).map(|(first, last)| last.at - first.at),
            gaps_ns: gaps(events).collect(),
        }
    }
}

/// Whether the output came as it was generated, as far as that can be told.
fn is_streamed(exchange: &Exchange) -> bool {
    let events = exchange.events.as_slice();
    !(in_bursts(events) || nearly_at_once(events) || too_fast(exchange))
}

fn gaps(events: &[StreamEvent]) -> impl Iterator<Item = u64> {
    events
        .windows(2)
        .map(|pair| pair[1].at.saturating_sub(pair[0].at))
}

/// Whether so many within that time are more than any model generates.
fn implausible(count: usize, ns: u64) -> bool {
    count as u128 * 1_000_000_000 > u128::from(ns) * u128::from(FASTEST)
}

/// A few pauses are all the time there was.
fn in_bursts(events: &[StreamEvent]) -> bool {
    if events.len() < FEWEST {
        return false;
    }
    let mut gaps: Vec<u64> = gaps(events).collect();
    gaps.sort_unstable();
    let (within, _pauses) = gaps.split_at(gaps.len() - PAUSES);
    implausible(within.len(), within.iter().sum())
}

/// Nearly all of it came together, the rest by itself.
fn nearly_at_once(events: &[StreamEvent]) -> bool {
    let together = events.len() - events.len() / MOST_AT_ONCE;
    events.len() >= FEWEST
        && events.windows(together).any(|part| {
            let span = part[together - 1].at.saturating_sub(part[0].at);
            implausible(together, span)
        })
}

/// A few events of many tokens, with no time between them for the tokens.
fn too_fast(exchange: &Exchange) -> bool {
    let events = exchange.events.as_slice();
    let (Some(first), Some(last), Some(tokens)) =
        (events.first(), events.last(), exchange.streamed_tokens())
    else {
        return false;
    };
    let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
    // One event alone is a whole answer: no time was to be seen between tokens.
    events.len() > 1 && tokens >= FEWEST && implausible(tokens, last.at.saturating_sub(first.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::journal::Usage;

    const MS: u64 = 1_000_000;

    /// An answer of `tokens` whose events came at these times.
    fn answer(tokens: u64, at: impl IntoIterator<Item = u64>) -> Exchange {
        let mut exchange = Exchange {
            usage: Some(Usage {
                output_tokens: tokens,
                ..Usage::default()
            }),
            ..Exchange::default()
        };
        for at in at {
            exchange.events.push(StreamEvent {
                at,
                kind: EventKind::Text,
                bytes: 4,
                tokens: None,
                lag_ns: None,
            });
        }
        exchange
    }

    #[test]
    fn what_comes_in_a_few_bursts_was_not_streamed() {
        let burst = |from: u64, events: u64| (0..events).map(move |event| from + event * 1_000);
        let held_back = [
            (
                "two halves",
                answer(400, burst(0, 200).chain(burst(MS / 2, 200))),
            ),
            (
                "one token, then all",
                answer(400, burst(0, 1).chain(burst(1_800 * MS, 399))),
            ),
            (
                "four bursts, a second apart",
                answer(400, (0..4).flat_map(|n| burst(n * 1_000 * MS, 100))),
            ),
            (
                "a few words, then nearly all",
                answer(
                    400,
                    (0..10).map(|n| n * 100 * MS).chain(burst(1_500 * MS, 390)),
                ),
            ),
            ("one burst of short events", answer(20, burst(0, 20))),
            ("two events with all of it", answer(400, [0, MS / 2])),
            (
                "a slow line",
                answer(400, (0..400).map(|event| event * 45_000)),
            ),
        ];
        for (name, exchange) in held_back {
            assert!(!is_streamed(&exchange), "{name}");
            assert_eq!(Decode::of(&exchange), Decode::default(), "{name}");
        }
    }

    #[test]
    fn short_chunky_and_fast_answers_were_streamed() {
        let even = |events: u64, gap: u64| (0..events).map(move |event| event * gap);
        let streamed = [
            ("a short answer in one read", answer(10, [0; 10])),
            ("a whole call in one event", answer(400, [0])),
            ("chunks of a hundred tokens", answer(500, even(5, 500 * MS))),
            ("1,000 tokens a second", answer(400, even(400, MS))),
            ("10,000 tokens a second", answer(400, even(400, MS / 10))),
            (
                "fast, with a stall",
                answer(
                    400,
                    even(200, MS).chain((0..200).map(|n| 3_000 * MS + n * MS)),
                ),
            ),
            // Twenty events a read, as from a server that flushes now and then.
            (
                "many small batches",
                answer(400, (0..400).map(|event| event / 20 * 20 * MS)),
            ),
            ("no output", answer(0, [])),
        ];
        for (name, exchange) in streamed {
            assert!(is_streamed(&exchange), "{name}");
        }
        let decode = Decode::of(&answer(3, [5, 7, 10]));
        assert_eq!(
            (decode.ns, decode.gaps_ns),
            (Some(5), Gaps::from_iter([2, 3]))
        );
    }

    #[test]
    fn tokens_that_no_event_showed_make_nothing_faster() {
        let mut exchange = answer(25, (0..5).map(|event| event * 50 * MS));
        exchange.hidden_tokens = Some(20);
        // Four more tokens in 200 ms: 20 a second.
        assert_eq!(exchange.streamed_tokens(), Some(5));
        assert_eq!(Decode::of(&exchange).ns, Some(200 * MS));
    }

    #[test]
    fn a_summary_of_reasoning_is_not_timed_as_the_tokens_it_stands_for() {
        let mut exchange = answer(600, []);
        let events = [
            (0, EventKind::Reasoning),
            (900, EventKind::Text),
            (1_100, EventKind::Text),
        ];
        for (ms, kind) in events {
            exchange.events.push(StreamEvent {
                at: ms * MS,
                kind,
                bytes: 40,
                tokens: None,
                lag_ns: None,
            });
        }
        let usage = exchange.usage.as_mut().unwrap();
        usage.reasoning_tokens = Some(10);
        assert_eq!(exchange.streamed_tokens(), Some(600));
        assert_eq!(Decode::of(&exchange).ns, Some(1_100 * MS));
        exchange.usage.as_mut().unwrap().reasoning_tokens = Some(500);
        assert_eq!(exchange.streamed_tokens(), Some(100));
        assert_eq!(Decode::of(&exchange).ns, Some(200 * MS));
    }
}
