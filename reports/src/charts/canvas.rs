//! Drawing in pixels on top of plotters' drawing area.

use std::borrow::Cow;
use std::cell::RefCell;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, ShapeStyle, TextStyle};

use super::ChartError;
use crate::svg::{Document, Slot, SvgBackend, px, text_width};

/// Width of every chart in pixels.
pub(super) const WIDTH: f64 = 920.0;

/// Where content begins below the title and the subtitle.
pub(super) const CONTENT_TOP: f64 = 58.0;

/// Opacity of a shaded area: two of them still let each other be seen.
const SHADE: f64 = 0.14;

/// A point in pixels.
pub(super) type Point = (f64, f64);

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) slot: Slot,
    pub(super) across: HPos,
}

impl Look {
    /// Left-aligned body text.
    pub(super) const BODY: Look = Look {
        size: 12.5,
        bold: false,
        slot: Slot::Text,
        across: HPos::Left,
    };

    /// Left-aligned secondary text.
    pub(super) const MUTED: Look = Look {
        size: 12.0,
        bold: false,
        slot: Slot::Muted,
        across: HPos::Left,
    };

    pub(super) fn bold(self) -> Self {
        Look { bold: true, ..self }
    }

    pub(super) fn right(self) -> Self {
        Look {
            across: HPos::Right,
            ..self
        }
    }

    pub(super) fn centre(self) -> Self {
        Look {
            across: HPos::Center,
            ..self
        }
    }

    pub(super) fn slot(self, slot: Slot) -> Self {
        Look { slot, ..self }
    }

    pub(super) fn size(self, size: f64) -> Self {
        Look { size, ..self }
    }

    /// Width of a text in this look.
    pub(super) fn width(self, text: &str) -> f64 {
        text_width(text, self.size, self.bold)
    }

    /// The text, cut with an ellipsis where it is wider than `limit`.
    pub(super) fn fit(self, text: &str, limit: f64) -> String {
        let text = crate::format::one_line(text);
        if self.width(&text) <= limit {
            return text;
        }
        let mut short = String::new();
        let mut width = self.width("…");
        for c in text.chars() {
            width += self.width(c.encode_utf8(&mut [0; 4]));
            if width > limit {
                break;
            }
            short.push(c);
        }
        short.push('…');
        short
    }

    pub(super) fn style(self) -> TextStyle<'static> {
        let weight = if self.bold {
            FontStyle::Bold
        } else {
            FontStyle::Normal
        };
        let font = FontDesc::new(FontFamily::SansSerif, f64::from(px(self.size)), weight);
        TextStyle {
            font,
            color: self.slot.color().to_backend_color(),
            pos: Pos::new(self.across, VPos::Center),
        }
    }
}

/// A stroke of some width in pixels.
pub(super) fn stroke(slot: Slot, width: f64) -> ShapeStyle {
    slot.color().stroke_width(px(width).unsigned_abs())
}

/// What a chart is called and how it is described.
pub(super) struct Heading<'a> {
    pub(super) id: Cow<'static, str>,
    pub(super) title: &'static str,
    pub(super) subtitle: &'a str,
    pub(super) description: &'a str,
}

/// A drawing surface with pixel coordinates.
pub(super) struct Canvas<'a> {
    document: &'a RefCell<Document>,
    pub(super) root: DrawingArea<SvgBackend<'a>, Shift>,
}

/// Draws a chart of some height under its title and subtitle.
pub(super) fn draw(
    heading: &Heading,
    height: f64,
    content: impl FnOnce(&Canvas) -> Result<(), ChartError>,
) -> Result<Document, ChartError> {
    let description = format!("{}. {}", heading.subtitle, heading.description);
    let document = Document::new(&heading.id, (WIDTH, height), heading.title, &description);
    let document = RefCell::new(document);
    {
        let root = SvgBackend::new(&document).into_drawing_area();
        let canvas = Canvas {
            document: &document,
            root,
        };
        canvas.text(heading.title, (0.0, 12.0), Look::BODY.size(16.0).bold())?;
        canvas.text(heading.subtitle, (0.0, 34.0), Look::MUTED.size(12.5))?;
        content(&canvas)?;
    }
    Ok(document.into_inner())
}

impl Canvas<'_> {
    /// A text whose vertical middle is at the point.
    pub(super) fn text(&self, text: &str, (x, y): Point, look: Look) -> Result<(), ChartError> {
        self.root.draw_text(text, &look.style(), (px(x), px(y)))?;
        Ok(())
    }

    /// A filled rectangle between two corners.
    pub(super) fn rect(&self, from: Point, to: Point, slot: Slot) -> Result<(), ChartError> {
        let corners = [(px(from.0), px(from.1)), (px(to.0), px(to.1))];
        self.root
            .draw(&Rectangle::new(corners, slot.color().filled()))?;
        Ok(())
    }

    /// A line through some points.
    pub(super) fn line(&self, points: &[Point], style: ShapeStyle) -> Result<(), ChartError> {
        let points: Vec<_> = points.iter().map(|(x, y)| (px(*x), px(*y))).collect();
        self.root.draw(&PathElement::new(points, style))?;
        Ok(())
    }

    /// A filled area inside some points.
    pub(super) fn polygon(&self, points: &[Point], slot: Slot) -> Result<(), ChartError> {
        self.area(points, slot.color().filled())
    }

    /// A pale area inside some points.
    pub(super) fn shade(&self, points: &[Point], slot: Slot) -> Result<(), ChartError> {
        self.area(points, slot.color().mix(SHADE).filled())
    }

    fn area(&self, points: &[Point], style: ShapeStyle) -> Result<(), ChartError> {
        let points: Vec<_> = points.iter().map(|(x, y)| (px(*x), px(*y))).collect();
        self.root.draw(&Polygon::new(points, style))?;
        Ok(())
    }

    /// A circle, filled or outlined by its style.
    pub(super) fn circle(
        &self,
        (x, y): Point,
        radius: f64,
        style: ShapeStyle,
    ) -> Result<(), ChartError> {
        self.root
            .draw(&Circle::new((px(x), px(y)), px(radius), style))?;
        Ok(())
    }

    /// Whatever is drawn inside gets a tooltip.
    pub(super) fn titled(
        &self,
        title: &str,
        content: impl FnOnce() -> Result<(), ChartError>,
    ) -> Result<(), ChartError> {
        self.document.borrow_mut().open_group(title);
        let drawn = content();
        self.document.borrow_mut().close_group();
        drawn
    }
}
