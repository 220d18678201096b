//! Candidate against baseline, paired by task and attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::{MetricChange, changes};
use super::endpoint::exchange_rate;
use crate::format::NS_PER_MS;
use crate::input::{Outcome, RunData, StageGroup, TrialData};
use crate::pairing::{Pair, PairedTask, paired_tasks, sides};
use crate::stats::{
    Distribution, Estimate, amdahl_limit, mcnemar_exact, paired_proportions, time_ratio,
};

/// How the candidate compares with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Name of the candidate endpoint.
    pub candidate: String,
    /// Name of the baseline endpoint.
    pub baseline: String,
    /// Attempts that finished on both sides, errors included.
    pub pairs: usize,
    /// Pairs left out of every time because a side ended in an error.
    pub pairs_with_errors: usize,
    /// How many times sooner tasks finish on the candidate: geometric mean
    /// over tasks of baseline ÷ candidate task time. Above 1: candidate sooner.
    pub task_time_ratio: Estimate,
    /// The same over pairs that both sides resolved; `null` when there are none.
    pub task_time_ratio_both_resolved: Option<Estimate>,
    /// `task_time_ratio` with backoff and fruitless tries taken out of every task time;
    /// `null` when nothing waited.
    pub task_time_ratio_without_wait: Option<Estimate>,
    /// Ratio of the median output rates; what a vendor would quote.
    pub token_rate_ratio: Option<f64>,
    /// Candidate minus baseline, share of trials resolved, paired by task: with one attempt
    /// Tango's score interval, with several a clustered t interval.
    pub resolve_rate_difference: Estimate,
    /// Two-sided p-value of McNemar's exact test; `null` with several attempts, which it
    /// does not know.
    pub mcnemar_p: Option<f64>,
    /// How many times sooner the baseline's tasks would finish with infinitely
    /// fast decode.
    pub amdahl_limit: Option<f64>,
    /// Where the difference in task time comes from; `*_ns` sums exactly.
    pub stage_bridge: Vec<BridgeRow>,
    /// Every metric that both sides have, by the names that a gate's rules use.
    pub changes: Vec<MetricChange>,
}

/// One stage group's part in the difference between the two sides, over the
/// same pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeRow {
    /// The stage group.
    pub group: StageGroup,
    /// Baseline's total over the pairs.
    pub baseline_ns: u64,
    /// Candidate's total over the pairs.
    pub candidate_ns: u64,
    /// Candidate minus baseline; negative where the candidate saves time.
    pub delta_ns: i64,
    /// Baseline's mean per pair.
    pub baseline_ms: f64,
    /// Candidate's mean per pair.
    pub candidate_ms: f64,
    /// Candidate minus baseline, mean per pair.
    pub delta_ms: f64,
}

impl Comparison {
    /// Compares the two sides of a run; `None` when it has one side only.
    #[must_use]
    pub fn of(run: &RunData) -> Option<Self> {
        let (candidate, baseline) = sides(run)?;
        let tasks = paired_tasks(&run.trials, &candidate.name, &baseline.name);
        let all: Vec<Pair> = tasks
            .iter()
            .flat_map(|task| task.pairs.iter().copied())
            .collect();
        let timed: Vec<Pair> = all.iter().copied().filter(Pair::timed).collect();
        let both_resolved = time_ratio(&walls(&tasks, |pair| pair.both_resolved()));
        let waited = |pair: &Pair| pair.candidate.wait_ns() > 0 || pair.baseline.wait_ns() > 0;
        let without_wait = timed.iter().any(waited).then(|| {
            time_ratio(&per_task(&tasks, |pair| {
                pair.timed().then(|| {
                    let working = |trial: &TrialData| trial.wall_without_wait_ns() as f64;
                    (working(pair.baseline), working(pair.candidate))
                })
            }))
        });
        let rate = |name: &str| {
            let trials = run.trials.iter().filter(|trial| trial.endpoint == name);
            median_rate(trials.filter(|trial| trial.outcome != Outcome::Error))
        };
        let results = per_task(&tasks, |pair| {
            Some((resolved(pair.candidate), resolved(pair.baseline)))
        });
        Some(Comparison {
            candidate: candidate.name.clone(),
            baseline: baseline.name.clone(),
            pairs: all.len(),
            pairs_with_errors: all.len() - timed.len(),
            task_time_ratio: time_ratio(&walls(&tasks, |pair| pair.timed())),
            task_time_ratio_both_resolved: Some(both_resolved).filter(|ratio| ratio.n > 0),
            task_time_ratio_without_wait: without_wait,
            token_rate_ratio: rate(&candidate.name)
                .zip(rate(&baseline.name))
                .map(|(candidate, baseline)| candidate / baseline),
            resolve_rate_difference: paired_proportions(&results)
                .map_or_else(Estimate::absent, |effect| effect.estimate()),
            mcnemar_p: mcnemar(&results),
            amdahl_limit: amdahl_limit(&walls_and_decode(&tasks)),
            stage_bridge: stage_bridge(&timed),
            changes: changes(&tasks),
        })
    }
}

fn walls(tasks: &[PairedTask], keep: impl Fn(&Pair) -> bool) -> Vec<Vec<(f64, f64)>> {
    per_task(tasks, |pair| {
        keep(pair).then_some((pair.baseline.wall_ns as f64, pair.candidate.wall_ns as f64))
    })
}

fn walls_and_decode(tasks: &[PairedTask]) -> Vec<Vec<(f64, f64)>> {
    per_task(tasks, |pair| {
        pair.timed().then(|| {
            let decode = group_ns(pair.baseline, StageGroup::Decode);
            (pair.baseline.wall_ns as f64, decode as f64)
        })
    })
}

fn resolved(trial: &TrialData) -> bool {
    trial.outcome == Outcome::Resolved
}

fn mcnemar(results: &[Vec<(bool, bool)>]) -> Option<f64> {
    let once = !results.is_empty() && results.iter().all(|pairs| pairs.len() == 1);
    let count = |sought| {
        results
            .iter()
            .flatten()
            .filter(|pair| **pair == sought)
            .count() as u64
    };
    once.then(|| mcnemar_exact(count((true, false)), count((false, true))))
}

fn per_task<T>(tasks: &[PairedTask], value: impl Fn(&Pair) -> Option<T>) -> Vec<Vec<T>> {
    tasks
        .iter()
        .map(|task| task.pairs.iter().filter_map(&value).collect())
        .collect()
}

fn median_rate<'a>(trials: impl Iterator<Item = &'a TrialData>) -> Option<f64> {
    Distribution::of(
        trials
            .flat_map(|trial| &trial.exchanges)
            .filter_map(exchange_rate),
    )
    .p50
}

fn group_ns(trial: &TrialData, group: StageGroup) -> u64 {
    trial
        .stages
        .iter()
        .filter(|value| value.stage.group() == group)
        .fold(0, |total, value| total.saturating_add(value.ns))
}

/// Each stage group's part in the difference, over the same pairs.
pub(crate) fn stage_bridge(pairs: &[Pair]) -> Vec<BridgeRow> {
    let count = pairs.len() as f64;
    StageGroup::ALL
        .into_iter()
        .map(|group| {
            let sum = |side: &dyn Fn(&Pair) -> u64| {
                pairs.iter().map(side).fold(0_u64, u64::saturating_add)
            };
            let baseline_ns = sum(&|pair| group_ns(pair.baseline, group));
            let candidate_ns = sum(&|pair| group_ns(pair.candidate, group));
            let mean_ms = |ns: f64| ns / NS_PER_MS / count;
            BridgeRow {
                group,
                baseline_ns,
                candidate_ns,
                delta_ns: signed_difference(candidate_ns, baseline_ns),
                baseline_ms: mean_ms(baseline_ns as f64),
                candidate_ms: mean_ms(candidate_ns as f64),
                delta_ms: mean_ms(candidate_ns as f64 - baseline_ns as f64),
            }
        })
        .filter(|row| row.baseline_ns > 0 || row.candidate_ns > 0)
        .collect()
}

/// `a − b`, held at the ends of the range.
fn signed_difference(a: u64, b: u64) -> i64 {
    let difference = i128::from(a) - i128::from(b);
    let held = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(held).unwrap_or(i64::MAX)
}
