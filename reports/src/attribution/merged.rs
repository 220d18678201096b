//! By how much the times of output are too late at most, where reads found segments merged.

use timeslip_datasets::run::journal::{Exchange, StampSource, StreamEvent};

/// Bounds on how much too late an exchange's output is dated, in nanoseconds.
///
/// The kernel keeps one stamp of what it merges, the youngest's. What was read together may
/// have come at any time after the read before it, and no earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TooLate {
    /// Of the first output, and with it TTFT.
    pub first: u64,
    /// Of the last output, and with it the end of decoding.
    pub last: u64,
    /// Of any output, and with it any gap.
    pub most: u64,
}

/// The bounds; `None` where every event has a time of its own.
pub(crate) fn too_late(exchange: &Exchange) -> Option<TooLate> {
    if exchange.stamped_by == Some(StampSource::Capture) || exchange.shape.merged == 0 {
        return None;
    }
    let marks = &exchange.marks;
    let mut before = marks.admitted.or(marks.first_byte).or(marks.sent)?;
    let mut first = None;
    let mut bounds = TooLate::default();
    for read in exchange.events.as_slice().chunk_by(together) {
        let at = read[0].at;
        // One event may have been merged with what follows it and is no output.
        bounds.last = match read.len() {
            1 => 0,
            _ => at.saturating_sub(before),
        };
        bounds.most = bounds.most.max(bounds.last);
        first.get_or_insert(bounds.last);
        before = at + u64::from(read[0].lag_ns.unwrap_or(0));
    }
    bounds.first = first?;
    Some(bounds)
}

/// Whether two events were read at once.
fn together(a: &StreamEvent, b: &StreamEvent) -> bool {
    (a.at, a.lag_ns) == (b.at, b.lag_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::journal::{EventColumns, EventKind, Marks};

    fn exchange(arrivals: &[(u64, u32)], merged: u32) -> Exchange {
        let mut events = EventColumns::default();
        for (at, lag) in arrivals {
            events.push(StreamEvent {
                at: *at,
                kind: EventKind::Text,
                bytes: 4,
                tokens: None,
                lag_ns: Some(*lag),
            });
        }
        let mut exchange = Exchange {
            stamped_by: Some(StampSource::Receive),
            marks: Marks {
                sent: Some(100),
                ..Marks::default()
            },
            events,
            ..Exchange::default()
        };
        exchange.shape.merged = merged;
        exchange
    }

    #[test]
    fn what_was_read_together_came_after_the_read_before() {
        let merged = exchange(
            &[(500, 10), (500, 10), (900, 20), (1_500, 0), (1_500, 0)],
            2,
        );
        let bounds = TooLate {
            first: 400,
            last: 580,
            most: 580,
        };
        assert_eq!(too_late(&merged), Some(bounds));
        let alone = exchange(&[(500, 10), (900, 20), (900, 20), (1_500, 0)], 1);
        let bounds = TooLate {
            first: 0,
            last: 0,
            most: 390,
        };
        assert_eq!(too_late(&alone), Some(bounds));
    }

    #[test]
    fn what_has_a_time_of_its_own_has_no_bound() {
        assert_eq!(too_late(&exchange(&[(500, 10), (500, 10)], 0)), None);
        let mut captured = exchange(&[(500, 10), (500, 10)], 1);
        captured.stamped_by = Some(StampSource::Capture);
        assert_eq!(too_late(&captured), None);
        assert_eq!(too_late(&exchange(&[], 1)), None);
    }
}
