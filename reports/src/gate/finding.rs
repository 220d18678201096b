//! What a gate found, rule by rule: the layout of its JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::format::ratio;
use crate::metrics::Unit;

/// Version of the layout; it changes when a field is renamed or removed, or changes its
/// meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// What a rule says of the data.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval lies beyond the limit.
    Regression,
    /// The data must not be judged: the instrument, the suites or the outputs differ.
    Invalid,
    /// The data cannot decide: too few pairs, a missing metric.
    Inconclusive,
    /// Worse than the limit, but not surely, or by a rule that only warns.
    Warn,
    /// No regression was found; `detectable` says how small a one would have been.
    Pass,
}

impl Verdict {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Regression => "regression",
            Verdict::Invalid => "invalid",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Warn => "warn",
            Verdict::Pass => "pass",
        }
    }
}

/// What a change, a limit or a bound is expressed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expressed {
    /// A share of the baseline: 0.05 is 5 % more.
    Relative,
    /// Nanoseconds.
    Nanoseconds,
    /// A difference of shares: 0.05 is five points.
    Points,
    /// The metric's own unit: the figure itself, not a change.
    Own,
}

/// Where the limit that was applied comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSource {
    /// The rule.
    Rule,
    /// What runs in which nothing changed have differed by.
    NoiseFloor,
    /// What runs of different days may differ by, for want of history.
    Drift,
    /// The error of the instrument.
    Instrument,
}

impl LimitSource {
    /// The words used for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            LimitSource::Rule => "rule",
            LimitSource::NoiseFloor => "noise floor",
            LimitSource::Drift => "drift of runs that were not interleaved",
            LimitSource::Instrument => "error of the instrument",
        }
    }
}

/// The numbers of a rule that could be computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// What `change`, its interval, `limit` and `detectable` are expressed in.
    pub expressed: Expressed,
    /// Candidate relative to baseline; for an objective the figure itself. Its sign is
    /// that of the figure, whichever way is worse.
    pub change: f64,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub high: Option<f64>,
    /// The limit that was applied, as a change in the worse direction.
    pub limit: f64,
    /// Where it comes from.
    pub limit_source: LimitSource,
    /// Chance of data like these when the true change is at the limit, after Holm's
    /// correction for the rules that share the gate's level.
    pub p: f64,
    /// The level `p` has to reach.
    pub alpha: f64,
    /// The smallest change in the worse direction that would have been found with the
    /// rules' power.
    pub detectable: Option<f64>,
    /// Tasks with which a change of twice the limit would be found.
    pub tasks_needed: Option<usize>,
    /// The candidate's figure, in the metric's unit (durations in nanoseconds).
    pub candidate: Option<f64>,
    /// The baseline's figure.
    pub baseline: Option<f64>,
    /// Paired tasks behind it.
    pub tasks: usize,
    /// Pairs of trials behind it.
    pub pairs: usize,
}

/// What one rule says of one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// The metric.
    pub metric: String,
    /// The statistic.
    pub statistic: String,
    /// The suite; absent for all together.
    pub suite: Option<String>,
    /// The candidate's endpoint.
    pub endpoint: String,
    /// What it was held against; absent for an objective.
    pub baseline: Option<String>,
    /// The answer.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// The numbers; absent when there are none.
    pub measured: Option<Measured>,
}

impl Finding {
    /// Whether it says that there is no regression. What is the same in every pair passes
    /// without numbers; a warning without numbers is one for want of data.
    fn clears(&self) -> bool {
        match self.verdict {
            Verdict::Pass => true,
            Verdict::Warn => self.measured.is_some(),
            Verdict::Regression | Verdict::Inconclusive | Verdict::Invalid => false,
        }
    }
}

/// What the whole gate says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// Version of this layout.
    pub schema_version: u32,
    /// Version of timeslip that judged.
    pub timeslip_version: String,
    /// The run that was judged.
    pub candidate: String,
    /// Whether any endpoint is simulated.
    pub simulated: bool,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// Every finding, in the order of the rules.
    pub findings: Vec<Finding>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl GateResult {
    /// The findings, failures first.
    #[must_use]
    pub fn worst_first(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.verdict);
        findings
    }

    /// How many findings have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// Takes back every regression that a second measurement clears: it becomes a
    /// warning. Chance would have to strike the same rule twice. A second measurement that
    /// could not be judged clears nothing.
    #[must_use]
    pub fn confirmed_by(mut self, again: &GateResult) -> Self {
        let run = crate::format::one_line(&again.candidate);
        for finding in &mut self.findings {
            if finding.verdict != Verdict::Regression {
                continue;
            }
            let mut others = again.findings.iter();
            let other = others
                .find(|other| (&other.rule, &other.endpoint) == (&finding.rule, &finding.endpoint));
            match other {
                Some(other) if other.verdict == Verdict::Regression => {}
                Some(other) if other.clears() => {
                    finding.verdict = Verdict::Warn;
                    finding.reason = format!(
                        "a regression here, but not in the run that measured again ({run}): {}",
                        finding.reason
                    );
                }
                _ => {
                    finding.reason = format!(
                        "{} (not confirmed: {run} could not be judged)",
                        finding.reason
                    );
                }
            }
        }
        self.verdict = worst(&self.findings);
        self
    }
}

/// The JSON Schema of a gate's findings.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(GateResult).to_value()
}

/// The worst verdict; a gate that found nothing has decided nothing.
#[must_use]
pub fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.verdict);
    verdicts.min().unwrap_or(Verdict::Inconclusive)
}

impl Measured {
    /// A change as people read it: `+5.2 %`, `+30 ms`, `−4 points`; an objective's figure
    /// in its unit.
    #[must_use]
    pub fn show(&self, value: f64, unit: Unit) -> String {
        let sign = match self.expressed {
            Expressed::Own => "",
            Expressed::Relative if value >= 1.0 => "",
            _ if value < 0.0 => "−",
            _ => "+",
        };
        format!("{sign}{}", self.amount(value, unit))
    }

    /// The size of a change, without its direction.
    #[must_use]
    pub(super) fn amount(&self, value: f64, unit: Unit) -> String {
        match self.expressed {
            // Doubling and more reads better as a factor.
            Expressed::Relative if value >= 1.0 => ratio(1.0 + value),
            Expressed::Relative => format!("{:.1} %", value.abs() * 100.0),
            Expressed::Nanoseconds => Unit::Duration.show(value.abs()),
            Expressed::Points => format!("{:.1} points", value.abs() * 100.0),
            Expressed::Own => unit.show(value),
        }
    }

    /// The 95 % interval, as people read it.
    #[must_use]
    pub fn interval(&self, unit: Unit) -> String {
        match self.low.zip(self.high) {
            Some((low, high)) => {
                format!("{} to {}", self.show(low, unit), self.show(high, unit))
            }
            None => "no interval".to_owned(),
        }
    }
}
