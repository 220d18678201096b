//! Runs as the command line names them.

use std::path::Path;

use timeslip_reports::side::Side;
use timeslip_reports::input::RunData;

use crate::analysis;
use crate::error::Error;
use crate::rundir::{Manifest, RunDirectory};

/// A run that was read and attributed.
pub(super) struct LoadedRun {
    pub(super) directory: RunDirectory,
    pub(super) manifest: Manifest,
    pub(super) data: RunData,
}

impl LoadedRun {
    /// An endpoint of it by name.
    pub(super) fn arm<'a>(&'a self, endpoint: &'a str) -> Result<Side<'a>, Error> {
        let run = &self.data;
        let arm = Side { run, endpoint };
        if arm.endpoint_data().is_some() {
            return Ok(arm);
        }
        let known: Vec<&str> = run.endpoints.iter().map(|e| e.name.as_str()).collect();
        Err(Error::Run {
            path: self.directory.path().to_owned(),
            problem: format!("has no endpoint '{endpoint}'; it has {}", known.join(", ")),
        })
    }
}

/// Reads a run and attributes its time.
pub(super) fn load(path: &Path) -> Result<LoadedRun, Error> {
    let (directory, manifest) = RunDirectory::open(path)?;
    let data = analysis::load(&directory, &manifest)?;
    Ok(LoadedRun {
        directory,
        manifest,
        data,
    })
}
