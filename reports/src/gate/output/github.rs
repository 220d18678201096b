//! GitHub Actions: the step summary, and annotations on the run.

use super::{DETECTABLE, advice, detectable, headline, place, unit};
use crate::format::{one_line, plural, shorten};
use crate::gate::finding::{Finding, GateResult, Verdict};

/// GitHub refuses a step summary of 1 MiB; this leaves room for other steps' text.
const SUMMARY_BYTES: usize = 900 * 1024;

/// GitHub shows this many annotations of a step.
const ANNOTATIONS: usize = 10;

/// Longest text in a cell or an annotation.
const LONGEST: usize = 600;

/// Markdown for `$GITHUB_STEP_SUMMARY`: failures first, cut before it is too large.
#[must_use]
pub fn step_summary(result: &GateResult) -> String {
    let mut out = format!("### {}\n\n", markdown(&headline(result)));
    out.push_str(&format!(
        "| verdict | rule | change | limit | {DETECTABLE} | why |\n"
    ));
    out.push_str("|---|---|---|---|---|---|\n");
    let findings = result.worst_first();
    for (index, finding) in findings.iter().enumerate() {
        let row = row(finding);
        if out.len() + row.len() > SUMMARY_BYTES {
            let left = findings.len() - index;
            out.push_str(&format!("\n{left} more in the JSON output.\n"));
            return out;
        }
        out.push_str(&row);
    }
    out.push('\n');
    for note in &result.notes {
        out.push_str(&format!("{}\n\n", markdown(note)));
    }
    out
}

fn row(finding: &Finding) -> String {
    let unit = unit(finding);
    let measured = finding.measured.as_ref();
    let cells = [
        finding.verdict.name().to_owned(),
        format!("{} [{}]", finding.rule, place(finding)),
        measured.map_or_else(String::new, |measured| {
            format!(
                "{} ({})",
                measured.show(measured.change, unit),
                measured.interval(unit)
            )
        }),
        measured.map_or_else(String::new, |measured| measured.show(measured.limit, unit)),
        detectable(finding).unwrap_or_default(),
        [Some(finding.reason.clone()), advice(finding)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; "),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Untrusted text inside a table: no markup, no line of its own.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in shorten(&one_line(text), LONGEST).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // A name with an @ would notify somebody.
            '@' => out.push_str("&#64;"),
            c => out.push(c),
        }
    }
    out
}

/// Workflow commands for standard output: what failed, then what could not be decided,
/// then warnings; no more than GitHub shows.
#[must_use]
pub fn annotations(result: &GateResult) -> String {
    let findings = result.worst_first().into_iter();
    let told: Vec<&Finding> = findings
        .filter(|finding| finding.verdict != Verdict::Pass)
        .collect();
    let shown = if told.len() > ANNOTATIONS {
        ANNOTATIONS - 1
    } else {
        told.len()
    };
    let mut out: String = told[..shown]
        .iter()
        .map(|finding| annotation(finding))
        .collect();
    if told.len() > shown {
        out.push_str(&format!(
            "::notice title=timeslip gate::{} in the step summary\n",
            plural(told.len() - shown, "more finding")
        ));
    }
    out
}

fn annotation(finding: &Finding) -> String {
    let level = match finding.verdict {
        Verdict::Regression | Verdict::Invalid | Verdict::Inconclusive => "error",
        Verdict::Warn | Verdict::Pass => "warning",
    };
    let title = format!(
        "timeslip {}: {} [{}]",
        finding.verdict.name(),
        finding.rule,
        place(finding)
    );
    let message = |text: &str| shorten(&one_line(text), LONGEST).replace('%', "%25");
    let property = |text: &str| message(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "::{level} title={}::{}\n",
        property(&title),
        message(&finding.reason)
    )
}
