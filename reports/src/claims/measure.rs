//! The measured counterpart of a claim, with tasks as the unit of its interval.

use std::collections::BTreeMap;

use super::quantity::{ClaimedFigure, Quantity};
use crate::compare::told;
use crate::data::TrialData;
use crate::metrics::{Better, Metric, Observation};
use crate::stats::{
    Effect, Estimate, quantile_effect, quantile_log_ratio, resolve_rate, sums_log_ratio, time_ratio,
};

/// Trials of one task: of the endpoint, and of the one it is compared with.
type TaskTrials<'a> = [Vec<&'a TrialData>; 2];

/// Trials by suite and task of the endpoint and, where there is one, of the other.
pub(super) struct Tasks<'a> {
    tasks: Vec<TaskTrials<'a>>,
}

impl<'a> Tasks<'a> {
    /// Keeps tasks that were tried on every side.
    pub(super) fn of(sides: &[Vec<&'a TrialData>]) -> Self {
        let mut tasks: BTreeMap<(&str, &str), TaskTrials> = BTreeMap::new();
        for (index, trials) in sides.iter().enumerate() {
            for trial in trials {
                let task = tasks.entry((&trial.suite, &trial.task)).or_default();
                if let Some(side) = task.get_mut(index) {
                    side.push(trial);
                }
            }
        }
        let complete = |task: &TaskTrials| {
            let mut sides = task.iter().take(sides.len());
            sides.all(|side| !side.is_empty())
        };
        Tasks {
            tasks: tasks.into_values().filter(complete).collect(),
        }
    }

    /// The measured quantity, in the claim's unit. Its `n` is the number of tasks.
    pub(super) fn measure(&self, quantity: Quantity) -> Estimate {
        let Some(metric) = quantity.metric() else {
            return Estimate::absent("not measurable: no such metric");
        };
        let told = self.told(&metric, quantity.compares());
        if self.unknown(&metric, quantity.compares()) && !self.held_back() {
            let side = if quantity.compares() {
                "one of the two sides"
            } else {
                "the endpoint"
            };
            return Estimate::absent(format!(
                "not measurable: it needs {}, which {side} does not have",
                quantity.needs()
            ));
        }
        if let Err(why) = told {
            return Estimate::absent(format!("not measurable: {why}"));
        }
        // A ratio above 1 is always the better way.
        let better = |own_over_other: Estimate| match metric.better {
            Better::Higher => own_over_other,
            Better::Lower => turned(own_over_other.map(|ratio| 1.0 / ratio)),
        };
        match quantity.figure() {
            ClaimedFigure::Level if metric.counts_failures() => self.share(&metric),
            ClaimedFigure::Level => self.median(&metric).map(|value| value / quantity.scale()),
            ClaimedFigure::MedianRatio => better(self.median_ratio(&metric)),
            ClaimedFigure::MedianReduction => reduction(self.median_ratio(&metric)),
            ClaimedFigure::TaskRatio => self.task_ratio(&metric),
            ClaimedFigure::TaskReduction => self.task_ratio(&metric).map(|ratio| 1.0 - 1.0 / ratio),
            ClaimedFigure::SumsReduction => reduction(self.sums_ratio(&metric)),
        }
    }

    /// Whether no trial of a side says anything of the metric.
    fn unknown(&self, metric: &Metric, compares: bool) -> bool {
        let sides = if compares { 2 } else { 1 };
        let known = |side: usize| {
            let trials = self.tasks.iter().filter_map(|task| task.get(side));
            let mut trials = trials.flatten().filter(|trial| counts(metric, trial));
            trials.any(|trial| metric.observe(trial).is_some())
        };
        !self.tasks.is_empty() && !(0..sides).all(known)
    }

    /// Whether any answer was not streamed.
    fn held_back(&self) -> bool {
        let trials = self.tasks.iter().flatten().flatten();
        let mut exchanges = trials.flat_map(|trial| &trial.exchanges);
        exchanges.any(|exchange| !exchange.streamed)
    }

    /// Refuses what only a part of the trials of a side tell of.
    fn told(&self, metric: &Metric, compares: bool) -> Result<(), String> {
        let sides = if compares { 2 } else { 1 };
        (0..sides).try_for_each(|side| {
            let trials = self.tasks.iter().filter_map(|task| task.get(side));
            let counted = trials.flatten().filter(|trial| counts(metric, trial));
            told(metric, counted.copied())
        })
    }

    fn share(&self, metric: &Metric) -> Estimate {
        let success = |trial: &&TrialData| match metric.observe(trial)? {
            Observation::Success(success) => Some(success),
            Observation::Values(_) | Observation::Sums(..) => None,
        };
        let results = self
            .tasks
            .iter()
            .map(|[own, _]| own.iter().filter_map(success));
        let results: Vec<Vec<bool>> = results.map(Iterator::collect).collect();
        Estimate {
            n: results.len(),
            ..resolve_rate(&results)
        }
    }

    /// The geometric mean over tasks of how many times better this one is; attempts are
    /// averaged within their side first, as they need not be paired.
    fn task_ratio(&self, metric: &Metric) -> Estimate {
        let mean = |side: &[&TrialData]| {
            let logs: Vec<f64> = side
                .iter()
                .filter(|trial| counts(metric, trial))
                .flat_map(|trial| metric.values(trial))
                .filter(|value| *value > 0.0)
                .map(f64::ln)
                .collect();
            (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        let pairs = self.tasks.iter().map(|[own, other]| {
            let (worse, better) = match metric.better {
                Better::Lower => (other, own),
                Better::Higher => (own, other),
            };
            mean(worse).zip(mean(better)).into_iter().collect()
        });
        time_ratio(&pairs.collect::<Vec<Vec<(f64, f64)>>>())
    }

    /// The values of every task that has some in each of the first `sides`.
    fn values(&self, sides: usize, metric: &Metric) -> Vec<[Vec<f64>; 2]> {
        let of_side = |trials: &Vec<&TrialData>| -> Vec<f64> {
            let counted = trials.iter().filter(|trial| counts(metric, trial));
            counted.flat_map(|trial| metric.values(trial)).collect()
        };
        let tasks = self.tasks.iter().map(|task| task.each_ref().map(of_side));
        let filled = |task: &[Vec<f64>; 2]| task.iter().take(sides).all(|side| !side.is_empty());
        tasks.filter(filled).collect()
    }

    fn median(&self, metric: &Metric) -> Estimate {
        let tasks = self.values(1, metric).into_iter();
        let own: Vec<Vec<f64>> = tasks.map(|[own, _]| own).collect();
        estimate(quantile_effect(&own, 0.5))
    }

    /// This endpoint's median ÷ the other's.
    fn median_ratio(&self, metric: &Metric) -> Estimate {
        estimate(quantile_log_ratio(&self.values(2, metric), 0.5)).map(f64::exp)
    }

    /// Ratio of sums of this endpoint ÷ the other's.
    fn sums_ratio(&self, metric: &Metric) -> Estimate {
        let of_side = |trials: &Vec<&TrialData>| {
            let counted = trials.iter().filter(|trial| counts(metric, trial));
            let sums = counted.filter_map(|trial| match metric.observe(trial)? {
                Observation::Sums(above, below) => Some((above, below)),
                Observation::Values(_) | Observation::Success(_) => None,
            });
            sums.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
        };
        let tasks: Vec<[(f64, f64); 2]> = self
            .tasks
            .iter()
            .map(|task| task.each_ref().map(of_side))
            .filter(|task| task.iter().all(|(_, below)| *below > 0.0))
            .collect();
        estimate(sums_log_ratio(&tasks)).map(f64::exp)
    }
}

fn estimate(effect: Result<Effect, String>) -> Estimate {
    effect.map_or_else(Estimate::absent, |effect| effect.estimate())
}

/// The part that a ratio below 1 takes away.
fn reduction(ratio: Estimate) -> Estimate {
    turned(ratio.map(|ratio| 1.0 - ratio))
}

/// What falls as the ratio rises has its ends the other way round.
fn turned(estimate: Estimate) -> Estimate {
    Estimate {
        low: estimate.high,
        high: estimate.low,
        ..estimate
    }
}

/// A trial that ended in an error says nothing of times.
fn counts(metric: &Metric, trial: &TrialData) -> bool {
    metric.counts_failures() || !trial.failed()
}
