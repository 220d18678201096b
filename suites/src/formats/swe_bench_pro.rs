//! SWE-bench Pro: a file of rows, with the scripts of their tests beside it.

use std::time::Duration;

use timeslip_datasets::swebench_pro::{self, APP, ProTask};

use super::{Format, LoadedTask, TaskSource, swe_bench};
use crate::starts::{RepositoryClone, RepositoryStart};
use crate::task::{Solution, Step};
use crate::verifiers::ResultParser;
use crate::{Error, Result, Task};

/// Changes of repositories, larger than those of SWE-bench.
pub(super) struct SweBenchPro;

/// Upstream's bound of an evaluation.
const TIME: Duration = Duration::from_secs(3600);

impl Format for SweBenchPro {
    fn name(&self) -> &'static str {
        "swe-bench-pro"
    }

    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>> {
        let tasks = swebench_pro::read_tasks(source.path)?.into_iter();
        let tasks = tasks.map(|(id, task)| {
            let task = task.map_err(Error::from);
            (id, task.and_then(|task| translated(source, task)))
        });
        Ok(tasks.collect())
    }
}

fn translated(source: &TaskSource<'_>, task: ProTask) -> Result<Task> {
    // Without clones, its image has the code.
    let clone = (source.find_clone)(&task.repo)?.map(RepositoryClone::Mirror);
    let (id, image) = (task.instance_id.clone(), task.image_name());
    let start = RepositoryStart {
        task: id.clone(),
        repo: task.repo.clone(),
        base_commit: task.base_commit.clone(),
        clone: clone.clone(),
        image: image.clone(),
        directory: APP,
        variables: task.environment.clone(),
        python: None,
        reset: true,
    };
    let verifier = ResultParser {
        task: id.clone(),
        commits_of_tests: task.commits_of_tests(),
        base_commit: task.base_commit.clone(),
        image,
        clone,
        set_up_tests: task.set_up_tests.clone(),
        run_script: task.run_script.clone(),
        parser: task.parser.clone(),
        test_files: task.test_files.clone(),
        variables: task.environment.clone(),
        fail_to_pass: task.fail_to_pass.clone(),
        pass_to_pass: task.pass_to_pass.clone(),
    };
    let scripts = source.path.with_file_name("run_scripts").join(&id);
    let instruction = instruction(&task);
    let mut tags = vec![task.repo, task.language];
    tags.retain(|tag| !tag.is_empty());
    let step = Step {
        solution: Some(Solution::Patch(task.patch)),
        recordings: Some(scripts.join("trajectories")),
        ..Step::new(instruction, TIME, verifier)
    };
    let mut made = Task::new(source.suite, &id, start, step);
    made.tags = tags;
    made.workspace.needs.upkeep = TIME;
    Ok(made)
}

fn instruction(task: &ProTask) -> String {
    let mut text = swe_bench::instruction(&task.repo, &task.problem_statement);
    for (heading, part) in [
        ("Requirements", &task.requirements),
        ("New interfaces", &task.interface),
    ] {
        if !part.trim().is_empty() {
            text.push_str(&format!("\n{heading}:\n{}\n", part.trim()));
        }
    }
    text
}
