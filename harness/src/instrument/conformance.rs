//! One declared policy on what a first token is, checked against known truth.
//!
//! The policy is [`timeslip_wire::protocols::PayloadMeaning`]: the first token is the first event that
//! carries model output of any kind. Cases are streams on which tools are known to
//! disagree; the embedded server plays each of them on every protocol and logs what it
//! truly sent. [`run`] holds our own numbers against that log, [`explain`] finds the
//! definition by which another tool got its number.

mod cases;
mod check;
pub mod explain;

pub use cases::{Case, all, named};
pub use check::{Check, run};
