//! Durations that go on from response to response.
//!
//! A server that keeps a conversation may report its times for the whole logical turn
//! so far: every answer of a chain then includes those before it.

use timeslip_datasets::run::journal::Reported;

/// What a server reports of a chain of responses so far, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunningTimes {
    /// The longest wait in the queue.
    pub longest_queue_ns: Option<u64>,
    /// All times to the first token together.
    pub ttft_ns: Option<u64>,
    /// All times in the engine together.
    pub total_ns: Option<u64>,
}

impl RunningTimes {
    /// Before the first response of a chain.
    pub const NOTHING_YET: RunningTimes = RunningTimes {
        longest_queue_ns: Some(0),
        ttft_ns: Some(0),
        total_ns: Some(0),
    };

    /// What the latest response has of its own, given the report `before` it. What was
    /// not reported then is not known now: the sum would be taken for the response's own.
    #[must_use]
    pub fn since(&self, before: &RunningTimes) -> Reported {
        // A sum that shrank began anew.
        let added = |now: Option<u64>, before: Option<u64>| {
            let (now, before) = (now?, before?);
            Some(now.checked_sub(before).unwrap_or(now))
        };
        // A longest wait that stayed the same only says that this one was no longer.
        let own = |now: u64| now == 0 || before.longest_queue_ns.is_some_and(|was| was != now);
        Reported {
            queue_ns: self.longest_queue_ns.filter(|now| own(*now)),
            ttft_ns: added(self.ttft_ns, before.ttft_ns),
            total_ns: added(self.total_ns, before.total_ns),
            ..Reported::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_what_was_added() {
        let report = |queue, ttft, total| RunningTimes {
            longest_queue_ns: Some(queue),
            ttft_ns: Some(ttft),
            total_ns: Some(total),
        };
        let own = |now: RunningTimes, before: RunningTimes| {
            let own = now.since(&before);
            (own.queue_ns, own.ttft_ns, own.total_ns)
        };
        let first = report(5, 100, 300);
        assert_eq!(
            own(first, RunningTimes::NOTHING_YET),
            (Some(5), Some(100), Some(300))
        );
        assert_eq!(own(first, RunningTimes::default()), (None, None, None));
        let longer = report(9, 180, 700);
        assert_eq!(own(longer, first), (Some(9), Some(80), Some(400)));
        let unknown = report(9, 200, 800);
        assert_eq!(own(unknown, longer), (None, Some(20), Some(100)));
        let anew = report(2, 40, 90);
        assert_eq!(own(anew, unknown), (Some(2), Some(40), Some(90)));
        let none = report(0, 0, 0);
        assert_eq!(own(none, none), (Some(0), Some(0), Some(0)));
        assert_eq!(own(RunningTimes::default(), first), (None, None, None));
    }
}
