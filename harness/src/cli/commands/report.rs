//! `timeslip report`: everything rendered again from the journal.

use std::path::PathBuf;

use timeslip_reports::render;

use crate::analysis;
use crate::cli::claims::Claims;
use crate::error::Error;
use crate::exit;
use crate::rundir::{Manifest, RunDirectory};
use crate::validity;

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
    let (directory, manifest) = RunDirectory::open(&arguments.run)?;
    render(&directory, &manifest, &arguments.claims)
}

/// Writes and prints the report of a run.
///
/// # Errors
/// Whatever reading the run or writing the report meets.
pub(super) fn render(
    directory: &RunDirectory,
    manifest: &Manifest,
    claims: &Claims,
) -> Result<u8, Error> {
    let data = analysis::load(directory, manifest)?;
    let summary = claims.summary(&data)?;
    let written = render::write_summary(&data, summary, directory.path())?;
    super::print(&render::terminal(&written.summary))?;
    super::print(&format!(
        "\nreport: {}\n",
        directory.path().join("report.html").display()
    ))?;
    let whole = data.trials.len() == data.planned_trials;
    if whole && data.invalid.is_empty() && validity::every_endpoint_measured(&data) {
        Ok(exit::PASS)
    } else {
        Ok(exit::INVALID)
    }
}
