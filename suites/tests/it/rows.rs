//! SWE-bench rows whose code is in a clone: what is checked out, and every way a
//! patch can fare.

use std::fs;
use std::time::Duration;

use crate::support::files::{commit, git, repository};
use crate::support::{can, sandbox};
use timeslip_suites::{Grade, Limits, PatchStatus, Suite, SuiteFile, Task, Workspace, grade_patch};

/// A clone `made__f` with a broken `f.py`, then the fix, and a row about it.
struct Made {
    scratch: tempfile::TempDir,
    gold: String,
}

const EVAL: &str = "#!/bin/bash\ncd /testbed\n: '>>>>> Start Test Output'\necho \">>>>> Start Test Output\"\npython3 -c 'import f; print(\"PASSED\" if f.f() == 2 else \"FAILED\", \"f\")'\necho \">>>>> End Test Output\"\n";

fn made(eval: &str) -> Made {
    let scratch = tempfile::tempdir().unwrap();
    let clone = scratch.path().join("clones/made__f");
    repository(&clone);
    for (content, message) in [
        ("def f(): return 0\n", "start"),
        ("def f(): return 1\n", "break"),
        ("def f(): return 2\n", "the secret fix"),
    ] {
        commit(&clone, &[("f.py", content)], message);
    }
    let base = git(&clone, &["rev-parse", "HEAD~1"]);
    let gold = git(&clone, &["diff", "HEAD~1", "HEAD"]);
    let row = serde_json::json!({
        "repo": "made/f", "instance_id": "made__f-1", "base_commit": base.trim(), "patch": gold,
        "test_patch": "", "problem_statement": "f is wrong", "version": "1.0",
        "FAIL_TO_PASS": "[\"f\"]", "PASS_TO_PASS": "[]",
        "eval_script": eval, "log_parser": "parse_log_pytest",
    });
    let other = serde_json::json!({
        "repo": "made/g", "instance_id": "made__g-1", "base_commit": base.trim(), "patch": "",
        "test_patch": "", "problem_statement": "g", "version": "1.0",
        "FAIL_TO_PASS": "[\"g\"]", "PASS_TO_PASS": "[]",
    });
    fs::write(
        scratch.path().join("rows.jsonl"),
        format!("{row}\n{other}\n"),
    )
    .unwrap();
    Made { scratch, gold }
}

impl Made {
    fn load(&self, lines: &str) -> Result<Suite, String> {
        let path = self.scratch.path().join("suite.toml");
        let text =
            format!("name = \"made\"\nformat = \"swe-bench\"\nsource = \"rows.jsonl\"\n{lines}");
        fs::write(&path, text).unwrap();
        Suite::load(&SuiteFile::read(&path).unwrap(), self.scratch.path()).map_err(|error| {
            let scratch = format!("{}/", self.scratch.path().display());
            error.to_string().replace(&scratch, "")
        })
    }

    fn task(&self) -> Task {
        let suite = self.load("repositories = \"clones\"\ninclude = [\"made__f-1\"]\n");
        suite.unwrap().tasks.remove(0)
    }

    fn grade(&self, patch: Option<&str>) -> Grade {
        let task = self.task().without_history();
        grade_patch(&task, patch, &sandbox(), self.scratch.path()).unwrap()
    }
}

#[test]
fn a_clone_gives_the_past_and_not_the_future() {
    let made = made(EVAL);
    let (task, sandbox) = (made.task(), sandbox());
    let log = |task: &Task, name: &str| {
        let directory = made.scratch.path().join(name);
        let workspace = Workspace::prepare(&task.workspace, &sandbox, &directory).unwrap();
        let limits = Limits {
            wall: Duration::from_secs(60),
            output_bytes: 4096,
            memory_mb: 1024,
        };
        let command = "git log --all --format=%s; git cat-file --batch-all-objects --batch-check | wc -l; grep -rl 'secret fix' .";
        sandbox
            .run(&workspace.invocation(command, limits))
            .unwrap()
            .text()
    };
    assert_eq!(log(&task, "whole"), "break\nstart\n6\n");
    assert_eq!(log(&task.without_history(), "shallow"), "break\n3\n");
    let clone = made.scratch.path().join("clones/made__f");
    assert!(git(&clone, &["status", "--short"]).is_empty());
}

#[test]
fn every_way_a_patch_can_fare_is_told_apart() {
    let made = made(EVAL);
    let gold = made.grade(Some(&made.gold));
    assert!(
        gold.resolved && gold.change == PatchStatus::Applied,
        "{gold:?}"
    );
    let report = gold.report.unwrap();
    assert!(report.patch_successfully_applied && report.resolved);
    assert_eq!(report.tests_status.unwrap().fail_to_pass.success, ["f"]);

    let base = made.grade(None);
    assert!(!base.resolved && base.failed_tests == ["f"], "{base:?}");
    assert!(base.report.unwrap().patch_is_none);

    let empty = made.grade(Some(""));
    assert_eq!((empty.change, empty.report), (PatchStatus::Empty, None));

    let elsewhere = made.gold.replace("return 1", "return 7");
    let refused = made.grade(Some(&elsewhere));
    assert_eq!(
        (refused.change, &refused.report),
        (PatchStatus::DoesNotApply, &None)
    );
    assert!(refused.log.contains("f.py"), "{}", refused.log);

    let wrong = made.gold.replace("return 2", "return 3");
    let wrong = made.grade(Some(&wrong));
    assert!(!wrong.resolved && !wrong.verifier_failed && wrong.report.is_some());
}

#[test]
fn a_broken_environment_is_not_taken_for_a_wrong_change() {
    let made = made(&EVAL.replace("python3", "python3 -c 'import no_such_module' 2>&1; true"));
    let grade = made.grade(Some(&made.gold));
    assert!(!grade.resolved && grade.verifier_failed, "{grade:?}");
    let found = grade.infrastructure.unwrap();
    assert_eq!((found.reason, found.certain), ("missing_module", false));
    let report = grade.report.unwrap();
    assert!(!report.patch_successfully_applied && !report.infra_failure);
    assert_eq!(
        report.infra_failure_reason.as_deref(),
        Some("missing_module")
    );
}

#[test]
fn what_a_row_lacks_is_said() {
    let made = made(EVAL);
    let error = |lines: &str| made.load(lines).unwrap_err();
    let task = made
        .load("include = [\"made__f-1\"]")
        .unwrap()
        .tasks
        .remove(0);
    let without_containers =
        Workspace::check_start(&task.workspace, &can("bubblewrap")).unwrap_err();
    insta::assert_snapshot!(without_containers, @"made__f-1: its code is in the image swebench/sweb.eval.x86_64.made_1776_f-1:latest: use `--sandbox docker`, or export it and name the archive as `rootfs`, with {task} in its name, or name a folder with a clone of made/f as `repositories` in the suite file");
    Workspace::check_start(&task.workspace, &can("docker")).unwrap();
    let shared = "image = \"python\"\ninclude = [\"made__f-1\"]";
    let task = made.load(shared).unwrap().tasks.remove(0);
    let shared = Workspace::check_start(&task.workspace, &can("docker")).unwrap_err();
    insta::assert_snapshot!(shared, @"made__f-1: its code is in the image swebench/sweb.eval.x86_64.made_1776_f-1:latest: leave `image` and `rootfs` out of the suite file, or write {task} in their name, or name a folder with a clone of made/f as `repositories` in the suite file");
    insta::assert_snapshot!(error("include = [\"made__g-1\"]"), @"made__g-1: row of made/g has no eval_script and no log_parser: only rows of astropy/astropy, django/django, matplotlib/matplotlib, mwaskom/seaborn, pallets/flask, psf/requests, pydata/xarray, pylint-dev/pylint, pytest-dev/pytest, scikit-learn/scikit-learn, sphinx-doc/sphinx, sympy/sympy can do without; take the data set in the form of swebench 5, whose rows have both");
    insta::assert_snapshot!(error("repositories = \"clones\""), @"suite.toml:4: repositories names clones, which holds no clone of made/g; make one with `git clone --mirror URL clones/made__g.git`");
    fs::create_dir_all(made.scratch.path().join("clones/made/g.git")).unwrap();
    insta::assert_snapshot!(error("repositories = \"clones\""), @"made__g-1: row of made/g has no eval_script and no log_parser: only rows of astropy/astropy, django/django, matplotlib/matplotlib, mwaskom/seaborn, pallets/flask, psf/requests, pydata/xarray, pylint-dev/pylint, pytest-dev/pytest, scikit-learn/scikit-learn, sphinx-doc/sphinx, sympy/sympy can do without; take the data set in the form of swebench 5, whose rows have both");
    insta::assert_snapshot!(error("include = [\"f\"]"), @r#"suite.toml:4: include[0] "f" fits no task of rows.jsonl; there are made__f-1, made__g-1"#);
}
