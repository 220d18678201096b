//! Candidate against baseline, paired by task and attempt.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::journal::Outcome;

use super::bridge::{self, BridgeRow};
use super::changes::{MetricChange, changes};
use crate::data::{RunData, TrialData};
use crate::headline;
use crate::pairing::{Pair, PairedTask, Sides, paired_tasks, sides};
use crate::stages::StageGroup;
use crate::stats::{
    CONFIDENCE, Distribution, Estimate, holm_adjusted, log_time_ratio, mcnemar_exact,
    paired_proportions, time_ratio,
};
use crate::trial::exchange_rate;

/// How the candidate compares with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Name of the candidate endpoint.
    pub candidate: String,
    /// Name of the baseline endpoint.
    pub baseline: String,
    /// Why its ratios say nothing of how much sooner tasks get done; empty where they may
    /// be quoted.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Attempts that finished on both sides, errors included.
    pub pairs: usize,
    /// Pairs left out of every time because a side ended in an error.
    pub pairs_with_errors: usize,
    /// How many times sooner tasks finish on the candidate: geometric mean
    /// over tasks of baseline ÷ candidate task time. Above 1: candidate sooner.
    pub task_time_ratio: Estimate,
    /// How probable a ratio as far from 1 is by chance (two-sided t test over tasks), after
    /// Holm's correction over the candidates of the run; `null` with one candidate, for
    /// whom the interval says the same.
    #[serde(default)]
    pub task_time_p: Option<f64>,
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
    /// Likewise of a difference as far from 0, after Holm's correction over the candidates;
    /// `null` with one candidate.
    #[serde(default)]
    pub resolve_rate_p: Option<f64>,
    /// Two-sided p-value of McNemar's exact test; `null` with several attempts, which it
    /// does not know.
    pub mcnemar_p: Option<f64>,
    /// How many times sooner the baseline's tasks would finish with infinitely
    /// fast decode.
    pub amdahl_limit: Option<f64>,
    /// The task-time ratio to expect if the baseline's decode became shorter by
    /// `token_rate_ratio` and nothing else changed; the interval is over tasks, the
    /// token rates taken as they are. `null` without token rates.
    pub promised_by_token_rate: Option<Estimate>,
    /// Where the difference in task time comes from; `*_ns` sums exactly.
    pub stage_bridge: Vec<BridgeRow>,
    /// Every metric that both sides have, by the names that a gate's rules use.
    pub changes: Vec<MetricChange>,
}

impl Comparison {
    /// Compares every candidate of a run with its baseline, in order; empty when it has one
    /// side only.
    #[must_use]
    pub fn all(run: &RunData) -> Vec<Self> {
        let compared = sides(run).into_iter().map(|pair| Self::of(run, pair));
        let (mut comparisons, p): (Vec<Self>, Vec<[f64; 2]>) = compared.unzip();
        if comparisons.len() > 1 {
            let [time, quality] = [0, 1].map(|which| {
                let family: Vec<f64> = p.iter().map(|p| p[which]).collect();
                holm_adjusted(&family)
            });
            for (comparison, p) in comparisons.iter_mut().zip(time.iter().zip(quality)) {
                (comparison.task_time_p, comparison.resolve_rate_p) = (Some(*p.0), Some(p.1));
            }
        }
        comparisons
    }

    /// Whether a difference in task time is shown: the interval leaves 1 out, and among
    /// several candidates Holm's correction agrees.
    #[must_use]
    pub fn shows_time(&self) -> bool {
        !self.task_time_ratio.may_be(1.0) && self.task_time_p.is_none_or(significant)
    }

    /// Whether a difference in the share of tasks resolved is shown, likewise.
    #[must_use]
    pub fn shows_quality(&self) -> bool {
        !self.resolve_rate_difference.may_be(0.0) && self.resolve_rate_p.is_none_or(significant)
    }

    /// The comparison, with the p-values of its task time and of its quality.
    fn of(run: &RunData, pair: Sides) -> (Self, [f64; 2]) {
        let Sides {
            candidate,
            baseline,
        } = pair;
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
            median_rate(trials.filter(|trial| !trial.failed()))
        };
        let results = per_task(&tasks, |pair| {
            let judged = pair.candidate.judged() && pair.baseline.judged();
            judged.then(|| (resolved(pair.candidate), resolved(pair.baseline)))
        });
        let token_rate_ratio = rate(&candidate.name)
            .zip(rate(&baseline.name))
            .map(|(candidate, baseline)| candidate / baseline);
        let stage_bridge = bridge::rows(&tasks);
        let timed_walls = walls(&tasks, |pair| pair.timed());
        let difference = paired_proportions(&results);
        let p = [
            log_time_ratio(&timed_walls).map_or(1.0, |effect| effect.p_two_sided(0.0)),
            difference
                .as_ref()
                .map_or(1.0, |effect| effect.p_two_sided(0.0)),
        ];
        let comparison = Comparison {
            lacks: headline::lacks(run, pair),
            candidate: candidate.name.clone(),
            baseline: baseline.name.clone(),
            pairs: all.len(),
            pairs_with_errors: all.len() - timed.len(),
            task_time_ratio: time_ratio(&timed_walls),
            task_time_p: None,
            task_time_ratio_both_resolved: Some(both_resolved).filter(|ratio| ratio.n > 0),
            task_time_ratio_without_wait: without_wait,
            token_rate_ratio,
            resolve_rate_difference: difference
                .map_or_else(Estimate::absent, |effect| effect.estimate()),
            resolve_rate_p: None,
            mcnemar_p: mcnemar(&results),
            amdahl_limit: stage_bridge
                .iter()
                .find(|row| row.group == StageGroup::Decode)
                .and_then(|row| row.limit.point),
            promised_by_token_rate: token_rate_ratio
                .map(|ratio| bridge::promised_by(&tasks, ratio))
                .filter(|promised| promised.point.is_some()),
            stage_bridge,
            changes: changes(&tasks),
        };
        (comparison, p)
    }
}

fn significant(p: f64) -> bool {
    p <= 1.0 - CONFIDENCE
}

fn walls(tasks: &[PairedTask], keep: impl Fn(&Pair) -> bool) -> Vec<Vec<(f64, f64)>> {
    per_task(tasks, |pair| {
        keep(pair).then_some((pair.baseline.wall_ns as f64, pair.candidate.wall_ns as f64))
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
