//! A directory of Terminal-Bench 1 tasks.

use std::path::Path;

use timeslip_datasets::terminal_bench;

use super::harbor;
use crate::Result;
use crate::suite::SuiteFile;
use crate::suite::select::Candidate;

pub(super) fn load(file: &SuiteFile, source: &Path, _place: &Path) -> Result<Vec<Candidate>> {
    let directories = terminal_bench::list(source)?;
    Ok(harbor::tasks(file, directories, terminal_bench::read_task))
}
