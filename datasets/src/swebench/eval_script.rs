//! The script that runs a task's tests, for rows that come without one: the tests
//! of the fix are put in place, run, and taken away again.
//!
//! Left out of what upstream writes are three commands that only show the state of
//! the repository in the log.

use std::fmt::Write;

use super::{Environment, SweTask, specs};

/// Where the images have the repository.
pub const TESTBED: &str = "/testbed";

/// Ends the test patch inside the script.
const END_OF_PATCH: &str = "EOF_114329324912";

/// Files that a test patch may change and no runner can run.
const NO_TESTS: [&str; 11] = [
    ".json", ".png", "csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml",
];

/// The script and the name of the parser of what it prints.
pub(super) fn build(
    task: &SweTask,
    environment: Environment,
) -> Result<(String, &'static str), String> {
    let spec = specs::find(&task.repo, &task.version).ok_or_else(|| {
        let missing = match (&task.eval_script, &task.log_parser) {
            (Some(_), _) => "log_parser",
            (None, Some(_)) => "eval_script",
            (None, None) => "eval_script and no log_parser",
        };
        format!(
            "row of {} has no {missing}: only rows of {} can do without; take the data set in the form of swebench 5, whose rows have both",
            task.repo,
            specs::repositories().join(", ")
        )
    })?;
    if task.test_patch.lines().any(|line| line == END_OF_PATCH) {
        return Err(format!("test_patch has the line {END_OF_PATCH}"));
    }
    let activate = match environment {
        Environment::Image => "source /opt/miniconda3/bin/activate\nconda activate testbed\n",
        Environment::Checkout => "",
    };
    let preparation = match environment {
        Environment::Image => &[],
        Environment::Checkout => spec.preparation,
    };
    let mut script = format!("#!/bin/bash\nset -uxo pipefail\n{activate}cd {TESTBED}\n");
    let mut line = |text: &str| {
        script.push_str(text);
        script.push('\n');
    };
    spec.environment.iter().for_each(|text| line(text));
    line(&format!(
        "git config --global --add safe.directory {TESTBED}"
    ));
    line(&format!("cd {TESTBED}"));
    if !activate.is_empty() {
        line(activate.trim_end());
    }
    preparation.iter().for_each(|text| line(text));
    line(spec.install);
    let reset = reset(task);
    line(&reset);
    line(&format!(
        "git apply -v - <<'{END_OF_PATCH}'\n{}\n{END_OF_PATCH}",
        task.test_patch
    ));
    line(": '>>>>> Start Test Output'");
    line(&command(spec.test, &directives(task)));
    line(": '>>>>> End Test Output'");
    line(&reset);
    Ok((script, spec.log_parser))
}

fn reset(task: &SweTask) -> String {
    let existing: Vec<String> = existing_files(&task.test_patch);
    if existing.is_empty() {
        return ": 'the tests are in new files'".to_owned();
    }
    command(&format!("git checkout {}", task.base_commit), &existing)
}

fn command(program: &str, arguments: &[String]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        let _ = write!(line, " {}", quoted(argument));
    }
    line
}

/// As a word of a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+=:@%,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What the runner is told to run: the files of the test patch, for Django as
/// modules.
fn directives(task: &SweTask) -> Vec<String> {
    let files = headers(&task.test_patch)
        .filter_map(|header| header.rsplit_once(" b/"))
        .map(|(_, file)| file)
        .filter(|file| !NO_TESTS.iter().any(|ending| file.ends_with(ending)));
    match task.repo.as_str() {
        "django/django" => files
            .map(|file| {
                let file = file.strip_suffix(".py").unwrap_or(file);
                file.strip_prefix("tests/")
                    .unwrap_or(file)
                    .replace('/', ".")
            })
            .collect(),
        _ => files.map(str::to_owned).collect(),
    }
}

/// The files that a patch changes or removes, under their old names.
fn existing_files(patch: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let mut in_header = false;
    for line in patch.lines() {
        if let Some(names) = line.strip_prefix("diff --git a/") {
            in_header = true;
            let old = names.split_once(" b/").map_or(names, |(old, _)| old);
            files.push(old.to_owned());
        } else if line.starts_with("@@ ") {
            in_header = false;
        } else if in_header && line.starts_with("new file mode ") {
            files.pop();
        }
    }
    files
}

fn headers(patch: &str) -> impl Iterator<Item = &str> {
    patch
        .lines()
        .filter_map(|line| line.strip_prefix("diff --git a/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(repo: &str, version: &str) -> SweTask {
        SweTask {
            repo: repo.to_owned(),
            version: version.to_owned(),
            test_patch: "diff --git a/tests/a/test_x.py b/tests/a/test_x.py\n--- a/tests/a/test_x.py\n+++ b/tests/a/test_x.py\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/tests/a/new one.py b/tests/a/new one.py\nnew file mode 100644\n--- /dev/null\n+++ b/tests/a/new one.py\n@@ -0,0 +1 @@\n+new file mode 1\ndiff --git a/tests/data.json b/tests/data.json\n--- a/tests/data.json\n+++ b/tests/data.json\n@@ -1 +1 @@\n-1\n+2\n".to_owned(),
            ..crate::swebench::example()
        }
    }

    #[test]
    fn a_script_for_the_image_and_one_for_a_checkout() {
        let django = build(&task("django/django", "2.2"), Environment::Image).unwrap();
        assert_eq!(django.1, "parse_log_django");
        insta::assert_snapshot!(django.0);
        let pytest = build(&task("pytest-dev/pytest", "6.3"), Environment::Checkout).unwrap();
        insta::assert_snapshot!(pytest.0);
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let error = |task: &SweTask| build(task, Environment::Image).unwrap_err();
        insta::assert_snapshot!(error(&task("a/b", "1")), @"row of a/b has no eval_script and no log_parser: only rows of astropy/astropy, django/django, matplotlib/matplotlib, mwaskom/seaborn, pallets/flask, psf/requests, pydata/xarray, pylint-dev/pylint, pytest-dev/pytest, scikit-learn/scikit-learn, sphinx-doc/sphinx, sympy/sympy can do without; take the data set in the form of swebench 5, whose rows have both");
        let half = |script: Option<&str>, parser: Option<&str>| {
            let message = error(&SweTask {
                eval_script: script.map(str::to_owned),
                log_parser: parser.map(str::to_owned),
                ..task("redis/redis", "13115")
            });
            message.split_once(':').unwrap().0.to_owned()
        };
        insta::assert_snapshot!(half(None, Some("parse_log_redis")), @"row of redis/redis has no eval_script");
        insta::assert_snapshot!(half(Some("make test"), None), @"row of redis/redis has no log_parser");
        let hostile = SweTask {
            test_patch: format!("x\n{END_OF_PATCH}\nrm -rf /\n"),
            ..task("sympy/sympy", "1")
        };
        insta::assert_snapshot!(error(&hostile), @"test_patch has the line EOF_114329324912");
    }

    #[test]
    fn every_row_of_the_real_dataset_gets_a_script() {
        for task in crate::swebench::verified().into_iter().flatten() {
            let (script, _) = build(&task, Environment::Image).unwrap();
            assert!(script.contains("Start Test Output"), "{}", task.instance_id);
        }
    }
}
