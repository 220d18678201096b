//! Endpoint legends and markers: shape and dash beside colour.

use plotters::style::Color;

use super::canvas::{Canvas, Look, Point, WIDTH, stroke};
use super::{Arm, ChartError};
use crate::svg::Slot;

/// Height of one legend line.
pub(super) const LINE: f64 = 21.0;

/// Width of endpoint curves.
pub(super) const CURVE: f64 = 2.25;

/// A line per endpoint: swatch, name, and what its curve says in numbers.
pub(super) fn lines(
    canvas: &Canvas,
    top: f64,
    entries: &[(Arm, String)],
) -> Result<(), ChartError> {
    for (index, (arm, words)) in entries.iter().enumerate() {
        let y = top + LINE * (index as f64 + 0.5);
        canvas.line(&[(0.0, y), (34.0, y)], stroke(arm.slot, CURVE))?;
        marker(canvas, (17.0, y), arm.slot, true)?;
        let name = Look::BODY.bold().fit(arm.name, 300.0);
        canvas.text(&name, (44.0, y), Look::BODY.bold())?;
        let x = 44.0 + Look::BODY.bold().width(&name) + 10.0;
        let words = Look::MUTED.fit(words, WIDTH - x);
        canvas.text(&words, (x, y), Look::MUTED)?;
    }
    Ok(())
}

/// An endpoint's marker: a square for the baseline, a circle for the first candidate, and
/// another shape for each further one.
pub(super) fn marker(
    canvas: &Canvas,
    at: Point,
    slot: Slot,
    filled: bool,
) -> Result<(), ChartError> {
    let corners = match slot {
        Slot::Candidate(place) => match place % (SHAPES.len() + 1) {
            0 => return circle(canvas, at, slot, filled),
            further => SHAPES[further - 1],
        },
        _ => SQUARE,
    };
    polygon(canvas, at, corners, 1.0, slot)?;
    if filled {
        return Ok(());
    }
    polygon(canvas, at, corners, HOLLOW, Slot::Surface)
}

/// How much of a marker that is not filled is hollow.
const HOLLOW: f64 = 0.6;

const SQUARE: &[Point] = &[(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)];

/// Triangle, diamond, triangle on its tip, cross, triangles to the right and to the left.
const SHAPES: [&[Point]; 6] = [
    &[(0.0, -6.2), (6.0, 4.6), (-6.0, 4.6)],
    &[(0.0, -6.4), (6.4, 0.0), (0.0, 6.4), (-6.4, 0.0)],
    &[(0.0, 6.2), (6.0, -4.6), (-6.0, -4.6)],
    &[
        (-2.2, -5.8),
        (2.2, -5.8),
        (2.2, -2.2),
        (5.8, -2.2),
        (5.8, 2.2),
        (2.2, 2.2),
        (2.2, 5.8),
        (-2.2, 5.8),
        (-2.2, 2.2),
        (-5.8, 2.2),
        (-5.8, -2.2),
        (-2.2, -2.2),
    ],
    &[(6.2, 0.0), (-4.6, 6.0), (-4.6, -6.0)],
    &[(-6.2, 0.0), (4.6, 6.0), (4.6, -6.0)],
];

fn polygon(
    canvas: &Canvas,
    (x, y): Point,
    corners: &[Point],
    size: f64,
    slot: Slot,
) -> Result<(), ChartError> {
    let corners = corners
        .iter()
        .map(|(dx, dy)| (x + dx * size, y + dy * size));
    canvas.polygon(&corners.collect::<Vec<_>>(), slot)
}

fn circle(canvas: &Canvas, at: Point, slot: Slot, filled: bool) -> Result<(), ChartError> {
    let inside = if filled { slot } else { Slot::Surface };
    canvas.circle(at, 5.0, inside.color().filled())?;
    if !filled {
        canvas.circle(at, 4.2, stroke(slot, 1.75))?;
    }
    Ok(())
}
