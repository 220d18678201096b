//! `timeslip door`: the first program in an agent's sandbox. People do not run it.

use crate::error::Error;
use crate::run::agent::{self, Opening};

/// Open the door of an agent's sandbox and become the agent
#[derive(Debug, clap::Parser)]
#[command(hide = true)]
pub(super) struct Arguments {
    /// What to do, as JSON
    opening: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let opening: Opening = serde_json::from_str(&arguments.opening)
        .map_err(|error| Error::config("door".as_ref(), error.to_string()))?;
    Err(Error::system("cannot start the agent")(agent::go_through(
        &opening,
    )))
}
