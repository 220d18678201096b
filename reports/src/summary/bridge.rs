//! From the baseline's task time to the candidate's: which stage gives, which one caps,
//! and what the token rate alone would have promised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::NS_PER_MS;
use crate::pairing::{Pair, PairedTask};
use crate::stages::StageGroup;
use crate::stats::{Estimate, amdahl_limit, part_faster};
use crate::trial::group_ns;

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
    /// How many times sooner the baseline's tasks would finish if this group took no
    /// time and all else stayed: geometric mean over tasks of wall ÷ (wall − group).
    pub limit: Estimate,
}

/// One row for every group that took time on either side; `*_ns` sum exactly.
pub(crate) fn rows(tasks: &[PairedTask]) -> Vec<BridgeRow> {
    let pairs: Vec<&Pair> = timed(tasks).flatten().collect();
    let count = pairs.len() as f64;
    StageGroup::ALL
        .into_iter()
        .map(|group| {
            let sum = |side: &dyn Fn(&Pair) -> u64| {
                pairs
                    .iter()
                    .map(|pair| side(pair))
                    .fold(0_u64, u64::saturating_add)
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
                limit: amdahl_limit(&walls_and_part(tasks, group)),
            }
        })
        .filter(|row| row.baseline_ns > 0 || row.candidate_ns > 0)
        .collect()
}

/// The task-time ratio to expect if decode, its tail with it, became shorter by the ratio
/// of token rates and nothing else changed.
pub(super) fn promised_by(tasks: &[PairedTask], token_rate_ratio: f64) -> Estimate {
    part_faster(&walls_and_part(tasks, StageGroup::Decode), token_rate_ratio)
}

fn timed<'a, 'b: 'a>(
    tasks: &'a [PairedTask<'b>],
) -> impl Iterator<Item = impl Iterator<Item = &'a Pair<'b>>> {
    tasks
        .iter()
        .map(|task| task.pairs.iter().filter(|pair| pair.timed()))
}

/// (task time, part that is the group's) of the baseline's trials, by task.
fn walls_and_part(tasks: &[PairedTask], group: StageGroup) -> Vec<Vec<(f64, f64)>> {
    timed(tasks)
        .map(|pairs| {
            pairs
                .map(|pair| {
                    let part = group_ns(pair.baseline, group);
                    (pair.baseline.wall_ns as f64, part as f64)
                })
                .collect()
        })
        .collect()
}

/// `a − b`, held at the ends of the range.
fn signed_difference(a: u64, b: u64) -> i64 {
    let difference = i128::from(a) - i128::from(b);
    let held = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(held).unwrap_or(i64::MAX)
}
