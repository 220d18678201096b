//! What a claim can be about: a figure of a metric, or how two endpoints differ in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::format::NS_PER_MS;
use crate::metrics::{Metric, Unit};

/// Which figure of the metric is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimedFigure {
    /// The median of all values; the share of a metric that is one.
    Level,
    /// How many times better the endpoint is than the other, by their medians.
    MedianRatio,
    /// The part by which the median is smaller than the other's.
    MedianReduction,
    /// How many times better, as the geometric mean over tasks.
    TaskRatio,
    /// The part by which it is smaller, as the geometric mean over tasks.
    TaskReduction,
    /// The part by which a ratio of sums is smaller.
    SumsReduction,
}

/// One row of [`QUANTITIES`].
#[derive(Debug)]
struct QuantityRow {
    /// In claims files and in machine-readable output.
    name: &'static str,
    /// The metric of the table.
    metric: &'static str,
    figure: ClaimedFigure,
    /// What is measured, in words. Times leave out trials that ended in an error.
    definition: &'static str,
    /// What both sides must know, where not every run does.
    needs: &'static str,
}

/// The measured counterpart of a claim: a row of the table of quantities.
#[derive(Clone, Copy, Debug)]
pub struct Quantity(&'static QuantityRow);

/// Every quantity that a claims file may name.
static QUANTITIES: &[QuantityRow] = &[
    QuantityRow {
        name: "output_tokens_per_second",
        metric: "output_tokens_per_second",
        figure: ClaimedFigure::Level,
        definition: "median over exchanges of (streamed output tokens − 1) ÷ (first to last token)",
        needs: "the servers' token counts",
    },
    QuantityRow {
        name: "time_per_output_token_ms",
        metric: "tpot",
        figure: ClaimedFigure::Level,
        definition: "median over exchanges of (first to last token) ÷ (streamed output tokens − 1)",
        needs: "the servers' token counts",
    },
    QuantityRow {
        name: "ttft_ms",
        metric: "ttft",
        figure: ClaimedFigure::Level,
        definition: "median over exchanges of the time from the last request byte to the first output of any kind",
        needs: "a first token",
    },
    QuantityRow {
        name: "task_time_ms",
        metric: "task_time",
        figure: ClaimedFigure::Level,
        definition: "median over trials of the agent's time from start to end",
        needs: "a trial without an error",
    },
    QuantityRow {
        name: "resolve_rate",
        metric: "resolve_rate",
        figure: ClaimedFigure::Level,
        definition: "share of trials resolved; errors count as not resolved",
        needs: "a trial",
    },
    QuantityRow {
        name: "output_token_rate_ratio",
        metric: "output_tokens_per_second",
        figure: ClaimedFigure::MedianRatio,
        definition: "median over exchanges of (streamed output tokens − 1) ÷ (first to last token), one endpoint over the other, on the same tasks",
        needs: "the servers' token counts",
    },
    QuantityRow {
        name: "task_time_ratio",
        metric: "task_time",
        figure: ClaimedFigure::TaskRatio,
        definition: "geometric mean over tasks of the other endpoint's task time ÷ this one's",
        needs: "a trial without an error",
    },
    QuantityRow {
        name: "task_time_reduction",
        metric: "task_time",
        figure: ClaimedFigure::TaskReduction,
        definition: "1 − geometric mean over tasks of this endpoint's task time ÷ the other's",
        needs: "a trial without an error",
    },
    QuantityRow {
        name: "ttft_reduction",
        metric: "ttft",
        figure: ClaimedFigure::MedianReduction,
        definition: "1 − median TTFT of exchanges ÷ that of the other endpoint, on the same tasks",
        needs: "a first token",
    },
    QuantityRow {
        name: "round_trip_overhead_reduction",
        metric: "round_trip_overhead",
        figure: ClaimedFigure::SumsReduction,
        definition: "1 − time for connecting, sending and one network round trip per exchange ÷ the same of the other endpoint, each a ratio of sums over the same tasks; what the service itself takes off its processing is not visible to a client",
        needs: "a network round trip",
    },
    QuantityRow {
        name: "token_overhead_reduction",
        metric: "token_overhead",
        figure: ClaimedFigure::SumsReduction,
        definition: "1 − (first to last token beyond the generation time that the server reports) per token ÷ the same of the other endpoint, each a ratio of sums over the same tasks",
        needs: "the generation time that the server reports",
    },
];

impl Quantity {
    /// Every quantity that a claims file may name.
    pub fn all() -> impl Iterator<Item = Self> {
        QUANTITIES.iter().map(Quantity)
    }

    /// The name used in claims files and in machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The metric it is a figure of; a test holds that every row names one of the table.
    #[must_use]
    pub fn metric(self) -> Option<Metric> {
        Metric::find(self.0.metric)
    }

    pub(super) fn figure(self) -> ClaimedFigure {
        self.0.figure
    }

    /// Whether it compares two endpoints.
    #[must_use]
    pub fn compares(self) -> bool {
        self.0.figure != ClaimedFigure::Level
    }

    /// What is measured, in words.
    #[must_use]
    pub fn definition(self) -> &'static str {
        self.0.definition
    }

    /// What every side must know for it.
    pub(super) fn needs(self) -> &'static str {
        self.0.needs
    }

    /// The metric's own units in one of the claim: claims give durations in milliseconds.
    pub(super) fn scale(self) -> f64 {
        match self.metric().map(|metric| metric.unit) {
            Some(Unit::Duration) if !self.compares() => NS_PER_MS,
            _ => 1.0,
        }
    }

    /// A value as people read it, with enough digits to tell it from a claimed one.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        let share = || format!("{} %", trimmed(value * 100.0, 1));
        match self.0.figure {
            ClaimedFigure::MedianRatio | ClaimedFigure::TaskRatio => {
                format!("{}×", trimmed(value, 2))
            }
            ClaimedFigure::MedianReduction
            | ClaimedFigure::TaskReduction
            | ClaimedFigure::SumsReduction => share(),
            ClaimedFigure::Level => match self.metric() {
                Some(metric) if metric.unit == Unit::Share => share(),
                Some(metric) => metric.show(value * self.scale()),
                None => trimmed(value, 2),
            },
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Quantity::all()
            .find(|quantity| quantity.name() == name)
            .ok_or_else(|| {
                let known: Vec<String> =
                    Quantity::all().map(|q| format!("`{}`", q.name())).collect();
                D::Error::custom(format!(
                    "'{name}' is nothing that claims are about; there are {}",
                    known.join(", ")
                ))
            })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Quantity::all().map(Quantity::name).collect();
        json_schema!({
            "description": "The measured counterpart of a claim.",
            "type": "string",
            "enum": names,
        })
    }
}

/// Some decimals, without needless zeros: a claim of 58.4 % is not one of 58 %.
fn trimmed(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if value < 0.0 && digits != "0" {
        "−"
    } else {
        ""
    };
    format!("{sign}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(name: &str, value: f64) -> String {
        let quantity = Quantity::all().find(|quantity| quantity.name() == name);
        quantity.unwrap().show(value)
    }

    #[test]
    fn a_claimed_value_is_shown_as_it_is_claimed() {
        for (name, value, expected) in [
            ("resolve_rate", 0.584, "58.4 %"),
            ("ttft_reduction", -0.5, "−50 %"),
            ("ttft_reduction", -0.0001, "0 %"),
            ("task_time_ratio", 15.0, "15×"),
            ("task_time_ratio", 14.406, "14.41×"),
            ("ttft_ms", 50.0, "50.0 ms"),
            ("output_tokens_per_second", 1000.0, "1,000 tokens/s"),
        ] {
            assert_eq!(show(name, value), expected);
        }
    }

    #[test]
    fn every_quantity_is_of_a_metric_of_the_table() {
        for quantity in Quantity::all() {
            assert!(quantity.metric().is_some(), "{}", quantity.name());
        }
    }
}
