//! A directory of Harbor / Terminal-Bench 2 tasks.

use std::path::Path;

use timeslip_datasets::harbor;

use crate::Result;
use crate::suite::{SuiteFile, Task};

pub(super) fn load(file: &SuiteFile, source: &Path, _place: &Path) -> Result<Vec<Task>> {
    let tasks = harbor::read_dataset(source)?;
    file.check_names(tasks.iter().map(|task| task.name.as_str()))?;
    Ok(tasks
        .into_iter()
        .map(|task| Task::from_harbor(&file.name, task))
        .collect())
}
