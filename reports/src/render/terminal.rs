//! The comparison printed at the end of a run: plain text, at most 100 columns.

use crate::claims::Ruling;
use crate::conclusion::Conclusion;
use crate::decision::PolicyKind;
use crate::format::{
    estimate, milliseconds, milliseconds_range, one_line, or_absent, percent, percent_range,
    plural, rate, ratio, ratio_range, shorten,
};
use crate::input::StageGroup;
use crate::stats::Distribution;
use crate::summary::{EndpointSummary, GroupSummary, Summary};

/// Widest line.
const COLUMNS: usize = 100;

/// Width of the row names.
const NAMES: usize = 22;

/// Width of an endpoint's column.
const COLUMN: usize = 25;

/// Endpoints side by side; more follow below.
const PER_BLOCK: usize = (COLUMNS - NAMES) / COLUMN;

type Column<'a> = (&'a str, &'a EndpointSummary);

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
    let endpoints = summary.endpoints_in_order();
    for block in endpoints.chunks(PER_BLOCK) {
        out.push('\n');
        table(&mut out, block);
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
    let comparison = summary.comparison.as_ref();
    if let Some(comparison) = comparison
        && let Some(promised) = &comparison.promised_by_token_rate
    {
        lines.push(format!(
            "Token rate alone promises {}; measured {}.",
            estimate(promised, ratio, ratio_range),
            estimate(&comparison.task_time_ratio, ratio, ratio_range)
        ));
    }
    let once: Vec<String> = summary
        .endpoints_in_order()
        .into_iter()
        .filter_map(|(name, _)| Some((name, summary.decision.retries.get(name)?.first()?)))
        .filter(|(_, once)| once.figures.time_per_solved_task_ms.point.is_some())
        .take(PER_BLOCK)
        .map(|(name, once)| {
            let time = &once.figures.time_per_solved_task_ms;
            let time = estimate(time, milliseconds, milliseconds_range);
            format!("{} on {}", time, named(name))
        })
        .collect();
    if !once.is_empty() {
        lines.push(format!("Time per solved task: {}.", once.join(", ")));
    }
    if let Some(routing) = &summary.decision.routing {
        let mut policies = routing.policies.iter();
        let fallback = policies
            .find(|policy| policy.kind == PolicyKind::CandidateThenBaseline)
            .filter(|policy| policy.figures.time_per_solved_task_ms.point.is_some());
        lines.extend(fallback.zip(comparison).map(|(policy, comparison)| {
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
        let count = |ruling| summary.claims.iter().filter(|a| a.ruling == ruling).count();
        lines.push(format!(
            "Of {}: {} confirmed, {} refuted, {} undecided; report.html has them.",
            plural(summary.claims.len(), "vendor claim"),
            count(Ruling::Confirmed),
            count(Ruling::Refuted),
            count(Ruling::Undecided)
        ));
    }
    lines
}

fn named(name: &str) -> String {
    shorten(&one_line(name), COLUMN - 2)
}

fn table(out: &mut String, block: &[Column]) {
    line(out, "", block, |(name, _)| named(name));
    line(out, "", block, |(_, endpoint)| {
        let simulated = if endpoint.simulated {
            ", simulated"
        } else {
            ""
        };
        format!("{}{simulated}", endpoint.role.name())
    });
    line(out, "trials", block, |(_, e)| e.trials.to_string());
    line(out, "resolved", block, |(_, e)| {
        estimate(&e.resolve_rate, percent, percent_range)
    });
    if block.iter().any(|(_, e)| e.errors > 0) {
        line(out, "errors", block, |(_, e)| e.errors.to_string());
    }
    line(out, "task time p50 / p95", block, |(_, e)| {
        quantiles(&e.wall_ms)
    });
    if block
        .iter()
        .any(|(_, e)| e.groups.contains_key(&StageGroup::Wait))
    {
        line(out, "  without waiting", block, |(_, e)| {
            quantiles(&e.wall_without_wait_ms)
        });
    }
    line(out, "TTFT p50", block, |(_, e)| {
        or_absent(e.ttft_ms.p50, milliseconds)
    });
    line(out, "output tokens/s p50", block, |(_, e)| {
        or_absent(e.output_tokens_per_second.p50, rate)
    });
    let groups: Vec<StageGroup> = StageGroup::ALL
        .into_iter()
        .filter(|group| block.iter().any(|(_, e)| e.groups.contains_key(group)))
        .collect();
    if groups.is_empty() {
        return;
    }
    out.push_str("mean time per trial, by stage\n");
    for group in groups {
        line(out, &format!("  {}", group.label()), block, |(_, e)| {
            or_absent(e.groups.get(&group), group_cell)
        });
    }
}

fn line(out: &mut String, name: &str, block: &[Column], cell: impl Fn(&Column) -> String) {
    let mut text = pad(name, NAMES);
    for column in block {
        text.push_str(&pad(&cell(column), COLUMN));
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
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
