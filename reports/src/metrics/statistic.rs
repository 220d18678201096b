//! The figures a metric has, by name.

use std::fmt;

use serde::Deserialize;

use super::Metric;

/// Which figure of a metric is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Statistic {
    /// The middle change of a task: the Hodges–Lehmann estimate over tasks.
    Typical,
    /// A percentile of all values.
    Quantile(u8),
    /// The mean; for a rate the ratio of sums.
    Mean,
    /// Share of trials.
    Share,
    /// Chance that one of k attempts succeeds, pass@k.
    PassAt(u32),
    /// Chance that all of k attempts succeed, pass^k.
    PassAll(u32),
}

impl TryFrom<String> for Statistic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Statistic::parse(&text).ok_or_else(|| {
            format!(
                "'{text}' is no statistic; there are typical, p50 to p99, mean, share, pass@K and pass^K"
            )
        })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statistic::Typical => f.write_str("typical"),
            Statistic::Quantile(percent) => write!(f, "p{percent}"),
            Statistic::Mean => f.write_str("mean"),
            Statistic::Share => f.write_str("share"),
            Statistic::PassAt(attempts) => write!(f, "pass@{attempts}"),
            Statistic::PassAll(attempts) => write!(f, "pass^{attempts}"),
        }
    }
}

impl Statistic {
    /// The statistic of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let attempts = |text: &str| text.parse().ok().filter(|k| (1..=10_000).contains(k));
        Some(match text {
            "typical" => Statistic::Typical,
            "mean" => Statistic::Mean,
            "share" => Statistic::Share,
            _ => {
                if let Some(k) = text.strip_prefix("pass@") {
                    Statistic::PassAt(attempts(k)?)
                } else if let Some(k) = text.strip_prefix("pass^") {
                    Statistic::PassAll(attempts(k)?)
                } else {
                    let percent = text.strip_prefix('p')?.parse().ok()?;
                    Statistic::Quantile(Some(percent).filter(|p| (1..=99).contains(p))?)
                }
            }
        })
    }

    /// Whether a metric has this figure.
    ///
    /// # Errors
    /// Which figures it has.
    pub fn check(self, metric: &Metric) -> Result<(), String> {
        let has = match self {
            Statistic::Share => metric.counts_failures(),
            Statistic::PassAt(_) | Statistic::PassAll(_) => metric.has_passes(),
            Statistic::Mean => !metric.counts_failures(),
            Statistic::Typical => !metric.counts_failures() && !metric.is_stage(),
            Statistic::Quantile(_) => {
                !metric.counts_failures() && !metric.is_stage() && !metric.is_ratio_of_sums()
            }
        };
        if has {
            return Ok(());
        }
        let name = metric.name();
        Err(if metric.counts_failures() {
            if metric.has_passes() {
                format!("{name} has no {self}; it has share, pass@K and pass^K")
            } else {
                format!("{name} has no {self}; it has share")
            }
        } else if metric.is_stage() {
            // Many trials spend no time in a stage, and a ratio to zero is undefined.
            format!("{name} has no {self}; it has mean")
        } else if metric.is_ratio_of_sums() {
            format!("{name} has no {self}; it has mean and typical")
        } else {
            format!("{name} has no {self}; it has typical, mean and p50 to p99")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_statistics_are_read_as_they_are_shown() {
        for statistic in [
            Statistic::Typical,
            Statistic::Quantile(95),
            Statistic::Mean,
            Statistic::Share,
            Statistic::PassAt(3),
            Statistic::PassAll(2),
        ] {
            assert_eq!(Statistic::parse(&statistic.to_string()), Some(statistic));
        }
        for wrong in ["", "p", "p0", "p100", "pass@0", "pass@x", "median"] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_metric_has_the_figures_that_its_row_names() {
        for name in Metric::names() {
            let metric = Metric::find(&name).unwrap();
            assert_eq!(metric.name(), name);
            assert!(!metric.label().is_empty());
            for statistic in metric.statistics().chain(metric.key_statistics()) {
                assert_eq!(statistic.check(&metric), Ok(()), "{name} {statistic}");
            }
        }
    }
}
