//! `timeslip report`: everything rendered again from the journal.

use std::path::{Path, PathBuf};

use timeslip_reports::attribution::every_endpoint_measured;
use timeslip_reports::{Run, render};

use crate::cli::claims::Claims;
use crate::error::Error;
use crate::exit;

/// Render the report of a run again from its journal
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Run directory
    #[arg(default_value = "runs/latest", value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    claims: Claims,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    render(&arguments.run, &arguments.claims)
}

/// Writes and prints the report of a run.
///
/// # Errors
/// Whatever reading the run or writing the report meets.
pub(super) fn render(run: &Path, claims: &Claims) -> Result<u8, Error> {
    let Run {
        directory, data, ..
    } = timeslip_reports::open(run)?;
    let summary = claims.summary(&data)?;
    let written = render::write_summary(&data, summary, directory.path())?;
    super::print(&render::terminal(&written.summary))?;
    super::print(&format!(
        "\nreport: {}\n",
        directory.path().join("report.html").display()
    ))?;
    let whole = data.trials.len() == data.planned_trials;
    if whole && data.invalid.is_empty() && every_endpoint_measured(&data) {
        Ok(exit::PASS)
    } else {
        Ok(exit::INVALID)
    }
}
