//! Statistics, comparison and rendering of timeslip runs.
//!
//! Everything starts from [`input::RunData`]: [`summary::Summary`] computes the
//! figures, [`conclusion`] puts them into words, [`render`] writes the files.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod charts;
pub mod claims;
pub mod compare;
pub mod conclusion;
pub mod decision;
pub mod format;
pub mod gate;
pub mod history;
pub mod input;
mod labels;
pub mod metrics;
pub mod pairing;
pub mod render;
pub mod side;
pub mod stats;
pub mod summary;
pub mod svg;
mod table;
mod toml_lines;
mod trial;
