//! The real-time mode: does it feel instant, how often, and what does interrupting cost?

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::journal::{Act, Race};

use crate::acts::{self, Boundary};
use crate::compare::{Scale, change};
use crate::data::{RunData, TrialData};
use crate::format::NS_PER_MS;
use crate::metrics::{ACT_TIME, Statistic};
use crate::pairing::{paired_tasks, sides};
use crate::stats::{Distribution, Estimate, resolve_rate};

/// A time that people notice, and who says so.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// Milliseconds.
    pub ms: f64,
    /// How it feels below.
    pub feels: &'static str,
    /// Where it is from.
    pub source: &'static str,
}

/// How soon an answer should begin.
pub const RESPONSE: [Threshold; 5] = [
    Threshold {
        ms: 100.0,
        feels: "as if done by oneself",
        source: "Miller 1968, Nielsen 1993",
    },
    INSTANT,
    Threshold {
        ms: 1_000.0,
        feels: "the train of thought goes on",
        source: "Miller 1968, Nielsen 1993",
    },
    Threshold {
        ms: 3_000.0,
        feels: "a pause",
        source: "a step between, of no study",
    },
    Threshold {
        ms: 10_000.0,
        feels: "attention still holds",
        source: "Miller 1968, Nielsen 1993",
    },
];

/// What is called instant in a sentence.
pub const INSTANT: Threshold = Threshold {
    ms: 400.0,
    feels: "instant",
    source: "Doherty and Thadani 1982",
};

/// How soon it should be quiet after a stop, in milliseconds.
pub const QUIET_MS: [f64; 3] = [100.0, 300.0, 1_000.0];

/// Acts with an answer that a developer's day is taken to have.
pub const ACTS_A_DAY: f64 = 100.0;

const NS_PER_MINUTE: f64 = 60e9;

/// What the sessions of a run show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RealTime {
    /// Each endpoint's, by name, in the order of `endpoints`.
    pub endpoints: IndexMap<String, RealTimeEndpoint>,
    /// Each candidate against the baseline, in order.
    pub saved: Vec<Saved>,
}

/// One endpoint's sessions. Those that failed are left out of all but `outcomes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RealTimeEndpoint {
    /// Sessions.
    pub sessions: usize,
    /// Acts of any kind in them.
    pub acts: usize,
    /// From the developer's words, redirection or last key to the first useful output, in
    /// milliseconds.
    pub response_ms: Distribution,
    /// Share of acts with an answer that answered so soon; one that showed nothing useful
    /// did not.
    pub within: Vec<Within>,
    /// After a stop, by each of three clocks.
    pub quiet: Vec<Quiet>,
    /// What came of stops and redirections, and how often.
    pub outcomes: BTreeMap<Race, usize>,
    /// Tokens of old answers that came after their stop, a stop.
    pub stale_tokens: Distribution,
    /// Acts whose check passed, of those that had one.
    pub checks_passed: Estimate,
}

/// A share below a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Within {
    /// The time in milliseconds.
    pub ms: f64,
    /// The share, its interval over sessions.
    pub share: Estimate,
}

/// How soon it was quiet by one clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quiet {
    /// What ends it.
    pub clock: String,
    /// From the stop, in milliseconds.
    pub ms: Distribution,
    /// Share of stops after which it was quiet so soon; of what was lost it never was.
    pub within: Vec<Within>,
}

/// What waiting less is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// Name of the candidate endpoint.
    pub candidate: String,
    /// Name of the baseline endpoint.
    pub baseline: String,
    /// Acts with an answer in the day that it is told of.
    pub acts_a_day: f64,
    /// Minutes that such a day waits less on the candidate, from the mean time per act,
    /// paired by session.
    pub minutes: Estimate,
}

impl RealTime {
    /// What the run's sessions show; `None` where it has none.
    #[must_use]
    pub fn of(run: &RunData, endpoints: impl Iterator<Item = String>) -> Option<Self> {
        if run.trials.iter().all(|trial| trial.acts.is_empty()) {
            return None;
        }
        let of = |name: String| {
            let own = run.trials.iter().filter(|trial| trial.endpoint == name);
            let summary = RealTimeEndpoint::of(&own.collect::<Vec<_>>());
            (name, summary)
        };
        let saved = sides(run).into_iter().map(|pair| {
            let [candidate, baseline] = pair.names();
            saved(run, candidate, baseline)
        });
        Some(RealTime {
            endpoints: endpoints.map(of).collect(),
            saved: saved.collect(),
        })
    }
}

impl RealTimeEndpoint {
    fn of(trials: &[&TrialData]) -> Self {
        let timed: Vec<&TrialData> = trials.iter().copied().filter(|t| !t.failed()).collect();
        let acts = || timed.iter().flat_map(|trial| &trial.acts);
        let stops = acts().filter(|act| acts::stopped(act));
        let mut outcomes = BTreeMap::new();
        for race in trials.iter().flat_map(|t| &t.acts).filter_map(|a| a.race) {
            *outcomes.entry(race).or_default() += 1;
        }
        RealTimeEndpoint {
            sessions: timed.len(),
            acts: acts().count(),
            response_ms: Distribution::of(acts().filter_map(acts::response).map(ms)),
            within: RESPONSE
                .iter()
                .map(|threshold| within(&timed, threshold.ms, acts::has_answer, acts::response))
                .collect(),
            quiet: Boundary::ALL
                .into_iter()
                .filter_map(|clock| quiet(&timed, clock))
                .collect(),
            outcomes,
            stale_tokens: Distribution::of(stops.map(|act| f64::from(act.counts.stale_tokens))),
            checks_passed: shares(&timed, |act| Some(act.check.as_ref()?.passed)),
        }
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / NS_PER_MS
}

/// The share of acts of which `holds` is true, over those of which it says anything.
fn shares(trials: &[&TrialData], holds: impl Fn(&Act) -> Option<bool>) -> Estimate {
    let mut tasks: BTreeMap<(&str, &str), Vec<bool>> = BTreeMap::new();
    for trial in trials {
        let task = tasks.entry((&trial.suite, &trial.task)).or_default();
        task.extend(trial.acts.iter().filter_map(&holds));
    }
    resolve_rate(&tasks.into_values().collect::<Vec<_>>())
}

fn within(
    trials: &[&TrialData],
    limit_ms: f64,
    asked: impl Fn(&Act) -> bool,
    of: impl Fn(&Act) -> Option<u64>,
) -> Within {
    let soon = |act: &Act| asked(act).then(|| of(act).is_some_and(|ns| ms(ns) <= limit_ms));
    Within {
        ms: limit_ms,
        share: shares(trials, soon),
    }
}

/// One clock's figures; `None` where no stop tells of it.
fn quiet(trials: &[&TrialData], clock: Boundary) -> Option<Quiet> {
    let asked = |act: &Act| acts::has_boundary(act, clock);
    let of = |act: &Act| acts::quiet(act, clock);
    let stops = || trials.iter().flat_map(|trial| &trial.acts);
    stops().find(|act| asked(act))?;
    Some(Quiet {
        clock: clock.label().to_owned(),
        ms: Distribution::of(stops().filter_map(of).map(ms)),
        within: QUIET_MS
            .into_iter()
            .map(|limit| within(trials, limit, asked, of))
            .collect(),
    })
}

fn saved(run: &RunData, candidate: &str, baseline: &str) -> Saved {
    let tasks = paired_tasks(&run.trials, candidate, baseline);
    let found = change(&ACT_TIME, Statistic::Mean, Scale::Difference, &tasks);
    let minutes = match found {
        Ok(found) => less(
            found
                .effect
                .estimate()
                .map(|ns| ns * ACTS_A_DAY / NS_PER_MINUTE),
        ),
        Err(why) => Estimate::absent(why.to_string()),
    };
    Saved {
        candidate: candidate.to_owned(),
        baseline: baseline.to_owned(),
        acts_a_day: ACTS_A_DAY,
        minutes,
    }
}

/// How much less it is: a difference turned round.
fn less(more: Estimate) -> Estimate {
    Estimate {
        point: more.point.map(|value| -value),
        low: more.high.map(|value| -value),
        high: more.low.map(|value| -value),
        ..more
    }
}
