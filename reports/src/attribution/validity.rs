//! Whether a run may be relied on: was the client itself the bottleneck?
//!
//! The kernel says when bytes arrived, the client when it read them. A client that
//! reads late was starved, and everything it did after reading came late as well.

use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles};
use timeslip_datasets::run::journal::{Exchange, StampSource};
use timeslip_datasets::text::plural;

use crate::data::RunData;

/// The share of spoilt exchanges above which an endpoint was not measured.
const MOST_SPOILT: f64 = 0.1;

/// So many exchanges, or all there are, must have been read late before that is the
/// client's fault: a single stall happens on every machine, and of few events it is more
/// than one in a hundred.
const FEWEST_LATE: usize = 3;

/// Whether the times of an exchange's output may be more than `limit_ms` too late: a read that
/// came later than that found segments merged, and one stamp, the youngest's. Captured packets
/// date every segment, however late the read.
#[must_use]
pub(crate) fn is_spoilt(exchange: &Exchange, limit_ms: f64) -> bool {
    exchange.stamped_by != Some(StampSource::Capture)
        && exchange.shape.merged > 0
        && lags(exchange).any(|lag| is_late(lag, limit_ms))
}

fn is_late(lag_ns: u32, limit_ms: f64) -> bool {
    f64::from(lag_ns) > limit_ms * 1e6
}

/// How long its output events lay in the kernel before they were read, in nanoseconds.
fn lags(exchange: &Exchange) -> impl Iterator<Item = u32> {
    let events = exchange.events.as_slice().iter();
    events.filter_map(|event| event.lag_ns)
}

/// How late the reads of an endpoint's exchanges were.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientLag {
    /// How long output events lay unread, in nanoseconds; empty where nobody says. Where
    /// packets date every event, the last of each answer alone: what follows waits for it.
    lags: Vec<u32>,
    exchanges: usize,
    spoilt: usize,
    /// Exchanges of which anything in `lags` exceeds the limit.
    late: usize,
}

impl ClientLag {
    /// Takes in the events of an exchange.
    pub(crate) fn add(&mut self, exchange: &Exchange, limit_ms: f64) {
        self.exchanges += 1;
        self.spoilt += usize::from(is_spoilt(exchange, limit_ms));
        let before = self.lags.len();
        match exchange.stamped_by {
            Some(StampSource::Capture) => self.lags.extend(lags(exchange).last()),
            _ => self.lags.extend(lags(exchange)),
        }
        let mut own = self.lags[before..].iter();
        self.late += usize::from(own.any(|lag| is_late(*lag, limit_ms)));
    }

    /// Where those of some endpoints lie; `None` without any.
    pub(crate) fn quantiles<'a>(of: impl IntoIterator<Item = &'a Self>) -> Option<ErrorQuantiles> {
        let all = of.into_iter().flat_map(|lag| &lag.lags);
        ErrorQuantiles::of(all.map(|ns| u64::from(*ns)))
    }

    /// What is to be said of exchanges that are left out of the figures of `endpoint`.
    pub(crate) fn left_out(&self, endpoint: &str) -> Option<String> {
        (self.spoilt > 0).then(|| {
            format!(
                "{} of {} of {endpoint} were read too late to tell when their output came; they have no TTFT, no rate and no gaps",
                self.spoilt,
                plural(self.exchanges, "exchange")
            )
        })
    }

    /// Why the figures of `endpoint` must not be relied on: too many exchanges were spoilt,
    /// or more than one event in a hundred lay unread for longer than `limit_ms`, and not in
    /// one stall alone.
    pub(crate) fn objection(&self, endpoint: &str, limit_ms: f64) -> Option<String> {
        let seen_ms = Self::quantiles([self])?.p99_ns as f64 / 1e6;
        if self.late < FEWEST_LATE.min(self.exchanges) {
            return None;
        }
        let why = if self.spoilt as f64 > self.exchanges as f64 * MOST_SPOILT {
            format!(
                "{} of {} of {endpoint} were read more than {limit_ms} ms late",
                self.spoilt,
                plural(self.exchanges, "exchange")
            )
        } else if seen_ms > limit_ms {
            format!(
                "1 % of the output events of {endpoint} lay unread for more than {seen_ms:.1} ms (limit {limit_ms} ms)"
            )
        } else {
            return None;
        };
        Some(format!(
            "the client was the bottleneck: {why}; run fewer trials at once or on a machine with more free cores"
        ))
    }
}

/// Fewest wake-ups of which one in twenty is more than a single stall.
const FEWEST_WAKES: usize = 60;

/// Why no figure of a run may be relied on: while it lasted, the thread that reads streams
/// woke more than `limit_ms` late one time in twenty. What it would have read late it may
/// then not even have been sent, by a server on the same starved machine.
pub(crate) fn starved(calibration: &Calibration, limit_ms: f64) -> Option<String> {
    let wakes = calibration
        .during
        .iter()
        .filter_map(|during| during.loop_lag);
    let late_ms = |lag: ErrorQuantiles| Some(lag.p95_ns? as f64 / 1e6);
    let enough = wakes.filter(|lag| lag.n >= FEWEST_WAKES);
    let worst = enough.filter_map(late_ms).reduce(f64::max)?;
    (worst > limit_ms).then(|| {
        format!(
            "the machine was starved: one time in twenty what reads the streams woke more than {worst:.1} ms late (limit {limit_ms} ms); run fewer trials at once or on a machine with more free cores"
        )
    })
}

/// Whether every endpoint answered at least once: one that never did was not measured.
#[must_use]
pub fn every_endpoint_measured(run: &RunData) -> bool {
    run.endpoints.iter().all(|endpoint| {
        run.trials
            .iter()
            .any(|trial| trial.endpoint == endpoint.name && !trial.failed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::calibration::StreamCalibration;
    use timeslip_datasets::run::journal::{EventColumns, EventKind, StreamEvent};

    /// An exchange of 100 events, of which the last `late` were read 20 ms after they came.
    fn exchange(stamped_by: StampSource, late: usize, merged: u32) -> Exchange {
        let mut events = EventColumns::default();
        for event in 0..100 {
            events.push(StreamEvent {
                at: event as u64 * 1_000_000,
                kind: EventKind::Text,
                bytes: 4,
                tokens: None,
                lag_ns: Some(if event + late >= 100 {
                    20_000_000
                } else {
                    60_000
                }),
            });
        }
        let mut exchange = Exchange {
            stamped_by: Some(stamped_by),
            events,
            ..Exchange::default()
        };
        exchange.shape.merged = merged;
        exchange
    }

    fn lag(exchanges: &[Exchange]) -> ClientLag {
        let mut lag = ClientLag::default();
        exchanges.iter().for_each(|exchange| lag.add(exchange, 5.0));
        lag
    }

    fn lagging(late: usize, merged: u32, of: usize) -> ClientLag {
        let receive = StampSource::Receive;
        let mut exchanges = vec![exchange(receive, 0, 0); of - 1];
        exchanges.push(exchange(receive, late, merged));
        lag(&exchanges)
    }

    #[test]
    fn a_starved_client_invalidates_its_run_and_a_rare_stall_does_not() {
        assert_eq!(lagging(5, 0, 10).objection("fast", 5.0), None);
        assert_eq!(lagging(60, 0, 10).objection("fast", 5.0), None, "one stall");
        let starved = vec![exchange(StampSource::Receive, 5, 0); 10];
        let objection = lag(&starved).objection("fast", 5.0).unwrap();
        assert!(
            objection.contains("bottleneck") && objection.contains("20.0 ms"),
            "{objection}"
        );
        assert_eq!(ClientLag::default().objection("fast", 5.0), None);
    }

    #[test]
    fn a_machine_that_wakes_late_is_starved() {
        let run = |lags: &[u64]| {
            let during = StreamCalibration {
                loop_lag: ErrorQuantiles::of(lags.iter().copied()),
                ..StreamCalibration::default()
            };
            Calibration {
                during: vec![during],
                ..Calibration::default()
            }
        };
        let (quiet, late) = (60_000, 70_000_000);
        let mut lags = vec![quiet; 200];
        lags[..9].fill(late);
        assert_eq!(starved(&run(&lags), 5.0), None);
        lags[..12].fill(late);
        let said = starved(&run(&lags), 5.0).unwrap();
        assert!(said.contains("70.0 ms late"), "{said}");
        assert_eq!(starved(&run(&[late; 3]), 5.0), None, "too few to tell");
    }

    #[test]
    fn a_late_read_spoils_the_exchange_whose_stamps_it_merged() {
        let lag = lagging(5, 4, 20);
        assert_eq!(lag.objection("fast", 5.0), None);
        let said = lag.left_out("fast").unwrap();
        assert!(said.starts_with("1 of 20 exchanges of fast were"), "{said}");
        assert_eq!(
            lagging(5, 0, 20).left_out("fast"),
            None,
            "nothing was merged"
        );
        assert_eq!(lagging(0, 4, 20).left_out("fast"), None, "sent together");
        assert!(lagging(20, 0, 1).objection("fast", 5.0).is_some());
        assert_eq!(lagging(1, 1, 5).objection("fast", 5.0), None, "one stall");
        let receive = StampSource::Receive;
        let mut exchanges = vec![exchange(receive, 0, 0); 12];
        exchanges.extend(vec![exchange(receive, 1, 1); 3]);
        let objection = self::lag(&exchanges).objection("fast", 5.0).unwrap();
        assert!(objection.contains("3 of 15 exchanges"), "{objection}");
    }

    #[test]
    fn where_packets_date_events_only_the_end_of_an_answer_can_be_late() {
        let captured = |late| lag(&vec![exchange(StampSource::Capture, late, 0); 10]);
        let mut early = exchange(StampSource::Capture, 0, 0);
        let mut events = EventColumns::default();
        let lags = early.events.as_slice().iter().enumerate();
        for (index, event) in lags {
            let lag_ns = Some(if index < 50 { 20_000_000 } else { 60_000 });
            events.push(StreamEvent { lag_ns, ..*event });
        }
        early.events = events;
        assert!(!is_spoilt(&early, 5.0));
        assert_eq!(lag(&vec![early; 10]).objection("fast", 5.0), None);
        assert!(captured(1).objection("fast", 5.0).is_some());
        let mut one_late = vec![exchange(StampSource::Capture, 0, 0); 9];
        one_late.push(exchange(StampSource::Capture, 1, 0));
        assert_eq!(lag(&one_late).objection("fast", 5.0), None, "one stall");
        assert_eq!(captured(1).left_out("fast"), None);
    }
}
