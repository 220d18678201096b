//! The document a chart is drawn into.

use std::fmt::Write as _;

use super::escape::escape;
use super::font::FAMILY;
use super::theme::Slot;

/// Space around a chart that is an image of its own, in pixels.
const IMAGE_MARGIN: f64 = 24.0;

/// Which colours a document is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// CSS variables: the page's theme decides.
    Variables,
    /// The light palette, resolved: for renderers that know no variables.
    Light,
}

/// A colour with opacity; a slot when it came from the palette.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ink {
    pub(super) rgb: (u8, u8, u8),
    pub(super) alpha: f64,
}

/// How the outline or the inside of a shape is painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Brush {
    Fill(Ink),
    Stroke { ink: Ink, width: f64 },
}

/// Horizontal anchor of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One drawn thing, in pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Element {
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        brush: Brush,
    },
    Circle {
        x: f64,
        y: f64,
        radius: f64,
        brush: Brush,
    },
    Path {
        points: Vec<(f64, f64)>,
        closed: bool,
        brush: Brush,
    },
    Text {
        x: f64,
        y: f64,
        size: f64,
        bold: bool,
        rotate: i32,
        anchor: Anchor,
        ink: Ink,
        text: String,
    },
    OpenGroup {
        title: String,
    },
    CloseGroup,
}

/// A chart: its size, its words for people who cannot see it, and its elements.
#[derive(Clone, Debug)]
pub struct Document {
    width: f64,
    height: f64,
    id: String,
    title: String,
    description: String,
    elements: Vec<Element>,
}

impl Document {
    /// An empty chart. `id` must be unique on the page it is embedded in and is
    /// trusted; title and description are not.
    #[must_use]
    pub fn new(id: &str, (width, height): (f64, f64), title: &str, description: &str) -> Self {
        Document {
            width,
            height,
            id: id.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            elements: Vec::new(),
        }
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// What the chart shows, for `aria` text outside the SVG.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Starts a group with a tooltip; untrusted text.
    pub fn open_group(&mut self, title: &str) {
        self.elements.push(Element::OpenGroup {
            title: title.to_owned(),
        });
    }

    /// Ends the group started last.
    pub fn close_group(&mut self) {
        self.elements.push(Element::CloseGroup);
    }

    pub(super) fn push(&mut self, element: Element) {
        self.elements.push(element);
    }

    /// The SVG text.
    #[must_use]
    pub fn to_svg(&self, paint: Paint) -> String {
        let mut out = String::with_capacity(256 + self.elements.len() * 96);
        // A page gives a chart its own margin; an image has to bring one.
        let margin = match paint {
            Paint::Variables => 0.0,
            Paint::Light => IMAGE_MARGIN,
        };
        let (width, height) = (
            number(self.width + 2.0 * margin),
            number(self.height + 2.0 * margin),
        );
        let origin = number(-margin);
        let (id, title, description) = (&self.id, escape(&self.title), escape(&self.description));
        let family = match paint {
            Paint::Variables => String::new(),
            Paint::Light => format!(" font-family=\"{FAMILY}\""),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{origin} {origin} {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" class=\"chart\" \
             aria-labelledby=\"{id}-title {id}-desc\"{family}>\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{description}</desc>"
        );
        for element in &self.elements {
            write_element(&mut out, element, paint);
        }
        out.push_str("</svg>");
        out
    }
}

fn write_element(out: &mut String, element: &Element, paint: Paint) {
    let _ = match element {
        Element::Rect {
            x,
            y,
            width,
            height,
            brush,
        } => write!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>",
            number(*x),
            number(*y),
            number(*width),
            number(*height),
            brush_attributes(*brush, paint)
        ),
        Element::Circle {
            x,
            y,
            radius,
            brush,
        } => write!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}/>",
            number(*x),
            number(*y),
            number(*radius),
            brush_attributes(*brush, paint)
        ),
        Element::Path {
            points,
            closed,
            brush,
        } => write!(
            out,
            "<path d=\"{}{}\"{}/>",
            path_data(points),
            if *closed { "Z" } else { "" },
            brush_attributes(*brush, paint)
        ),
        Element::Text {
            x,
            y,
            size,
            bold,
            rotate,
            anchor,
            ink,
            text,
        } => {
            let (x, y) = (number(*x), number(*y));
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let turn = if *rotate == 0 {
                String::new()
            } else {
                format!(" transform=\"rotate({rotate} {x} {y})\"")
            };
            write!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{}{anchor}{turn}{}>{}</text>",
                number(*size),
                if *bold { " font-weight=\"700\"" } else { "" },
                ink_attribute("fill", *ink, paint),
                escape(text)
            )
        }
        Element::OpenGroup { title } => write!(out, "<g><title>{}</title>", escape(title)),
        Element::CloseGroup => write!(out, "</g>"),
    };
}

fn brush_attributes(brush: Brush, paint: Paint) -> String {
    match brush {
        Brush::Fill(ink) => ink_attribute("fill", ink, paint),
        Brush::Stroke { ink, width } => {
            let dash = Slot::of_rgb(ink.rgb)
                .and_then(Slot::dash)
                .map_or_else(String::new, |pattern| {
                    format!(" stroke-dasharray=\"{pattern}\"")
                });
            format!(
                " fill=\"none\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}",
                ink_attribute("stroke", ink, paint),
                number(width)
            )
        }
    }
}

fn ink_attribute(name: &str, ink: Ink, paint: Paint) -> String {
    let variable = match paint {
        Paint::Variables => Slot::of_rgb(ink.rgb).and_then(Slot::variable),
        Paint::Light => None,
    };
    let color = variable.map_or_else(
        || {
            let (r, g, b) = ink.rgb;
            format!("#{r:02x}{g:02x}{b:02x}")
        },
        |variable| format!("var({variable})"),
    );
    if ink.alpha < 1.0 {
        format!(
            " {name}=\"{color}\" {name}-opacity=\"{}\"",
            number(ink.alpha)
        )
    } else {
        format!(" {name}=\"{color}\"")
    }
}

fn path_data(points: &[(f64, f64)]) -> String {
    let mut data = String::with_capacity(points.len() * 12);
    for (index, (x, y)) in points.iter().enumerate() {
        data.push(if index == 0 { 'M' } else { 'L' });
        let _ = write!(data, "{} {}", number(*x), number(*y));
    }
    data
}

/// A coordinate without needless digits.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    match trimmed {
        "" | "-0" => "0".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(12.0), "12");
        assert_eq!(number(0.25), "0.25");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</script><img src=x onerror=alert(1)>\u{1b}";
        let mut document = Document::new("c", (10.0, 10.0), hostile, hostile);
        document.open_group(hostile);
        document.close_group();
        let svg = document.to_svg(Paint::Variables);
        assert!(!svg.contains("<img") && !svg.contains("</script>") && !svg.contains('\u{1b}'));
        assert!(svg.contains("&lt;/script&gt;&lt;img src=x"));
    }
}
