//! One metric of a candidate against its baseline: which figure, how far it moved, and
//! how sure that is.

use std::collections::BTreeMap;

use crate::data::TrialData;
use crate::format::plural;
use crate::metrics::{Metric, Observation, Statistic};
use crate::pairing::{Pair, PairedTask};
use crate::stats::{
    self, Effect, paired_proportions, pass_at_k, pass_hat_k, quantile, quantile_effect,
    quantile_log_ratio, share_effect, signed_rank, sorted, sums_effect, sums_log_ratio,
};

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
        let trials: Vec<&[Observation]> = observed
            .iter()
            .map(|task| task.sides[side].as_slice())
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
pub(crate) fn told<'a>(
    metric: &Metric,
    trials: impl Iterator<Item = &'a TrialData>,
) -> Result<(), String> {
    let (mut all, mut missing, mut held_back) = (0, 0, 0);
    for trial in trials {
        let coverage = metric.coverage(trial);
        all += coverage.all;
        missing += coverage.missing;
        let exchanges = trial.exchanges.iter();
        held_back += exchanges.filter(|exchange| !exchange.streamed).count();
    }
    if missing as f64 <= MOST_MISSING * all as f64 {
        return Ok(());
    }
    let name = metric.name();
    let cause = match held_back {
        0 => String::new(),
        some => format!(
            "; {} came in a few bursts, not as a stream",
            plural(some, "answer")
        ),
    };
    Err(format!(
        "{name} is unknown in {missing} of {all} places where it should be known{cause}"
    ))
}

fn enough_tasks(statistic: Statistic, tasks: usize) -> Result<(), String> {
    let tail = matches!(statistic, Statistic::Quantile(percent) if percent >= 90);
    if tail && tasks < MIN_TASKS_FOR_TAIL {
        return Err(format!(
            "{statistic} needs at least {}, not {tasks}",
            plural(MIN_TASKS_FOR_TAIL, "task")
        ));
    }
    Ok(())
}

/// One side's figure by itself, with its error.
///
/// # Errors
/// Why the figure cannot be computed.
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
    let trials = trials.filter(|trial| counts(metric, trial));
    match statistic {
        // One number a trial is kept, not all of its values.
        Statistic::Typical => {
            let values = trials.filter_map(|trial| Some(value(&metric.observe(trial)?)));
            quantile(&sorted(values), 0.5).filter(|found| found.is_finite())
        }
        Statistic::Mean => {
            let sums = trials.filter_map(|trial| Some(sums_of(&metric.observe(trial)?)));
            let (above, below) = sums.fold((0.0, 0.0), plus);
            Some(above / below).filter(|found| found.is_finite())
        }
        _ => {
            let tasks = by_task(metric, trials);
            level(
                statistic,
                &tasks.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            )
        }
    }
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
    metric.counts_failures() || !trial.failed()
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

/// A ratio to zero is undefined, and a pair left out for it is one that changed most.
fn log_ratio(pair: &[Observation; 2]) -> Result<f64, String> {
    match pair.each_ref().map(value) {
        [a, b] if a > 0.0 && b > 0.0 => Ok((a / b).ln()),
        [0.0, 0.0] => Ok(0.0),
        _ => Err("it is zero on one side only in some pairs, and a ratio to zero is undefined; use statistic = \"mean\"".to_owned()),
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
    observations.iter().map(sums_of).fold((0.0, 0.0), plus)
}

fn sums_of(observation: &Observation) -> (f64, f64) {
    match observation {
        Observation::Values(values) => (values.iter().sum(), values.len() as f64),
        Observation::Sums(above, below) => (*above, *below),
        Observation::Success(success) => (f64::from(u8::from(*success)), 1.0),
    }
}

fn plus(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0 + b.0, a.1 + b.1)
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

fn tallies<T: AsRef<[Observation]>>(tasks: &[T]) -> Vec<(u64, u64)> {
    tasks.iter().map(|task| tally(task.as_ref())).collect()
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

fn level(statistic: Statistic, tasks: &[&[Observation]]) -> Option<f64> {
    let trials = || tasks.iter().copied().flatten();
    let found = match statistic {
        Statistic::Typical => quantile(&sorted(trials().map(value)), 0.5)?,
        Statistic::Quantile(percent) => {
            let values = tasks.iter().flat_map(|task| all_values(task));
            quantile(&sorted(values), f64::from(percent) / 100.0)?
        }
        Statistic::Mean => {
            let (above, below) = trials().map(sums_of).fold((0.0, 0.0), plus);
            above / below
        }
        Statistic::Share => mean(&trials().map(value).collect::<Vec<_>>()),
        Statistic::PassAt(k) => pass_at_k(&tallies(tasks), u64::from(k)).ok()?.point,
        Statistic::PassAll(k) => pass_hat_k(&tallies(tasks), u64::from(k)).ok()?.point,
    };
    found.is_finite().then_some(found)
}
