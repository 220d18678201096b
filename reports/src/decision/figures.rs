//! The figures of a policy from what it gives on each task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempts::Expected;
use crate::format::{
    UNKNOWN, estimate, milliseconds, milliseconds_range, percent, percent_range, usd, usd_range,
};
use crate::stats::{Estimate, mean_interval, mean_share, sums_effect};

/// Below this many tasks a ratio of sums has no interval to speak of.
const MIN_TASKS: usize = 5;

/// What a policy gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyFigures {
    /// Share of tasks solved, with a Wilson interval.
    pub solved: Estimate,
    /// Mean time on a task, solved or not, with a t interval over tasks.
    pub time_per_task_ms: Estimate,
    /// Time spent for every task solved: a ratio of sums.
    pub time_per_solved_task_ms: Estimate,
    /// Mean US dollars on a task; `null` when the cost of any attempt is unknown.
    pub cost_per_task_usd: Option<Estimate>,
    /// US dollars spent for every task solved; `null` likewise.
    pub cost_per_solved_task_usd: Option<Estimate>,
}

impl PolicyFigures {
    /// From each task's expectation; `trials` is how many attempts are behind them all.
    pub(super) fn of(tasks: &[Expected], trials: usize) -> Self {
        let solved: Vec<f64> = tasks.iter().map(|task| task.solved).collect();
        let ms: Vec<f64> = tasks.iter().map(|task| task.ms).collect();
        let costs: Option<Vec<f64>> = tasks.iter().map(|task| task.cost_usd).collect();
        let costs = costs.filter(|costs| !costs.is_empty());
        PolicyFigures {
            solved: mean_share(&solved, trials as f64),
            time_per_task_ms: at_least_zero(mean_interval(&ms, "task")),
            time_per_solved_task_ms: per_solved(&ms, &solved),
            cost_per_task_usd: costs
                .as_deref()
                .map(|costs| at_least_zero(mean_interval(costs, "task"))),
            cost_per_solved_task_usd: costs.as_deref().map(|costs| per_solved(costs, &solved)),
        }
    }
}

impl PolicyFigures {
    /// Share solved, time per task and per solved task, and where costs are shown what a
    /// solved task costs, as the cells of a table.
    pub(crate) fn cells(&self, costed: bool) -> Vec<String> {
        let mut cells = vec![
            estimate(&self.solved, percent, percent_range),
            estimate(&self.time_per_task_ms, milliseconds, milliseconds_range),
            estimate(
                &self.time_per_solved_task_ms,
                milliseconds,
                milliseconds_range,
            ),
        ];
        if costed {
            let cost = self.cost_per_solved_task_usd.as_ref();
            let known = |cost| estimate(cost, usd, usd_range);
            cells.push(cost.map_or_else(|| UNKNOWN.to_owned(), known));
        }
        cells
    }
}

/// Neither a time nor a cost is ever negative, but a t interval may reach below zero.
fn at_least_zero(estimate: Estimate) -> Estimate {
    Estimate {
        low: estimate.low.map(|low| low.max(0.0)),
        ..estimate
    }
}

fn per_solved(spent: &[f64], solved: &[f64]) -> Estimate {
    let sums: Vec<(f64, f64)> = std::iter::zip(spent, solved)
        .map(|(a, b)| (*a, *b))
        .collect();
    let all: f64 = solved.iter().sum();
    if all <= 0.0 {
        return Estimate::absent("no task was solved");
    }
    let point = spent.iter().sum::<f64>() / all;
    if sums.len() < MIN_TASKS {
        let reason = format!("an interval of this ratio needs at least {MIN_TASKS} tasks");
        return Estimate::point_only(point, sums.len(), reason);
    }
    match sums_effect(&sums) {
        Ok(effect) => at_least_zero(effect.estimate()),
        Err(reason) => Estimate::point_only(point, sums.len(), reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(solved: f64, ms: f64, cost_usd: Option<f64>) -> Expected {
        Expected {
            solved,
            ms,
            cost_usd,
        }
    }

    #[test]
    fn time_of_failures_is_paid_by_what_was_solved() {
        let tasks = [task(1.0, 10.0, Some(0.5)), task(0.0, 30.0, Some(1.5))];
        let figures = PolicyFigures::of(&tasks, 2);
        assert_eq!(figures.solved.point, Some(0.5));
        assert_eq!(figures.time_per_task_ms.point, Some(20.0));
        assert_eq!(figures.time_per_solved_task_ms.point, Some(40.0));
        assert_eq!(figures.cost_per_solved_task_usd.unwrap().point, Some(2.0));
    }

    #[test]
    fn one_unknown_cost_makes_the_sum_unknown_and_nothing_solved_has_no_price() {
        let tasks = [task(0.0, 10.0, Some(0.5)), task(0.0, 30.0, None)];
        let figures = PolicyFigures::of(&tasks, 2);
        assert_eq!(figures.cost_per_task_usd, None);
        assert_eq!(figures.time_per_solved_task_ms.point, None);
        assert!(figures.time_per_solved_task_ms.reason.is_some());
        let nothing = PolicyFigures::of(&[], 0);
        assert_eq!(nothing.solved.point, None);
        assert_eq!(nothing.cost_per_task_usd, None);
    }
}
