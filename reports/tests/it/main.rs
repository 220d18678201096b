//! The tests of the crate from outside, in one binary: each links everything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop at the first surprise"
)]

mod support;

mod claims;
mod gate;
mod gate_rules;
mod history;
mod hostile;
mod intervals;
mod metrics;
mod old_runs;
mod page;
mod real_time;
mod sample;
mod several;
mod summary;
