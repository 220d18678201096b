//! When another try is made, and how long to wait before it.

use std::time::Duration;

use crate::failure::Failure;

/// New connections one question may take at once, beside its retries, because the state on
/// an old one was lost. A server that loses it again at once is not in order.
const MAX_RECOVERIES: u32 = 2;
/// The first backoff; every further one doubles. There is no jitter: the two sides
/// of a comparison must wait alike, and a harness is not the crowd jitter is made for.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The longest backoff, whatever the server asks for.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// All backoffs of one question together.
const MAX_WAITING: Duration = Duration::from_secs(5 * 60);

/// What one question still has left to try.
#[derive(Debug)]
pub(super) struct Backoff {
    retries: u32,
    recoveries: u32,
    waiting: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(max_retries: u32) -> Self {
        Backoff {
            retries: max_retries,
            recoveries: MAX_RECOVERIES,
            waiting: MAX_WAITING,
            next: FIRST_BACKOFF,
        }
    }

    /// Time to wait before the next try; `None` when there is none. `stale`: the
    /// server had closed the connection while nothing was asked of it.
    pub(super) fn after(&mut self, failure: &Failure, stale: bool) -> Option<Duration> {
        if (stale || failure.lost_state()) && self.recoveries > 0 {
            self.recoveries -= 1;
            return Some(Duration::ZERO);
        }
        if !failure.retryable() {
            return None;
        }
        self.retries = self.retries.checked_sub(1)?;
        let backoff = failure.retry_after().unwrap_or(self.next).min(MAX_BACKOFF);
        self.next = self.next.saturating_mul(2);
        self.waiting = self.waiting.checked_sub(backoff)?;
        Some(backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::StreamError;

    fn server(code: &str, retry_after: Option<u64>) -> Failure {
        Failure::Stream(StreamError::Server {
            status: None,
            code: code.into(),
            message: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    #[test]
    fn backoffs_double_and_end_with_the_retries() {
        let mut backoff = Backoff::new(3);
        let mut next = || backoff.after(&Failure::Closed(String::new()), false);
        assert_eq!(next(), Some(Duration::from_millis(250)));
        assert_eq!(next(), Some(Duration::from_millis(500)));
        assert_eq!(next(), Some(Duration::from_secs(1)));
        assert_eq!(next(), None);
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_within_bounds() {
        let mut backoff = Backoff::new(100);
        let mut after =
            |seconds| backoff.after(&server("rate_limit_exceeded", Some(seconds)), false);
        assert_eq!(after(7), Some(Duration::from_secs(7)));
        for _ in 0..4 {
            assert_eq!(after(100_000), Some(MAX_BACKOFF));
        }
        assert_eq!(after(100_000), None, "five minutes are over");
    }

    #[test]
    fn a_lost_connection_is_made_anew_at_once_but_not_for_ever() {
        let mut backoff = Backoff::new(1);
        let lost = server("websocket_connection_limit_reached", Some(30));
        assert_eq!(backoff.after(&lost, false), Some(Duration::ZERO));
        let closed = Failure::Closed(String::new());
        assert_eq!(backoff.after(&closed, true), Some(Duration::ZERO));
        assert_eq!(backoff.after(&lost, true), Some(Duration::from_secs(30)));
        assert_eq!(backoff.after(&lost, true), None);
        assert_eq!(
            Backoff::new(9).after(&Failure::Deadline, false),
            None,
            "no try can help"
        );
    }
}
