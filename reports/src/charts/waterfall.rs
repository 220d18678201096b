//! One trial per endpoint, the same task, on a shared time axis.

use timeslip_datasets::run::journal::Outcome;

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, WIDTH, draw, stroke};
use super::plot::{Insets, Plot, axis_name};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::data::{Span, TrialData};
use crate::format::{NS_PER_MS, nanoseconds, one_line, plural, shorten};
use crate::pairing::{Pair, paired_tasks, sides};
use crate::stages::StageGroup;
use crate::svg::Slot;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "waterfall",
    title: "One task, step by step",
    section: "charts",
    per_candidate: true,
    draw: chart,
};

const ROW: f64 = 18.0;
const BAR: f64 = 13.0;
const LANE_HEADER: f64 = 40.0;
const LANE_GAP: f64 = 16.0;
const NAMES: f64 = 84.0;
const RIGHT: f64 = 28.0;

/// Bars closer than this are drawn as one.
const MERGE_PX: f64 = 0.5;

/// Narrowest bar that is still seen.
const MIN_BAR_PX: f64 = 0.75;

/// Turn numbers need this much room.
const TURN_ROOM: f64 = 17.0;

/// Longest label shown, in characters.
const MAX_LABEL: usize = 120;

/// Most spans listed in the table.
const MAX_TABLE_ROWS: usize = 200;

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let Some((why, lanes)) = choose(source) else {
        return Ok(None);
    };
    let groups: Vec<StageGroup> = StageGroup::ALL
        .into_iter()
        .filter(|group| {
            lanes
                .iter()
                .any(|lane| spans_of(lane, *group).next().is_some())
        })
        .collect();
    let Some(first) = lanes.first().filter(|_| !groups.is_empty()) else {
        return Ok(None);
    };
    let task = one_line(&first.task);
    let shown = Look::MUTED.fit(&task, 300.0);
    let subtitle = source.subtitle(&format!("{shown}: {why}; numbers mark turns"));
    let description = lanes
        .iter()
        .map(|lane| {
            let turns = crate::trial::turns(lane);
            format!(
                "{}: {} in {}, {}.",
                lane.endpoint,
                plural(turns as usize, "turn"),
                nanoseconds(lane.wall_ns),
                ending(lane)
            )
        })
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(&CHART, &subtitle, &description);
    let lane_height = LANE_HEADER + ROW * groups.len() as f64;
    let height = CONTENT_TOP + (lane_height + LANE_GAP) * lanes.len() as f64 + 42.0;
    let document = draw(&heading, height, |canvas| {
        let longest = lanes.iter().map(|lane| lane.wall_ns).max().unwrap_or(0);
        let insets = Insets {
            top: CONTENT_TOP,
            right: RIGHT,
            bottom: 22.0,
            left: NAMES,
        };
        let axis = Axis::linear_ms(longest as f64 / NS_PER_MS);
        let plot = Plot::new(canvas, insets, axis, Axis::rows(1.0))?;
        for (index, trial) in lanes.iter().enumerate() {
            let top = CONTENT_TOP + (lane_height + LANE_GAP) * index as f64;
            let lane = Lane {
                canvas,
                plot: &plot,
                trial,
                top,
            };
            lane.draw(&groups)?;
        }
        axis_name(canvas, "time since the trial began", RIGHT, height - 9.0)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&lanes),
    }))
}

/// The trials to show, with the words that say why these.
fn choose(source: ChartData<'_>) -> Option<(&'static str, Vec<&TrialData>)> {
    let Some(pair) = sides(source.run).into_iter().nth(source.candidate) else {
        let finished: Vec<&TrialData> = source
            .run
            .trials
            .iter()
            .filter(|trial| !trial.failed() && !trial.spans.is_empty())
            .collect();
        let resolved: Vec<&TrialData> = finished
            .iter()
            .copied()
            .filter(|trial| trial.outcome == Outcome::Resolved)
            .collect();
        let of = if resolved.is_empty() {
            finished
        } else {
            resolved
        };
        return middle(of, |trial| trial.wall_ns as f64)
            .map(|trial| ("the trial of median time", vec![trial]));
    };
    let [candidate, baseline] = pair.names();
    let tasks = paired_tasks(&source.run.trials, candidate, baseline);
    let pairs = |keep: fn(&Pair) -> bool| -> Vec<Pair<'_>> {
        tasks
            .iter()
            .flat_map(|task| task.pairs.iter().copied())
            .filter(|pair| keep(pair) && pair.candidate.wall_ns > 0)
            .collect()
    };
    let ratio = |pair: &Pair| pair.baseline.wall_ns as f64 / pair.candidate.wall_ns as f64;
    middle(pairs(|pair| pair.both_resolved()), ratio)
        .map(|pair| {
            (
                "the median ratio among tasks both resolved",
                pair.trials().to_vec(),
            )
        })
        .or_else(|| {
            middle(pairs(|pair| pair.timed()), ratio).map(|pair| {
                (
                    "the median ratio; no task was resolved by both",
                    pair.trials().to_vec(),
                )
            })
        })
}

/// The element in the middle of the order by a key.
fn middle<T>(mut values: Vec<T>, key: impl Fn(&T) -> f64) -> Option<T> {
    values.sort_by(|a, b| key(a).total_cmp(&key(b)));
    let index = values.len().checked_sub(1)? / 2;
    values.into_iter().nth(index)
}

fn spans_of(trial: &TrialData, group: StageGroup) -> impl Iterator<Item = &Span> {
    trial
        .spans
        .iter()
        .filter(move |span| span.stage.group() == group && span.end_ns > span.start_ns)
}

struct Lane<'a, 'b> {
    canvas: &'a Canvas<'b>,
    plot: &'a Plot<'b>,
    trial: &'a TrialData,
    top: f64,
}

impl Lane<'_, '_> {
    fn draw(&self, groups: &[StageGroup]) -> Result<(), ChartError> {
        self.header()?;
        self.turns(groups.len())?;
        for (index, group) in groups.iter().enumerate() {
            self.row(*group, self.top + LANE_HEADER + ROW * index as f64)?;
        }
        Ok(())
    }

    fn x(&self, ns: u64) -> f64 {
        self.plot.at(ns as f64 / NS_PER_MS, 0.0).0
    }

    fn header(&self) -> Result<(), ChartError> {
        // Covers the grid behind the words.
        self.canvas.rect(
            (0.0, self.top - 1.0),
            (WIDTH, self.top + LANE_HEADER - 16.0),
            Slot::Surface,
        )?;
        let y = self.top + 12.0;
        let name = Look::BODY.bold().fit(&self.trial.endpoint, 400.0);
        self.canvas.text(&name, (0.0, y), Look::BODY.bold())?;
        let words = format!(
            "{}, {}",
            nanoseconds(self.trial.wall_ns),
            ending(self.trial)
        );
        let x = Look::BODY.bold().width(&name) + 10.0;
        self.canvas.text(&words, (x, y), Look::MUTED)
    }

    /// A line where each turn begins, numbered where there is room.
    fn turns(&self, rows: usize) -> Result<(), ChartError> {
        let (from, to) = (
            self.top + LANE_HEADER - 3.0,
            self.top + LANE_HEADER + ROW * rows as f64,
        );
        let mut turn = 0;
        let mut last_line = f64::NEG_INFINITY;
        let mut last_number = f64::NEG_INFINITY;
        for span in self.trial.spans.iter().filter(|span| span.turn > 0) {
            if span.turn <= turn {
                continue;
            }
            turn = span.turn;
            let x = self.x(span.start_ns);
            if x - last_line >= 3.0 {
                self.canvas
                    .line(&[(x, from), (x, to)], stroke(Slot::Axis, 1.0))?;
                last_line = x;
            }
            if x - last_number >= TURN_ROOM {
                let look = Look::MUTED.size(10.5).centre();
                self.canvas.text(&turn.to_string(), (x, from - 7.0), look)?;
                last_number = x;
            }
        }
        let end = self.x(self.trial.wall_ns);
        self.canvas
            .line(&[(end, from), (end, to)], stroke(Slot::Text, 1.5))
    }

    fn row(&self, group: StageGroup, top: f64) -> Result<(), ChartError> {
        let middle = top + ROW / 2.0;
        self.canvas
            .text(group.label(), (0.0, middle), Look::MUTED.size(11.5))?;
        let (from, to) = (middle - BAR / 2.0, middle + BAR / 2.0);
        let mut bars: Vec<(f64, f64, String)> = Vec::new();
        for span in spans_of(self.trial, group) {
            let (start, end) = (self.x(span.start_ns), self.x(span.end_ns));
            match bars.last_mut() {
                Some(last) if start - last.1 < MERGE_PX => last.1 = last.1.max(end),
                _ => bars.push((start, end, title(span, group))),
            }
        }
        for (start, end, title) in bars {
            let end = end.max(start + MIN_BAR_PX);
            self.canvas.titled(&title, || {
                self.canvas
                    .rect((start, from), (end, to), Slot::Group(group))
            })?;
        }
        Ok(())
    }
}

/// What the verifier found, and who ended the agent's work.
fn ending(trial: &TrialData) -> String {
    let by = trial
        .ended_by
        .map(|by| format!(", ended by {}", by.label()));
    format!("{}{}", trial.outcome.label(), by.unwrap_or_default())
}

fn title(span: &Span, group: StageGroup) -> String {
    let label = if span.label.is_empty() {
        String::new()
    } else {
        format!(", {}", shorten(&one_line(&span.label), MAX_LABEL))
    };
    format!("turn {}: {}{label}", span.turn, group.label())
}

fn table(lanes: &[&TrialData]) -> Table {
    let headings = ["Endpoint", "Turn", "Stage", "Label", "From", "For"];
    let rows = lanes
        .iter()
        .flat_map(|lane| lane.spans.iter().map(move |span| (lane, span)))
        .take(MAX_TABLE_ROWS)
        .map(|(lane, span)| {
            vec![
                lane.endpoint.clone(),
                span.turn.to_string(),
                span.stage.name().to_owned(),
                shorten(&one_line(&span.label), MAX_LABEL),
                nanoseconds(span.start_ns),
                nanoseconds(span.end_ns.saturating_sub(span.start_ns)),
            ]
        });
    Table::new(headings, rows)
}
