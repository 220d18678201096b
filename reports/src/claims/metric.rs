//! What a claim can be about, and exactly what is measured for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::{milliseconds, rate};

/// The measured counterpart of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Median output rate of exchanges.
    OutputTokensPerSecond,
    /// Median time per output token of exchanges, in milliseconds.
    TimePerOutputTokenMs,
    /// Median TTFT of exchanges, in milliseconds.
    TtftMs,
    /// Median task time, in milliseconds.
    TaskTimeMs,
    /// Share of trials resolved.
    ResolveRate,
    /// Median output rate of one endpoint over that of the other.
    OutputTokenRateRatio,
    /// How many times sooner tasks finish.
    TaskTimeRatio,
    /// Part by which task time is shorter.
    TaskTimeReduction,
    /// Part by which the median TTFT is shorter.
    TtftReduction,
    /// Part by which the network's time per exchange is shorter.
    RoundTripOverheadReduction,
    /// Part by which the time per token beyond the server's own is shorter.
    TokenOverheadReduction,
}

impl Metric {
    /// The name used in claims files and in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Metric::OutputTokensPerSecond => "output_tokens_per_second",
            Metric::TimePerOutputTokenMs => "time_per_output_token_ms",
            Metric::TtftMs => "ttft_ms",
            Metric::TaskTimeMs => "task_time_ms",
            Metric::ResolveRate => "resolve_rate",
            Metric::OutputTokenRateRatio => "output_token_rate_ratio",
            Metric::TaskTimeRatio => "task_time_ratio",
            Metric::TaskTimeReduction => "task_time_reduction",
            Metric::TtftReduction => "ttft_reduction",
            Metric::RoundTripOverheadReduction => "round_trip_overhead_reduction",
            Metric::TokenOverheadReduction => "token_overhead_reduction",
        }
    }

    /// Whether it compares two endpoints.
    #[must_use]
    pub const fn compares(self) -> bool {
        match self {
            Metric::OutputTokensPerSecond
            | Metric::TimePerOutputTokenMs
            | Metric::TtftMs
            | Metric::TaskTimeMs
            | Metric::ResolveRate => false,
            Metric::OutputTokenRateRatio
            | Metric::TaskTimeRatio
            | Metric::TaskTimeReduction
            | Metric::TtftReduction
            | Metric::RoundTripOverheadReduction
            | Metric::TokenOverheadReduction => true,
        }
    }

    /// What is measured, in words. Times leave out trials that ended in an error.
    #[must_use]
    pub const fn definition(self) -> &'static str {
        match self {
            Metric::OutputTokensPerSecond => {
                "median over exchanges of (streamed output tokens − 1) ÷ (first to last token)"
            }
            Metric::TimePerOutputTokenMs => {
                "median over exchanges of (first to last token) ÷ (streamed output tokens − 1)"
            }
            Metric::TtftMs => {
                "median over exchanges of the time from the last request byte to the first output of any kind"
            }
            Metric::TaskTimeMs => "median over trials of the agent's time from start to end",
            Metric::ResolveRate => "share of trials resolved; errors count as not resolved",
            Metric::OutputTokenRateRatio => {
                "median over exchanges of (streamed output tokens − 1) ÷ (first to last token), one endpoint over the other, on the same tasks"
            }
            Metric::TaskTimeRatio => {
                "geometric mean over tasks of the other endpoint's task time ÷ this one's"
            }
            Metric::TaskTimeReduction => {
                "1 − geometric mean over tasks of this endpoint's task time ÷ the other's"
            }
            Metric::TtftReduction => {
                "1 − median TTFT of exchanges ÷ that of the other endpoint, on the same tasks"
            }
            Metric::RoundTripOverheadReduction => {
                "1 − time for connecting, sending and one network round trip per exchange ÷ the same of the other endpoint, each a ratio of sums over the same tasks; what the service itself takes off its processing is not visible to a client"
            }
            Metric::TokenOverheadReduction => {
                "1 − (first to last token beyond the generation time that the server reports) per token ÷ the same of the other endpoint, each a ratio of sums over the same tasks"
            }
        }
    }

    /// A value in the metric's unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::OutputTokensPerSecond => format!("{} tokens/s", rate(value)),
            Metric::TimePerOutputTokenMs | Metric::TtftMs | Metric::TaskTimeMs => {
                milliseconds(value)
            }
            Metric::OutputTokenRateRatio | Metric::TaskTimeRatio => {
                format!("{}×", trimmed(value, 2))
            }
            Metric::ResolveRate
            | Metric::TaskTimeReduction
            | Metric::TtftReduction
            | Metric::RoundTripOverheadReduction
            | Metric::TokenOverheadReduction => format!("{} %", trimmed(value * 100.0, 1)),
        }
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

    #[test]
    fn a_claimed_value_is_shown_as_it_is_claimed() {
        assert_eq!(Metric::ResolveRate.show(0.584), "58.4 %");
        assert_eq!(Metric::TtftReduction.show(-0.5), "−50 %");
        assert_eq!(Metric::TtftReduction.show(-0.0001), "0 %");
        assert_eq!(Metric::TaskTimeRatio.show(15.0), "15×");
        assert_eq!(Metric::TaskTimeRatio.show(14.406), "14.41×");
        assert_eq!(Metric::TtftMs.show(50.0), "50.0 ms");
        assert_eq!(Metric::OutputTokensPerSecond.show(1000.0), "1,000 tokens/s");
    }
}
