//! One metric of a candidate against its baseline: which figure, how far it moved, and
//! how sure that is.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::input::{Outcome, TrialData};
use crate::metrics::{Metric, Observation};
use crate::pairing::{Pair, PairedTask};
use crate::stats::{
    self, Effect, paired_proportions, pass_at_k, pass_hat_k, quantile, quantile_effect,
    quantile_log_ratio, share_effect, signed_rank, sorted, sums_effect, sums_log_ratio,
};

/// Which figure of a metric is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Statistic {
    /// The middle change of a task: the Hodges–Lehmann estimate over tasks.
    Typical,
    /// A percentile of all values.
    Quantile(u8),
    /// The mean; for a rate the ratio of sums.
    Mean,
    /// Share of trials.
    Share,
    /// Chance that one of k attempts succeeds, pass@k.
    PassAt(u32),
    /// Chance that all of k attempts succeed, pass^k.
    PassAll(u32),
}

impl TryFrom<String> for Statistic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Statistic::parse(&text).ok_or_else(|| {
            format!(
                "'{text}' is no statistic; there are typical, p50 to p99, mean, share, pass@K and pass^K"
            )
        })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statistic::Typical => f.write_str("typical"),
            Statistic::Quantile(percent) => write!(f, "p{percent}"),
            Statistic::Mean => f.write_str("mean"),
            Statistic::Share => f.write_str("share"),
            Statistic::PassAt(attempts) => write!(f, "pass@{attempts}"),
            Statistic::PassAll(attempts) => write!(f, "pass^{attempts}"),
        }
    }
}

impl Statistic {
    /// The statistic of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let attempts = |text: &str| text.parse().ok().filter(|k| (1..=10_000).contains(k));
        Some(match text {
            "typical" => Statistic::Typical,
            "mean" => Statistic::Mean,
            "share" => Statistic::Share,
            _ => {
                if let Some(k) = text.strip_prefix("pass@") {
                    Statistic::PassAt(attempts(k)?)
                } else if let Some(k) = text.strip_prefix("pass^") {
                    Statistic::PassAll(attempts(k)?)
                } else {
                    let percent = text.strip_prefix('p')?.parse().ok()?;
                    Statistic::Quantile(Some(percent).filter(|p| (1..=99).contains(p))?)
                }
            }
        })
    }

    /// The one that is meant when none is named.
    #[must_use]
    pub fn usual(metric: &Metric) -> Self {
        if metric.counts_failures() {
            Statistic::Share
        } else if metric.is_ratio_of_sums() || metric.is_stage() {
            Statistic::Mean
        } else {
            Statistic::Typical
        }
    }

    /// Whether a metric has this figure.
    ///
    /// # Errors
    /// Which figures it has.
    pub fn check(self, metric: &Metric) -> Result<(), String> {
        let has = match self {
            Statistic::Share => metric.counts_failures(),
            Statistic::PassAt(_) | Statistic::PassAll(_) => metric.name() == "resolve_rate",
            Statistic::Mean => !metric.counts_failures(),
            Statistic::Typical => !metric.counts_failures() && !metric.is_stage(),
            Statistic::Quantile(_) => {
                !metric.counts_failures() && !metric.is_stage() && !metric.is_ratio_of_sums()
            }
        };
        if has {
            return Ok(());
        }
        let name = metric.name();
        Err(if metric.counts_failures() {
            format!("{name} has no {self}; it has share, and resolve_rate has pass@K and pass^K")
        } else if metric.is_stage() {
            // Many trials spend nothing on a stage, and a ratio to nothing is none.
            format!("{name} has no {self}; it has mean")
        } else if metric.is_ratio_of_sums() {
            format!("{name} has no {self}; it has mean and typical")
        } else {
            format!("{name} has no {self}; it has typical, mean and p50 to p99")
        })
    }
}

/// How a change is expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Natural logarithm of candidate ÷ baseline.
    Log,
    /// Candidate − baseline, in the metric's unit.
    Difference,
}

/// How far a figure moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The change, on its scale; its unit is the task.
    pub effect: Effect,
    /// The scale.
    pub scale: Scale,
    /// Both sides' figures, candidate first.
    pub levels: Option<[f64; 2]>,
    /// Pairs of trials behind it.
    pub pairs: usize,
}

/// Why there is no change to speak of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChange {
    /// It cannot be told.
    #[error("{0}")]
    Unknown(String),
    /// It is the same in every pair.
    #[error("the same in every pair")]
    Same,
}

impl From<String> for NoChange {
    fn from(why: String) -> Self {
        NoChange::Unknown(why)
    }
}

/// More trials or exchanges than this share that say nothing of a metric leave those that
/// are easily told.
const MOST_MISSING: f64 = 0.1;

/// Fewer tasks have no high percentile to speak of, however many values they give.
const MIN_TASKS_FOR_TAIL: usize = 20;

/// What the two sides of a task say: pair by pair, and each side's trials once, even
/// where a trial is in several pairs.
struct Observed {
    pairs: Vec<[Observation; 2]>,
    sides: [Vec<Observation>; 2],
}

impl Observed {
    fn of(metric: &Metric, task: &PairedTask) -> Option<Self> {
        let pairs: Vec<(&Pair, [Observation; 2])> = task
            .pairs
            .iter()
            .filter_map(|pair| Some((pair, observe(metric, pair)?)))
            .collect();
        let side = |side: usize| {
            let mut seen: Vec<*const TrialData> = Vec::new();
            let mut once = Vec::new();
            for (pair, observations) in &pairs {
                let trial: *const TrialData = pair.trials()[side];
                if !seen.contains(&trial) {
                    seen.push(trial);
                    once.push(observations[side].clone());
                }
            }
            once
        };
        let sides = [side(0), side(1)];
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(_, observations)| observations)
            .collect();
        (!pairs.is_empty()).then_some(Observed { pairs, sides })
    }

    fn both<T>(&self, of: impl Fn(&[Observation]) -> T) -> [T; 2] {
        self.sides.each_ref().map(|side| of(side))
    }
}

/// Compares one figure over paired tasks. Trials that ended in an error are in no figure
/// but the shares.
///
/// # Errors
/// [`NoChange`]: why it cannot be compared, e.g. too few tasks or no values, or that
/// nothing differs.
pub fn change(
    metric: &Metric,
    statistic: Statistic,
    scale: Scale,
    tasks: &[PairedTask],
) -> Result<Change, NoChange> {
    statistic.check(metric)?;
    for side in [0, 1] {
        let pairs = tasks.iter().flat_map(|task| &task.pairs);
        let counted = pairs.filter(|pair| pair.trials().iter().all(|trial| counts(metric, trial)));
        told(metric, counted.map(|pair| pair.trials()[side]))?;
    }
    let observed: Vec<Observed> = tasks
        .iter()
        .filter_map(|task| Observed::of(metric, task))
        .collect();
    if observed.is_empty() {
        return Err(format!("no pair of trials has {} on both sides", metric.name()).into());
    }
    enough_tasks(statistic, observed.len())?;
    let differences = per_task(&observed, difference)?;
    let shares = metric.counts_failures();
    if !shares && differences.iter().all(|difference| *difference == 0.0) {
        return Err(NoChange::Same);
    }
    let effect = match (statistic, scale) {
        (Statistic::Typical, Scale::Log) => signed_rank(&per_task(&observed, log_ratio)?, "task"),
        (Statistic::Typical, Scale::Difference) => signed_rank(&differences, "task"),
        (Statistic::Mean, Scale::Log) => sums_log_ratio(&of_sides(&observed, task_sums)),
        (Statistic::Mean, Scale::Difference) => mean_effect(&differences),
        (Statistic::Quantile(percent), _) => {
            quantile_log_ratio(&of_sides(&observed, all_values), f64::from(percent) / 100.0)
        }
        (Statistic::Share, _) => paired_proportions(&successes(&observed)),
        (Statistic::PassAt(k), _) => pass_difference(&observed, pass_at_k, k),
        (Statistic::PassAll(k), _) => pass_difference(&observed, pass_hat_k, k),
    }?;
    let side = |side: usize| {
        let trials: Vec<Vec<Observation>> = observed
            .iter()
            .map(|task| task.sides[side].clone())
            .collect();
        level(statistic, &trials)
    };
    Ok(Change {
        effect,
        scale,
        levels: side(0).zip(side(1)).map(|(a, b)| [a, b]),
        pairs: observed.iter().map(|task| task.pairs.len()).sum(),
    })
}

/// Refuses what only a part of the trials tell of.
fn told<'a>(metric: &Metric, trials: impl Iterator<Item = &'a TrialData>) -> Result<(), String> {
    let (mut all, mut missing) = (0, 0);
    for trial in trials {
        let told = metric.told(trial);
        all += told.all;
        missing += told.missing;
    }
    if missing as f64 <= MOST_MISSING * all as f64 {
        return Ok(());
    }
    let name = metric.name();
    Err(format!(
        "{name} is unknown in {missing} of {all} places where it should be known"
    ))
}

fn enough_tasks(statistic: Statistic, tasks: usize) -> Result<(), String> {
    let tail = matches!(statistic, Statistic::Quantile(percent) if percent >= 90);
    if tail && tasks < MIN_TASKS_FOR_TAIL {
        return Err(format!(
            "{statistic} needs at least {MIN_TASKS_FOR_TAIL} tasks, not {tasks}"
        ));
    }
    Ok(())
}

/// One side's figure by itself, with its error.
///
/// # Errors
/// Why there is none.
pub fn figure<'a>(
    metric: &Metric,
    statistic: Statistic,
    trials: impl Iterator<Item = &'a TrialData>,
) -> Result<Effect, String> {
    statistic.check(metric)?;
    let trials: Vec<&TrialData> = trials.filter(|trial| counts(metric, trial)).collect();
    told(metric, trials.iter().copied())?;
    let tasks = by_task(metric, trials.into_iter());
    if tasks.is_empty() {
        return Err(format!("no trial has {}", metric.name()));
    }
    enough_tasks(statistic, tasks.len())?;
    let of_task = |of: fn(&[Observation]) -> Vec<f64>| tasks.iter().map(|task| of(task)).collect();
    match statistic {
        Statistic::Typical => {
            let means = tasks.iter().map(|task| {
                let values: Vec<f64> = task.iter().map(value).collect();
                mean(&values)
            });
            signed_rank(&means.collect::<Vec<_>>(), "task")
        }
        Statistic::Mean => {
            sums_effect(&tasks.iter().map(|task| task_sums(task)).collect::<Vec<_>>())
        }
        Statistic::Quantile(percent) => {
            let values: Vec<Vec<f64>> = of_task(all_values);
            quantile_effect(&values, f64::from(percent) / 100.0)
        }
        Statistic::Share => {
            let successes: Vec<Vec<bool>> = tasks
                .iter()
                .map(|task| task.iter().map(succeeded).collect())
                .collect();
            share_effect(&successes)
        }
        Statistic::PassAt(k) => pass_at_k(&tallies(&tasks), u64::from(k)),
        Statistic::PassAll(k) => pass_hat_k(&tallies(&tasks), u64::from(k)),
    }
}

/// The plain figure of some trials, for display and for history.
#[must_use]
pub fn level_of<'a>(
    metric: &Metric,
    statistic: Statistic,
    trials: impl Iterator<Item = &'a TrialData>,
) -> Option<f64> {
    level(statistic, &by_task(metric, trials))
}

fn by_task<'a>(
    metric: &Metric,
    trials: impl Iterator<Item = &'a TrialData>,
) -> Vec<Vec<Observation>> {
    let mut tasks: BTreeMap<(&str, &str), Vec<Observation>> = BTreeMap::new();
    for trial in trials.filter(|trial| counts(metric, trial)) {
        if let Some(observation) = metric.observe(trial) {
            let task = tasks.entry((&trial.suite, &trial.task)).or_default();
            task.push(observation);
        }
    }
    tasks.into_values().collect()
}

fn counts(metric: &Metric, trial: &TrialData) -> bool {
    metric.counts_failures() || trial.outcome != Outcome::Error
}

fn observe(metric: &Metric, pair: &Pair) -> Option<[Observation; 2]> {
    let [candidate, baseline] = pair.trials();
    (counts(metric, candidate) && counts(metric, baseline)).then_some(())?;
    Some([metric.observe(candidate)?, metric.observe(baseline)?])
}

/// One number for a trial.
fn value(observation: &Observation) -> f64 {
    match observation {
        Observation::Values(values) => mean(values),
        Observation::Sums(above, below) => above / below,
        Observation::Success(success) => f64::from(u8::from(*success)),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn difference(pair: &[Observation; 2]) -> Result<f64, String> {
    let [a, b] = pair.each_ref().map(value);
    Ok(a - b)
}

/// A ratio to nothing is none, and leaving it out would leave out what changed most.
fn log_ratio(pair: &[Observation; 2]) -> Result<f64, String> {
    match pair.each_ref().map(value) {
        [a, b] if a > 0.0 && b > 0.0 => Ok((a / b).ln()),
        [0.0, 0.0] => Ok(0.0),
        _ => Err("it is zero on one side only in some pairs, and a ratio to zero is none; use statistic = \"mean\"".to_owned()),
    }
}

fn succeeded(observation: &Observation) -> bool {
    matches!(observation, Observation::Success(true))
}

fn all_values(observations: &[Observation]) -> Vec<f64> {
    let values = observations
        .iter()
        .flat_map(|observation| match observation {
            Observation::Values(values) => values.as_slice(),
            Observation::Sums(..) | Observation::Success(_) => &[],
        });
    values.copied().collect()
}

fn task_sums(observations: &[Observation]) -> (f64, f64) {
    let parts = observations.iter().map(|observation| match observation {
        Observation::Values(values) => (values.iter().sum(), values.len() as f64),
        Observation::Sums(above, below) => (*above, *below),
        Observation::Success(success) => (f64::from(u8::from(*success)), 1.0),
    });
    parts.fold((0.0, 0.0), |sum, part: (f64, f64)| {
        (sum.0 + part.0, sum.1 + part.1)
    })
}

/// The mean over each task's pairs.
fn per_task(
    tasks: &[Observed],
    of: impl Fn(&[Observation; 2]) -> Result<f64, String>,
) -> Result<Vec<f64>, String> {
    let means = tasks.iter().map(|task| {
        let values = task.pairs.iter().map(&of).collect::<Result<Vec<_>, _>>()?;
        Ok(mean(&values))
    });
    means.collect()
}

fn of_sides<T>(tasks: &[Observed], of: impl Fn(&[Observation]) -> T) -> Vec<[T; 2]> {
    tasks.iter().map(|task| task.both(&of)).collect()
}

fn successes(tasks: &[Observed]) -> Vec<Vec<(bool, bool)>> {
    let of = |pair: &[Observation; 2]| (succeeded(&pair[0]), succeeded(&pair[1]));
    let pairs = tasks.iter().map(|task| task.pairs.iter().map(of).collect());
    pairs.collect()
}

/// Successes and attempts of one task.
fn tally(observations: &[Observation]) -> (u64, u64) {
    let successes = observations.iter().filter(|one| succeeded(one)).count();
    (successes as u64, observations.len() as u64)
}

fn tallies(tasks: &[Vec<Observation>]) -> Vec<(u64, u64)> {
    tasks.iter().map(|task| tally(task)).collect()
}

type Pass = fn(&[(u64, u64)], u64) -> Result<Effect, String>;

fn pass_difference(tasks: &[Observed], pass: Pass, attempts: u32) -> Result<Effect, String> {
    let of_task = |tally| pass(&[tally], u64::from(attempts)).map(|effect| effect.point);
    let differences = tasks.iter().map(|task| {
        let [candidate, baseline] = task.both(tally);
        Ok(of_task(candidate)? - of_task(baseline)?)
    });
    mean_effect(&differences.collect::<Result<Vec<_>, String>>()?)
}

fn mean_effect(values: &[f64]) -> Result<Effect, String> {
    stats::mean(values).ok_or_else(|| "no tasks to compare".to_owned())
}

fn level(statistic: Statistic, tasks: &[Vec<Observation>]) -> Option<f64> {
    let trials = || tasks.iter().flatten();
    let found = match statistic {
        Statistic::Typical => quantile(&sorted(trials().map(value)), 0.5)?,
        Statistic::Quantile(percent) => {
            let values = tasks.iter().flat_map(|task| all_values(task));
            quantile(&sorted(values), f64::from(percent) / 100.0)?
        }
        Statistic::Mean => {
            let all: Vec<Observation> = trials().cloned().collect();
            let (above, below) = task_sums(&all);
            above / below
        }
        Statistic::Share => mean(&trials().map(value).collect::<Vec<_>>()),
        Statistic::PassAt(k) => pass_at_k(&tallies(tasks), u64::from(k)).ok()?.point,
        Statistic::PassAll(k) => pass_hat_k(&tallies(tasks), u64::from(k)).ok()?.point,
    };
    found.is_finite().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_statistics_are_read_as_they_are_shown() {
        for statistic in [
            Statistic::Typical,
            Statistic::Quantile(95),
            Statistic::Mean,
            Statistic::Share,
            Statistic::PassAt(3),
            Statistic::PassAll(2),
        ] {
            assert_eq!(Statistic::parse(&statistic.to_string()), Some(statistic));
        }
        for wrong in ["", "p", "p0", "p100", "pass@0", "pass@x", "median"] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_metric_has_its_usual_figure() {
        for name in Metric::names() {
            let metric = Metric::find(&name).unwrap();
            assert_eq!(metric.name(), name);
            assert_eq!(Statistic::usual(&metric).check(&metric), Ok(()));
        }
    }
}
