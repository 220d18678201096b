//! What a vendor says, answered by what was measured.
//!
//! A claim that something is above a value is confirmed when the whole 95 % interval lies
//! above it, refuted when the whole interval lies below, and undecided otherwise: when the
//! interval holds the value, and whenever the run cannot tell. A claim is about real
//! endpoints: a simulated one, or one compared with itself, decides nothing.

mod file;
mod measure;
mod quantity;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{EndpointData, Role, RunData, TrialData};
use crate::format::{capitalised, one_line, plural};
use crate::stats::Estimate;
pub use file::{Answerable, Claim, ClaimedValue, ClaimsError, ClaimsFile, Selector, Statement};
use measure::Tasks;
pub use quantity::Quantity;

/// Below this many tasks no claim is answered.
const MIN_TASKS: usize = 10;

/// What the run says to a claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Id of the claim. Untrusted text, as all text of a claim.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// Who said it where and when.
    pub source: String,
    /// The measured counterpart; `null` when the claim has none.
    pub metric: Option<Quantity>,
    /// The claimed value, where it is a least one, in the metric's unit.
    pub at_least: Option<f64>,
    /// The claimed value, where it is a most one.
    pub at_most: Option<f64>,
    /// What was measured for it, in words.
    pub measured_as: Option<String>,
    /// The endpoint it was measured on; `null` when the run has none that it is about.
    pub endpoint: Option<String>,
    /// The endpoint that one was compared with.
    pub against: Option<String>,
    /// What was measured; its `n` is a number of tasks.
    pub measured: Estimate,
    /// The answer.
    pub ruling: Ruling,
    /// Why that is the answer, in words.
    pub why: String,
    /// Whether it was measured on simulated endpoints, and so says nothing about real
    /// ones.
    pub simulated: bool,
}

/// Whether a claim holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The whole interval is on the claimed side.
    Confirmed,
    /// The whole interval is on the other side.
    Refuted,
    /// The run cannot tell.
    Undecided,
}

impl Ruling {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Ruling::Confirmed => "confirmed",
            Ruling::Refuted => "refuted",
            Ruling::Undecided => "undecided",
        }
    }
}

/// Answers every claim of a file, in its order.
#[must_use]
pub fn answer(file: &ClaimsFile, run: &RunData) -> Vec<Answer> {
    let claims = file.claims.iter();
    claims.flat_map(|claim| answers(claim, run)).collect()
}

/// One answer, and of several candidates that a claim is about one for each.
fn answers(claim: &Claim, run: &RunData) -> Vec<Answer> {
    let answer = Answer {
        id: claim.id.clone(),
        text: claim.text.clone(),
        source: claim.source.clone(),
        metric: None,
        at_least: None,
        at_most: None,
        measured_as: None,
        endpoint: None,
        against: None,
        measured: Estimate::default(),
        ruling: Ruling::Undecided,
        why: String::new(),
        simulated: !run.endpoints.is_empty() && run.endpoints.iter().all(|e| e.simulated),
    };
    match &claim.test {
        Answerable::NotMeasurable(reason) => vec![Answer {
            measured: Estimate::absent("not measurable"),
            why: format!("Not measurable: {reason}"),
            ..answer
        }],
        Answerable::Measured(statement) => measured(answer, statement, run),
    }
}

fn measured(answer: Answer, statement: &Statement, run: &RunData) -> Vec<Answer> {
    let answer = Answer {
        metric: Some(statement.metric),
        at_least: match statement.bound {
            ClaimedValue::AtLeast(value) => Some(value),
            ClaimedValue::AtMost(_) => None,
        },
        at_most: match statement.bound {
            ClaimedValue::AtLeast(_) => None,
            ClaimedValue::AtMost(value) => Some(value),
        },
        measured_as: Some(statement.metric.definition().to_owned()),
        ..answer
    };
    match chosen(statement, run) {
        Ok(chosen) => chosen
            .iter()
            .map(|sides| measured_on(sides, answer.clone(), statement, run))
            .collect(),
        Err(why) => vec![Answer {
            measured: Estimate::absent("not measured in this run"),
            why,
            ..answer
        }],
    }
}

fn measured_on(
    sides: &[&EndpointData],
    answer: Answer,
    statement: &Statement,
    run: &RunData,
) -> Answer {
    let selectors = std::iter::once(&statement.endpoint).chain(&statement.against);
    let tried: Vec<Vec<&TrialData>> = sides
        .iter()
        .zip(selectors)
        .map(|(endpoint, selector)| trials(run, endpoint, selector, statement.suite.as_deref()))
        .collect();
    let measured = Tasks::of(&tried).measure(statement.metric);
    let (ruling, why) = match sides.iter().find(|endpoint| endpoint.simulated) {
        Some(endpoint) => (Ruling::Undecided, on_simulated(endpoint)),
        None => rule(statement, &measured, run, sides),
    };
    Answer {
        endpoint: sides.first().map(|endpoint| endpoint.name.clone()),
        against: sides.get(1).map(|endpoint| endpoint.name.clone()),
        simulated: sides.iter().any(|endpoint| endpoint.simulated),
        measured,
        ruling,
        why,
        ..answer
    }
}

/// The endpoints a statement is about: every candidate that fits, each with the first that
/// it may be compared with; where no candidate fits, the first endpoint that does.
fn chosen<'a>(
    statement: &Statement,
    run: &'a RunData,
) -> Result<Vec<Vec<&'a EndpointData>>, String> {
    let fitting = |selector: &Selector| -> Result<Vec<&EndpointData>, String> {
        let endpoints: Vec<&EndpointData> = run
            .endpoints
            .iter()
            .filter(|endpoint| fits(selector, endpoint))
            .collect();
        if endpoints.is_empty() {
            return Err(format!(
                "It needs {}, which this run does not have",
                words(selector)
            ));
        }
        Ok(endpoints)
    };
    if let Some(suite) = &statement.suite
        && !run.trials.iter().any(|trial| trial.suite == *suite)
    {
        return Err(format!(
            "It needs the suite {suite}, which this run does not have"
        ));
    }
    let own = fitting(&statement.endpoint)?;
    let Some(against) = &statement.against else {
        return Ok(candidates_or_first(
            own.into_iter().map(|own| vec![own]).collect(),
        ));
    };
    let others = fitting(against)?;
    let alike = |a: &EndpointData, b: &EndpointData| {
        a.name != b.name
            && (!statement.same_model || (a.model == b.model && a.simulated == b.simulated))
    };
    let compared = |a: &EndpointData, b: &EndpointData| alike(a, b) && !a.is_same_as(b);
    // The baseline is what candidates are held against, where it may be.
    let other = |a: &EndpointData| {
        let fitting = || others.iter().copied().filter(|b| compared(a, b));
        let baseline = fitting().find(|b| b.role == Role::Baseline);
        baseline.or_else(|| fitting().next())
    };
    let pairs: Vec<Vec<&EndpointData>> = own
        .iter()
        .filter_map(|a| Some(vec![*a, other(a)?]))
        .collect();
    if pairs.is_empty() {
        let both = |a: &&EndpointData| others.iter().copied().find(|b| alike(a, b));
        if let Some((a, b)) = own.iter().find_map(|a| Some((a, both(a)?))) {
            return Err(format!(
                "{} and {} are really the same endpoint, which compared with itself decides nothing",
                one_line(&a.name),
                one_line(&b.name)
            ));
        }
        let model = if statement.same_model {
            "two endpoints of one model, "
        } else {
            ""
        };
        return Err(format!(
            "It needs {model}{} and {}, and this run has no such pair",
            words(&statement.endpoint),
            words(against)
        ));
    }
    Ok(candidates_or_first(pairs))
}

fn candidates_or_first(mut found: Vec<Vec<&EndpointData>>) -> Vec<Vec<&EndpointData>> {
    let of_candidate = |sides: &Vec<&EndpointData>| {
        let own = sides.first();
        own.is_some_and(|own| own.role == Role::Candidate)
    };
    if found.iter().any(of_candidate) {
        found.retain(of_candidate);
    } else {
        found.truncate(1);
    }
    found
}

/// What a simulated endpoint does was written into its profile.
fn on_simulated(endpoint: &EndpointData) -> String {
    format!(
        "Measured on a simulated endpoint, {}, which decides nothing about a real one",
        one_line(&endpoint.name)
    )
}

fn fits(selector: &Selector, endpoint: &EndpointData) -> bool {
    let wanted =
        |wanted: &Option<String>, fits: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(fits);
    selector.role.is_none_or(|role| role == endpoint.role)
        && wanted(&selector.model, &|model| {
            endpoint.simulated || model == endpoint.model
        })
        && wanted(&selector.transport, &|transport| {
            is_transport(transport, &endpoint.transport)
        })
}

fn is_transport(wanted: &str, transport: &str) -> bool {
    wanted == transport || (wanted == "http" && transport.starts_with("http"))
}

fn words(selector: &Selector) -> String {
    let role = selector.role.map_or_else(
        || "an endpoint".to_owned(),
        |role| format!("a {}", role.name()),
    );
    let model = selector
        .model
        .as_ref()
        .map_or_else(String::new, |model| format!(" with the model {model}"));
    let transport = match selector.transport.as_deref() {
        None => String::new(),
        Some("http") => " over HTTP".to_owned(),
        Some(transport) => format!(" over {transport}"),
    };
    format!("{role}{model}{transport}")
}

/// The endpoint's trials that really used the transport and are of the suite.
fn trials<'a>(
    run: &'a RunData,
    endpoint: &EndpointData,
    selector: &Selector,
    suite: Option<&str>,
) -> Vec<&'a TrialData> {
    let used = |trial: &TrialData| {
        let mut exchanges = trial.exchanges.iter();
        selector
            .transport
            .as_deref()
            .is_none_or(|wanted| exchanges.all(|e| is_transport(wanted, &e.transport)))
    };
    run.trials
        .iter()
        .filter(|trial| trial.endpoint == endpoint.name)
        .filter(|trial| suite.is_none_or(|suite| trial.suite == suite) && used(trial))
        .collect()
}

fn rule(
    statement: &Statement,
    measured: &Estimate,
    run: &RunData,
    sides: &[&EndpointData],
) -> (Ruling, String) {
    let undecided = |why: String| (Ruling::Undecided, why);
    let names: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    if let Some(first) = run.objections(&names).first() {
        return undecided(format!("The run is invalid: {first}"));
    }
    let show = |value| statement.metric.show(value);
    let Some((low, high)) = measured.interval() else {
        let reason = measured.reason.as_deref();
        return undecided(capitalised(reason.unwrap_or("there is no interval")));
    };
    if measured.n < MIN_TASKS {
        let verb = if measured.n == 1 { "is" } else { "are" };
        return undecided(format!(
            "{} {verb} too few: an answer needs at least {MIN_TASKS}",
            plural(measured.n, "task")
        ));
    }
    let interval = format!("The 95 % interval {} to {}", show(low), show(high));
    let (ClaimedValue::AtLeast(value) | ClaimedValue::AtMost(value)) = statement.bound;
    let claimed = show(value);
    let (ruling, place) = match statement.bound {
        ClaimedValue::AtLeast(value) if low >= value => (Ruling::Confirmed, "above"),
        ClaimedValue::AtLeast(value) if high < value => (Ruling::Refuted, "below"),
        ClaimedValue::AtMost(value) if high <= value => (Ruling::Confirmed, "below"),
        ClaimedValue::AtMost(value) if low > value => (Ruling::Refuted, "above"),
        ClaimedValue::AtLeast(_) | ClaimedValue::AtMost(_) => {
            return undecided(format!("{interval} holds {claimed}"));
        }
    };
    (ruling, format!("{interval} is entirely {place} {claimed}"))
}
