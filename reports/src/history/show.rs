//! The history as people read it in a terminal: plain text, at most 100 columns.

use std::fmt::Write;

use super::figures::{is_share, label, value_text};
use super::{Floor, FloorRow, Floors, Key, LevelChange, Overview, RunRef, Setting, Trend};
use crate::format::{ABSENT, one_line, plural, shorten, signed_points};
use crate::table::Table;

/// Widest line.
const COLUMNS: u16 = 100;

/// Width of a run's name.
const NAMES: usize = 23;

/// Figures side by side; the rest stands below as trends.
const FIGURES: usize = 5;

/// Runs in a table: the latest.
const RUNS: usize = 14;

/// Values in a sparkline: the latest.
const SPARKS: usize = 30;

/// Width of the name of a trend, of its last value, and of its line.
const TREND: (usize, usize, usize) = (24, 14, 34);

impl Overview {
    /// A table of the latest runs for every endpoint, and below it each figure's last
    /// value, its course, and when its level last changed.
    #[must_use]
    pub fn terminal(&self) -> String {
        let mut out = String::new();
        for setting in &self.settings {
            heading(&mut out, &setting.fingerprint, &setting.endpoints);
            runs(&mut out, &setting.runs);
            let mut trends = &setting.trends[..];
            while let Some(first) = trends.first() {
                let same = |trend: &&Trend| trend.key.endpoint == first.key.endpoint;
                let (own, rest) = trends.split_at(trends.iter().take_while(same).count());
                endpoint(&mut out, setting, own);
                trends = rest;
            }
            out.push('\n');
        }
        if self
            .settings
            .iter()
            .all(|setting| setting.trends.is_empty())
        {
            out.push_str("no figures of valid and complete runs\n");
        }
        out
    }
}

impl Floors {
    /// One line for each figure, with what its floor was learned from.
    #[must_use]
    pub fn terminal(&self) -> String {
        let mut out = String::new();
        for setting in &self.settings {
            heading(&mut out, &setting.fingerprint, &setting.endpoints);
            for row in &setting.floors {
                let (name, text) = (floor_name(&row.key), floor_text(row, self.min_observations));
                line(&mut out, &format!("  {}{text}", pad(&name, 52)));
            }
            out.push('\n');
        }
        out
    }
}

fn heading(out: &mut String, fingerprint: &str, endpoints: &[String]) {
    let names: Vec<String> = endpoints.iter().map(|name| clean(name, 34)).collect();
    let fingerprint: String = one_line(fingerprint).chars().take(12).collect();
    line(
        out,
        &format!("{} (setting {fingerprint})", names.join(" against ")),
    );
}

fn runs(out: &mut String, runs: &[RunRef]) {
    let count = |which: fn(&&RunRef) -> bool| runs.iter().filter(which).count();
    let mut words = vec![plural(runs.len(), "run")];
    for (name, n) in [
        ("simulated", count(|run| run.simulated)),
        ("invalid", count(|run| !run.valid)),
        ("incomplete", count(|run| !run.complete)),
        (
            "of one endpoint under two names",
            count(|run| run.same_endpoint),
        ),
    ] {
        if n == runs.len() && n > 0 {
            words.push(format!("all {name}"));
        } else if n > 0 {
            words.push(format!("{n} {name}"));
        }
    }
    if let Some(pinned) = runs.iter().find(|run| run.pinned) {
        words.push(format!("baseline {}", clean(&pinned.run_id, NAMES - 1)));
    }
    line(out, &words.join(", "));
}

fn endpoint(out: &mut String, setting: &Setting, trends: &[Trend]) {
    let columns = &trends[..trends.len().min(FIGURES)];
    let Some(first) = columns.first() else {
        return;
    };
    out.push('\n');
    let hidden = setting.runs.len().saturating_sub(RUNS);
    let headings = std::iter::once(clean(&first.key.endpoint, NAMES))
        .chain(columns.iter().map(|trend| label(&trend.key)))
        .chain(std::iter::once("state".to_owned()));
    let rows = setting.runs[hidden..].iter().map(|run| {
        let values = columns.iter().map(|trend| {
            let value = trend.values.iter().find(|value| value.run_id == run.run_id);
            value.map_or_else(
                || ABSENT.to_owned(),
                |value| value_text(&trend.key.metric, value.value),
            )
        });
        std::iter::once(clean(&run.run_id, NAMES))
            .chain(values)
            .chain(std::iter::once(state(run).to_owned()))
            .collect()
    });
    out.push_str(&Table::new(headings, rows).to_text(COLUMNS));
    if hidden > 0 {
        line(out, &format!("  … {} before these", plural(hidden, "run")));
    }
    for trend in trends {
        course(out, trend);
    }
}

fn state(run: &RunRef) -> &'static str {
    match run {
        RunRef { valid: false, .. } => "invalid",
        RunRef {
            complete: false, ..
        } => "incomplete",
        RunRef { rejected: true, .. } => "rejected",
        RunRef { pinned: true, .. } => "baseline",
        _ => "",
    }
}

fn course(out: &mut String, trend: &Trend) {
    let Some(last) = trend.values.last() else {
        return;
    };
    let text = format!(
        "  {}{}  {}{}",
        pad(&clean(&label(&trend.key), TREND.0 - 1), TREND.0),
        right(&value_text(&trend.key.metric, last.value), TREND.1),
        pad(&sparkline(trend), TREND.2),
        trend
            .changes
            .last()
            .map_or_else(String::new, |change| change_text(&trend.key, change))
    );
    line(out, &text);
}

/// Eight heights from the smallest to the largest value; a bar where the level changed.
fn sparkline(trend: &Trend) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let start = trend.values.len().saturating_sub(SPARKS);
    let shown = &trend.values[start..];
    let low = shown.iter().fold(f64::INFINITY, |low, v| low.min(v.value));
    let high = shown
        .iter()
        .fold(f64::NEG_INFINITY, |high, v| high.max(v.value));
    let mut text = String::new();
    for (index, value) in (start..).zip(shown) {
        if index > start && trend.changes.iter().any(|change| change.index == index) {
            text.push('|');
        }
        // Half heights: the difference of two huge values may be infinite.
        let height = (value.value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        let height = if height.is_finite() { height } else { 0.0 };
        text.push(HEIGHTS[((height * 7.0).round() as usize).min(7)]);
    }
    text
}

fn change_text(key: &Key, change: &LevelChange) -> String {
    let (before, after) = (change.before_mean, change.after_mean);
    let size = if is_share(&key.metric) {
        format!("{} points", signed_points(after - before))
    } else if before > 0.0 && after >= 0.0 {
        relative(after / before - 1.0)
    } else {
        format!(
            "{} → {}",
            value_text(&key.metric, before),
            value_text(&key.metric, after)
        )
    };
    let since: String = one_line(&change.since).chars().take(10).collect();
    format!("since {since}: {size}")
}

/// A signed relative change, e.g. `+12 %`, `−3.1 %`.
fn relative(change: f64) -> String {
    let sign = if change < 0.0 { "−" } else { "+" };
    let percents = change.abs() * 100.0;
    let digits = usize::from(percents < 9.95);
    format!("{sign}{percents:.digits$} %")
}

fn floor_name(key: &Key) -> String {
    let suite = match key.suite.as_str() {
        super::ALL_SUITES => String::new(),
        suite => format!(", {}", clean(suite, 16)),
    };
    let name = format!("{}{suite}: {}", clean(&key.endpoint, 16), label(key));
    clean(&name, 51)
}

fn floor_text(row: &FloorRow, needed: usize) -> String {
    match row.floor {
        Some(Floor {
            relative: size,
            observations,
            source,
        }) => {
            let size = if is_share(&row.key.metric) {
                format!("±{:.1} points", size * 100.0)
            } else {
                relative(size).replace('+', "±")
            };
            format!("{} {observations} × {}", pad(&size, 13), source.label())
        }
        None if row.same_endpoint.max(row.nights) < needed => format!(
            "unknown: {} of {} seen",
            row.same_endpoint.max(row.nights),
            plural(needed, "change")
        ),
        None => "unknown: it never changed".to_owned(),
    }
}

fn clean(text: &str, width: usize) -> String {
    shorten(&one_line(text), width)
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn right(text: &str, width: usize) -> String {
    format!("{:>width$}", shorten(text, width))
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", shorten(text.trim_end(), COLUMNS.into()));
}
