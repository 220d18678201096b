//! `calibration.json`: the instrument's own error.

use std::io;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::journal::StampSource;
use crate::{Error, Result, atomic, files};

/// The instrument's own error, in nanoseconds, against a server that logs its
/// true emission times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// Smallest step of the clock.
    pub clock_resolution_ns: u64,
    /// The priority that the system gave to the thread that reads streams: `real-time`,
    /// `nice -10` or `usual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// From whom the arrivals of bytes were known, at best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<StampSource>,
    /// One entry for each setting it was taken at.
    pub settings: Vec<StreamCalibration>,
    /// The error while the run's own work went on, by a paced stream that went the same way;
    /// one entry for each time that the run was started or resumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<StreamCalibration>,
    /// The error of the run's own figures, one entry for each simulated endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emitted: Vec<EmittedErrors>,
}

/// What was measured of a simulated endpoint in a run against what it truly sent, in
/// nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmittedErrors {
    /// The endpoint.
    pub endpoint: String,
    /// |measured − true| TTFT.
    pub ttft_error: ErrorQuantiles,
    /// |measured − true| gap between consecutive output events.
    pub inter_event_error: ErrorQuantiles,
}

impl Calibration {
    /// Reads the file; `None` when calibration did not run.
    pub(super) fn read(file: &Path) -> Result<Option<Self>> {
        match files::read_json(file, "it is written by calibration") {
            Ok(calibration) => Ok(Some(calibration)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the file.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        atomic::write(file, (text + "\n").as_bytes())
    }
}

/// The instrument's own error at one number of concurrent streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamCalibration {
    /// Wire protocol.
    pub protocol: String,
    /// Transport.
    pub transport: String,
    /// Concurrent streams.
    pub streams: u32,
    /// Output events per second the server really sent, over all streams.
    pub events_per_second: u64,
    /// TTFT as measured.
    pub ttft_ns: ErrorQuantiles,
    /// |measured − true| TTFT.
    pub ttft_error: ErrorQuantiles,
    /// Gap between consecutive output events as measured.
    pub inter_event_ns: ErrorQuantiles,
    /// |measured − true| gap between consecutive output events.
    pub inter_event_error: ErrorQuantiles,
    /// |measured − true| end of the stream.
    pub end_error: ErrorQuantiles,
    /// How long output events lay in the kernel before the client read them; absent
    /// where the kernel does not say.
    pub client_lag: Option<ErrorQuantiles>,
    /// How late the client's event loop woke from a timer.
    pub loop_lag: Option<ErrorQuantiles>,
    /// Processor time of the client per output event; absent when the server shared
    /// its process.
    pub cpu_ns_per_event: Option<u64>,
}

/// Where a set of errors lies, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorQuantiles {
    /// How many.
    pub n: usize,
    /// Mean; runs of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ns: Option<u64>,
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile, type 7; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<u64>,
    /// 99th percentile, type 7; close to the maximum below 100 values.
    pub p99_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl ErrorQuantiles {
    /// Summarises errors in any order; `None` when there are none.
    #[must_use]
    pub fn of(errors: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut ascending: Vec<u64> = errors.into_iter().collect();
        ascending.sort_unstable();
        Some(ErrorQuantiles {
            n: ascending.len(),
            mean_ns: mean(&ascending),
            p50_ns: quantile(&ascending, 0.5)?,
            p95_ns: quantile(&ascending, 0.95),
            p99_ns: quantile(&ascending, 0.99)?,
            max_ns: *ascending.last()?,
        })
    }
}

/// Quantile of ascending values by linear interpolation (Hyndman and Fan's type 7).
fn quantile(ascending: &[u64], p: f64) -> Option<u64> {
    let last = ascending.len().checked_sub(1)?;
    let position = p * last as f64;
    let below = position.floor() as usize;
    let low = *ascending.get(below)? as f64;
    let high = *ascending.get((below + 1).min(last))? as f64;
    Some((low + (high - low) * (position - position.floor())).round() as u64)
}

/// The mean, rounded; `None` without values.
fn mean(values: &[u64]) -> Option<u64> {
    let sum: u128 = values.iter().copied().map(u128::from).sum();
    let n = values.len() as u128;
    // A mean is no larger than the largest of what it is of.
    Some((sum + n / 2).checked_div(n)? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of `numpy.percentile`, rounded.
    #[test]
    fn quantiles_are_of_type_7() {
        let found = ErrorQuantiles::of([30, 10, 40, 10, 50, 90, 20, 61]).unwrap();
        let expected = ErrorQuantiles {
            n: 8,
            mean_ns: Some(39),
            p95_ns: Some(80),
            p50_ns: 35,
            p99_ns: 88,
            max_ns: 90,
        };
        assert_eq!(found, expected);
        assert_eq!(ErrorQuantiles::of([u64::MAX, 0]).unwrap().max_ns, u64::MAX);
        assert_eq!(ErrorQuantiles::of([]), None);
    }
}
