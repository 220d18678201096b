//! Every metric of every endpoint.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::{Number, Text};
use super::columns::columns;

pub(super) static FILE: CsvFile = CsvFile {
    name: "metrics",
    columns: columns::<MetricRecord>,
    write: |_, summary, rows| {
        for (name, endpoint) in &summary.endpoints {
            for level in &endpoint.metrics {
                let (label, unit) = level.label_and_unit();
                rows.push(MetricRecord {
                    endpoint: Text::of(name),
                    metric: Text::of(&level.metric),
                    statistic: Text::of(&level.statistic),
                    label,
                    unit: unit.name(),
                    value: Number(Some(level.value)),
                })?;
            }
        }
        Ok(())
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct MetricRecord {
    /// Endpoint.
    endpoint: Text,
    /// The metric, by the name that a gate's rule would use.
    metric: Text,
    /// The statistic, likewise.
    statistic: Text,
    /// What the report calls it.
    label: String,
    /// What the value is measured in.
    unit: &'static str,
    /// The figure over the endpoint's own trials.
    value: Number,
}
