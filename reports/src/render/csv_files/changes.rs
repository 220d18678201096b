//! Every metric of every candidate against the baseline's, over the same pairs.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;

pub(super) static FILE: CsvFile = CsvFile {
    name: "changes",
    columns: columns::<ChangeRecord>,
    write: |_, summary, rows| {
        for comparison in summary.comparisons() {
            for change in &comparison.changes {
                let (label, unit) = change.label_and_unit();
                rows.push(ChangeRecord {
                    candidate: Text::of(&comparison.candidate),
                    baseline: Text::of(&comparison.baseline),
                    metric: Text::of(&change.metric),
                    statistic: Text::of(&change.statistic),
                    label,
                    unit: unit.name(),
                    candidate_value: Number(change.candidate),
                    baseline_value: Number(change.baseline),
                    scale: if change.is_ratio {
                        "ratio"
                    } else {
                        "difference"
                    },
                    change: Number(change.change.point),
                    change_low: Number(change.change.low),
                    change_high: Number(change.change.high),
                    tasks: change.change.n,
                    pairs: change.pairs,
                })?;
            }
        }
        Ok(())
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct ChangeRecord {
    /// The candidate endpoint.
    candidate: Text,
    /// The baseline endpoint.
    baseline: Text,
    /// The metric, by the name that a gate's rule would use.
    metric: Text,
    /// The statistic, likewise.
    statistic: Text,
    /// What the report calls it.
    label: String,
    /// What the two values are measured in.
    unit: &'static str,
    /// The candidate's figure over the pairs.
    candidate_value: Number,
    /// The baseline's.
    baseline_value: Number,
    /// What the change is: candidate ÷ baseline or candidate − baseline.
    scale: &'static str,
    /// The change.
    change: Number,
    /// Lower end of its 95 % interval.
    change_low: Number,
    /// Upper end of its 95 % interval.
    change_high: Number,
    /// Tasks behind it.
    tasks: usize,
    /// Pairs of trials behind it.
    pairs: usize,
}
