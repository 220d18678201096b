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

pub mod agent;
pub mod calibration;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod connection;
pub mod console;
pub mod downloads;
pub mod endpoints;
pub mod environment;
pub mod error;
pub mod exchange;
pub mod exit;
pub mod grading;
pub mod plan;
pub mod probing;
pub mod protocols;
pub mod runner;
pub mod server;
pub mod subscribers;
pub mod timer;
pub mod transports;

mod kernel;
