//! SWE-bench Pro: a file of rows, with the scripts of their tests beside it.

use std::path::Path;

use timeslip_datasets::swebench_pro::{self, ProTask};

use crate::suite::select::Candidate;
use crate::suite::{SuiteFile, Task};
use crate::workspace::Repository;
use crate::{Error, Result};

pub(super) fn load(file: &SuiteFile, source: &Path, _place: &Path) -> Result<Vec<Candidate>> {
    let tasks = swebench_pro::read_tasks(source)?.into_iter();
    let tasks = tasks.map(|(id, task)| {
        let task = task.map_err(Error::from);
        (id, task.and_then(|task| make(file, task, source)))
    });
    Ok(tasks.collect())
}

fn make(file: &SuiteFile, task: ProTask, source: &Path) -> Result<Task> {
    // Without clones, its image has the code.
    let repository = file.repository(&task.repo)?.map(Repository::mirror);
    let scripts = source.with_file_name("run_scripts").join(&task.instance_id);
    Ok(Task::from_swe_bench_pro(
        &file.name, task, repository, scripts,
    ))
}
