//! Running the trials of a plan: from the configuration to the journal.

pub mod admission;
pub mod agent;
pub(crate) mod apart;
pub mod config;
pub mod endpoints;
pub mod environment;
pub mod interactive;
pub mod plan;
pub mod runner;
pub mod subscribers;
