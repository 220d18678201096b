//! How much a figure moves by itself.

use serde::Serialize;

use super::figures::is_share;
use crate::stats::{ChangePointOptions, change_points, quantile, sorted};

/// Fewest changes that a floor is learned from: with fewer, the quartiles are so uncertain
/// that noise alone is above the floor more often than in 3 of 100 nights.
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

    /// The floor of one kind of comparison: within a run, where the same endpoint twice
    /// says what to expect, or from night to night. `None`, for unknown, with fewer than
    /// [`MIN_OBSERVATIONS`] changes, or when nothing ever changed: no noise seen is not
    /// no noise.
    #[must_use]
    pub fn of_source(&self, source: FloorSource) -> Option<Floor> {
        let floor = |changes: &[f64], source| {
            let bound = outer_fence(changes)?;
            let relative = if self.share { bound } else { bound.exp_m1() };
            (relative > 0.0 && relative.is_finite()).then_some(Floor {
                relative,
                observations: changes.len(),
                source,
            })
        };
        match source {
            FloorSource::SameEndpoint => floor(&self.same_endpoint, source),
            FloorSource::Nights => floor(&self.nights, source),
        }
    }

    /// The larger of the two floors that the evidence gives.
    #[must_use]
    pub fn floor(&self) -> Option<Floor> {
        let floors =
            [FloorSource::SameEndpoint, FloorSource::Nights].map(|source| self.of_source(source));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn nights(metric: &str, series: &[f64]) -> Option<Floor> {
        Evidence::of(metric, &[], series).floor()
    }

    /// Between 0 and 1.
    fn uniform(random: &mut ChaCha8Rng) -> f64 {
        ((random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A night of log-normal noise around 100.
    fn night(random: &mut ChaCha8Rng, sigma: f64) -> f64 {
        let radius = (-2.0 * uniform(random).ln()).sqrt();
        100.0 * (sigma * radius * (std::f64::consts::TAU * uniform(random)).cos()).exp()
    }

    #[test]
    fn the_next_change_without_a_cause_is_below_the_floor() {
        for (seen, limit) in [(MIN_OBSERVATIONS + 1, 0.03), (31, 0.01)] {
            let mut random = ChaCha8Rng::seed_from_u64(7);
            let (mut above, mut known) = (0, 0);
            for _ in 0..2_000 {
                let mut series: Vec<f64> = (0..seen).map(|_| night(&mut random, 0.03)).collect();
                let last = series[seen - 1];
                let Some(floor) = nights("ttft", &series) else {
                    continue;
                };
                known += 1;
                series.push(night(&mut random, 0.03));
                above += usize::from(
                    (series[seen] / last).max(last / series[seen]) - 1.0 > floor.relative,
                );
            }
            let share = f64::from(u32::try_from(above).unwrap()) / f64::from(known);
            assert!(
                known > 1_800 && share <= limit,
                "{seen}: {share} of {known}"
            );
        }
    }

    #[test]
    fn only_what_came_since_the_last_change_counts() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let wild: Vec<f64> = (0..20).map(|_| night(&mut random, 0.2)).collect();
        let calm: Vec<f64> = (0..20).map(|_| 5.0 * night(&mut random, 0.01)).collect();
        let together = [wild, calm.clone()].concat();
        assert_eq!(nights("ttft", &together), nights("ttft", &calm));
        assert!(nights("ttft", &calm).unwrap().relative < 0.1);
    }

    #[test]
    fn a_few_true_changes_do_not_move_it() {
        let mut random = ChaCha8Rng::seed_from_u64(12);
        let mut series: Vec<f64> = (0..40).map(|_| night(&mut random, 0.01)).collect();
        let before = nights("ttft", &series).unwrap().relative;
        series[20] *= 3.0;
        assert!(nights("ttft", &series).unwrap().relative < 1.3 * before);
    }

    #[test]
    fn the_larger_source_decides() {
        let series: Vec<f64> = (0..12).map(|i| 100.0 + f64::from(i % 3)).collect();
        let pairs = |size: f64| -> Vec<(f64, f64)> {
            (0..9)
                .map(|i| (100.0, 100.0 + size * f64::from(i % 4)))
                .collect()
        };
        let floor = |pairs: &[(f64, f64)]| Evidence::of("ttft", pairs, &series).floor().unwrap();
        assert_eq!(floor(&pairs(10.0)).source, FloorSource::SameEndpoint);
        assert_eq!(floor(&pairs(0.01)).source, FloorSource::Nights);
        assert_eq!(floor(&pairs(10.0)[..7]).source, FloorSource::Nights);
    }

    #[test]
    fn too_little_or_no_change_is_unknown() {
        assert_eq!(nights("ttft", &[]), None);
        assert_eq!(nights("ttft", &[5.0; 40]), None);
        assert_eq!(nights("ttft", &[0.0; 40]), None);
        let eight: Vec<f64> = (0..8).map(|i| 100.0 + f64::from(i % 3)).collect();
        assert_eq!(nights("ttft", &eight), None);
    }

    #[test]
    fn shares_differ_by_points() {
        let rates: Vec<f64> = (0..20)
            .map(|i| if i % 2 == 0 { 0.0 } else { 0.05 })
            .collect();
        let floor = nights("resolve_rate", &rates).unwrap();
        assert!((floor.relative - 0.05).abs() < 1e-12, "{floor:?}");
        assert_eq!(nights("ttft", &rates), None);
    }

    proptest! {
        #[test]
        fn positive_and_above_most_of_what_was_seen(
            series in prop::collection::vec(prop_oneof![8 => 50.0..150.0_f64, 1 => Just(f64::NAN), 1 => -1.0..1.0_f64], 0..80),
            pairs in prop::collection::vec((1.0..2.0_f64, 1.0..2.0_f64), 0..20),
        ) {
            let evidence = Evidence::of("ttft", &pairs, &series);
            if let Some(floor) = evidence.floor() {
                prop_assert!(floor.relative > 0.0 && floor.relative.is_finite());
                prop_assert!(floor.observations >= MIN_OBSERVATIONS);
                let seen = match floor.source {
                    FloorSource::SameEndpoint => &evidence.same_endpoint,
                    FloorSource::Nights => &evidence.nights,
                };
                let within = seen.iter().filter(|change| change.exp_m1() <= floor.relative);
                prop_assert!(within.count() * 4 >= seen.len() * 3);
            } else {
                let most = evidence.same_endpoint.len().max(evidence.nights.len());
                prop_assert!(most < MIN_OBSERVATIONS);
            }
        }

        #[test]
        fn units_do_not_matter(series in prop::collection::vec(50.0..150.0_f64, 9..40)) {
            let scaled: Vec<f64> = series.iter().map(|value| value * 1024.0).collect();
            let (a, b) = (nights("ttft", &series), nights("ttft", &scaled));
            prop_assert_eq!(a.is_some(), b.is_some());
            if let (Some(a), Some(b)) = (a, b) {
                prop_assert!((a.relative - b.relative).abs() < 1e-9 * (1.0 + a.relative));
            }
        }
    }
}
