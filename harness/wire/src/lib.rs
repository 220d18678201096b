//! One exchange with a model server, and the time of everything that happens in it.
//!
//! ```text
//! session ─► protocols × transports ─► framing ─► connection
//!                └─► recorder: the marks of the exchange
//! ```
//!
//! Nothing here knows of plans, suites or reports. What reads a stream touches its sockets
//! and nothing else: no file, no lock that others hold, no process.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod clock;
pub mod connection;
pub mod framing;
pub mod live;
pub mod measuring;
pub mod protocols;
pub mod timer;
pub mod transports;

mod failure;
mod kernel;
mod recorder;
mod redaction;
mod retry_after;
mod session;

pub use failure::{Failure, says_context_limit};
pub use measuring::Measuring;
pub use recorder::Recorder;
pub use redaction::Redaction;
pub use session::Session;
pub use transports::{Endpoint, Secret};
