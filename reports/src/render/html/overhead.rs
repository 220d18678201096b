//! What trials take beside the task itself.

use crate::charts::Table;
use crate::format::{count, milliseconds, or_absent, percent};
use crate::stats::Distribution;
use crate::summary::Summary;

/// The shares in words, and what one trial takes.
pub(super) struct OverheadTable {
    pub(super) words: String,
    pub(super) table: Table,
}

/// `None` where no trial has finished with a time.
pub(super) fn overhead(summary: &Summary) -> Option<OverheadTable> {
    let overhead = &summary.overhead;
    let (setup, grading) = (overhead.setup_share?, overhead.grading_share?);
    let mut words = format!(
        "Of the time that trials took in all, set-up was {} and grading {}; neither is part of task time.",
        percent(setup),
        percent(grading)
    );
    if let Some((each, share)) = overhead
        .sandbox_ms_per_tool_call
        .zip(overhead.sandbox_share)
    {
        words.push_str(&format!(
            " The sandbox around a tool call took {} on average, {} of task time.",
            milliseconds(each),
            percent(share)
        ));
    }
    let rows = [
        ("Set-up, cold", &overhead.cold_setup_ms),
        ("Set-up, warm", &overhead.warm_setup_ms),
        ("Grading", &overhead.grading_ms),
    ];
    let row = |(name, times): (&str, &Distribution)| {
        let cell = |value: Option<f64>| or_absent(value, milliseconds);
        vec![
            name.to_owned(),
            count(times.n as u64),
            cell(times.p50),
            cell(times.p95),
            cell(times.mean),
        ]
    };
    Some(OverheadTable {
        words,
        table: Table::new(
            ["Outside task time", "Trials", "p50", "p95", "Mean"],
            rows.into_iter().filter(|(_, times)| times.n > 0).map(row),
        ),
    })
}
