//! SWE-bench: a task repository of swebench 5.x, or a file of rows.

use std::path::{Path, PathBuf};

use timeslip_datasets::swebench::{self, Environment, SweTask, repository_stream};

use crate::suite::select::Candidate;
use crate::suite::{SuiteFile, Task};
use crate::workspace::Repository;
use crate::{Error, Result, log_parsers};

pub(super) fn load(file: &SuiteFile, source: &Path, place: &Path) -> Result<Vec<Candidate>> {
    let caches: PathBuf = place.join("repositories");
    std::fs::create_dir_all(&caches).map_err(Error::io("cannot create", &caches))?;
    let tasks = if source.is_dir() {
        swebench::read_repository(source)?
    } else {
        swebench::read_rows(source)?
    };
    let tasks = tasks.into_iter().map(|(id, task)| {
        let task = task.map_err(Error::from);
        (id, task.and_then(|task| make(file, task, source, &caches)))
    });
    Ok(tasks.collect())
}

fn make(file: &SuiteFile, task: SweTask, source: &Path, caches: &Path) -> Result<Task> {
    let unsupported = |message: String| Error::Unsupported {
        task: task.instance_id.clone(),
        message,
    };
    let stream = repository_stream(source, &task);
    let repository = match file.repository(&task.repo)? {
        Some(mirror) => Some(Repository::mirror(mirror)),
        None if stream.is_file() => Some(Repository::stream(stream, caches)),
        None if stream.parent().is_some_and(Path::is_dir) => {
            return Err(unsupported(format!(
                "{} is missing; it holds the history of {} as a git fast-import stream",
                stream.display(),
                task.repo
            )));
        }
        // Its image has the code.
        None => None,
    };
    let environment = match &repository {
        Some(_) if !file.names_whole_environments() => Environment::Checkout,
        _ => Environment::Image,
    };
    let completed = task.clone().completed(environment);
    let task = completed.map_err(unsupported)?;
    let parser = task.log_parser.as_deref().unwrap_or_default();
    log_parsers::find(parser, &task.instance_id).map_err(|message| Error::Unsupported {
        task: task.instance_id.clone(),
        message,
    })?;
    let directory = source.join("tasks").join(&task.instance_id);
    Ok(Task::from_swe_bench(
        &file.name, task, repository, directory,
    ))
}
