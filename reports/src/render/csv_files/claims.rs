//! Every claim with its answer.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;
use crate::claims::Answer;

pub(super) static FILE: CsvFile = CsvFile {
    name: "claims",
    columns: columns::<ClaimRecord>,
    write: |_, summary, rows| {
        let mut claims = summary.claims.iter();
        claims.try_for_each(|answer| rows.push(ClaimRecord::of(answer)))
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct ClaimRecord {
    /// Id of the claim.
    id: Text,
    /// The claim in words.
    text: Text,
    /// Who said it where and when.
    source: Text,
    /// The measured counterpart.
    metric: Option<&'static str>,
    /// The claimed value, where it is a least one, in the metric's unit.
    at_least: Number,
    /// The claimed value, where it is a most one.
    at_most: Number,
    /// The endpoint it was measured on.
    endpoint: Text,
    /// The endpoint that one was compared with.
    against: Text,
    /// What was measured.
    measured: Number,
    /// Lower end of its 95 % interval.
    measured_low: Number,
    /// Upper end of its 95 % interval.
    measured_high: Number,
    /// Tasks behind it.
    tasks: usize,
    /// The answer: confirmed, refuted or undecided.
    ruling: &'static str,
    /// Why that is the answer.
    why: Text,
    /// Whether it was measured on simulated endpoints.
    simulated: bool,
}

impl ClaimRecord {
    fn of(answer: &Answer) -> Self {
        ClaimRecord {
            id: Text::of(&answer.id),
            text: Text::of(&answer.text),
            source: Text::of(&answer.source),
            metric: answer.metric.map(|metric| metric.name()),
            at_least: Number(answer.at_least),
            at_most: Number(answer.at_most),
            endpoint: Text::of(answer.endpoint.as_deref().unwrap_or_default()),
            against: Text::of(answer.against.as_deref().unwrap_or_default()),
            measured: Number(answer.measured.point),
            measured_low: Number(answer.measured.low),
            measured_high: Number(answer.measured.high),
            tasks: answer.measured.n,
            ruling: answer.ruling.name(),
            why: Text::of(&answer.why),
            simulated: answer.simulated,
        }
    }
}
