//! What most rows of the table have in common.

use super::source::Source;
use super::{Better, Metric, Statistic, Unit};

pub(super) const P50: Statistic = Statistic::Quantile(50);
pub(super) const P95: Statistic = Statistic::Quantile(95);
pub(super) const P99: Statistic = Statistic::Quantile(99);

/// What most rows have in common.
pub(super) const ROW: Metric = Metric {
    name: "",
    label: "",
    unit: Unit::Count,
    better: Better::Lower,
    source: Source::Gaps,
    kept: &[],
    key: &[],
    instrument: None,
    within: &[],
};
