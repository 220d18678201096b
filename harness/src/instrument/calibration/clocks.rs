//! The clock itself, and the event loop that reads it.

use timeslip_wire::clock;
use timeslip_wire::timer::Timer;

/// Time between two looks at the event loop, in nanoseconds.
const LOOK_EVERY: u64 = 5_000_000;

/// The smallest step the clock was seen to take.
#[must_use]
pub fn clock_resolution_ns() -> u64 {
    let mut smallest = u64::MAX;
    let mut before = clock::now();
    for _ in 0..10_000 {
        let now = clock::now();
        if now > before {
            smallest = smallest.min(now - before);
        }
        before = now;
    }
    smallest
}

/// Looks at the event loop until it is dropped: how late did it wake from a timer?
/// Every look is pushed to `late`.
pub(super) async fn watch_event_loop(late: &std::sync::Mutex<Vec<u64>>) {
    let Ok(mut timer) = Timer::new() else {
        return;
    };
    loop {
        let due = clock::now() + LOOK_EVERY;
        if timer.sleep_until(due).await.is_err() {
            return;
        }
        let by = clock::now().saturating_sub(due);
        late.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(by);
    }
}
