//! Share of tasks solved within a time: speed and quality in one curve.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Heading, Point, draw, stroke};
use super::legend::{self, CURVE};
use super::plot::{Insets, Plot, axis_name};
use super::{Chart, ChartError, Source, Table};
use crate::format::{NS_PER_MS, milliseconds, or_absent, percent};
use crate::input::{Outcome, Role, TrialData};
use crate::svg::Slot;

const TITLE: &str = "Tasks solved within a time";
const HEIGHT: f64 = 400.0;
/// Room for half of the axis's last label.
const RIGHT: f64 = 28.0;

struct Curve<'a> {
    name: &'a str,
    role: Role,
    /// Times of resolved trials, ascending, with the share solved by then.
    steps: Vec<Point>,
}

impl Curve<'_> {
    fn final_share(&self) -> f64 {
        self.steps.last().map_or(0.0, |(_, share)| *share)
    }

    /// When the share first reaches a level.
    fn reaches(&self, share: f64) -> Option<f64> {
        self.steps
            .iter()
            .find(|(_, solved)| *solved >= share - 1e-9)
            .map(|(ms, _)| *ms)
    }
}

pub(super) fn chart(source: Source) -> Result<Option<Chart>, ChartError> {
    let curves: Vec<Curve> = source
        .endpoints()
        .into_iter()
        .map(|endpoint| Curve {
            name: &endpoint.name,
            role: endpoint.role,
            steps: solved_steps(source.trials(&endpoint.name)),
        })
        .collect();
    if curves.iter().all(|curve| curve.steps.is_empty()) {
        return Ok(None);
    }
    let subtitle = source.subtitle("Cumulative share of tasks resolved; the rest never were");
    let legend: Vec<(Role, &str, String)> = curves
        .iter()
        .map(|curve| (curve.role, curve.name, figures(curve)))
        .collect();
    let description = legend
        .iter()
        .map(|(_, name, words)| format!("{name}: {words}."))
        .collect::<Vec<_>>()
        .join(" ");
    let heading = Heading {
        id: "solved-within",
        title: TITLE,
        subtitle: &subtitle,
        description: &description,
    };
    let longest = source
        .run
        .trials
        .iter()
        .filter(|trial| trial.outcome != Outcome::Error)
        .map(|trial| trial.wall_ns)
        .max()
        .unwrap_or(0);
    let top = CONTENT_TOP + legend::LINE * curves.len() as f64 + 10.0;
    let document = draw(&heading, HEIGHT, |canvas| {
        legend::lines(canvas, CONTENT_TOP - 4.0, &legend)?;
        let insets = Insets {
            top,
            right: RIGHT,
            bottom: 22.0,
            left: 50.0,
        };
        let axis = Axis::linear_ms(longest as f64 / NS_PER_MS);
        let mut plot = Plot::new(canvas, insets, axis, Axis::shares())?;
        for curve in &curves {
            let points = staircase(curve, plot.x_high());
            plot.curve(&points, stroke(Slot::of_role(curve.role), CURVE))?;
        }
        for curve in &curves {
            if let Some((ms, share)) = curve.steps.last() {
                legend::marker(canvas, plot.at(*ms, *share), curve.role, true)?;
            }
        }
        axis_name(canvas, "task time", RIGHT, HEIGHT - 9.0)
    })?;
    Ok(Some(Chart {
        name: "solved-within",
        title: TITLE,
        document,
        table: table(&curves),
    }))
}

/// Every task weighs the same; its attempts share that weight.
fn solved_steps<'a>(trials: impl Iterator<Item = &'a TrialData>) -> Vec<Point> {
    let mut tasks: BTreeMap<(&str, &str), Vec<&TrialData>> = BTreeMap::new();
    for trial in trials {
        tasks
            .entry((&trial.suite, &trial.task))
            .or_default()
            .push(trial);
    }
    let count = tasks.len() as f64;
    let mut solved: Vec<Point> = tasks
        .values()
        .flat_map(|attempts| {
            let weight = 1.0 / (count * attempts.len() as f64);
            attempts
                .iter()
                .filter(|trial| trial.outcome == Outcome::Resolved)
                .map(move |trial| (trial.wall_ns as f64 / NS_PER_MS, weight))
        })
        .collect();
    solved.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut share = 0.0;
    for (_, weight) in &mut solved {
        share += *weight;
        *weight = share;
    }
    solved
}

fn staircase(curve: &Curve, end: f64) -> Vec<Point> {
    let mut points = Vec::new();
    let mut share = 0.0;
    for (ms, next) in &curve.steps {
        points.push((*ms, share));
        points.push((*ms, *next));
        share = *next;
    }
    // Level to the end: what was not solved by then never was.
    points.push((end, share));
    points
}

fn figures(curve: &Curve) -> String {
    let share = percent(curve.final_share());
    match curve.reaches(curve.final_share() / 2.0) {
        Some(ms) if !curve.steps.is_empty() => {
            format!(
                "{share} solved in the end, half of them within {}",
                milliseconds(ms)
            )
        }
        _ => "none solved".to_owned(),
    }
}

fn table(curves: &[Curve]) -> Table {
    let headings = std::iter::once("Solved".to_owned())
        .chain(curves.iter().map(|curve| format!("{}: within", curve.name)));
    let rows = [0.1, 0.25, 0.5, 0.75, 0.9].into_iter().map(|share| {
        let cells = curves
            .iter()
            .map(|curve| or_absent(curve.reaches(share), milliseconds));
        std::iter::once(format!("{} of tasks", percent(share)))
            .chain(cells)
            .collect()
    });
    let last = std::iter::once("in the end".to_owned())
        .chain(curves.iter().map(|curve| percent(curve.final_share())))
        .collect();
    Table::new(headings, rows.chain(std::iter::once(last)))
}
