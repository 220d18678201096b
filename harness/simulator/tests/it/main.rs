//! The integration tests of the simulator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dialects;
mod endpoint;
mod lanes;
mod pacing;
mod protocol;
#[path = "../../../wire/tests/it/support.rs"]
mod support;
