//! What `timeslip record` needs to know before it starts.

mod client;
mod upstream;

pub(super) use client::Client;
pub(super) use upstream::{Asked, Opened, say_as_spoken};
