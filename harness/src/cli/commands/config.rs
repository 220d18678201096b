//! `timeslip config`: the shipped configuration.

use crate::error::Error;
use crate::run::config;

/// Print the commented default configuration
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> Result<u8, Error> {
    super::print(config::DEFAULT)
}
