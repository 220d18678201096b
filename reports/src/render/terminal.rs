//! The comparison printed at the end of a run: plain text, at most 100 columns.

use crate::format::{milliseconds, one_line, or_absent, percent, percent_range, rate, shorten};
use crate::input::StageGroup;
use crate::stats::{Distribution, Estimate};
use crate::summary::{EndpointSummary, GroupSummary, Summary};
use crate::verdict::Verdict;

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
    let verdict = Verdict::of(summary);
    paragraph(&mut out, "", &verdict.headline);
    for sentence in verdict.reasons.iter().chain(&verdict.quality) {
        paragraph(&mut out, "", sentence);
    }
    for caveat in verdict.caveats.iter().chain(&verdict.simulated) {
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
    out
}

fn table(out: &mut String, block: &[Column]) {
    line(out, "", block, |(name, _)| {
        shorten(&one_line(name), COLUMN - 2)
    });
    line(out, "", block, |(_, endpoint)| {
        let simulated = if endpoint.simulated {
            ", simulated"
        } else {
            ""
        };
        format!("{}{simulated}", endpoint.role.name())
    });
    line(out, "trials", block, |(_, e)| e.trials.to_string());
    line(out, "resolved", block, |(_, e)| resolved(&e.resolve_rate));
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

fn resolved(rate: &Estimate) -> String {
    let point = or_absent(rate.point, percent);
    match rate.interval() {
        Some(range) => format!("{point} ({})", percent_range(range)),
        None => point,
    }
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
