//! The command line.

mod ad_hoc;
mod caveats;
mod claims;
mod commands;
mod error;
mod isolation;
mod output;
mod runtime;
mod sandbox_times;

use std::process::ExitCode;

use crate::console::say;

pub use commands::whole;

/// Parses the command line, runs the command and turns errors into exit codes.
#[must_use]
pub fn main() -> ExitCode {
    match commands::run(&whole().get_matches()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("timeslip: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
