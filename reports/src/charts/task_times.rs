//! Time of every task on both endpoints.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::Outcome;

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, WIDTH, draw, stroke};
use super::legend::{LINE, marker};
use super::plot::{Insets, Plot, axis_name};
use super::{Arm, ChartData, ChartError, ChartKind, Drawing};
use crate::data::TrialData;
use crate::format::{NS_PER_MS, milliseconds, one_line, or_absent, plural, ratio};
use crate::svg::Slot;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "task-times",
    title: "Time per task",
    section: "charts",
    per_candidate: false,
    draw: chart,
};

const ROW: f64 = 21.0;
const NAMES: f64 = 205.0;
const RATIOS: f64 = 66.0;
const LEGEND: f64 = 26.0;

/// Most tasks drawn; the table lists all.
const MAX_ROWS: usize = 40;

/// A task's time on one endpoint: geometric mean of its attempts.
#[derive(Clone, Copy)]
struct Time {
    ms: f64,
    /// Whether at least half of the attempts were resolved.
    resolved: bool,
}

struct TaskTimes<'a> {
    task: &'a str,
    /// In order of endpoints.
    times: Vec<Option<Time>>,
}

impl TaskTimes<'_> {
    fn ratio(&self) -> Option<f64> {
        match self.times.as_slice() {
            [Some(candidate), Some(baseline)] => Some(baseline.ms / candidate.ms),
            _ => None,
        }
    }

    fn longest(&self) -> f64 {
        self.times
            .iter()
            .flatten()
            .map(|time| time.ms)
            .fold(0.0, f64::max)
    }
}

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let endpoints = source.endpoints();
    let rows = rows(source, &endpoints);
    if rows.is_empty() {
        return Ok(None);
    }
    let drawn = spread(&rows);
    let what = if drawn.len() < rows.len() {
        format!(
            "{} of {}, evenly spread by time",
            drawn.len(),
            plural(rows.len(), "task")
        )
    } else {
        "Longest first".to_owned()
    };
    let attempts = if source.run.trials.iter().any(|trial| trial.attempt > 1) {
        "; geometric mean of attempts"
    } else {
        ""
    };
    let subtitle = source.subtitle(&format!("{what}{attempts}; equal lengths are equal ratios"));
    let description = description(&endpoints, &rows);
    let heading = source.heading(&CHART, &subtitle, &description);
    let (_, (_, last_line)) = legend_places(&endpoints);
    let top = last_line + LEGEND - 8.0;
    let height = top + ROW * drawn.len() as f64 + 48.0;
    let document = draw(&heading, height, |canvas| {
        legend(canvas, &endpoints)?;
        let times = || drawn.iter().flat_map(|row| row.times.iter().flatten());
        let low = times().map(|time| time.ms).fold(f64::INFINITY, f64::min);
        let high = times().map(|time| time.ms).fold(0.0, f64::max);
        let insets = Insets {
            top,
            right: RATIOS,
            bottom: 24.0,
            left: NAMES,
        };
        let rows_axis = Axis::rows(drawn.len() as f64);
        let plot = Plot::new(canvas, insets, Axis::log_ms(low, high), rows_axis)?;
        for (index, row) in drawn.iter().enumerate() {
            line(canvas, &plot, index, row, &endpoints)?;
        }
        axis_name(canvas, "task time, logarithmic", RATIOS, height - 11.0)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&endpoints, &rows),
    }))
}

/// Tasks with a time on any endpoint, longest first.
fn rows<'a>(source: ChartData<'a>, endpoints: &[Arm]) -> Vec<TaskTimes<'a>> {
    let mut tasks: BTreeMap<(&str, &str), Vec<Vec<&TrialData>>> = BTreeMap::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let trials = source.trials(endpoint.name);
        for trial in trials.filter(|t| !t.failed() && t.wall_ns > 0) {
            let sides = tasks
                .entry((&trial.suite, &trial.task))
                .or_insert_with(|| vec![Vec::new(); endpoints.len()]);
            if let Some(side) = sides.get_mut(index) {
                side.push(trial);
            }
        }
    }
    let mut rows: Vec<TaskTimes> = tasks
        .into_iter()
        .map(|((_, task), sides)| TaskTimes {
            task,
            times: sides.iter().map(|attempts| time(attempts)).collect(),
        })
        .collect();
    rows.sort_by(|a, b| b.longest().total_cmp(&a.longest()));
    rows
}

fn time(attempts: &[&TrialData]) -> Option<Time> {
    let count = attempts.len() as f64;
    let logs: f64 = attempts
        .iter()
        .map(|t| (t.wall_ns as f64 / NS_PER_MS).ln())
        .sum();
    let resolved = attempts
        .iter()
        .filter(|t| t.outcome == Outcome::Resolved)
        .count();
    (!attempts.is_empty()).then(|| Time {
        ms: (logs / count).exp(),
        resolved: 2 * resolved >= attempts.len(),
    })
}

/// At most [`MAX_ROWS`] rows, evenly spread over the order, ends included.
fn spread<'a, 'b>(rows: &'b [TaskTimes<'a>]) -> Vec<&'b TaskTimes<'a>> {
    if rows.len() <= MAX_ROWS {
        return rows.iter().collect();
    }
    (0..MAX_ROWS)
        .filter_map(|index| rows.get(index * (rows.len() - 1) / (MAX_ROWS - 1)))
        .collect()
}

fn line(
    canvas: &Canvas,
    plot: &Plot,
    index: usize,
    row: &TaskTimes,
    endpoints: &[Arm],
) -> Result<(), ChartError> {
    let y_of = index as f64 + 0.5;
    let (_, y) = plot.at(0.0, y_of);
    let words: Vec<String> = endpoints
        .iter()
        .zip(&row.times)
        .map(|(endpoint, time)| {
            let words = or_absent(*time, |time| {
                let outcome = if time.resolved {
                    "resolved"
                } else {
                    "not resolved"
                };
                format!("{}, {outcome}", milliseconds(time.ms))
            });
            format!("{}: {words}", endpoint.name)
        })
        .collect();
    canvas.titled(&format!("{} — {}", row.task, words.join("; ")), || {
        let name = Look::BODY.size(12.0).fit(row.task, NAMES - 16.0);
        let look = Look::BODY.size(12.0).right();
        canvas.text(&name, (NAMES - 10.0, y), look)?;
        let points: Vec<_> = row
            .times
            .iter()
            .flatten()
            .map(|time| plot.at(time.ms, y_of))
            .collect();
        if points.len() > 1 {
            canvas.line(&points, stroke(Slot::Axis, 2.0))?;
        }
        // The baseline first, so that the candidate lies on top.
        for (endpoint, time) in endpoints.iter().zip(&row.times).rev() {
            if let Some(time) = time {
                marker(canvas, plot.at(time.ms, y_of), endpoint.slot, time.resolved)?;
            }
        }
        match row.ratio() {
            Some(value) => canvas.text(
                &ratio(value),
                (WIDTH - 4.0, y),
                Look::BODY.size(12.0).bold().right(),
            ),
            None => Ok(()),
        }
    })
}

/// A line of legend holds so much.
const LEGEND_WIDTH: f64 = WIDTH - RATIOS;

/// Where the legend names each endpoint, and where it says what filled marks mean.
fn legend_places(endpoints: &[Arm]) -> (Vec<(f64, f64)>, (f64, f64)) {
    let start = NAMES + 6.0;
    let (mut x, mut y) = (start, CONTENT_TOP + 8.0);
    let mut place = |width: f64| {
        if x + width > LEGEND_WIDTH && x > start {
            (x, y) = (start, y + LINE);
        }
        let at = (x, y);
        x += width + 22.0;
        at
    };
    let names = endpoints
        .iter()
        .map(|arm| place(12.0 + Look::BODY.bold().width(&legend_name(arm))))
        .collect();
    let marks = 14.0 * endpoints.len() as f64;
    let meanings = FILLS.map(|(_, words)| marks + Look::MUTED.width(words) + 22.0);
    let meaning = place(meanings.iter().sum::<f64>() - 22.0);
    (names, meaning)
}

const FILLS: [(bool, &str); 2] = [(true, "resolved"), (false, "not resolved")];

fn legend_name(arm: &Arm) -> String {
    Look::BODY.bold().fit(arm.name, 170.0)
}

fn legend(canvas: &Canvas, endpoints: &[Arm]) -> Result<(), ChartError> {
    let (names, (mut x, y)) = legend_places(endpoints);
    for (arm, (x, y)) in endpoints.iter().zip(names) {
        marker(canvas, (x, y), arm.slot, true)?;
        canvas.text(&legend_name(arm), (x + 12.0, y), Look::BODY.bold())?;
    }
    for (filled, words) in FILLS {
        for arm in endpoints {
            marker(canvas, (x + 4.0, y), arm.slot, filled)?;
            x += 14.0;
        }
        canvas.text(words, (x + 2.0, y), Look::MUTED)?;
        x += Look::MUTED.width(words) + 22.0;
    }
    if endpoints.len() == 2 {
        let y = CONTENT_TOP + 8.0;
        canvas.text("sooner", (WIDTH - 4.0, y), Look::MUTED.right())?;
    }
    Ok(())
}

fn description(endpoints: &[Arm], rows: &[TaskTimes]) -> String {
    let sooner = rows
        .iter()
        .filter(|row| row.ratio().is_some_and(|r| r > 1.0))
        .count();
    let both = rows.iter().filter(|row| row.ratio().is_some()).count();
    match endpoints {
        [candidate, baseline] => format!(
            "{} finished {sooner} of {} sooner than {}.",
            one_line(candidate.name),
            plural(both, "task"),
            one_line(baseline.name)
        ),
        _ => format!("{}.", plural(rows.len(), "task")),
    }
}

fn table(endpoints: &[Arm], rows: &[TaskTimes]) -> Table {
    let mut headings = vec!["Task".to_owned()];
    headings.extend(endpoints.iter().map(|endpoint| endpoint.name.to_owned()));
    if endpoints.len() == 2 {
        headings.push("Times sooner".to_owned());
    }
    let body = rows.iter().map(|row| {
        let mut cells = vec![row.task.to_owned()];
        cells.extend(
            row.times
                .iter()
                .map(|t| or_absent(*t, |t| milliseconds(t.ms))),
        );
        if endpoints.len() == 2 {
            cells.push(or_absent(row.ratio(), ratio));
        }
        cells
    });
    Table::new(headings, body)
}
