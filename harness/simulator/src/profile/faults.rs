//! The `[faults]` of a profile.

use serde::{Deserialize, Serialize};
use timeslip_datasets::run::emissions::Fault;

/// How often a simulated endpoint fails, and how: the `[faults]` of a profile. Each rate
/// is a share of all requests, 0 by default, and a request has at most one fault. Which
/// request has which follows from the seed, the conversation and the number of requests
/// of it so far, so the same run has the same faults whatever else goes on beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Seeds the faults alone; the server's own seed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Share of requests refused with status 429 and a `retry-after`.
    pub rate_limit: f64,
    /// Seconds in that `retry-after`.
    pub retry_after_seconds: u32,
    /// Share refused as overloaded: 529 in Anthropic's protocol, 503 in the others.
    pub overloaded: f64,
    /// Share of answers that fall silent in the middle and then go on.
    pub stall: f64,
    /// Seconds of that silence.
    pub stall_seconds: f64,
    /// Share of answers in whose middle the connection is reset.
    pub reset: f64,
    /// Share of answers whose body ends in the middle, without a terminal event.
    pub cut: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            seed: None,
            rate_limit: 0.0,
            retry_after_seconds: 1,
            overloaded: 0.0,
            stall: 0.0,
            stall_seconds: 10.0,
            reset: 0.0,
            cut: 0.0,
        }
    }
}

impl Faults {
    /// The rates, by the name of their field.
    pub(crate) fn rates(&self) -> [(&'static str, f64, Fault); 5] {
        [
            ("rate_limit", self.rate_limit, Fault::RateLimit),
            ("overloaded", self.overloaded, Fault::Overloaded),
            ("stall", self.stall, Fault::Stall),
            ("reset", self.reset, Fault::Reset),
            ("cut", self.cut, Fault::Cut),
        ]
    }

    /// Nothing fails.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.rates().iter().all(|(_, rate, _)| *rate == 0.0)
    }

    /// What of it cannot be, as `field = value: why`.
    ///
    /// # Errors
    /// The first such figure.
    pub(super) fn check(&self) -> Result<(), String> {
        let seconds = ("stall_seconds", self.stall_seconds, 86_400.0);
        let rates = self.rates().map(|(field, rate, _)| (field, rate, 1.0));
        for (field, value, highest) in rates.into_iter().chain([seconds]) {
            if !(0.0..=highest).contains(&value) {
                return Err(format!(
                    "faults.{field} = {value}: must lie between 0 and {highest}"
                ));
            }
        }
        let sum: f64 = self.rates().iter().map(|(_, rate, _)| rate).sum();
        if sum > 1.0 + 1e-9 {
            return Err(format!(
                "the rates of faults add up to {sum}: a request has one fault at most, so they must not exceed 1"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
impl Faults {
    /// Each of them at a tenth of the requests.
    pub(crate) fn each_at_a_tenth() -> Self {
        Faults {
            rate_limit: 0.1,
            overloaded: 0.1,
            stall: 0.1,
            reset: 0.1,
            cut: 0.1,
            ..Faults::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_rates_are_named() {
        let bad = Faults {
            cut: 1.5,
            ..Faults::each_at_a_tenth()
        };
        assert!(bad.check().unwrap_err().contains("faults.cut = 1.5"));
        let bad = Faults {
            cut: 0.9,
            ..Faults::each_at_a_tenth()
        };
        assert!(bad.check().unwrap_err().contains("add up to 1.3"));
        assert_eq!(Faults::each_at_a_tenth().check(), Ok(()));
    }
}
