//! A PNG from the same document as the SVG.

use resvg::{tiny_skia, usvg};

use super::document::{Document, Paint};
use super::font::{FAMILY, database};

/// Device pixels per chart pixel.
const SCALE: f32 = 2.0;

/// Why a chart could not be made into a PNG.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The SVG was refused.
    #[error("the chart's SVG cannot be read: {0}")]
    Svg(#[from] usvg::Error),
    /// The image would have no pixels, or too many.
    #[error("a chart of {0}×{1} pixels cannot be drawn")]
    Size(u32, u32),
    /// The image could not be encoded.
    #[error("the PNG cannot be encoded: {0}")]
    Encoding(String),
}

/// Draws a document on white with the light palette, at twice its size.
///
/// # Errors
///
/// When the document is empty or too large for an image.
pub fn to_png(document: &Document) -> Result<Vec<u8>, PngError> {
    let options = usvg::Options {
        font_family: FAMILY.to_owned(),
        fontdb: database(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(&document.to_svg(Paint::Light), &options)?;
    let size = tree.size().to_int_size();
    let (width, height) = (
        (size.width() as f32 * SCALE) as u32,
        (size.height() as f32 * SCALE) as u32,
    );
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or(PngError::Size(width, height))?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|error| PngError::Encoding(error.to_string()))
}
