//! Runs over time: what a run is compared with, and how much figures move by themselves.
//!
//! The history is an index. Everything in it comes from run directories and can be made
//! again from them; losing it loses nothing.

mod error;
mod figures;
mod floor;
mod noise;
mod overview;
mod record;
mod schema;
mod setting;
mod show;
mod store;
mod trend;

pub use error::Error;
pub use figures::figures;
pub use floor::{Evidence, Floor, FloorSource, MIN_OBSERVATIONS};
pub use noise::{Noise, baselines};
pub use overview::{Filter, FloorRow, FloorSetting, Floors, Overview, Setting};
pub use store::{Added, Before, History};
pub use trend::{LevelChange, Trend, TrendPoint};

use serde::Serialize;

/// Suite of a figure over all suites.
pub const ALL_SUITES: &str = "*";

/// Runs that a rolling baseline takes.
pub const BASELINE_WINDOW: usize = 7;

/// Runs that a noise floor is learned from, at most.
pub const FLOOR_WINDOW: usize = 60;

/// Runs of one setting that are looked at, at most: the latest.
const MOST_RUNS: usize = 1_000;

/// One number about a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Suite, or [`ALL_SUITES`].
    pub suite: String,
    /// Endpoint.
    pub endpoint: String,
    /// What was measured, e.g. `ttft`.
    pub metric: String,
    /// What of it, e.g. `p50`.
    pub statistic: String,
    /// In the metric's unit; durations in nanoseconds.
    pub value: f64,
    /// How many trials are behind it.
    pub n: usize,
}

/// Which figure, of whichever run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Suite, or [`ALL_SUITES`].
    pub suite: String,
    /// Endpoint.
    pub endpoint: String,
    /// What was measured.
    pub metric: String,
    /// What of it.
    pub statistic: String,
}

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRef {
    /// Run id.
    pub run_id: String,
    /// Its directory.
    pub path: String,
    /// Start, RFC 3339 UTC.
    pub started_at: String,
    /// Version of timeslip that measured.
    pub timeslip_version: String,
    /// Equal for runs that may be compared.
    pub fingerprint: String,
    /// Its instrument could be relied on.
    pub valid: bool,
    /// Every planned trial finished.
    pub complete: bool,
    /// One of its endpoints is simulated.
    pub simulated: bool,
    /// Its endpoints are one under two names.
    pub same_endpoint: bool,
    /// A gate found a regression in it: no later run is held against it.
    pub rejected: bool,
    /// The baseline of its setting.
    pub pinned: bool,
}

/// An endpoint of a run in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Equal for endpoints that are alike but for their names, on the same tasks: what
    /// is learned of the one holds for the other.
    pub setting: String,
}

/// All that the history holds of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The run.
    pub run: RunRef,
    /// Candidate first.
    pub endpoints: Vec<Endpoint>,
    /// Its figures.
    pub figures: Vec<Figure>,
}
