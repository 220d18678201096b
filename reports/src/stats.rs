//! Pure statistics: numbers in, numbers out, no knowledge of runs.
//!
//! Nothing here pools tokens for inference: the unit of every interval is the
//! task (or the trial, for a plain resolve rate).

mod amdahl;
mod bootstrap;
mod change_points;
mod degrees;
mod effect;
mod error_adjusted;
mod holm;
mod mcnemar;
mod paired;
mod pass_at_k;
mod power;
mod proportions;
mod quantile;
mod quantile_ratio;
mod rate;
mod student;
mod sums;
mod theil_sen;
mod walsh;

pub use amdahl::{amdahl_limit, part_faster};
pub use bootstrap::cluster_bootstrap;
pub use change_points::{ChangePoint, ChangePointOptions, change_points};
pub use effect::Effect;
pub use effect::signed_rank::signed_rank;
pub use effect::wilson::{
    effective_trials, mean_share, resolve_rate, share_effect, share_of, wilson,
};
pub use error_adjusted::ErrorAdjusted;
pub use holm::{holm, holm_adjusted};
pub use mcnemar::mcnemar_exact;
pub use paired::{log_time_ratio, time_ratio};
pub use pass_at_k::{pass_at_k, pass_hat_k};
pub use power::{OneSidedTest, detectable_difference, detectable_effect, pairs_needed};
pub use proportions::paired_proportions;
pub use quantile::{Distribution, quantile, sorted};
pub use quantile_ratio::{quantile_effect, quantile_log_ratio};
pub use rate::token_rate;
pub use student::{mean, mean_interval};
pub use sums::{sums_effect, sums_log_ratio};
pub use theil_sen::{Line, median, theil_sen};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two-sided confidence level of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// A point estimate with its 95 % interval, each absent when it cannot be computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The estimate itself.
    pub point: Option<f64>,
    /// Lower end of the 95 % interval.
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub high: Option<f64>,
    /// Independent units behind it: trials for a rate, tasks for a comparison.
    pub n: usize,
    /// Why the estimate or its interval is absent.
    pub reason: Option<String>,
}

impl Estimate {
    /// Nothing to estimate from.
    #[must_use]
    pub fn absent(reason: impl Into<String>) -> Self {
        Estimate {
            reason: Some(reason.into()),
            ..Estimate::default()
        }
    }

    /// A point without an interval.
    #[must_use]
    pub fn point_only(point: f64, n: usize, reason: impl Into<String>) -> Self {
        Estimate {
            point: Some(point),
            n,
            reason: Some(reason.into()),
            ..Estimate::default()
        }
    }

    /// Both ends of the interval, when it exists.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }

    /// Whether the interval exists and holds `value`.
    #[must_use]
    pub fn may_be(&self, value: f64) -> bool {
        self.interval()
            .is_some_and(|(low, high)| low <= value && value <= high)
    }

    pub(crate) fn map(mut self, transform: impl Fn(f64) -> f64) -> Self {
        self.point = self.point.map(&transform);
        self.low = self.low.map(&transform);
        self.high = self.high.map(&transform);
        self
    }
}
