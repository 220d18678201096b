//! How much comes in: what decides whether reading waits for several arrivals.

/// Arrivals a second from which on reading waits for several: eight of the fastest streams.
const HEAVY: u64 = 8_000;
/// Over how long they are counted, in nanoseconds.
const WINDOW_NS: u64 = 50_000_000;

/// Arrivals since the beginning of a window of time.
#[derive(Debug)]
pub(super) struct Traffic {
    since: u64,
    arrivals: u64,
    is_heavy: bool,
}

impl Traffic {
    pub(super) const NONE: Self = Traffic {
        since: 0,
        arrivals: 0,
        is_heavy: false,
    };

    pub(super) fn count(&mut self) {
        self.arrivals += 1;
    }

    /// Whether it is so much that reading one by one would cost a good part of a core.
    pub(super) fn is_heavy(&mut self, now: u64) -> bool {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= WINDOW_NS {
            let in_a_second = self.arrivals.saturating_mul(1_000_000_000) / elapsed;
            *self = Traffic {
                since: now,
                arrivals: 0,
                is_heavy: in_a_second >= HEAVY,
            };
        }
        self.is_heavy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heavy_from_eight_thousand_a_second_on_and_only_as_long() {
        let mut traffic = Traffic::NONE;
        let mut now = WINDOW_NS;
        for (in_a_window, heavy) in [(399, false), (400, true), (0, false)] {
            let _ = traffic.is_heavy(now);
            for _ in 0..in_a_window {
                traffic.count();
            }
            now += WINDOW_NS;
            assert_eq!(traffic.is_heavy(now), heavy, "{in_a_window}");
        }
    }
}
