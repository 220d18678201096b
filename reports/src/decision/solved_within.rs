//! Share of tasks solved within a time, and with it what shorter timeouts would have
//! left solved.
//!
//! A trial that was not solved has no time: it is censored at the timeout, beyond which
//! nothing is known of anything.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::journal::Outcome;

use crate::data::{RunData, TrialData};
use crate::format::NS_PER_MS;
use crate::stats::{Estimate, effective_trials, share_of};

/// Most steps of a curve: more would not be seen.
const MAX_STEPS: usize = 200;

/// Most timeouts asked about, without the run's own.
const MAX_TIMEOUTS: usize = 6;

/// Round times below ten seconds are 1, 2 and 5 of every decade; from there on these,
/// in seconds.
const ROUND_SECONDS: [f64; 21] = [
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 420.0, 600.0, 900.0, 1200.0,
    1800.0, 2700.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0,
];

/// What each endpoint would have solved had the timeout been shorter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timeout {
    /// The timeout; the last one is the run's own.
    pub within_ms: f64,
    /// Share of tasks solved by then, by endpoint, with a Wilson interval.
    pub solved: IndexMap<String, Estimate>,
}

/// How the share of tasks solved rises with time, on one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct SolvedCurve {
    /// Where the share rises, ascending; none where nothing was solved.
    pub steps: Vec<SolvedStep>,
    /// Share solved before the first step: zero, with what else it may be.
    pub start: Estimate,
}

/// One step of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct SolvedStep {
    /// Task time at which it rises.
    pub ms: f64,
    /// The share from there on, with its pointwise interval.
    pub share: Estimate,
}

impl SolvedCurve {
    /// The curve of an endpoint. Every task weighs the same, its attempts share that
    /// weight. Of more than 200 steps 200 are kept.
    #[must_use]
    pub fn of(run: &RunData, endpoint: &str) -> Self {
        let times = SolvedTimes::of(run, endpoint);
        let mut all = times.ascending();
        all.dedup();
        let keep = all.len().min(MAX_STEPS);
        let steps = (1..=keep)
            // The last one is always among them.
            .filter_map(|step| all.get(step * all.len() / keep - 1))
            .map(|ms| SolvedStep {
                ms: *ms,
                share: times.share_within(*ms),
            })
            .collect();
        SolvedCurve {
            steps,
            start: times.share_within(-1.0),
        }
    }

    /// The share solved in the end.
    #[must_use]
    pub fn last(&self) -> &Estimate {
        self.steps.last().map_or(&self.start, |step| &step.share)
    }

    /// When the share first reaches a level.
    #[must_use]
    pub fn reaches(&self, share: f64) -> Option<f64> {
        let reached = |step: &&SolvedStep| step.share.point.is_some_and(|p| p >= share - 1e-9);
        self.steps.iter().find(reached).map(|step| step.ms)
    }
}

/// When each attempt of each task was solved; `None` for one that was not.
struct SolvedTimes {
    tasks: Vec<Vec<Option<f64>>>,
    /// Learnt where most is solved: early steps say nothing of how attempts cluster.
    effective: f64,
}

impl SolvedTimes {
    fn of(run: &RunData, endpoint: &str) -> Self {
        let limit = limit_ms(run);
        let mut tasks: BTreeMap<(&str, &str), Vec<Option<f64>>> = BTreeMap::new();
        let own = run.trials.iter().filter(|trial| trial.endpoint == endpoint);
        for trial in own.filter(|trial| trial.judged()) {
            let solved = (trial.outcome == Outcome::Resolved).then(|| ms(trial));
            tasks
                .entry((&trial.suite, &trial.task))
                .or_default()
                .push(solved.filter(|ms| *ms <= limit));
        }
        Self::new(tasks.into_values().collect())
    }

    fn new(tasks: Vec<Vec<Option<f64>>>) -> Self {
        let trials: usize = tasks.iter().map(Vec::len).sum();
        let effective = effective_trials(&shares(&tasks, f64::INFINITY), trials as f64);
        SolvedTimes { tasks, effective }
    }

    fn ascending(&self) -> Vec<f64> {
        crate::stats::sorted(self.tasks.iter().flatten().copied().flatten())
    }

    fn share_within(&self, limit: f64) -> Estimate {
        share_of(&shares(&self.tasks, limit), self.effective)
    }
}

/// Each task's share of attempts solved within a time.
fn shares(tasks: &[Vec<Option<f64>>], limit: f64) -> Vec<f64> {
    let share = |attempts: &Vec<Option<f64>>| {
        let solved = attempts.iter().flatten().filter(|ms| **ms <= limit);
        solved.count() as f64 / attempts.len() as f64
    };
    tasks.iter().map(share).collect()
}

fn ms(trial: &TrialData) -> f64 {
    trial.wall_ns as f64 / NS_PER_MS
}

/// Where a run's times are censored, in milliseconds.
pub(crate) fn limit_ms(run: &RunData) -> f64 {
    run.trial_limit_ns as f64 / NS_PER_MS
}

/// A table over a few round times and the run's own timeout.
pub(super) fn timeouts(run: &RunData) -> Vec<Timeout> {
    let endpoints: Vec<(&String, SolvedTimes)> = run
        .endpoints
        .iter()
        .map(|endpoint| (&endpoint.name, SolvedTimes::of(run, &endpoint.name)))
        .filter(|(_, times)| !times.tasks.is_empty())
        .collect();
    let quickest = endpoints
        .iter()
        .filter_map(|(_, times)| times.ascending().first().copied())
        .reduce(f64::min);
    let Some(quickest) = quickest else {
        return Vec::new();
    };
    let finished = run.trials.iter().filter(|trial| !trial.failed());
    let longest = finished.map(ms).fold(0.0, f64::max);
    let limit = limit_ms(run);
    let mut asked = round_times(quickest, longest.min(limit));
    asked.retain(|ms| *ms < limit);
    asked.push(limit);
    asked
        .into_iter()
        .map(|within_ms| Timeout {
            within_ms,
            solved: endpoints
                .iter()
                .map(|(name, times)| ((*name).clone(), times.share_within(within_ms)))
                .collect(),
        })
        .collect()
}

/// A few round times between two, evenly spread over the round ones.
fn round_times(low: f64, high: f64) -> Vec<f64> {
    // A nanosecond, the smallest difference there is, to ten seconds.
    let decades = (-6..4).flat_map(|power| {
        [1.0, 2.0, 5.0].map(|digit| {
            if power < 0 {
                digit / 10_f64.powi(-power)
            } else {
                digit * 10_f64.powi(power)
            }
        })
    });
    let all: Vec<f64> = decades
        .chain(ROUND_SECONDS.map(|seconds| seconds * 1e3))
        .filter(|ms| (low..=high).contains(ms))
        .collect();
    if all.len() <= MAX_TIMEOUTS {
        return all;
    }
    (0..MAX_TIMEOUTS)
        .filter_map(|index| all.get(index * (all.len() - 1) / (MAX_TIMEOUTS - 1)))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_times_lie_between() {
        assert_eq!(round_times(3e3, 40e3), [5e3, 10e3, 15e3, 20e3, 30e3]);
        assert!(round_times(5.1, 5.2).is_empty());
        assert_eq!(round_times(1e-6, 1e9).len(), MAX_TIMEOUTS);
    }

    proptest! {
        #[test]
        fn the_share_and_its_band_only_rise(
            tasks in prop::collection::vec(
                prop::collection::vec(prop::option::of(1.0..100.0_f64), 1..4), 1..20),
        ) {
            let times = SolvedTimes::new(tasks);
            let mut last = (0.0, 0.0, 0.0);
            for limit in [-1.0, 5.0, 20.0, 50.0, 99.0, 1e9] {
                let share = times.share_within(limit);
                let (low, high) = share.interval().unwrap();
                let point = share.point.unwrap();
                prop_assert!(low <= point && point <= high);
                prop_assert!(last.0 <= low + 1e-12 && last.1 <= point && last.2 <= high + 1e-12);
                last = (low, point, high);
            }
        }
    }
}
