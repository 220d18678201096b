//! The quantities of a rule as people write them: `5%`, `30ms`, `2 points`, `p(95)<250ms`.

use serde::Deserialize;

use crate::format::NS_PER_MS;
use crate::metrics::{Statistic, Unit};

/// How much worse is too much.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Limit {
    /// A share of the baseline: 0.05 is 5 %.
    Relative(f64),
    /// A duration in nanoseconds.
    Duration(f64),
    /// A difference between shares: 0.02 is two points.
    Points(f64),
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = split(&text)?;
        if number < 0.0 {
            return Err(format!(
                "'{text}' is negative; a limit is how much worse may be"
            ));
        }
        match unit {
            "%" => Ok(Limit::Relative(number / 100.0)),
            "points" | "point" => Ok(Limit::Points(number / 100.0)),
            unit => duration(number, unit).map(Limit::Duration).ok_or_else(|| {
                format!("'{text}' is not a limit; write \"5%\", \"30ms\" or \"2 points\"")
            }),
        }
    }
}

impl Limit {
    /// As it is written.
    #[must_use]
    pub fn show(self) -> String {
        match self {
            Limit::Relative(share) => format!("{} %", decimal(share * 100.0)),
            Limit::Duration(ns) => Unit::Duration.show(ns),
            Limit::Points(share) => format!("{} points", decimal(share * 100.0)),
        }
    }
}

/// At most two decimals, no needless zeros.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A bound on a figure of the candidate alone, e.g. `p(95)<250ms`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Objective {
    /// Which figure.
    pub statistic: Statistic,
    /// Whether the figure has to stay below `bound`, else above.
    pub below: bool,
    /// The bound, in the unit it was written in.
    pub bound: Bound,
    text: String,
}

/// A bound in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nanoseconds.
    Duration(f64),
    /// Between 0 and 1.
    Share(f64),
    /// Tokens per second.
    Rate(f64),
    /// US dollars.
    Dollars(f64),
    /// Plain.
    Count(f64),
}

impl Bound {
    /// The value, when the unit is that of the metric.
    #[must_use]
    pub fn of(self, unit: Unit) -> Option<f64> {
        match (self, unit) {
            (Bound::Duration(value), Unit::Duration)
            | (Bound::Share(value), Unit::Share)
            | (Bound::Rate(value), Unit::Rate)
            | (Bound::Dollars(value), Unit::Dollars)
            | (Bound::Count(value), Unit::Count | Unit::Bytes) => Some(value),
            _ => None,
        }
    }
}

impl TryFrom<String> for Objective {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not an objective; write \"p(95)<250ms\", \"mean<2s\", \"mean>900/s\" or \"share>60%\""
            )
        };
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (statistic, rest) = text.split_at(at);
        let below = rest.starts_with('<');
        let value = rest[1..].strip_prefix('=').unwrap_or(&rest[1..]);
        let statistic = statistic.trim().replace(['(', ')'], "");
        let statistic = Statistic::parse(&statistic).ok_or_else(wrong)?;
        let (number, unit) = split(value).map_err(|_| wrong())?;
        let bound = match unit {
            "%" => Bound::Share(number / 100.0),
            "/s" => Bound::Rate(number),
            "usd" => Bound::Dollars(number),
            "" => Bound::Count(number),
            unit => Bound::Duration(duration(number, unit).ok_or_else(wrong)?),
        };
        Ok(Objective {
            statistic,
            below,
            bound,
            text,
        })
    }
}

impl std::fmt::Display for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let number: f64 = text[..end]
        .parse()
        .map_err(|_| format!("'{text}' does not begin with a number"))?;
    Ok((number, text[end..].trim()))
}

fn duration(number: f64, unit: &str) -> Option<f64> {
    let ns = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => NS_PER_MS,
        "s" => 1e9,
        "min" => 60e9,
        _ => return None,
    };
    Some(number * ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(text: &str) -> Result<Limit, String> {
        Limit::try_from(text.to_owned())
    }

    #[test]
    fn quantities_are_read_as_written() {
        assert_eq!(limit("5%"), Ok(Limit::Relative(0.05)));
        assert_eq!(limit(" 2.5 points "), Ok(Limit::Points(0.025)));
        assert_eq!(limit("30ms"), Ok(Limit::Duration(30e6)));
        for wrong in ["", "5", "-5%", "five %", "5 furlongs", "%"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
        let objective = Objective::try_from("p(95)<250ms".to_owned()).unwrap();
        assert_eq!(objective.statistic, Statistic::Quantile(95));
        assert!(objective.below && objective.bound == Bound::Duration(250e6));
        let objective = Objective::try_from("share >= 60%".to_owned()).unwrap();
        assert!(!objective.below && objective.bound.of(Unit::Share) == Some(0.6));
        for wrong in [
            "p95",
            "p(95)<",
            "p(0)<1s",
            "speed<1s",
            "mean<1 parsec",
            "<1s",
        ] {
            assert!(Objective::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_written_makes_it_panic(text in ".{0,40}") {
            let _ = limit(&text);
            let _ = Objective::try_from(text);
        }
    }
}
