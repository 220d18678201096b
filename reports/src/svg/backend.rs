//! plotters' drawing backend that fills a [`Document`].
//!
//! plotters counts in whole pixels, which is too coarse for a scaled image: the
//! backend pretends to be [`UNITS`] times as large, so that a unit is a quarter
//! of a pixel.

use std::cell::RefCell;
use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle, FontTransform,
};

use super::document::{Anchor, Brush, Document, Element, Ink};
use super::font::{CAP_HEIGHT, LINE_HEIGHT, text_width};

/// Backend units per pixel.
const UNITS: f64 = 4.0;

/// Pixels in backend units, for every length handed to plotters.
#[must_use]
pub fn px(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// Draws into a shared document.
pub struct SvgBackend<'a> {
    document: &'a RefCell<Document>,
}

impl<'a> SvgBackend<'a> {
    /// A backend over a document that the caller keeps a handle to.
    #[must_use]
    pub fn new(document: &'a RefCell<Document>) -> Self {
        SvgBackend { document }
    }

    fn push(&self, color: BackendColor, element: Element) -> Drawn {
        if color.alpha > 0.0 {
            self.document.borrow_mut().push(element);
        }
        Ok(())
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

fn pixels(units: i32) -> f64 {
    f64::from(units) / UNITS
}

fn ink(color: BackendColor) -> Ink {
    Ink {
        rgb: color.rgb,
        alpha: color.alpha,
    }
}

fn brush<S: BackendStyle>(style: &S, fill: bool) -> Brush {
    let ink = ink(style.color());
    if fill {
        Brush::Fill(ink)
    } else {
        Brush::Stroke {
            ink,
            width: f64::from(style.stroke_width()) / UNITS,
        }
    }
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> Vec<(f64, f64)> {
    path.into_iter()
        .map(|(x, y)| (pixels(x), pixels(y)))
        .collect()
}

fn is_bold<S: BackendTextStyle>(style: &S) -> bool {
    matches!(style.style(), FontStyle::Bold)
}

impl DrawingBackend for SvgBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let (width, height) = self.document.borrow().size();
        ((width * UNITS) as u32, (height * UNITS) as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(point, (point.0 + 1, point.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (x, y) = (pixels(upper_left.0), pixels(upper_left.1));
        let rect = Element::Rect {
            x,
            y,
            width: (pixels(bottom_right.0) - x).max(0.0),
            height: (pixels(bottom_right.1) - y).max(0.0),
            brush: brush(style, fill),
        };
        self.push(style.color(), rect)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let path = Element::Path {
            points: points(path),
            closed: false,
            brush: brush(style, false),
        };
        self.push(style.color(), path)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let circle = Element::Circle {
            x: pixels(center.0),
            y: pixels(center.1),
            radius: f64::from(radius) / UNITS,
            brush: brush(style, fill),
        };
        self.push(style.color(), circle)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Drawn {
        let polygon = Element::Path {
            points: points(vert),
            closed: true,
            brush: brush(style, true),
        };
        self.push(style.color(), polygon)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Drawn {
        let size = style.size() / UNITS;
        let anchor = style.anchor();
        // SVG places the baseline; plotters names the top, middle or bottom.
        let drop = match anchor.v_pos {
            VPos::Top => size * (CAP_HEIGHT + LINE_HEIGHT) / 2.0,
            VPos::Center => size * CAP_HEIGHT / 2.0,
            VPos::Bottom => size * (CAP_HEIGHT - LINE_HEIGHT) / 2.0,
        };
        let (rotate, dx, dy) = match style.transform() {
            FontTransform::None => (0, 0.0, drop),
            FontTransform::Rotate90 => (90, -drop, 0.0),
            FontTransform::Rotate180 => (180, 0.0, -drop),
            FontTransform::Rotate270 => (270, drop, 0.0),
        };
        let element = Element::Text {
            x: pixels(pos.0) + dx,
            y: pixels(pos.1) + dy,
            size,
            bold: is_bold(style),
            rotate,
            anchor: match anchor.h_pos {
                HPos::Left => Anchor::Start,
                HPos::Center => Anchor::Middle,
                HPos::Right => Anchor::End,
            },
            ink: ink(style.color()),
            text: text.to_owned(),
        };
        self.push(style.color(), element)
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let width = text_width(text, style.size(), is_bold(style));
        Ok((
            width.ceil() as u32,
            (style.size() * LINE_HEIGHT).ceil() as u32,
        ))
    }
}
