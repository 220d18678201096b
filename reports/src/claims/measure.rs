//! The measured counterpart of a claim, with tasks as the unit of its interval.

use std::collections::BTreeMap;

use super::metric::Metric;
use crate::input::{ExchangeData, Outcome, Provenance, Stage, StageGroup, TrialData};
use crate::stats::{
    Effect, Estimate, quantile_effect, quantile_log_ratio, resolve_rate, sums_log_ratio,
    time_ratio, token_rate,
};

/// Trials of one task: of the endpoint, and of the one it is compared with.
type Task<'a> = [Vec<&'a TrialData>; 2];

/// Trials by suite and task of the endpoint and, where there is one, of the other.
pub(super) struct Arms<'a> {
    tasks: Vec<Task<'a>>,
}

impl<'a> Arms<'a> {
    /// Keeps tasks that were tried on every side.
    pub(super) fn of(sides: &[Vec<&'a TrialData>]) -> Self {
        let mut tasks: BTreeMap<(&str, &str), Task> = BTreeMap::new();
        for (side, trials) in sides.iter().enumerate() {
            for trial in trials {
                let task = tasks.entry((&trial.suite, &trial.task)).or_default();
                if let Some(arm) = task.get_mut(side) {
                    arm.push(trial);
                }
            }
        }
        let complete = |task: &Task| task.iter().take(sides.len()).all(|arm| !arm.is_empty());
        Arms {
            tasks: tasks.into_values().filter(complete).collect(),
        }
    }

    /// The measured quantity. Its `n` is the number of tasks.
    pub(super) fn measure(&self, metric: Metric) -> Estimate {
        match metric {
            Metric::OutputTokensPerSecond => self.median(rates),
            Metric::TimePerOutputTokenMs => {
                self.median(|trial| rates(trial).into_iter().map(|rate| 1e3 / rate).collect())
            }
            Metric::TtftMs => self.median(ttfts_ms),
            Metric::TaskTimeMs => self.median(|trial| vec![trial.wall_ns as f64 / 1e6]),
            Metric::ResolveRate => self.resolve_rate(),
            Metric::OutputTokenRateRatio => self.median_ratio(rates),
            Metric::TtftReduction => reduction(self.median_ratio(ttfts_ms)),
            Metric::TaskTimeRatio => self.task_time_ratio(),
            Metric::TaskTimeReduction => self.task_time_ratio().map(|ratio| 1.0 - 1.0 / ratio),
            Metric::RoundTripOverheadReduction => {
                let known = |arm: usize| self.trials(arm).any(knows_round_trip);
                if known(0) && known(1) {
                    reduction(self.sums_ratio(round_trips))
                } else {
                    Estimate::absent(
                        "not measurable: no round trip is known on one of the two sides",
                    )
                }
            }
            Metric::TokenOverheadReduction => {
                let reported = |arm: usize| self.trials(arm).any(|trial| overhead(trial).1 > 0.0);
                if reported(0) && reported(1) {
                    reduction(self.sums_ratio(overhead))
                } else {
                    Estimate::absent(
                        "not measurable: it needs the generation time that the server reports, and one of the two sides reports none",
                    )
                }
            }
        }
    }

    fn trials(&self, arm: usize) -> impl Iterator<Item = &'a TrialData> {
        let trials = self.tasks.iter().filter_map(move |task| task.get(arm));
        trials.flatten().copied().filter(|trial| timed(trial))
    }

    fn resolve_rate(&self) -> Estimate {
        let resolved = |trial: &&TrialData| trial.outcome == Outcome::Resolved;
        let results = self.tasks.iter().map(|[own, _]| own.iter().map(resolved));
        let results: Vec<Vec<bool>> = results.map(Iterator::collect).collect();
        Estimate {
            n: results.len(),
            ..resolve_rate(&results)
        }
    }

    /// The geometric mean over tasks of the other's time ÷ this one's; attempts are
    /// averaged within their side first, as they need not be paired.
    fn task_time_ratio(&self) -> Estimate {
        let mean_log = |arm: &[&TrialData]| {
            let logs: Vec<f64> = arm
                .iter()
                .filter(|trial| timed(trial) && trial.wall_ns > 0)
                .map(|trial| (trial.wall_ns as f64).ln())
                .collect();
            (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        let pairs: Vec<Vec<(f64, f64)>> = self
            .tasks
            .iter()
            .map(|[own, other]| mean_log(other).zip(mean_log(own)).into_iter().collect())
            .collect();
        time_ratio(&pairs)
    }

    /// The values of every task that has some in each of the first `arms`.
    fn values(&self, arms: usize, values: impl Fn(&TrialData) -> Vec<f64>) -> Vec<[Vec<f64>; 2]> {
        let of_arm = |trials: &Vec<&TrialData>| -> Vec<f64> {
            let timed = trials.iter().filter(|trial| timed(trial));
            timed.flat_map(|trial| values(trial)).collect()
        };
        let tasks = self.tasks.iter().map(|task| task.each_ref().map(of_arm));
        let filled = |task: &[Vec<f64>; 2]| task.iter().take(arms).all(|arm| !arm.is_empty());
        tasks.filter(filled).collect()
    }

    fn median(&self, values: impl Fn(&TrialData) -> Vec<f64>) -> Estimate {
        let tasks = self.values(1, values).into_iter();
        let own: Vec<Vec<f64>> = tasks.map(|[own, _]| own).collect();
        estimate(quantile_effect(&own, 0.5))
    }

    /// This endpoint's median ÷ the other's.
    fn median_ratio(&self, values: impl Fn(&TrialData) -> Vec<f64>) -> Estimate {
        estimate(quantile_log_ratio(&self.values(2, values), 0.5)).map(f64::exp)
    }

    /// Ratio of sums of this endpoint ÷ the other's, from each trial's (numerator,
    /// denominator).
    fn sums_ratio(&self, sums: impl Fn(&TrialData) -> (f64, f64)) -> Estimate {
        let of_arm = |trials: &Vec<&TrialData>| {
            let timed = trials.iter().filter(|trial| timed(trial));
            timed.map(|trial| sums(trial)).fold((0.0, 0.0), plus)
        };
        let tasks: Vec<[(f64, f64); 2]> = self
            .tasks
            .iter()
            .map(|task| task.each_ref().map(of_arm))
            .filter(|task| task.iter().all(|(_, denominator)| *denominator > 0.0))
            .collect();
        estimate(sums_log_ratio(&tasks)).map(f64::exp)
    }
}

fn estimate(effect: Result<Effect, String>) -> Estimate {
    effect.map_or_else(Estimate::absent, |effect| effect.estimate())
}

/// The part that a ratio below 1 takes away.
fn reduction(ratio: Estimate) -> Estimate {
    let part = ratio.map(|ratio| 1.0 - ratio);
    // What falls as the ratio rises has its ends the other way round.
    Estimate {
        low: part.high,
        high: part.low,
        ..part
    }
}

fn plus(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0 + b.0, a.1 + b.1)
}

fn timed(trial: &TrialData) -> bool {
    trial.outcome != Outcome::Error
}

fn rate(exchange: &ExchangeData) -> Option<f64> {
    token_rate(exchange.streamed_tokens?, exchange.decode_ns?)
}

fn rates(trial: &TrialData) -> Vec<f64> {
    trial.exchanges.iter().filter_map(rate).collect()
}

fn ttfts_ms(trial: &TrialData) -> Vec<f64> {
    let ttfts = trial.exchanges.iter().filter_map(|e| e.ttft_ns);
    ttfts.map(|ns| ns as f64 / 1e6).collect()
}

fn knows_round_trip(trial: &TrialData) -> bool {
    trial
        .stages
        .iter()
        .any(|value| value.stage == Stage::Network && value.provenance != Provenance::Unavailable)
}

/// (network group, exchanges).
fn round_trips(trial: &TrialData) -> (f64, f64) {
    let network = trial
        .stages
        .iter()
        .filter(|value| value.stage.group() == StageGroup::Network)
        .map(|value| value.ns as f64);
    (network.sum(), trial.exchanges.len() as f64)
}

/// (first to last token beyond what the server reports, tokens after the first).
fn overhead(trial: &TrialData) -> (f64, f64) {
    trial
        .exchanges
        .iter()
        .filter_map(|exchange| {
            let beyond = exchange.decode_ns? as f64 - exchange.reported.decode_ns? as f64;
            let tokens = exchange.streamed_tokens?.checked_sub(1)?;
            Some((beyond, tokens as f64))
        })
        .fold((0.0, 0.0), plus)
}
