//! The integration tests of the simulator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dialects;
mod endpoint;
mod faults;
mod lanes;
mod pacing;
mod plain_http;
mod protocol;
mod quick;
mod refusals;
mod shapes;
mod stopping;
#[path = "../../../wire/tests/it/support.rs"]
mod support;
