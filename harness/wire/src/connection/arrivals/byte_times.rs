//! When did byte n of a stream arrive? From captured TCP segments, by sequence number.
//!
//! The first arrival of a byte counts, and a byte is there for the application once
//! everything before it is: its time is the latest of all bytes up to it.

use std::collections::{BTreeSet, VecDeque};

/// Most segments kept beyond a hole.
const MAX_AHEAD: usize = 1024;
/// Most ends of segments kept until the application has read them.
const MAX_TIMES: usize = 1 << 16;

/// The arrivals of one direction of one connection.
#[derive(Debug, Default)]
pub(super) struct ByteTimes {
    /// Sequence number of byte 0, once the connection's opening was seen.
    first: Option<u32>,
    /// Everything before this byte has come.
    whole: u64,
    /// Arrival of the latest byte before it.
    latest: u64,
    /// Beyond a hole: start, arrival and end.
    ahead: BTreeSet<(u64, u64, u64)>,
    /// Ends of what has come and was not asked for yet, and their times.
    times: VecDeque<(u64, u64)>,
    /// Before this byte times were dropped for want of room.
    dropped: u64,
    /// The application has read everything before this byte.
    asked: u64,
}

impl ByteTimes {
    /// The opening of the connection was seen; `sequence` is that of byte 0.
    pub(super) fn begin(&mut self, sequence: u32) {
        self.first.get_or_insert(sequence);
    }

    /// A segment was captured.
    pub(super) fn take(&mut self, sequence: u32, length: u32, at: u64) {
        let Some(first) = self.first else { return };
        // Sequence numbers wrap: only their distance from the last known byte counts.
        let here = first.wrapping_add(self.whole as u32);
        let distance = i64::from(sequence.wrapping_sub(here).cast_signed());
        let start = self.whole.saturating_add_signed(distance);
        let end = self
            .whole
            .saturating_add_signed(distance.saturating_add(i64::from(length)));
        if end <= self.whole {
            return;
        }
        if self.ahead.len() >= MAX_AHEAD {
            self.ahead.clear();
        }
        self.ahead.insert((start, at, end));
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let whole = self.whole;
            let touching = self.ahead.range(..=(whole, u64::MAX, u64::MAX));
            let useful = touching.filter(|(_, _, end)| *end > whole);
            let Some(&(_, at, end)) = useful.min_by_key(|(_, at, _)| *at) else {
                break;
            };
            self.whole = end;
            self.latest = self.latest.max(at);
            self.times.push_back((end, self.latest));
            if self.times.len() > MAX_TIMES
                && let Some((end, _)) = self.times.pop_front()
            {
                self.dropped = end;
            }
        }
        let whole = self.whole;
        self.ahead.retain(|(_, _, end)| *end > whole);
    }

    /// The application has read the next `length` bytes: hands `piece` the length of each
    /// part that arrived at once, and its time where it is known, and forgets them.
    pub(super) fn read(&mut self, length: u64, mut piece: impl FnMut(u64, Option<u64>)) {
        let to = self.asked.saturating_add(length);
        let mut known_to = |end: u64, at| {
            let end = end.min(to);
            if end > self.asked {
                piece(end - self.asked, at);
                self.asked = end;
            }
        };
        known_to(self.dropped, None);
        while let Some(&(end, at)) = self.times.front() {
            known_to(end, Some(at));
            if end > to {
                return;
            }
            self.times.pop_front();
        }
        // What the capture missed has come all the same.
        known_to(to, None);
        if self.whole < to {
            self.whole = to;
            self.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Segments in any order, twice, cut anew and across the wrap: every byte has the
        /// time that a plain table of bytes gives it.
        #[test]
        fn every_byte_has_its_time(
            first in prop_oneof![any::<u32>(), Just(u32::MAX - 20)],
            segments in proptest::collection::vec((0_u32..90, 1_u32..20), 1..60),
        ) {
            let mut times = ByteTimes::default();
            times.begin(first);
            let mut arrived = [None; 110];
            for (at, (start, length)) in (1_u64..).zip(segments) {
                times.take(first.wrapping_add(start), length, at);
                for byte in start..start + length {
                    arrived[byte as usize].get_or_insert(at);
                }
            }
            let whole = arrived.iter().take_while(|at| at.is_some()).count();
            let mut found = Vec::new();
            for length in [whole as u64 / 3, whole as u64 - whole as u64 / 3] {
                times.read(length, |length, at| found.extend(vec![at; length as usize]));
            }
            let mut latest = None;
            let expected: Vec<Option<u64>> = arrived[..whole]
                .iter()
                .map(|at| { latest = latest.max(*at); latest })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_was_not_captured_has_no_time_and_what_follows_has() {
        let mut times = ByteTimes::default();
        times.take(5, 10, 1);
        times.begin(0);
        times.take(10, 10, 7);
        let mut found = Vec::new();
        times.read(10, |length, at| found.push((length, at)));
        times.read(10, |length, at| found.push((length, at)));
        assert_eq!(found, [(10, None), (10, Some(7))]);
    }
}
