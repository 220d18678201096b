//! Every candidate against the baseline: a row a comparison.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;
use crate::stats::Estimate;
use crate::summary::Comparison;

pub(super) static FILE: CsvFile = CsvFile {
    name: "comparisons",
    columns: columns::<ComparisonRecord>,
    write: |_, summary, rows| {
        let mut comparisons = summary.comparisons();
        comparisons.try_for_each(|comparison| rows.push(ComparisonRecord::of(comparison)))
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct ComparisonRecord {
    /// The candidate endpoint.
    candidate: Text,
    /// The baseline endpoint.
    baseline: Text,
    /// Why its ratios say nothing of how much sooner tasks get done; empty where they may
    /// be quoted.
    lacks: Text,
    /// Attempts that finished on both sides, errors included.
    pairs: usize,
    /// Pairs left out of every time because a side ended in an error.
    pairs_with_errors: usize,
    /// How many times sooner tasks finish on the candidate: geometric mean over tasks of
    /// baseline ÷ candidate task time.
    task_time_ratio: Number,
    /// Lower end of its 95 % interval.
    task_time_ratio_low: Number,
    /// Upper end of its 95 % interval.
    task_time_ratio_high: Number,
    /// How probable a ratio as far from 1 is by chance, after Holm's correction over the
    /// candidates; empty with one candidate.
    task_time_p: Number,
    /// The ratio over pairs that both sides resolved.
    task_time_ratio_both_resolved: Number,
    /// Lower end of its 95 % interval.
    task_time_ratio_both_resolved_low: Number,
    /// Upper end of its 95 % interval.
    task_time_ratio_both_resolved_high: Number,
    /// The ratio without backoff and fruitless tries; empty when nothing waited.
    task_time_ratio_without_wait: Number,
    /// Lower end of its 95 % interval.
    task_time_ratio_without_wait_low: Number,
    /// Upper end of its 95 % interval.
    task_time_ratio_without_wait_high: Number,
    /// Ratio of the median output rates, candidate ÷ baseline.
    token_rate_ratio: Number,
    /// The task-time ratio that the token rate alone would promise.
    promised_by_token_rate: Number,
    /// Candidate minus baseline, share of trials resolved.
    resolve_rate_difference: Number,
    /// Lower end of its 95 % interval.
    resolve_rate_difference_low: Number,
    /// Upper end of its 95 % interval.
    resolve_rate_difference_high: Number,
    /// How probable a difference as far from 0 is by chance, after Holm's correction over
    /// the candidates; empty with one candidate.
    resolve_rate_p: Number,
    /// Two-sided p-value of McNemar's exact test; empty with several attempts.
    mcnemar_p: Number,
}

impl ComparisonRecord {
    fn of(comparison: &Comparison) -> Self {
        let absent = Estimate::default();
        let both = comparison.task_time_ratio_both_resolved.as_ref();
        let both = both.unwrap_or(&absent);
        let without_wait = comparison.task_time_ratio_without_wait.as_ref();
        let without_wait = without_wait.unwrap_or(&absent);
        let promised = comparison.promised_by_token_rate.as_ref();
        let (ratio, difference) = (
            &comparison.task_time_ratio,
            &comparison.resolve_rate_difference,
        );
        ComparisonRecord {
            candidate: Text::of(&comparison.candidate),
            baseline: Text::of(&comparison.baseline),
            lacks: Text::of(&comparison.lacks.join("; ")),
            pairs: comparison.pairs,
            pairs_with_errors: comparison.pairs_with_errors,
            task_time_ratio: Number(ratio.point),
            task_time_ratio_low: Number(ratio.low),
            task_time_ratio_high: Number(ratio.high),
            task_time_p: Number(comparison.task_time_p),
            task_time_ratio_both_resolved: Number(both.point),
            task_time_ratio_both_resolved_low: Number(both.low),
            task_time_ratio_both_resolved_high: Number(both.high),
            task_time_ratio_without_wait: Number(without_wait.point),
            task_time_ratio_without_wait_low: Number(without_wait.low),
            task_time_ratio_without_wait_high: Number(without_wait.high),
            token_rate_ratio: Number(comparison.token_rate_ratio),
            promised_by_token_rate: Number(promised.and_then(|estimate| estimate.point)),
            resolve_rate_difference: Number(difference.point),
            resolve_rate_difference_low: Number(difference.low),
            resolve_rate_difference_high: Number(difference.high),
            resolve_rate_p: Number(comparison.resolve_rate_p),
            mcnemar_p: Number(comparison.mcnemar_p),
        }
    }
}
