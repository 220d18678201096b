//! The gate: rules over a run and its baseline, with answers that CI can trust.
//!
//! A regression is a change whose whole interval lies beyond the limit, at a level that
//! Holm's correction shares out over all rules. The limit is the largest of what the rule
//! says, of what runs in which nothing changed differ by, and of the instrument's error.
//! Data that are missing, mismatched or invalid are never a pass.

mod decide;
mod evaluate;
mod finding;
pub mod output;
mod quantity;
mod rules;
mod subject;

pub use finding::{
    Expressed, Finding, GateResult, LimitSource, Measured, SCHEMA_VERSION, Verdict, json_schema,
};
pub use quantity::{Bound, Limit, Objective};
pub use rules::{Action, Bounds, DEFAULT, Rule, Rules, RulesError};
pub use subject::{Subject, against, within};

use std::collections::BTreeSet;

use crate::data::RunData;
use crate::format::one_line;
use crate::headline;
use crate::metrics::Statistic;
use crate::pairing::sides;
use crate::stats::holm_adjusted;

use decide::Evaluation;

/// Which noise floor is asked for.
#[derive(Clone, Copy, Debug)]
pub struct FloorKey<'a> {
    /// The suite; `None` for all together.
    pub suite: Option<&'a str>,
    /// The endpoint.
    pub endpoint: &'a str,
    /// The metric's name.
    pub metric: &'a str,
    /// The statistic.
    pub statistic: Statistic,
    /// Both sides are of one run: what differs from night to night differs for both.
    pub interleaved: bool,
}

/// What runs in which nothing changed differ by, as a share (or, for shares, as a
/// difference); `None` where it is not known.
pub type NoiseFloors<'a> = dyn Fn(FloorKey) -> Option<f64> + 'a;

/// Judges a run by rules.
#[must_use]
pub fn judge(
    rules: &Rules,
    run: &RunData,
    subjects: &[Subject],
    floors: &NoiseFloors,
) -> GateResult {
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for rule in &rules.rules {
        evaluations.extend(evaluate::rule(rules, rule, run, subjects, floors));
    }
    // Rules with a level of their own are not in the family that shares one.
    let family: Vec<f64> = evaluations
        .iter()
        .filter_map(Evaluation::shared_p)
        .collect();
    let mut adjusted = holm_adjusted(&family).into_iter();
    let findings: Vec<Finding> = evaluations
        .into_iter()
        .map(|evaluation| match evaluation {
            Evaluation::Settled(finding) => *finding,
            Evaluation::Tested(tested) => {
                let own = tested.alpha.map(|_| tested.p);
                let p = own.or_else(|| adjusted.next()).unwrap_or(1.0);
                tested.decide(p, rules, family.len().max(1))
            }
        })
        .collect();
    let mut notes = Vec::new();
    if subjects
        .iter()
        .any(|subject| !subject.interleaved && !subject.baselines.is_empty())
    {
        notes.push("The two sides are of different runs: what changed between them in machine, network and load is part of every change.".to_owned());
    }
    let pairs = sides(run).into_iter();
    notes.extend(pairs.filter_map(|pair| headline::nothing_resolved(run, pair)));
    notes.extend(subjects.iter().flat_map(Subject::differences));
    let unmatched = subjects.iter().flat_map(|subject| &subject.baselines);
    let unmatched: BTreeSet<&str> = unmatched
        .flat_map(|baseline| &baseline.run.endpoints)
        .map(|endpoint| endpoint.name.as_str())
        .filter(|name| run.endpoints.iter().all(|own| own.name != *name))
        .collect();
    notes.extend(unmatched.into_iter().map(|name| {
        format!(
            "The baseline's endpoint {} is not in the run and was not judged.",
            one_line(name)
        )
    }));
    GateResult {
        schema_version: SCHEMA_VERSION,
        timeslip_version: env!("CARGO_PKG_VERSION").to_owned(),
        candidate: run.run_id.clone(),
        simulated: run.endpoints.iter().any(|endpoint| endpoint.simulated),
        verdict: finding::worst(&findings),
        findings,
        notes,
    }
}
