//! Charts as accessible, themeable SVG, and the PNG made from the same document.
//!
//! plotters draws through [`SvgBackend`] into a [`Document`]. The document is
//! written twice: with CSS variables for a page that has a light and a dark
//! theme, and with the light palette resolved for the PNG. The two cannot
//! disagree.

mod backend;
mod document;
mod escape;
mod font;
mod png;
mod theme;

pub use backend::{SvgBackend, px};
pub use document::{Document, Paint};
pub use font::text_width;
pub use png::{PngError, to_png};
pub use theme::{Slot, css_variables};
