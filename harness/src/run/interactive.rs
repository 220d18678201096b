//! The real-time mode: a developer stays in the loop, asks, interrupts, redirects, types.
//!
//! ```text
//! session file ─► player ─► driver ─► endpoint or agent
//!                   ▲          │
//!                   └─ observations, dated ─┘
//! ```
//!
//! The player does what the session file says, at its times, and decides what an observation
//! means for an act. A [`Driver`] carries it out and tells what it sees; it knows no session
//! file, no marks of acts and no checks.

mod agent;
mod driver;

pub use agent::AgentDriver;
pub use driver::{
    Abilities, Ask, Closed, Driver, Observation, Observed, Observer, SteerAnswer, StopAnswer, Told,
};
