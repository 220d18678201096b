//! The gate as plain text, worst first.

use super::{DETECTABLE, advice, detectable, headline, place, unit};
use crate::format::{one_line, plural};
use crate::gate::finding::{Finding, GateResult, Verdict};

/// Renders every finding and the answer.
#[must_use]
pub fn terminal(result: &GateResult) -> String {
    let mut out = String::new();
    for finding in result.worst_first() {
        out.push_str(&entry(finding));
    }
    for note in &result.notes {
        out.push_str(&format!("note: {}\n", one_line(note)));
    }
    out.push_str(&headline(result));
    out.push('\n');
    out
}

fn entry(finding: &Finding) -> String {
    let mut text = format!(
        "{:<12}  {} [{}]\n",
        finding.verdict.name().to_uppercase(),
        one_line(&finding.rule),
        place(finding),
    );
    let mut line = |words: &str| {
        text.push_str(&format!("{:<12}  {words}\n", ""));
    };
    line(&one_line(&finding.reason));
    if let Some(levels) = levels(finding) {
        line(&levels);
    }
    if finding.verdict == Verdict::Pass
        && let Some(seen) = detectable(finding)
    {
        line(&format!("{DETECTABLE}: {seen}"));
    }
    if let Some(advice) = advice(finding) {
        line(&advice);
    }
    text
}

fn levels(finding: &Finding) -> Option<String> {
    let measured = finding.measured.as_ref()?;
    let (candidate, baseline) = measured.candidate.zip(measured.baseline)?;
    let unit = unit(finding);
    let against = finding
        .baseline
        .as_deref()
        .map(one_line)
        .unwrap_or_default();
    Some(format!(
        "{} against {} of {against}, {}, {}",
        unit.show(candidate),
        unit.show(baseline),
        plural(measured.tasks, "task"),
        plural(measured.pairs, "pair")
    ))
}
