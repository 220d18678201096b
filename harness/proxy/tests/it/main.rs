//! The integration tests of the proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod encrypted;
mod endings;
mod exact;
mod hostile;
mod sessions;
mod streams;
mod support;
mod upgrades;
#[path = "../../../wire/tests/it/support.rs"]
mod wire_support;
