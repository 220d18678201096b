//! SWE-bench: a task repository of swebench 5.x, or a file of rows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use timeslip_datasets::swebench::{
    self, Environment, EvalType, SweTask, TESTBED, repository_stream,
};

use super::{Format, LoadedTask, TaskSource};
use crate::starts::{Python, RepositoryClone, RepositoryStart};
use crate::task::{Solution, Step};
use crate::verifiers::EvaluationScript;
use crate::{Error, Result, Task, log_parsers};

/// Bugs in repositories, mostly of Python.
pub(super) struct SweBench;

// Tasks do not say; upstream gives an evaluation half an hour.
const TIME: Duration = Duration::from_secs(1800);

impl Format for SweBench {
    fn name(&self) -> &'static str {
        "swe-bench"
    }

    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>> {
        let caches: PathBuf = source.cache.join("repositories");
        std::fs::create_dir_all(&caches).map_err(Error::io("cannot create", &caches))?;
        let tasks = if source.path.is_dir() {
            swebench::read_repository(source.path)?
        } else {
            swebench::read_rows(source.path)?
        };
        let tasks = tasks.into_iter().map(|(id, task)| {
            let task = task.map_err(Error::from);
            (id, task.and_then(|task| translated(source, task, &caches)))
        });
        Ok(tasks.collect())
    }
}

fn translated(source: &TaskSource<'_>, task: SweTask, caches: &Path) -> Result<Task> {
    let unsupported = |message: String| Error::Unsupported {
        task: task.instance_id.clone(),
        message,
    };
    let stream = repository_stream(source.path, &task);
    let clone = match (source.find_clone)(&task.repo)? {
        Some(mirror) => Some(RepositoryClone::Mirror(mirror)),
        None if stream.is_file() => Some(RepositoryClone::stream(stream, caches)),
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
    let environment = match &clone {
        Some(_) if !source.whole_environments => Environment::Checkout,
        _ => Environment::Image,
    };
    let task = task.clone().completed(environment).map_err(unsupported)?;
    let (id, image) = (task.instance_id.clone(), task.image_name());
    let mut tags = vec![task.repo.clone(), task.difficulty.clone()];
    tags.retain(|tag| !tag.is_empty());
    let start = RepositoryStart {
        task: id.clone(),
        repo: task.repo.clone(),
        base_commit: task.base_commit.clone(),
        clone,
        image,
        directory: TESTBED,
        variables: Vec::new(),
        python: Some(Python {
            version: task.version.clone(),
        }),
        reset: false,
    };
    let step = Step {
        solution: Some(Solution::Patch(task.patch.clone())),
        recordings: Some(source.path.join("tasks").join(&id).join("trajectories")),
        ..Step::new(
            instruction(&task.repo, &task.problem_statement),
            TIME,
            verifier(task)?,
        )
    };
    Ok(Task {
        tags,
        ..Task::new(source.suite, &id, start, step)
    })
}

/// The evaluation of a task that has a script and a parser.
fn verifier(task: SweTask) -> Result<EvaluationScript> {
    let image = task.image_name();
    let log_parser = task.log_parser.unwrap_or_default();
    log_parsers::find(&log_parser, &task.instance_id).map_err(|message| Error::Unsupported {
        task: task.instance_id.clone(),
        message,
    })?;
    Ok(EvaluationScript {
        task: task.instance_id,
        base_commit: task.base_commit,
        image,
        version: task.version,
        script: task.eval_script.unwrap_or_default(),
        log_parser,
        only_failures_count: task.eval_type == EvalType::FailOnly,
        fail_to_pass: task.fail_to_pass,
        pass_to_pass: task.pass_to_pass,
    })
}

/// What an agent is told of an issue of a repository.
pub(super) fn instruction(repo: &str, problem: &str) -> String {
    format!(
        "The repository {repo} is checked out in the working directory. \
         Change its source so that the issue below is resolved; \
         hidden tests will decide.\n\n{}\n",
        problem.trim()
    )
}
