//! Share of tasks solved within a time: speed and quality in one curve.

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Point, draw, stroke};
use super::legend::{self, CURVE};
use super::plot::{Insets, Plot, axis_name};
use super::{Arm, ChartData, ChartError, ChartKind, Drawing};
use crate::decision::SolvedCurve;
use crate::format::{
    NS_PER_MS, estimate, milliseconds, or_absent, percent, percent_range, round_duration,
};
use crate::stats::Estimate;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "solved-within",
    title: "Tasks solved within a time",
    section: "meaning",
    per_candidate: false,
    draw: chart,
};

const HEIGHT: f64 = 400.0;
/// Room for half of the axis's last label.
const RIGHT: f64 = 28.0;

/// Room on the axis after the last trial.
const AIR: f64 = 1.03;

/// Of more curves the bands hide each other.
const MOST_BANDS: usize = 3;

struct EndpointCurve<'a> {
    arm: Arm<'a>,
    solved: SolvedCurve,
}

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let curves: Vec<EndpointCurve> = source
        .endpoints()
        .into_iter()
        .map(|arm| EndpointCurve {
            arm,
            solved: SolvedCurve::of(source.run, arm.name),
        })
        .collect();
    if curves.iter().all(|curve| curve.solved.steps.is_empty()) {
        return Ok(None);
    }
    let end = AxisEnd::of(source);
    let limit = round_duration(source.summary.decision.trial_limit_ms);
    let beyond = if end.is_timeout {
        format!("nothing is known beyond the timeout of {limit}")
    } else {
        format!("nothing more was solved up to the timeout of {limit}")
    };
    let bands = if curves.len() <= MOST_BANDS {
        ", with pointwise 95 % bands"
    } else {
        ""
    };
    let subtitle = source.subtitle(&format!("Share of tasks resolved by then{bands}; {beyond}"));
    let legend: Vec<(Arm, String)> = curves
        .iter()
        .map(|curve| (curve.arm, figures(curve)))
        .collect();
    let description = legend
        .iter()
        .map(|(arm, words)| format!("{}: {words}.", arm.name))
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(&CHART, &subtitle, &description);
    let top = CONTENT_TOP + legend::LINE * curves.len() as f64 + 10.0;
    let document = draw(&heading, HEIGHT, |canvas| {
        legend::lines(canvas, CONTENT_TOP - 4.0, &legend)?;
        let insets = Insets {
            top,
            right: RIGHT,
            bottom: 22.0,
            left: 50.0,
        };
        draw_curves(canvas, insets, &curves, end.ms)?;
        axis_name(canvas, "task time", RIGHT, HEIGHT - 9.0)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&curves),
    }))
}

fn draw_curves(
    canvas: &Canvas,
    insets: Insets,
    curves: &[EndpointCurve],
    end_ms: f64,
) -> Result<(), ChartError> {
    let axis = Axis::linear_ms(end_ms);
    let mut plot = Plot::new(canvas, insets, axis, Axis::shares())?;
    for curve in curves.iter().filter(|_| curves.len() <= MOST_BANDS) {
        let band = band(&curve.solved, end_ms);
        let band: Vec<Point> = band
            .iter()
            .map(|(ms, share)| plot.at(*ms, *share))
            .collect();
        canvas.shade(&band, curve.arm.slot)?;
    }
    for curve in curves {
        let points = staircase(&curve.solved, end_ms, |share| share.point);
        plot.curve(&points, stroke(curve.arm.slot, CURVE))?;
    }
    for curve in curves {
        let last = curve.solved.steps.last();
        if let Some((ms, share)) = last.and_then(|step| Some((step.ms, step.share.point?))) {
            legend::marker(canvas, plot.at(ms, share), curve.arm.slot, true)?;
        }
    }
    Ok(())
}

/// Where the axis ends: at the timeout, or soon after the last trial when all ended long
/// before it.
struct AxisEnd {
    ms: f64,
    is_timeout: bool,
}

impl AxisEnd {
    fn of(source: ChartData) -> Self {
        let trials = source.run.trials.iter();
        let finished = trials.filter(|trial| !trial.failed());
        let longest = finished.map(|trial| trial.wall_ns).max().unwrap_or(0);
        let longest = longest as f64 / NS_PER_MS * AIR;
        let limit = source.summary.decision.trial_limit_ms;
        AxisEnd {
            ms: longest.min(limit),
            is_timeout: longest >= limit,
        }
    }
}

/// The outline of what a curve draws, level to the end: what was not solved by then never
/// was within the timeout.
fn staircase(
    solved: &SolvedCurve,
    end: f64,
    height: impl Fn(&Estimate) -> Option<f64>,
) -> Vec<Point> {
    let height = |share: &Estimate| height(share).unwrap_or(0.0);
    let mut last = height(&solved.start);
    let mut points = vec![(0.0, last)];
    for step in &solved.steps {
        points.push((step.ms, last));
        last = height(&step.share);
        points.push((step.ms, last));
    }
    points.push((end, last));
    points
}

/// Around a band: its upper end forwards, its lower end back.
fn band(solved: &SolvedCurve, end: f64) -> Vec<Point> {
    let mut points = staircase(solved, end, |share| share.high);
    points.extend(staircase(solved, end, |share| share.low).into_iter().rev());
    points
}

fn with_interval(share: &Estimate) -> String {
    estimate(share, percent, percent_range)
}

fn figures(curve: &EndpointCurve) -> String {
    let last = curve.solved.last();
    let half = last
        .point
        .and_then(|share| curve.solved.reaches(share / 2.0));
    match half {
        Some(ms) => format!(
            "{} solved in the end, half of them within {}",
            with_interval(last),
            milliseconds(ms)
        ),
        None => "none solved".to_owned(),
    }
}

fn table(curves: &[EndpointCurve]) -> Table {
    let headings = std::iter::once("Solved".to_owned()).chain(
        curves
            .iter()
            .map(|curve| format!("{}: within", curve.arm.name)),
    );
    let rows = [0.1, 0.25, 0.5, 0.75, 0.9].into_iter().map(|share| {
        let cells = curves
            .iter()
            .map(|curve| or_absent(curve.solved.reaches(share), milliseconds));
        std::iter::once(format!("{} of tasks", percent(share)))
            .chain(cells)
            .collect()
    });
    let last = std::iter::once("in the end".to_owned())
        .chain(
            curves
                .iter()
                .map(|curve| with_interval(curve.solved.last())),
        )
        .collect();
    Table::new(headings, rows.chain(std::iter::once(last)))
}
