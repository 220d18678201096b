//! What metrics are measured in, and how their values are written.

use crate::format::{NS_PER_MS, bytes, milliseconds, percent, rate, usd};

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Duration,
    /// Tokens per second.
    Rate,
    /// Between 0 and 1.
    Share,
    /// A plain count.
    Count,
    /// Bytes.
    Bytes,
    /// US dollars.
    Dollars,
}

impl Unit {
    /// The name used in machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Duration => "ns",
            Unit::Rate => "tokens/s",
            Unit::Share => "share",
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Dollars => "usd",
        }
    }

    /// A value of this unit as people read it, the same in every output.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Duration => milliseconds(value / NS_PER_MS),
            Unit::Rate => format!("{} tokens/s", rate(value)),
            Unit::Share => percent(value),
            Unit::Count => rate(value),
            Unit::Bytes => bytes(value),
            Unit::Dollars => usd(value),
        }
    }
}
