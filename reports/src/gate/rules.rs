//! The rules of a gate, read from TOML and validated with their places in the file.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::quantity::{Limit, Objective};
use crate::format::plural;
use crate::metrics::{Metric, Statistic, Unit};
use crate::toml_lines::line_of;

/// The rules that apply when none are given.
pub const DEFAULT: &str = include_str!("default.toml");

/// More rules than anyone writes by hand; each may cost a bootstrap.
const MAX_RULES: usize = 1_000;

/// What breaking a rule means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The gate fails.
    #[default]
    Fail,
    /// The gate says so and passes.
    Warn,
}

/// What a rule bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    /// The change from the baseline.
    Change {
        /// Of which figure.
        statistic: Statistic,
        /// How much worse is too much.
        limit: Limit,
    },
    /// The candidate's own figure.
    Objective(Objective),
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is called in every output.
    pub name: String,
    /// What is looked at.
    pub metric: Metric,
    /// What it bounds.
    pub bounds: Bounds,
    /// Only this suite; all together when absent.
    pub suite: Option<String>,
    /// Only this endpoint; each of them when absent.
    pub endpoint: Option<String>,
    /// Fewer pairs than this decide nothing.
    pub min_pairs: usize,
    /// A pass counts only when a change of this size would have been found.
    pub max_detectable: Option<f64>,
    /// Its own level instead of a part of the gate's.
    pub alpha: Option<f64>,
    /// What breaking it means.
    pub action: Action,
}

/// A whole gate.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Chance of a false alarm over all rules that have no level of their own.
    pub alpha: f64,
    /// Chance with which a pass would have seen what it says it would have.
    pub power: f64,
    /// What runs of different days may differ by for no reason, until history knows.
    pub drift: f64,
    /// A candidate that writes less than this share of the baseline's output tokens is
    /// fast for being short.
    pub min_output_ratio: f64,
    /// More errors than this among the pairs leave too few to judge by.
    pub max_error_share: f64,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct RulesError {
    /// The file.
    pub file: String,
    /// What is wrong, with its line, and what to do.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    alpha: Option<Spanned<f64>>,
    power: Option<Spanned<f64>>,
    min_pairs: Option<usize>,
    drift: Option<Spanned<Limit>>,
    min_output_ratio: Option<Spanned<f64>>,
    max_error_share: Option<Spanned<Limit>>,
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    name: Option<String>,
    metric: Spanned<Metric>,
    statistic: Option<Spanned<Statistic>>,
    suite: Option<String>,
    endpoint: Option<String>,
    max_regress: Option<Spanned<Limit>>,
    slo: Option<Spanned<Objective>>,
    alpha: Option<Spanned<f64>>,
    min_pairs: Option<usize>,
    max_detectable: Option<Spanned<Limit>>,
    #[serde(default)]
    action: Action,
}

/// How a rule's bounds are written.
struct WrittenBounds {
    statistic: Option<Spanned<Statistic>>,
    max_regress: Option<Spanned<Limit>>,
    slo: Option<Spanned<Objective>>,
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Metric::find(&name).ok_or_else(|| {
            let share = if name.contains("share") {
                " Shares of stages sum to one, so that an improvement of one is a regression of another: gate their times."
            } else {
                ""
            };
            let known: Vec<String> = Metric::names().collect();
            serde::de::Error::custom(format!(
                "'{name}' is no metric; there are {}.{share}",
                known.join(", ")
            ))
        })
    }
}

impl Rules {
    /// Reads rules from the text of `file`.
    ///
    /// # Errors
    /// [`RulesError`] with the line and what to do.
    pub fn parse(text: &str, file: &Path) -> Result<Self, RulesError> {
        let source = RulesFile { text, file };
        let parsed: File = toml::from_str(text).map_err(|error| RulesError {
            file: file.display().to_string(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        if parsed.rule.is_empty() {
            return Err(source
                .error_in_all("has no [[rule]]; a gate without rules passes nothing".to_owned()));
        }
        if parsed.rule.len() > MAX_RULES {
            return Err(source.error_in_all(format!(
                "has {}; at most {MAX_RULES} are read",
                plural(parsed.rule.len(), "rule")
            )));
        }
        let min_pairs = parsed.min_pairs.unwrap_or(10);
        let mut rules = Rules {
            alpha: source.between(parsed.alpha, 0.01, "alpha")?,
            power: source.between(parsed.power, 0.8, "power")?,
            drift: source.relative(parsed.drift, 0.1, "drift")?,
            min_output_ratio: match parsed.min_output_ratio {
                Some(none) if *none.get_ref() == 0.0 => 0.0,
                other => source.between(other, 0.8, "min_output_ratio")?,
            },
            max_error_share: source.relative(parsed.max_error_share, 0.1, "max_error_share")?,
            rules: Vec::new(),
        };
        for table in parsed.rule {
            let rule = source.rule(table, min_pairs)?;
            if rules.rules.iter().any(|other| other.name == rule.name) {
                let problem = format!("two rules are called '{}'; give one a name", rule.name);
                return Err(source.error_in_all(problem));
            }
            rules.rules.push(rule);
        }
        Ok(rules)
    }
}

/// The text that rules are read from, to tell where in it something is wrong.
struct RulesFile<'a> {
    text: &'a str,
    file: &'a Path,
}

impl RulesFile<'_> {
    fn error(&self, at: usize, problem: &str) -> RulesError {
        let line = line_of(self.text, at);
        RulesError {
            file: format!("{}:{line}", self.file.display()),
            problem: problem.to_owned(),
        }
    }

    fn error_in_all(&self, problem: String) -> RulesError {
        RulesError {
            file: self.file.display().to_string(),
            problem,
        }
    }

    fn between(
        &self,
        value: Option<Spanned<f64>>,
        default: f64,
        field: &str,
    ) -> Result<f64, RulesError> {
        match value {
            None => Ok(default),
            Some(value) if *value.get_ref() > 0.0 && *value.get_ref() < 1.0 => {
                Ok(value.into_inner())
            }
            Some(value) => {
                let problem = format!("{field} = {} is not between 0 and 1", value.get_ref());
                Err(self.error(value.span().start, &problem))
            }
        }
    }

    fn relative(
        &self,
        value: Option<Spanned<Limit>>,
        default: f64,
        field: &str,
    ) -> Result<f64, RulesError> {
        match value.as_ref().map(Spanned::get_ref) {
            None => Ok(default),
            Some(Limit::Relative(share)) => Ok(*share),
            Some(_) => {
                let at = value.map_or(0, |value| value.span().start);
                Err(self.error(at, &format!("{field} is a share; write \"10%\"")))
            }
        }
    }

    fn max_detectable(
        &self,
        most: Option<Spanned<Limit>>,
        bounds: &Bounds,
    ) -> Result<Option<f64>, RulesError> {
        let Some(most) = most else {
            return Ok(None);
        };
        match (bounds, most.get_ref()) {
            (
                Bounds::Change {
                    limit: Limit::Relative(_),
                    ..
                },
                Limit::Relative(amount),
            )
            | (
                Bounds::Change {
                    limit: Limit::Duration(_),
                    ..
                },
                Limit::Duration(amount),
            )
            | (
                Bounds::Change {
                    limit: Limit::Points(_),
                    ..
                },
                Limit::Points(amount),
            ) => Ok(Some(*amount)),
            (Bounds::Change { .. }, _) => {
                let problem = "max_detectable is written as max_regress is, e.g. both in %";
                Err(self.error(most.span().start, problem))
            }
            (Bounds::Objective(_), _) => {
                let problem = "max_detectable goes with max_regress, not with an slo";
                Err(self.error(most.span().start, problem))
            }
        }
    }

    /// What a rule bounds; `start` is where the rule begins.
    fn bounds(
        &self,
        metric: &Metric,
        at_metric: usize,
        start: usize,
        written: WrittenBounds,
    ) -> Result<Bounds, RulesError> {
        let at_statistic = written
            .statistic
            .as_ref()
            .map_or(at_metric, |s| s.span().start);
        let bounds = match (written.max_regress, written.slo) {
            (Some(limit), None) => {
                let statistic = written
                    .statistic
                    .map_or_else(|| metric.usual(), Spanned::into_inner);
                statistic
                    .check(metric)
                    .map_err(|problem| self.error(at_statistic, &problem))?;
                let at = limit.span().start;
                let limit = limit.into_inner();
                fits(limit, metric, statistic).map_err(|problem| self.error(at, &problem))?;
                Bounds::Change { statistic, limit }
            }
            (None, Some(objective)) => {
                let at = objective.span().start;
                let objective = objective.into_inner();
                if written.statistic.is_some() {
                    let problem = "an slo names its statistic itself, as in p(95)<250ms";
                    return Err(self.error(at_statistic, problem));
                }
                let statistic = objective.statistic;
                let checked =
                    statistic
                        .check(metric)
                        .and_then(|()| match objective.bound.of(metric.unit) {
                            Some(_) => Ok(()),
                            None => Err(format!("{} is not measured in that unit", metric.name())),
                        });
                checked.map_err(|problem| self.error(at, &problem))?;
                Bounds::Objective(objective)
            }
            _ => {
                let problem =
                    "a rule has either max_regress, as in \"5%\", or slo, as in \"p(95)<250ms\"";
                return Err(self.error(start, problem));
            }
        };
        Ok(bounds)
    }

    fn rule(&self, table: Spanned<RuleTable>, min_pairs: usize) -> Result<Rule, RulesError> {
        let start = table.span().start;
        let table = table.into_inner();
        let at_metric = table.metric.span().start;
        let metric = table.metric.into_inner();
        let bounds = self.bounds(
            &metric,
            at_metric,
            start,
            WrittenBounds {
                statistic: table.statistic,
                max_regress: table.max_regress,
                slo: table.slo,
            },
        )?;
        let name = table
            .name
            .unwrap_or_else(|| default_name(&metric, &bounds, &table.suite, &table.endpoint));
        let max_detectable = self.max_detectable(table.max_detectable, &bounds)?;
        let alpha = match table.alpha {
            None => None,
            level => Some(self.between(level, 0.0, "alpha")?),
        };
        Ok(Rule {
            name,
            metric,
            bounds,
            suite: table.suite,
            endpoint: table.endpoint,
            min_pairs: table.min_pairs.unwrap_or(min_pairs).max(2),
            max_detectable,
            alpha,
            action: table.action,
        })
    }
}

fn default_name(
    metric: &Metric,
    bounds: &Bounds,
    suite: &Option<String>,
    endpoint: &Option<String>,
) -> String {
    let what = match bounds {
        Bounds::Change { statistic, .. } => statistic.to_string(),
        Bounds::Objective(objective) => objective.to_string(),
    };
    let place = suite
        .as_ref()
        .map_or_else(String::new, |suite| format!(" in {suite}"));
    let whose = endpoint
        .as_ref()
        .map_or_else(String::new, |endpoint| format!(" of {endpoint}"));
    format!("{} {what}{whose}{place}", metric.name())
}

fn fits(limit: Limit, metric: &Metric, statistic: Statistic) -> Result<(), String> {
    let right = match limit {
        Limit::Relative(share) => {
            if !metric.more_is_worse() && share >= 1.0 {
                return Err(format!("{} cannot fall by 100 % and more", metric.name()));
            }
            metric.unit != Unit::Share
        }
        Limit::Points(share) if share >= 1.0 => {
            return Err("shares cannot differ by 100 points and more".to_owned());
        }
        Limit::Points(_) => metric.unit == Unit::Share,
        Limit::Duration(_) => {
            metric.unit == Unit::Duration
                && matches!(statistic, Statistic::Typical | Statistic::Mean)
        }
    };
    if right {
        return Ok(());
    }
    Err(match metric.unit {
        Unit::Share => format!("{} is a share; write its limit as \"2 points\"", metric.name()),
        Unit::Duration => "a limit in milliseconds goes with statistic = \"typical\" or \"mean\", as in \"30ms\"; else write \"5%\"".to_owned(),
        _ => format!("write the limit of {} as \"5%\"", metric.name()),
    })
}
