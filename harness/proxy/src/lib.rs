//! Stands between any client and its model server: passes on what they say, byte for byte and
//! at once, and tells what was said and when.
//!
//! ```text
//! client ─► http1 (relay of bytes), http2 ─► upstream
//!               └─► told: a copy of everything, with its times ─► recording ─► Seen
//! ```
//!
//! What passes bytes on runs on a measuring thread; what reads the copy runs on another one,
//! which gives way. Nothing here knows of plans, suites or clients.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod budget;
mod credential;
mod head;
mod http1;
mod http2;
mod messages;
mod proxy;
mod recording;
mod seen;
mod told;
mod upstream;
mod way;

pub use proxy::{Limits, Options, Running, start};
pub use seen::{Body, ClientSide, Headers, Seen};
pub use upstream::Upstream;
