//! Endpoint legends and markers: shape and dash beside colour.

use plotters::style::Color;

use super::ChartError;
use super::canvas::{Canvas, Look, Point, WIDTH, stroke};
use crate::data::Role;
use crate::svg::Slot;

/// Height of one legend line.
pub(super) const LINE: f64 = 21.0;

/// Width of endpoint curves.
pub(super) const CURVE: f64 = 2.25;

/// A line per endpoint: swatch, name, and what its curve says in numbers.
pub(super) fn lines(
    canvas: &Canvas,
    top: f64,
    entries: &[(Role, &str, String)],
) -> Result<(), ChartError> {
    for (index, (role, name, words)) in entries.iter().enumerate() {
        let y = top + LINE * (index as f64 + 0.5);
        canvas.line(&[(0.0, y), (34.0, y)], stroke(Slot::of_role(*role), CURVE))?;
        marker(canvas, (17.0, y), *role, true)?;
        let name = Look::BODY.bold().fit(name, 300.0);
        canvas.text(&name, (44.0, y), Look::BODY.bold())?;
        let x = 44.0 + Look::BODY.bold().width(&name) + 10.0;
        let words = Look::MUTED.fit(words, WIDTH - x);
        canvas.text(&words, (x, y), Look::MUTED)?;
    }
    Ok(())
}

/// An endpoint's marker: a circle for the candidate, a square for the baseline.
pub(super) fn marker(
    canvas: &Canvas,
    (x, y): Point,
    role: Role,
    filled: bool,
) -> Result<(), ChartError> {
    let slot = Slot::of_role(role);
    match role {
        Role::Candidate => {
            let inside = if filled { slot } else { Slot::Surface };
            canvas.circle((x, y), 5.0, inside.color().filled())?;
            if !filled {
                canvas.circle((x, y), 4.2, stroke(slot, 1.75))?;
            }
        }
        Role::Baseline => {
            canvas.rect((x - 4.5, y - 4.5), (x + 4.5, y + 4.5), slot)?;
            if !filled {
                canvas.rect((x - 2.75, y - 2.75), (x + 2.75, y + 2.75), Slot::Surface)?;
            }
        }
    }
    Ok(())
}
