//! A directory of Harbor / Terminal-Bench 2 tasks, or a registry of them.

use std::path::{Path, PathBuf};

use timeslip_datasets::harbor::{self, HarborTask};

use crate::suite::select::Candidate;
use crate::suite::{SuiteFile, Task};
use crate::{Error, Result};

pub(super) fn load(file: &SuiteFile, source: &Path, _place: &Path) -> Result<Vec<Candidate>> {
    Ok(tasks(file, harbor::list(source)?, harbor::read_task))
}

/// The tasks in `directories`, called like them.
pub(super) fn tasks(
    file: &SuiteFile,
    directories: Vec<PathBuf>,
    read: fn(&Path) -> timeslip_datasets::Result<HarborTask>,
) -> Vec<Candidate> {
    let candidate = |directory: PathBuf| {
        let id = directory.file_name().unwrap_or_default();
        let task = read(&directory)
            .map_err(Error::from)
            .and_then(|task| Task::from_harbor(&file.name, task, &file.pass_env));
        (id.to_string_lossy().into_owned(), task)
    };
    directories.into_iter().map(candidate).collect()
}
