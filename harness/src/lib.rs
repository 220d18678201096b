//! timeslip measures how much sooner a coding agent's tasks are done when its model
//! is faster, where every millisecond goes, and at what quality.
//!
//! ```text
//! config ─► plan ─► runner ─► events ─► run directory ─► reports
//!                     │
//!                   agent ─► exchange ─► protocols × transports ─► connection
//! ```
//!
//! Measuring only takes marks; everything computed from them is computed afterwards,
//! from the run directory, by the crate of reports.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod agents;
mod cache;
pub mod cli;
pub mod console;
pub mod control;
pub mod downloads;
pub mod error;
pub mod exit;
pub mod grading;
pub mod instrument;
mod read;
pub mod record;
pub mod run;
mod tool_kinds;
