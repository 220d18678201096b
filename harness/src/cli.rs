//! The command line.

mod ad_hoc;
mod caveats;
mod claims;
mod commands;
mod error;
mod interrupt;
mod isolation;
mod keeping;
mod output;
mod recording;
mod runtime;
mod sandbox_times;
mod tasks;

use std::process::ExitCode;

use crate::console::say;

pub use commands::whole;

/// Parses the command line, runs the command and turns errors into exit codes.
#[must_use]
pub fn main() -> ExitCode {
    let matches = whole().get_matches();
    let done = interrupt::listen().and_then(|()| commands::run(&matches));
    interrupt::let_end();
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("timeslip: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
