//! The one monotonic clock every mark is read from.

use std::sync::OnceLock;
use std::time::Instant;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds on the monotonic clock since this process first asked.
#[must_use]
pub fn now() -> u64 {
    since_origin(Instant::now())
}

/// Places an instant taken elsewhere in the process on the same scale.
/// An instant before the origin is clamped to it.
#[must_use]
pub fn since_origin(instant: Instant) -> u64 {
    let origin = *ORIGIN.get_or_init(Instant::now);
    u64::try_from(instant.saturating_duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds on one of the system's own clocks.
#[must_use]
pub fn system(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// A duration a server reports in milliseconds; `None` when it is no duration at all.
#[must_use]
pub fn from_milliseconds(ms: f64) -> Option<u64> {
    // The cast saturates at the type's bound, which no honest duration reaches.
    (ms.is_finite() && ms >= 0.0).then(|| (ms * 1e6).round() as u64)
}
