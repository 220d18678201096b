//! Statistics, comparison and rendering of timeslip runs.
//!
//! Everything starts from a run directory, which [`open`] reads: [`attribution`] gives
//! each instant of a trial to a stage, [`summary::Summary`] computes the figures,
//! [`conclusion`] puts them into words, [`render`] writes the files.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod acts;
pub mod attribution;
pub mod charts;
pub mod claims;
pub mod compare;
pub mod conclusion;
pub mod data;
pub mod decision;
pub mod format;
pub mod gate;
pub mod headline;
pub mod history;
pub mod metrics;
pub mod pairing;
pub mod render;
mod run;
pub mod side;
pub mod stages;
pub mod stats;
pub mod summary;
pub mod svg;
mod table;
mod toml_lines;
mod trial;

pub use run::{Run, open};
