//! Binomial proportions: Wilson's interval, widened when attempts cluster in tasks.

use statrs::distribution::{ContinuousCDF, Normal};

use super::Effect;
use super::Spread;
use crate::stats::{CONFIDENCE, Estimate};

/// Wilson score interval for `successes` out of `n`; `n` may be an effective
/// sample size and so need not be whole.
#[must_use]
pub fn wilson(successes: f64, n: f64) -> Option<(f64, f64)> {
    Wilson::of(successes, n)?.interval((1.0 - CONFIDENCE) / 2.0)
}

/// The score test of one proportion, whose inversion is Wilson's interval.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stats) struct Wilson {
    rate: f64,
    n: f64,
}

impl Wilson {
    fn of(successes: f64, n: f64) -> Option<Self> {
        (n > 0.0 && (0.0..=n).contains(&successes)).then(|| Wilson {
            rate: successes / n,
            n,
        })
    }

    pub(in crate::stats) fn interval(&self, tail: f64) -> Option<(f64, f64)> {
        let z = Normal::standard().inverse_cdf(1.0 - tail);
        let Wilson { rate: p, n } = *self;
        let denominator = 1.0 + z * z / n;
        let centre = (p + z * z / (2.0 * n)) / denominator;
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / denominator;
        // Rounding can leave an end 1e-17 beyond the observed rate at 0 and n.
        Some(((centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0)))
    }

    pub(in crate::stats) fn p_above(&self, limit: f64) -> Option<f64> {
        self.score(limit).map(|score| Normal::standard().sf(score))
    }

    pub(in crate::stats) fn p_below(&self, limit: f64) -> Option<f64> {
        self.score(limit).map(|score| Normal::standard().cdf(score))
    }

    fn score(&self, limit: f64) -> Option<f64> {
        let variance = limit * (1.0 - limit) / self.n;
        if variance > 0.0 {
            return Some((self.rate - limit) / variance.sqrt());
        }
        // Where all or none succeed, a single exception settles it.
        match self.rate - limit {
            difference if difference > 0.0 => Some(f64::INFINITY),
            difference if difference < 0.0 => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }
}

/// Share of trials resolved, with a Wilson interval; `per_task` holds the
/// results of each task's attempts.
///
/// Attempts of one task resemble each other, so with repeated attempts the
/// interval uses n divided by the design effect (never more than n, never
/// fewer than the number of tasks).
#[must_use]
pub fn resolve_rate(per_task: &[Vec<bool>]) -> Estimate {
    match share_effect(per_task) {
        Ok(effect) => Estimate {
            n: per_task.iter().map(Vec::len).sum(),
            ..effect.estimate()
        },
        Err(reason) => Estimate::absent(reason),
    }
}

/// The same at any level of confidence; its unit is the task.
///
/// # Errors
/// That there are no trials.
pub fn share_effect(per_task: &[Vec<bool>]) -> Result<Effect, String> {
    let n = per_task.iter().map(Vec::len).sum::<usize>() as f64;
    let rate = count(per_task.iter().flatten()) / n;
    let effective = effective_size(per_task, rate, n);
    let test = Wilson::of(rate * effective, effective).ok_or("no trials")?;
    let tasks = per_task
        .iter()
        .filter(|attempts| !attempts.is_empty())
        .count();
    Ok(Effect::new(rate, tasks, Spread::Wilson(test)))
}

/// Mean over tasks of each task's share of success, with a Wilson interval over
/// [`effective_trials`]. With as many attempts for every task it is [`resolve_rate`]'s.
#[must_use]
pub fn mean_share(shares: &[f64], trials: f64) -> Estimate {
    share_of(shares, effective_trials(shares, trials))
}

/// [`mean_share`] with a number of effective trials that is known from elsewhere.
#[must_use]
pub fn share_of(shares: &[f64], effective: f64) -> Estimate {
    let Some(mean) = mean(shares) else {
        return Estimate::absent("no tasks");
    };
    let interval = wilson(mean * effective, effective);
    Estimate {
        point: Some(mean),
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        n: shares.len(),
        reason: None,
    }
}

/// The number of plain trials that would leave the mean of each task's share as uncertain
/// as the tasks do: never fewer than the tasks, never more than the `trials` behind them.
#[must_use]
pub fn effective_trials(shares: &[f64], trials: f64) -> f64 {
    let tasks = shares.len() as f64;
    let mean = mean(shares).unwrap_or(0.0);
    let binomial = mean * (1.0 - mean);
    if binomial <= 0.0 || tasks < 2.0 {
        // Nothing to learn the clustering from: assume attempts add nothing.
        return tasks;
    }
    let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
    let variance = squares / (tasks * (tasks - 1.0));
    (binomial / variance).clamp(tasks, trials.max(tasks))
}

fn mean(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    (!shares.is_empty()).then(|| (sum / shares.len() as f64).clamp(0.0, 1.0))
}

fn count<'a>(results: impl Iterator<Item = &'a bool>) -> f64 {
    results.filter(|resolved| **resolved).count() as f64
}

fn effective_size(per_task: &[Vec<bool>], rate: f64, n: f64) -> f64 {
    let tasks = per_task
        .iter()
        .filter(|attempts| !attempts.is_empty())
        .count() as f64;
    if tasks >= n {
        return n;
    }
    let binomial = rate * (1.0 - rate) / n;
    if binomial <= 0.0 || tasks < 2.0 {
        // Nothing to learn the clustering from: assume attempts add nothing.
        return tasks;
    }
    let squares: f64 = per_task
        .iter()
        .map(|attempts| (count(attempts.iter()) - rate * attempts.len() as f64).powi(2))
        .sum();
    let clustered = tasks / (tasks - 1.0) * squares / (n * n);
    (n / (clustered / binomial).max(1.0)).clamp(tasks, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_scipy() {
        // scipy.stats.binomtest(14, 24).proportion_ci(method="wilson")
        let (low, high) = wilson(14.0, 24.0).unwrap();
        assert!((low - 0.388_346_658_652_287_5).abs() < 1e-9, "{low}");
        assert!((high - 0.755_323_973_901_882_4).abs() < 1e-9, "{high}");
        let (low, high) = wilson(0.0, 24.0).unwrap();
        assert!(low == 0.0 && (high - 0.137_976_204_674_980_2).abs() < 1e-9);
        assert_eq!(wilson(0.0, 0.0), None);
    }

    #[test]
    fn identical_attempts_add_nothing() {
        let once: Vec<Vec<bool>> = (0..20).map(|i| vec![i % 2 == 0]).collect();
        let thrice: Vec<Vec<bool>> = (0..20).map(|i| vec![i % 2 == 0; 3]).collect();
        assert_eq!(
            resolve_rate(&once).interval(),
            resolve_rate(&thrice).interval()
        );
    }

    #[test]
    fn p_values_are_where_the_interval_ends() {
        let share = share_effect(&(0..24).map(|i| vec![i < 14]).collect::<Vec<_>>()).unwrap();
        let (low, high) = share.interval(0.9).unwrap();
        assert!((share.p_above(low) - 0.05).abs() < 1e-9);
        assert!((share.p_below(high) - 0.05).abs() < 1e-9);
        let all = share_effect(&vec![vec![true]; 24]).unwrap();
        assert!(all.p_above(0.6) < 1e-4 && all.p_below(0.6) > 0.99);
    }

    proptest! {
        #[test]
        fn shares_of_even_attempts_give_the_interval_of_the_rate(
            tasks in prop::collection::vec(prop::collection::vec(any::<bool>(), 3), 2..30),
        ) {
            let shares: Vec<f64> = tasks.iter().map(|task| count(task.iter()) / 3.0).collect();
            let (mean, rate) = (mean_share(&shares, 3.0 * tasks.len() as f64), resolve_rate(&tasks));
            let (a, b) = (mean.interval().unwrap(), rate.interval().unwrap());
            prop_assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9, "{a:?} {b:?}");
        }

        #[test]
        fn stays_within_zero_and_one(n in 1_u32..5000, share in 0.0..=1.0_f64) {
            let n = f64::from(n);
            let successes = (n * share).round();
            let (low, high) = wilson(successes, n).unwrap();
            prop_assert!(0.0 <= low && low <= successes / n && successes / n <= high && high <= 1.0);
        }
    }
}
