//! A Cartesian plot inside a canvas: grid, ticks and curves, drawn by plotters.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::series::LineSeries;
use plotters::style::{ShapeStyle, TRANSPARENT};

use super::ChartError;
use super::axis::Axis;
use super::canvas::{Canvas, Look, Point, WIDTH, stroke};
use crate::svg::{Slot, SvgBackend, px};

/// Height of the labels under the horizontal axis.
const LABELS_HEIGHT: f64 = 24.0;

/// Space around the plotting area, in pixels from the canvas's edges.
#[derive(Clone, Copy)]
pub(super) struct Insets {
    pub(super) top: f64,
    pub(super) right: f64,
    /// Under the axis labels.
    pub(super) bottom: f64,
    pub(super) left: f64,
}

/// A plot with its two axes.
pub(super) struct Plot<'a> {
    chart: ChartContext<'a, SvgBackend<'a>, Cartesian2d<Axis, Axis>>,
}

impl<'a> Plot<'a> {
    /// Lays out the plot and draws its grid and labels.
    pub(super) fn new(
        canvas: &Canvas<'a>,
        insets: Insets,
        x: Axis,
        y: Axis,
    ) -> Result<Self, ChartError> {
        let mut chart = ChartBuilder::on(&canvas.root)
            .margin_top(px(insets.top))
            .margin_right(px(insets.right))
            .margin_bottom(px(insets.bottom))
            .x_label_area_size(px(LABELS_HEIGHT))
            .y_label_area_size(px(insets.left))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .bold_line_style(stroke(Slot::Grid, 1.0))
            .light_line_style(TRANSPARENT)
            .axis_style(stroke(Slot::Axis, 1.0))
            .label_style(Look::MUTED.size(11.5).style())
            .set_all_tick_mark_size(px(3.0))
            .draw()?;
        Ok(Plot { chart })
    }

    /// Where a pair of values lies, in pixels.
    pub(super) fn at(&self, x: f64, y: f64) -> Point {
        let (x, y) = self.chart.backend_coord(&(x, y));
        let unit = f64::from(px(1.0));
        (f64::from(x) / unit, f64::from(y) / unit)
    }

    /// A curve through values; the ones beyond the axes are held at their ends.
    pub(super) fn curve(&mut self, points: &[Point], style: ShapeStyle) -> Result<(), ChartError> {
        let points = points.iter().copied();
        self.chart.draw_series(LineSeries::new(points, style))?;
        Ok(())
    }

    /// The value at the left end of the horizontal axis.
    pub(super) fn x_low(&self) -> f64 {
        self.chart.x_range().start
    }
}

/// The name of the horizontal axis, at the right under its labels.
pub(super) fn axis_name(canvas: &Canvas, name: &str, right: f64, y: f64) -> Result<(), ChartError> {
    canvas.text(name, (WIDTH - right, y), Look::MUTED.size(11.5).right())
}
