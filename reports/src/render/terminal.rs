//! The comparison printed at the end of a run: plain text, at most 100 columns.

use super::figures;
use crate::claims::Ruling;
use crate::conclusion::Conclusion;
use crate::decision::PolicyKind;
use crate::format::{
    count, estimate, milliseconds, milliseconds_range, one_line, or_absent, or_beyond, percent,
    percent_range, plural, ratio, ratio_range, shorten,
};
use crate::metrics::{OUTPUT_RATE, RESOLVED, TASK_TIME, TTFT};
use crate::stages::StageGroup;
use crate::stats::Distribution;
use crate::summary::{EndpointSummary, GroupSummary, Summary};
use crate::table::Table;

/// Widest line.
const COLUMNS: usize = 100;

/// Longest name of an endpoint.
const NAME: usize = 23;

/// Endpoints side by side; more follow below.
const PER_BLOCK: usize = 3;

type EndpointColumn<'a> = (&'a str, &'a EndpointSummary);

/// Renders the verdict and a small table per endpoint.
#[must_use]
pub fn terminal(summary: &Summary) -> String {
    let mut out = String::new();
    let conclusion = Conclusion::of(summary);
    paragraph(&mut out, "", &conclusion.headline);
    for sentence in conclusion.reasons.iter().chain(&conclusion.quality) {
        paragraph(&mut out, "", sentence);
    }
    for caveat in conclusion.caveats.iter().chain(&conclusion.simulated) {
        paragraph(&mut out, "Note: ", caveat);
    }
    for warning in &summary.warnings {
        paragraph(&mut out, "Warning: ", &one_line(warning));
    }
    let endpoints: Vec<EndpointColumn> = summary
        .endpoints
        .iter()
        .map(|(name, endpoint)| (name.as_str(), endpoint))
        .collect();
    if let Some(table) = figures::against(summary) {
        out.push('\n');
        out.push_str(&table.to_text(COLUMNS as u16));
    }
    for block in endpoints.chunks(PER_BLOCK) {
        out.push('\n');
        out.push_str(&table(block).to_text(COLUMNS as u16));
    }
    let meaning = meaning(summary);
    if !meaning.is_empty() {
        out.push('\n');
    }
    for sentence in meaning {
        paragraph(&mut out, "", &sentence);
    }
    out
}

/// Speed and quality at once, and the claims: a line each.
fn meaning(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let quotable = summary
        .comparisons()
        .filter(|comparison| comparison.lacks.is_empty());
    for comparison in quotable {
        let Some(promised) = &comparison.promised_by_token_rate else {
            continue;
        };
        let whose = summary
            .several()
            .then(|| format!(" of {}", named(&comparison.candidate)));
        lines.push(format!(
            "Token rate alone{} promises {}; measured {}.",
            whose.unwrap_or_default(),
            estimate(promised, ratio, ratio_range),
            estimate(&comparison.task_time_ratio, ratio, ratio_range)
        ));
    }
    let once: Vec<String> = summary
        .endpoints
        .keys()
        .filter_map(|name| Some((name, summary.decision.retries.get(name)?.first()?)))
        .filter(|(_, once)| once.figures.time_per_solved_task_ms.point.is_some())
        .map(|(name, once)| {
            let time = &once.figures.time_per_solved_task_ms;
            let time = estimate(time, milliseconds, milliseconds_range);
            format!("{} on {}", time, named(name))
        })
        .collect();
    if !once.is_empty() {
        lines.push(format!("Time per solved task: {}.", once.join(", ")));
    }
    for comparison in summary.comparisons() {
        let Some(routing) = summary.decision.routing_of(&comparison.candidate) else {
            continue;
        };
        let mut policies = routing.policies.iter();
        let fallback = policies
            .find(|policy| policy.kind == PolicyKind::CandidateThenBaseline)
            .filter(|policy| policy.figures.time_per_solved_task_ms.point.is_some());
        lines.extend(fallback.map(|policy| {
            format!(
                "With {} first and {} on failure: {} solved, {} per task.",
                named(&comparison.candidate),
                named(&comparison.baseline),
                estimate(&policy.figures.solved, percent, percent_range),
                or_absent(policy.figures.time_per_task_ms.point, milliseconds)
            )
        }));
    }
    if !summary.claims.is_empty() {
        let ruled = |ruling| summary.claims.iter().filter(|a| a.ruling == ruling).count();
        lines.push(format!(
            "Of {}: {} confirmed, {} refuted, {} undecided; report.html has them.",
            plural(summary.claims.len(), "vendor claim"),
            ruled(Ruling::Confirmed),
            ruled(Ruling::Refuted),
            ruled(Ruling::Undecided)
        ));
    }
    lines
}

fn named(name: &str) -> String {
    shorten(&one_line(name), NAME)
}

fn table(block: &[EndpointColumn]) -> Table {
    let any = |holds: fn(&EndpointSummary) -> bool| block.iter().any(|(_, e)| holds(e));
    let mut rows = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&EndpointSummary) -> String| {
        let cells = block.iter().map(|(_, endpoint)| cell(endpoint));
        rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    };
    row("", &|e| {
        let simulated = if e.simulated { ", simulated" } else { "" };
        format!("{}{simulated}", e.role.name())
    });
    row("trials", &|e| count(e.trials as u64));
    row(&RESOLVED.label(), &|e| {
        estimate(&e.resolve_rate, percent, percent_range)
    });
    if any(|e| e.errors > 0) {
        row("errors", &|e| count(e.errors as u64));
    }
    row(&format!("{} p50 / p95", TASK_TIME.label()), &|e| {
        quantiles(&e.wall_ms)
    });
    if any(|e| e.wall_error_adjusted_ms.failures > 0) {
        row("  error-adjusted", &|e| {
            let adjusted = &e.wall_error_adjusted_ms;
            let [p50, p95] =
                [adjusted.median(), adjusted.tail()].map(|ms| or_absent(ms, or_beyond));
            format!("{p50} / {p95}")
        });
    }
    if any(|e| e.groups.contains_key(&StageGroup::Wait)) {
        row("  without waiting", &|e| quantiles(&e.wall_without_wait_ms));
    }
    row(&format!("{} p50", TTFT.label()), &|e| {
        or_absent(e.ttft_ms.p50, milliseconds)
    });
    row(&format!("{} p50", OUTPUT_RATE.label()), &|e| {
        or_absent(e.output_tokens_per_second.p50, |rate| {
            OUTPUT_RATE.show(rate)
        })
    });
    let groups = StageGroup::ALL.into_iter();
    let groups: Vec<StageGroup> = groups
        .filter(|group| block.iter().any(|(_, e)| e.groups.contains_key(group)))
        .collect();
    if !groups.is_empty() {
        row("mean time in a trial", &|_| String::new());
    }
    for group in groups {
        row(&format!("  {}", group.label()), &|e| {
            or_absent(e.groups.get(&group), group_cell)
        });
    }
    Table::new(
        std::iter::once(String::new()).chain(block.iter().map(|(name, _)| named(name))),
        rows,
    )
}

fn quantiles(distribution: &Distribution) -> String {
    format!(
        "{} / {}",
        or_absent(distribution.p50, milliseconds),
        or_absent(distribution.p95, milliseconds)
    )
}

fn group_cell(group: &GroupSummary) -> String {
    let share = or_absent(group.share, percent);
    format!("{:>8}  {share:>5}", milliseconds(group.mean_ms))
}

/// Words wrapped at [`COLUMNS`]; words longer than a line are cut.
fn paragraph(out: &mut String, mark: &str, text: &str) {
    let mut width = mark.chars().count();
    out.push_str(mark);
    let mut first = true;
    for word in text.split_whitespace() {
        let word = shorten(word, COLUMNS - 10);
        let length = word.chars().count();
        if !first && width + 1 + length > COLUMNS {
            out.push('\n');
            width = 0;
        } else if !first {
            out.push(' ');
            width += 1;
        }
        out.push_str(&word);
        width += length;
        first = false;
    }
    out.push('\n');
}
