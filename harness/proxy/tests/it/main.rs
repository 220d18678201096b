//! The integration tests of the proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exact;

mod support;

#[path = "../../../wire/tests/it/support.rs"]
mod wire_support;
