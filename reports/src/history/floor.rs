//! How much a figure moves by itself.

use serde::Serialize;

use super::figures::is_share;
use crate::stats::{ChangePointOptions, change_points, quantile, sorted};

/// Fewest changes that a floor is learned from: fewer say too little of the quartiles.
pub const MIN_OBSERVATIONS: usize = 8;

/// What a floor was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorSource {
    /// Differences within runs of one endpoint under two names.
    SameEndpoint,
    /// Changes from one run to the next since the last change point.
    Nights,
}

impl FloorSource {
    /// The words used in tables for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            FloorSource::SameEndpoint => "same endpoint twice",
            FloorSource::Nights => "night to night",
        }
    }
}

/// A change that the noise alone can make.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// A relative change, e.g. 0.04 for 4 %; of a share the difference. Above 0.
    pub relative: f64,
    /// Changes it was learned from.
    pub observations: usize,
    /// Where they come from.
    pub source: FloorSource,
}

/// Changes that were seen without a cause: absolute log-ratios, of shares absolute
/// differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    share: bool,
    /// Within runs of one endpoint under two names.
    pub same_endpoint: Vec<f64>,
    /// From one run to the next since the last change point.
    pub nights: Vec<f64>,
}

impl Evidence {
    /// What the figures of runs of one endpoint under two names, and a series of runs,
    /// oldest first, say of a metric.
    #[must_use]
    pub fn of(metric: &str, pairs: &[(f64, f64)], series: &[f64]) -> Self {
        let share = is_share(metric);
        let since = change_points(series, &ChangePointOptions::default())
            .last()
            .map_or(0, |point| point.index);
        let nights = series[since..].windows(2).map(|pair| (pair[0], pair[1]));
        Evidence {
            share,
            same_endpoint: changes(share, pairs.iter().copied()),
            nights: changes(share, nights),
        }
    }

    /// The larger of the two floors that the evidence gives; `None`, for unknown, when
    /// neither source has [`MIN_OBSERVATIONS`] changes, or nothing ever changed: no
    /// noise seen is not no noise.
    #[must_use]
    pub fn floor(&self) -> Option<Floor> {
        let floor = |changes: &[f64], source| {
            let bound = outer_fence(changes)?;
            let relative = if self.share { bound } else { bound.exp_m1() };
            (relative > 0.0 && relative.is_finite()).then_some(Floor {
                relative,
                observations: changes.len(),
                source,
            })
        };
        let floors = [
            floor(&self.same_endpoint, FloorSource::SameEndpoint),
            floor(&self.nights, FloorSource::Nights),
        ];
        floors
            .into_iter()
            .flatten()
            .max_by(|a, b| a.relative.total_cmp(&b.relative))
    }
}

fn changes(share: bool, pairs: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    pairs
        .filter_map(|(from, to)| {
            if share {
                return Some((to - from).abs());
            }
            (from > 0.0 && to > 0.0).then(|| (to / from).ln().abs())
        })
        .filter(|change| change.is_finite())
        .collect()
}

/// Third quartile + 3 × interquartile range: Tukey's outer fence ("Exploratory Data
/// Analysis", 1977), which rustc-perf draws around the absolute changes of its history.
/// A few true changes among them do not move it.
fn outer_fence(changes: &[f64]) -> Option<f64> {
    if changes.len() < MIN_OBSERVATIONS {
        return None;
    }
    let ascending = sorted(changes.iter().copied());
    let (low, high) = (quantile(&ascending, 0.25)?, quantile(&ascending, 0.75)?);
    Some(high + 3.0 * (high - low))
}
