//! Ways to use the endpoints, by share solved and time: which are worth a thought.

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, Point, WIDTH, draw, stroke};
use super::legend::LINE;
use super::plot::{Insets, Plot, axis_name};
use super::{ChartData, ChartError, ChartKind, Drawing};
use crate::decision::{Policy, Routing};
use crate::format::{milliseconds, or_absent, percent, plural, usd};
use crate::svg::Slot;
use crate::table::Table;
use plotters::style::Color;

pub(super) static CHART: ChartKind = ChartKind {
    name: "policies",
    title: "Ways to use the endpoints",
    section: "meaning",
    per_candidate: true,
    draw: chart,
};

const PLOT: f64 = 300.0;
const RIGHT: f64 = 28.0;
const DOT: f64 = 5.5;
const LABEL: Look = Look::BODY;

/// Policies drawn at one place: they share a dot and a label.
struct Dot<'a> {
    at: Point,
    numbers: Vec<usize>,
    policy: &'a Policy,
}

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let decision = &source.summary.decision;
    let routing = source
        .comparison()
        .and_then(|comparison| decision.routing_of(&comparison.candidate));
    let Some(routing) = routing else {
        return Ok(None);
    };
    let policies = &routing.policies;
    let longest = policies
        .iter()
        .filter_map(|policy| policy.figures.time_per_task_ms.point)
        .fold(0.0, f64::max);
    if longest <= 0.0 {
        return Ok(None);
    }
    let subtitle = source.subtitle(&format!(
        "Over {} tried on both; thin lines are 95 % intervals; filled: the Pareto front",
        plural(routing.tasks, "task")
    ));
    let lines: Vec<(String, String)> = policies
        .iter()
        .map(|policy| (policy.name.clone(), figures(policy)))
        .collect();
    let description = lines
        .iter()
        .map(|(name, words)| format!("{name}: {words}."))
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(&CHART, &subtitle, &description);
    let top = CONTENT_TOP + LINE * lines.len() as f64 + 10.0;
    let height = top + PLOT;
    let document = draw(&heading, height, |canvas| {
        for (index, (policy, (name, words))) in policies.iter().zip(&lines).enumerate() {
            legend_line(canvas, index, policy, name, words)?;
        }
        draw_policies(canvas, top, longest, policies, &lines)?;
        axis_name(
            canvas,
            "mean time per task; upwards: share solved",
            RIGHT,
            height - 9.0,
        )
    })?;
    Ok(Some(Drawing {
        document,
        table: table(routing),
    }))
}

/// The plot: intervals, the front, a numbered dot for each policy.
fn draw_policies(
    canvas: &Canvas,
    top: f64,
    longest: f64,
    policies: &[Policy],
    lines: &[(String, String)],
) -> Result<(), ChartError> {
    let insets = Insets {
        top,
        right: RIGHT,
        bottom: 22.0,
        left: 50.0,
    };
    let highest = policies
        .iter()
        .filter_map(|policy| policy.figures.time_per_task_ms.high)
        .fold(longest, f64::max);
    // An interval of a few tasks may be endless: the points decide the axis.
    let axis = Axis::linear_ms(highest.min(2.0 * longest));
    let mut plot = Plot::new(canvas, insets, axis, Axis::shares())?;
    for policy in policies {
        intervals(canvas, &plot, policy)?;
    }
    plot.curve(&front(policies), stroke(Slot::Muted, 2.25))?;
    let dots = dots(&plot, policies);
    for dot in &dots {
        let words = (dot.numbers.iter())
            .filter_map(|number| lines.get(number - 1))
            .map(|(name, words)| format!("{name}: {words}"))
            .collect::<Vec<_>>()
            .join("; ");
        canvas.titled(&words, || draw_dot(canvas, dot.at, dot.policy.on_front))?;
    }
    labels(canvas, &dots)
}

fn place(policy: &Policy) -> Option<Point> {
    let figures = &policy.figures;
    Some((figures.time_per_task_ms.point?, figures.solved.point?))
}

fn figures(policy: &Policy) -> String {
    let figures = &policy.figures;
    let cost = figures.cost_per_task_usd.as_ref();
    let cost = cost.and_then(|cost| cost.point);
    format!(
        "{} solved, {}{} per task",
        or_absent(figures.solved.point, percent),
        or_absent(figures.time_per_task_ms.point, milliseconds),
        cost.map_or_else(String::new, |cost| format!(" and {}", usd(cost)))
    )
}

fn legend_line(
    canvas: &Canvas,
    index: usize,
    policy: &Policy,
    name: &str,
    words: &str,
) -> Result<(), ChartError> {
    let y = CONTENT_TOP - 4.0 + LINE * (index as f64 + 0.5);
    let number = (index + 1).to_string();
    canvas.text(&number, (14.0, y), LABEL.bold().right())?;
    draw_dot(canvas, (28.0, y), policy.on_front)?;
    let look = Look {
        bold: policy.on_front,
        ..Look::BODY
    };
    let name = look.fit(name, 480.0);
    canvas.text(&name, (44.0, y), look)?;
    let x = 44.0 + look.width(&name) + 10.0;
    canvas.text(&Look::MUTED.fit(words, WIDTH - x), (x, y), Look::MUTED)
}

fn draw_dot(canvas: &Canvas, at: Point, filled: bool) -> Result<(), ChartError> {
    canvas.circle(at, DOT, Slot::Text.color().filled())?;
    if filled {
        return Ok(());
    }
    canvas.circle(at, DOT - 1.75, Slot::Surface.color().filled())
}

/// The front as steps: what can be had for at most a time.
fn front(policies: &[Policy]) -> Vec<Point> {
    let on_front = policies.iter().filter(|policy| policy.on_front);
    let mut members: Vec<Point> = on_front.filter_map(place).collect();
    members.sort_by(|a, b| a.0.total_cmp(&b.0));
    // With a cost as the third measure a member may solve less than a quicker one.
    let mut highest = 0.0;
    let mut points: Vec<Point> = Vec::new();
    for (ms, share) in members {
        if share < highest {
            continue;
        }
        if !points.is_empty() {
            points.push((ms, highest));
        }
        points.push((ms, share));
        highest = share;
    }
    points
}

fn intervals(canvas: &Canvas, plot: &Plot, policy: &Policy) -> Result<(), ChartError> {
    let Some((ms, share)) = place(policy) else {
        return Ok(());
    };
    let figures = &policy.figures;
    if let Some((low, high)) = figures.time_per_task_ms.interval() {
        let ends = [plot.at(low, share), plot.at(high, share)];
        canvas.line(&ends, stroke(Slot::Axis, 1.0))?;
    }
    if let Some((low, high)) = figures.solved.interval() {
        let ends = [plot.at(ms, low), plot.at(ms, high)];
        canvas.line(&ends, stroke(Slot::Axis, 1.0))?;
    }
    Ok(())
}

fn dots<'a>(plot: &Plot, policies: &'a [Policy]) -> Vec<Dot<'a>> {
    let mut dots: Vec<Dot> = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let Some((ms, share)) = place(policy) else {
            continue;
        };
        let at = plot.at(ms, share);
        let near = |dot: &&mut Dot| {
            let (x, y) = dot.at;
            (x - at.0).abs() < DOT
                && (y - at.1).abs() < DOT
                && dot.policy.on_front == policy.on_front
        };
        match dots.iter_mut().find(near) {
            Some(dot) => dot.numbers.push(index + 1),
            None => dots.push(Dot {
                at,
                numbers: vec![index + 1],
                policy,
            }),
        }
    }
    dots
}

/// A number beside every dot, where no other dot or number is.
fn labels(canvas: &Canvas, dots: &[Dot]) -> Result<(), ChartError> {
    let look = LABEL.bold();
    let mut taken: Vec<(Point, f64)> = dots
        .iter()
        .map(|dot| ((dot.at.0 - DOT, dot.at.1), 2.0 * DOT))
        .collect();
    for dot in dots {
        let numbers: Vec<String> = dot.numbers.iter().map(usize::to_string).collect();
        let text = numbers.join(", ");
        let width = look.width(&text);
        let (x, y) = dot.at;
        let right = (x + 10.0).min(WIDTH - width);
        let left = (x - 10.0 - width).max(0.0);
        let free = |(x, y): &Point| {
            taken.iter().all(|((left, middle), wide)| {
                (middle - y).abs() > 13.0 || left + wide < x - 2.0 || *left > x + width + 2.0
            })
        };
        let above_and_below = (1..=6).flat_map(|step| [-f64::from(step), f64::from(step)]);
        let at = above_and_below
            .flat_map(|step| [(right, y + 10.0 * step), (left, y + 10.0 * step)])
            .find(free)
            .unwrap_or((right, y - 10.0));
        taken.push((at, width));
        canvas.text(&text, at, look)?;
    }
    Ok(())
}

fn table(routing: &Routing) -> Table {
    let costed = |policy: &Policy| policy.figures.cost_per_solved_task_usd.is_some();
    let costed = routing.policies.iter().any(costed);
    let mut headings = vec!["Policy", "Solved", "Time per task", "Time per solved task"];
    headings.extend(costed.then_some("Cost per solved task"));
    headings.push("Pareto front");
    let rows = routing.policies.iter().enumerate().map(|(index, policy)| {
        let figures = &policy.figures;
        let mut cells = vec![format!("{}. {}", index + 1, policy.name)];
        cells.extend(figures.cells(costed));
        cells.push(if policy.on_front { "yes" } else { "no" }.to_owned());
        cells
    });
    Table::new(headings, rows)
}
