//! The task repository of swebench 5.x: one directory per instance.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{EvalType, SweTask};
use crate::{Error, Result, files};

/// The part of `sweb.yaml` that decides which tasks are published.
#[derive(Deserialize)]
struct Config {
    #[serde(default = "default_splits")]
    splits: Vec<String>,
}

fn default_splits() -> Vec<String> {
    vec!["test".to_owned()]
}

/// `task.yaml`; every field optional so that a missing one can be named.
#[derive(Deserialize)]
struct TaskYaml {
    instance_id: Option<String>,
    repo: Option<String>,
    base_commit: Option<String>,
    version: Option<String>,
    split: Option<String>,
    image: Option<String>,
    log_parser: Option<String>,
    eval_type: Option<EvalType>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    environment_setup_commit: Option<String>,
    #[serde(default)]
    difficulty: Option<String>,
}

#[derive(Deserialize)]
struct TestsJson {
    #[serde(rename = "FAIL_TO_PASS")]
    fail_to_pass: Vec<String>,
    #[serde(rename = "PASS_TO_PASS")]
    pass_to_pass: Vec<String>,
}

/// Reads every published task of a task repository, by instance id; one that cannot be
/// used is given with the reason.
///
/// As upstream, a task whose split `sweb.yaml` does not list (deprecated, say)
/// stays in the tree but is not part of the dataset.
///
/// # Errors
/// When the directory is no task repository.
pub fn read_repository(directory: &Path) -> Result<Vec<(String, Result<SweTask>)>> {
    let config: Config = files::read_yaml(
        &directory.join("sweb.yaml"),
        "a task repository describes itself there",
    )?;
    let tasks = directory.join("tasks");
    if !tasks.is_dir() {
        return Err(Error::Missing {
            file: tasks,
            remedy: "a task repository keeps one directory per task there".to_owned(),
        });
    }
    let mut published = Vec::new();
    for directory in files::subdirectories(&tasks)? {
        let id = directory.file_name().unwrap_or_default();
        let task = match read_with_split(&directory) {
            Ok((split, _)) if !config.splits.contains(&split) => continue,
            Ok((_, task)) => Ok(task),
            Err(error) => Err(error),
        };
        published.push((id.to_string_lossy().into_owned(), task));
    }
    if published.is_empty() {
        return Err(Error::invalid(
            tasks,
            "holds no task of a split that sweb.yaml lists",
        ));
    }
    Ok(published)
}

/// Reads one task directory, whatever its split.
pub fn read_task(directory: &Path) -> Result<SweTask> {
    read_with_split(directory).map(|(_, task)| task)
}

/// Where the history of `task`'s repository is kept in `directory`, the task
/// repository: a `git fast-import` stream.
pub fn repository_stream(directory: &Path, task: &SweTask) -> PathBuf {
    let name = task.repo.replace('/', "__");
    directory.join("repos").join(format!("{name}.fast-import"))
}

fn read_with_split(directory: &Path) -> Result<(String, SweTask)> {
    let yaml_file = files::member(directory, "task.yaml")?;
    let yaml: TaskYaml = files::read_yaml(&yaml_file, "it describes the task")?;
    let required = |value: Option<String>, key: &str| {
        value.filter(|value| !value.is_empty()).ok_or_else(|| {
            Error::invalid(&yaml_file, format!("has no {key}; every task needs one"))
        })
    };
    let tests_file = files::member(directory, "tests.json")?;
    let tests: TestsJson =
        files::read_json(&tests_file, "it lists the tests that decide about the task")?;
    let text =
        |name: &str, purpose: &str| files::read_text(&files::member(directory, name)?, purpose);

    let split = required(yaml.split, "split")?;
    let task = SweTask {
        repo: required(yaml.repo, "repo")?,
        instance_id: required(yaml.instance_id, "instance_id")?,
        base_commit: required(yaml.base_commit, "base_commit")?,
        patch: text("gold.patch", "it is the reference fix")?,
        test_patch: text("test.patch", "it adds the tests that grade the fix")?,
        problem_statement: text("problem_statement.md", "it is what the agent is told")?,
        hints_text: match directory.join("hints.md").is_file() {
            true => text("hints.md", "it holds hints")?,
            false => String::new(),
        },
        created_at: yaml.created_at.unwrap_or_default(),
        version: required(yaml.version, "version")?,
        fail_to_pass: tests.fail_to_pass,
        pass_to_pass: tests.pass_to_pass,
        environment_setup_commit: yaml.environment_setup_commit.unwrap_or_default(),
        difficulty: yaml.difficulty.unwrap_or_default(),
        image: Some(required(yaml.image, "image")?),
        eval_script: Some(text("eval.sh", "it runs the tests")?),
        log_parser: Some(required(yaml.log_parser, "log_parser")?),
        eval_type: yaml.eval_type.ok_or_else(|| {
            Error::invalid(
                &yaml_file,
                "has no eval_type; use pass_and_fail or fail_only",
            )
        })?,
    };
    task.check(&yaml_file)?;
    task.check_tests(&tests_file)?;
    if directory.file_name() != Some(task.instance_id.as_ref()) {
        return Err(Error::invalid(
            &yaml_file,
            format!(
                "instance_id is {:?}; it has to equal the name of the directory",
                task.instance_id
            ),
        ));
    }
    Ok((split, task))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const TASK_YAML: &str = "instance_id: a__b-1\nrepo: a/b\nbase_commit: 0123456789012345678901234567890123456789\nversion: 1.0\ncreated_at: 2023-04-05T06:07:08Z\nsplit: test\nimage: any/image:latest\nlog_parser: parse_log_pytest\neval_type: pass_and_fail\ndatasets:\n- x/y\n";

    fn repository() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let task = scratch.path().join("tasks/a__b-1");
        fs::create_dir_all(&task).unwrap();
        fs::write(scratch.path().join("sweb.yaml"), "datasets:\n- x/y\n").unwrap();
        for (name, text) in [
            ("task.yaml", TASK_YAML),
            ("tests.json", r#"{"FAIL_TO_PASS":["t"],"PASS_TO_PASS":[]}"#),
            ("problem_statement.md", "It breaks.\r\n"),
            ("gold.patch", "diff --git a/x b/x\n"),
            ("test.patch", "diff --git a/t b/t\n"),
            ("eval.sh", "#!/bin/bash\n"),
        ] {
            fs::write(task.join(name), text).unwrap();
        }
        scratch
    }

    fn error_after(change: impl FnOnce(&Path)) -> String {
        let repository = repository();
        change(&repository.path().join("tasks/a__b-1"));
        let tasks = read_repository(repository.path());
        let task = tasks.and_then(|mut tasks| tasks.remove(0).1);
        let message = task.unwrap_err().to_string();
        message.replace(&format!("{}/", repository.path().display()), "")
    }

    #[test]
    fn reads_a_task_as_written() {
        let repository = repository();
        let tasks = read_repository(repository.path()).unwrap();
        assert_eq!(tasks.len(), 1);
        let (id, Ok(task)) = &tasks[0] else {
            panic!("{tasks:?}");
        };
        assert_eq!(id, "a__b-1");
        assert_eq!(task.version, "1.0");
        assert_eq!(task.base_commit, "0123456789012345678901234567890123456789");
        assert_eq!(task.problem_statement, "It breaks.\r\n");
        assert_eq!(task.fail_to_pass, ["t"]);
        assert_eq!(
            repository_stream(Path::new("r"), task),
            Path::new("r/repos/a__b.fast-import")
        );
    }

    #[test]
    fn unpublished_splits_are_left_out() {
        let message = error_after(|task| {
            fs::write(
                task.join("task.yaml"),
                TASK_YAML.replace("split: test", "split: deprecated"),
            )
            .unwrap();
        });
        insta::assert_snapshot!(message, @"tasks: holds no task of a split that sweb.yaml lists");
    }

    #[test]
    fn links_out_of_the_task_are_refused() {
        let message = error_after(|task| {
            let statement = task.join("problem_statement.md");
            fs::remove_file(&statement).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", statement).unwrap();
        });
        insta::assert_snapshot!(message, @"tasks/a__b-1/problem_statement.md: is a link that leads out of tasks/a__b-1");
    }

    #[test]
    fn errors_name_file_and_field() {
        let remove =
            |name: &'static str| error_after(|task| fs::remove_file(task.join(name)).unwrap());
        let write = |name: &'static str, text: &str| {
            error_after(|task| fs::write(task.join(name), text).unwrap())
        };
        insta::assert_snapshot!(remove("tests.json"), @"tasks/a__b-1/tests.json: is missing; it lists the tests that decide about the task");
        insta::assert_snapshot!(remove("task.yaml"), @"tasks/a__b-1/task.yaml: is missing; it describes the task");
        insta::assert_snapshot!(remove("eval.sh"), @"tasks/a__b-1/eval.sh: is missing; it runs the tests");
        insta::assert_snapshot!(
            write("tests.json", r#"{"FAIL_TO_PASS":[],"PASS_TO_PASS":[]}"#),
            @"tasks/a__b-1/tests.json: FAIL_TO_PASS is empty; a task needs at least one test that the fix turns green"
        );
        insta::assert_snapshot!(
            write("tests.json", "{\n\"FAIL_TO_PASS\": [1]}"),
            @"tasks/a__b-1/tests.json:2: is not valid: invalid type: integer `1`, expected a string at line 2 column 18"
        );
        insta::assert_snapshot!(
            write("task.yaml", "instance_id: a\n  repo: [\n"),
            @"tasks/a__b-1/task.yaml:2: is not valid YAML: mapping values are not allowed in this context at line 2, column 7"
        );
        insta::assert_snapshot!(
            write("task.yaml", &TASK_YAML.replace("version: 1.0\n", "")),
            @"tasks/a__b-1/task.yaml: has no version; every task needs one"
        );
        insta::assert_snapshot!(
            write("task.yaml", &TASK_YAML.replace("a__b-1", "a__b-2")),
            @r#"tasks/a__b-1/task.yaml: instance_id is "a__b-2"; it has to equal the name of the directory"#
        );
        insta::assert_snapshot!(
            write("task.yaml", &TASK_YAML.replace("a/b", "a/../b")),
            @r#"tasks/a__b-1/task.yaml: repo "a/../b" is not of the form owner/name"#
        );
        insta::assert_snapshot!(
            write("task.yaml", &TASK_YAML.replace("0123456789012345678901234567890123456789", "--upload-pack=x")),
            @r#"tasks/a__b-1/task.yaml: base_commit "--upload-pack=x" is not a full commit hash"#
        );
    }
}
