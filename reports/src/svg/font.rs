//! The embedded font: a Latin subset of DejaVu Sans, so that a machine without
//! fonts draws the same PNG, and its metrics, so that layout knows text widths.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider};

const REGULAR: &[u8] = include_bytes!("../../assets/DejaVuSans-latin.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold-latin.ttf");

/// Family name inside the font files.
pub(super) const FAMILY: &str = "DejaVu Sans";

/// Height of capital letters as a part of the font size.
pub(super) const CAP_HEIGHT: f64 = 0.729;

/// Line height as a part of the font size.
pub(super) const LINE_HEIGHT: f64 = 1.164;

/// Width assumed for a character the font lacks: as wide as its widest.
const FALLBACK_ADVANCE: f32 = 1.0;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// The fonts PNGs are drawn with.
pub(super) fn database() -> Arc<fontdb::Database> {
    Arc::clone(&FONTS)
}

/// Width of a text at a font size, in the unit of the size.
#[must_use]
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    let bytes = if bold { BOLD } else { REGULAR };
    let advance = FontRef::new(bytes).map_or(text.chars().count() as f32, |font| {
        let metrics = GlyphMetrics::new(&font, Size::new(1.0), LocationRef::default());
        let characters = font.charmap();
        text.chars()
            .map(|c| {
                characters
                    .map(c)
                    .and_then(|glyph| metrics.advance_width(glyph))
                    .unwrap_or(FALLBACK_ADVANCE)
            })
            .sum()
    });
    f64::from(advance) * size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faces_load_and_differ() {
        assert_eq!(database().len(), 2);
        let (regular, bold) = (
            text_width("spark-sim", 13.0, false),
            text_width("spark-sim", 13.0, true),
        );
        assert!(regular > 50.0 && bold > regular, "{regular} {bold}");
        assert_eq!(text_width("", 13.0, false), 0.0);
    }

    #[test]
    fn every_symbol_the_reports_use_is_in_the_subset() {
        let font = FontRef::new(REGULAR).unwrap();
        for c in "×–—…≤≥→−µ·±✓\u{fffd}".chars() {
            assert!(font.charmap().map(c).is_some(), "{c}");
        }
    }
}
