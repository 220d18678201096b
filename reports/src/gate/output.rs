//! What a gate tells, and to whom. A new format is one file and one line here.

mod bencher;
mod github;
mod junit;
mod terminal;

pub use bencher::bencher;
pub use github::{annotations, step_summary};
pub use junit::junit;
pub use terminal::terminal;

use super::finding::{Finding, GateResult, Verdict};
use crate::format::{one_line, plural};
use crate::metrics::{Metric, Unit};

/// The unit of a finding's metric; findings are read back from files, too.
fn unit(finding: &Finding) -> Unit {
    Metric::find(&finding.metric).map_or(Unit::Count, |metric| metric.unit)
}

/// Which endpoint and suite a finding is about.
fn place(finding: &Finding) -> String {
    let suite = finding
        .suite
        .as_deref()
        .map_or_else(String::new, |suite| format!(", {}", one_line(suite)));
    format!("{}{suite}", one_line(&finding.endpoint))
}

/// What [`detectable`] is, in every output.
const DETECTABLE: &str = "smallest regression this would have found";

/// The smallest change in the worse direction that would have been found, in words.
fn detectable(finding: &Finding) -> Option<String> {
    let measured = finding.measured.as_ref()?;
    let seen = measured.detectable?;
    Some(measured.show(seen, unit(finding)))
}

/// How many tasks would find a change of twice the limit, where these do not.
fn advice(finding: &Finding) -> Option<String> {
    if matches!(finding.verdict, Verdict::Regression | Verdict::Invalid) {
        return None;
    }
    let measured = finding.measured.as_ref()?;
    let needed = measured
        .tasks_needed
        .filter(|needed| *needed > measured.tasks)?;
    Some(format!(
        "about {} needed to find a change of twice the limit (now {})",
        plural(needed, "paired task"),
        plural(measured.tasks, "task")
    ))
}

/// The whole gate in one line.
fn headline(result: &GateResult) -> String {
    let counts = [
        Verdict::Regression,
        Verdict::Invalid,
        Verdict::Inconclusive,
        Verdict::Warn,
        Verdict::Pass,
    ]
    .into_iter()
    .filter_map(|verdict| match (verdict, result.count(verdict)) {
        (_, 0) => None,
        (Verdict::Regression, n) => Some(plural(n, "regression")),
        (Verdict::Warn, n) => Some(plural(n, "warning")),
        (Verdict::Pass, n) => Some(format!("{n} passed")),
        (verdict, n) => Some(format!("{n} {}", verdict.name())),
    });
    let counts: Vec<String> = counts.collect();
    let answer = match result.verdict {
        Verdict::Regression => "regression",
        Verdict::Invalid | Verdict::Inconclusive => "no decision",
        Verdict::Warn | Verdict::Pass => "pass",
    };
    let simulated = if result.simulated { ", simulated" } else { "" };
    format!(
        "gate: {answer} ({}) for {}{simulated}",
        counts.join(", "),
        one_line(&result.candidate)
    )
}
