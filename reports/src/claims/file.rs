//! The claims file: TOML, checked with line numbers.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::quantity::Quantity;
use crate::data::Role;
use crate::format::plural;
use crate::toml_lines::line_of;

/// What the vendors of the fast path say of it.
const FAST_PATH: &str = include_str!("fast-path.toml");

/// More would be no claims about one product, and each may take a bootstrap.
const MAX_CLAIMS: usize = 200;

/// Claims in the order of their file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimsFile {
    /// Every claim.
    pub claims: Vec<Claim>,
}

/// One thing that a vendor says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Short and unique. Untrusted text, as all text of a claim.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// Who said it where and when.
    pub source: String,
    /// What would have to be measured.
    pub test: Answerable,
}

/// How a claim is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answerable {
    /// By a measurement.
    Measured(Statement),
    /// Not at all, and why.
    NotMeasurable(String),
}

/// A claim about a measured quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The quantity.
    pub metric: Quantity,
    /// On which side of which value it is said to be.
    pub bound: ClaimedValue,
    /// What it is about.
    pub endpoint: Selector,
    /// What that is compared with: present exactly for metrics that compare.
    pub against: Option<Selector>,
    /// Whether both sides must be one model.
    pub same_model: bool,
    /// The only suite that counts, where it is about one.
    pub suite: Option<String>,
}

/// The side of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClaimedValue {
    /// ≥
    AtLeast(f64),
    /// ≤
    AtMost(f64),
}

/// Which endpoints of a run a claim is about: all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Side of the comparison.
    pub role: Option<Role>,
    /// Model id. A simulated endpoint is measured in the place of any model, and decides
    /// nothing.
    pub model: Option<String>,
    /// Transport, asked for and used; `http` is any HTTP transport.
    pub transport: Option<String>,
}

/// Why a claims file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Not TOML, or a field or a name that does not exist; the message has the line.
    #[error("{0}")]
    Format(String),
    /// A claim that does not hold together.
    #[error("line {line}, claim '{id}': {problem}")]
    Claim {
        /// Where it is wrong, or where the claim begins when something is missing.
        line: usize,
        /// Its id.
        id: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// More claims than are read.
    #[error("{}; at most {MAX_CLAIMS} are read: split the file", plural(*.0, "claim"))]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    claim: Vec<Spanned<RawClaim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    id: String,
    text: String,
    source: String,
    metric: Option<Spanned<Quantity>>,
    at_least: Option<Spanned<f64>>,
    at_most: Option<Spanned<f64>>,
    endpoint: Option<Selector>,
    against: Option<Spanned<Selector>>,
    #[serde(default)]
    same_model: bool,
    suite: Option<String>,
    not_measurable: Option<Spanned<String>>,
}

/// What is wrong, and where in the text.
struct Problem {
    offset: usize,
    words: &'static str,
}

impl ClaimsFile {
    /// The published claims of the fast path.
    ///
    /// # Errors
    /// Never as long as the shipped file is whole, which a test makes sure of.
    pub fn fast_path() -> Result<Self, ClaimsError> {
        Self::parse(FAST_PATH)
    }

    /// Reads the text of a claims file.
    ///
    /// # Errors
    /// With the line, what is wrong there and what to do.
    pub fn parse(text: &str) -> Result<Self, ClaimsError> {
        let file: RawFile = toml::from_str(text)
            .map_err(|error| ClaimsError::Format(error.to_string().trim_end().to_owned()))?;
        if file.claim.len() > MAX_CLAIMS {
            return Err(ClaimsError::TooMany(file.claim.len()));
        }
        let mut ids = BTreeSet::new();
        let mut claims = Vec::new();
        for raw in file.claim {
            let start = raw.span().start;
            let raw = raw.into_inner();
            let id = raw.id.clone();
            let checked = if ids.insert(id.clone()) {
                check(raw, start)
            } else {
                Err(Problem {
                    offset: start,
                    words: "its id is taken by an earlier claim: choose another",
                })
            };
            claims.push(checked.map_err(|problem| ClaimsError::Claim {
                line: line_of(text, problem.offset),
                id,
                problem: problem.words.to_owned(),
            })?);
        }
        Ok(ClaimsFile { claims })
    }
}

/// `start` is where the claim begins: what is missing has no place of its own.
fn check(raw: RawClaim, start: usize) -> Result<Claim, Problem> {
    let wrong = |offset: usize, words| Err(Problem { offset, words });
    let test = match (raw.not_measurable, raw.metric) {
        (Some(reason), None) if raw.at_least.is_none() && raw.at_most.is_none() => {
            Answerable::NotMeasurable(reason.into_inner())
        }
        (Some(reason), _) => {
            return wrong(
                reason.span().start,
                "it has both not_measurable and a measurement: keep one",
            );
        }
        (None, None) => {
            return wrong(
                start,
                "it needs a metric, or not_measurable with the reason",
            );
        }
        (None, Some(metric)) => {
            let bound = bound(raw.at_least, raw.at_most, start)?;
            match (metric.get_ref().compares(), &raw.against) {
                (true, None) => {
                    let at = metric.span().start;
                    return wrong(at, "its metric compares two endpoints: add `against`");
                }
                (false, Some(against)) => {
                    let at = against.span().start;
                    return wrong(at, "its metric is of one endpoint: remove `against`");
                }
                _ => {}
            }
            if raw.same_model && raw.against.is_none() {
                return wrong(start, "same_model needs an `against` to compare with");
            }
            Answerable::Measured(Statement {
                metric: metric.into_inner(),
                bound,
                endpoint: raw.endpoint.unwrap_or_default(),
                against: raw.against.map(Spanned::into_inner),
                same_model: raw.same_model,
                suite: raw.suite,
            })
        }
    };
    Ok(Claim {
        id: raw.id,
        text: raw.text,
        source: raw.source,
        test,
    })
}

fn bound(
    at_least: Option<Spanned<f64>>,
    at_most: Option<Spanned<f64>>,
    start: usize,
) -> Result<ClaimedValue, Problem> {
    let (value, bound): (Spanned<f64>, fn(f64) -> ClaimedValue) = match (at_least, at_most) {
        (Some(value), None) => (value, ClaimedValue::AtLeast),
        (None, Some(value)) => (value, ClaimedValue::AtMost),
        (_, second) => {
            return Err(Problem {
                offset: second.map_or(start, |value| value.span().start),
                words: "it needs one of at_least and at_most",
            });
        }
    };
    let offset = value.span().start;
    let value = value.into_inner();
    if value.is_finite() {
        Ok(bound(value))
    } else {
        Err(Problem {
            offset,
            words: "its value must be a finite number",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "[[claim]]\nid = \"a\"\ntext = \"t\"\nsource = \"s\"\n";

    fn problem(rest: &str) -> String {
        let text = format!("# comment\n\n{HEAD}{rest}");
        ClaimsFile::parse(&text).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_claims_are_whole() {
        let file = ClaimsFile::fast_path().unwrap();
        assert_eq!(file.claims.len(), 9);
        assert!(file.claims.iter().all(|claim| !claim.source.is_empty()));
    }

    #[test]
    fn what_does_not_hold_together_is_said_with_its_line() {
        for (rest, expected) in [
            ("", "line 3, claim 'a': it needs a metric"),
            ("metric = \"ttft_ms\"", "line 3, claim 'a': it needs one of"),
            (
                "metric = \"ttft_ms\"\nat_least = 1\nat_most = 2",
                "line 9, claim 'a': it needs one of",
            ),
            (
                "metric = \"ttft_ms\"\nat_most = nan",
                "line 8, claim 'a': its value must be a finite",
            ),
            (
                "metric = \"ttft_reduction\"\nat_least = 0.5",
                "line 7, claim 'a': its metric compares two",
            ),
            (
                "metric = \"ttft_ms\"\nat_most = 5\nagainst = {}",
                "line 9, claim 'a': its metric is of one",
            ),
            (
                "not_measurable = \"n\"\nat_most = 5",
                "line 7, claim 'a': it has both",
            ),
        ] {
            let problem = problem(rest);
            assert!(problem.starts_with(expected), "{rest}: {problem}");
        }
        let twice = format!("{HEAD}not_measurable = \"n\"\n{HEAD}not_measurable = \"n\"\n");
        let problem = ClaimsFile::parse(&twice).unwrap_err().to_string();
        assert!(
            problem.starts_with("line 6, claim 'a': its id"),
            "{problem}"
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_line_and_the_known_ones() {
        let metric = problem("metric = \"tttf_ms\"\nat_most = 5");
        assert!(
            metric.contains("line 7") && metric.contains("`ttft_ms`"),
            "{metric}"
        );
        let field = problem("metrics = \"ttft_ms\"");
        assert!(
            field.contains("line 7") && field.contains("`metric`"),
            "{field}"
        );
        let selector = problem("metric = \"ttft_ms\"\nat_most = 5\nendpoint = { name = 1 }");
        assert!(
            selector.contains("line 9") && selector.contains("`transport`"),
            "{selector}"
        );
        let role = problem("metric = \"ttft_ms\"\nat_most = 5\nendpoint = { role = \"x\" }");
        assert!(
            role.contains("line 9") && role.contains("`baseline`"),
            "{role}"
        );
    }

    #[test]
    fn an_empty_file_claims_nothing_and_an_endless_one_is_refused() {
        assert_eq!(ClaimsFile::parse("").unwrap(), ClaimsFile::default());
        let endless = format!("{HEAD}not_measurable = \"n\"\n").repeat(MAX_CLAIMS + 1);
        assert_eq!(
            ClaimsFile::parse(&endless),
            Err(ClaimsError::TooMany(MAX_CLAIMS + 1))
        );
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in any::<String>(), rest in "[a-z_]{1,12} = .{0,20}") {
            let _ = ClaimsFile::parse(&text);
            let _ = ClaimsFile::parse(&format!("{HEAD}{rest}"));
        }
    }
}
