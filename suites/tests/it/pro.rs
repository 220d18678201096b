//! A task in the layout of SWE-bench Pro: hidden tests from the fix's commit, a run
//! script and a parser of its own.

use std::fs;
use std::time::Duration;

use crate::support::files::{commit, git, repository};
use crate::support::{edit, sandbox};
use timeslip_suites::{
    Grade, Limits, PatchStatus, Suite, SuiteFile, Task, Workspace, grade, grade_patch,
};

const ID: &str = "instance_made__f-1-vnan";

const RUN_SCRIPT: &str = "#!/bin/bash\nIFS=, read -ra files <<<\"$1\"\nfor file in \"${files[@]}\"; do python3 \"$file\"; done\n";

const PARSER: &str = "import json, sys\ntests = [dict(zip(('name', 'status'), line.rsplit(' ', 1))) for line in open(sys.argv[1]).read().splitlines()]\njson.dump({'tests': tests}, open(sys.argv[3], 'w'))\n";

const TESTS: &str = "import sys\nsys.path.insert(0, '.')\nimport f\nprint('it | counts to two', 'PASSED' if f.f() == 2 else 'FAILED')\nprint('it loads', 'PASSED')\n";

struct Made {
    scratch: tempfile::TempDir,
    gold: String,
}

fn made(parser: &str) -> Made {
    let scratch = tempfile::tempdir().unwrap();
    let clone = scratch.path().join("clones/made/f");
    repository(&clone);
    let commit = |files: &[(&str, &str)]| commit(&clone, files, "x");
    let base = commit(&[
        ("f.py", "def f(): return 1\n"),
        ("test_f.py", "print('old')\n"),
    ]);
    let fix = commit(&[("f.py", "def f(): return 2\n"), ("test_f.py", TESTS)]);
    let gold = git(&clone, &["diff", &base, &fix, "--", "f.py"]);
    let row = serde_json::json!({
        "repo": "made/f", "instance_id": ID, "base_commit": base, "patch": gold, "test_patch": "",
        "problem_statement": "f is wrong", "requirements": "f() is 2", "interface": "",
        "repo_language": "python", "fail_to_pass": "['it | counts to two']",
        "pass_to_pass": "[\"it loads\"]", "selected_test_files_to_run": "['test_f.py']",
        "before_repo_set_cmd": format!("git reset --hard {base}\ngit checkout {fix} -- test_f.py"),
    });
    fs::write(scratch.path().join("rows.jsonl"), row.to_string()).unwrap();
    let scripts = scratch.path().join("run_scripts").join(ID);
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("run_script.sh"), RUN_SCRIPT).unwrap();
    fs::write(scripts.join("parser.py"), parser).unwrap();
    let dockerfile = scratch
        .path()
        .join("dockerfiles/instance_dockerfile")
        .join(ID);
    fs::create_dir_all(&dockerfile).unwrap();
    fs::write(
        dockerfile.join("Dockerfile"),
        "FROM base\nENV ADDED=\"a flag\"\nRUN cat <<'END' >/x\nif\nEND\n",
    )
    .unwrap();
    Made { scratch, gold }
}

impl Made {
    fn task(&self) -> Task {
        let path = self.scratch.path().join("suite.toml");
        let text = "name = \"pro\"\nformat = \"swe-bench-pro\"\nsource = \"rows.jsonl\"\nrepositories = \"clones\"\n";
        fs::write(&path, text).unwrap();
        let file = SuiteFile::read(&path).unwrap();
        let suite = Suite::load(&file, self.scratch.path()).unwrap();
        suite.task(ID).unwrap().clone()
    }

    fn grade(&self, patch: Option<&str>) -> Grade {
        let task = self.task().without_history();
        grade_patch(&task, patch, &sandbox(), self.scratch.path()).unwrap()
    }
}

#[test]
fn the_reference_passes_and_the_untouched_state_fails() {
    let made = made(PARSER);
    let task = made.task();
    assert!(
        task.steps[0]
            .instruction
            .ends_with("f is wrong\n\nRequirements:\nf() is 2\n")
    );
    let gold = made.grade(Some(&made.gold));
    assert!(
        gold.resolved && gold.change == PatchStatus::Applied,
        "{gold:?}"
    );
    let base = made.grade(None);
    assert_eq!(base.failed_tests, ["it | counts to two"], "{base:?}");
    assert_eq!(made.grade(Some("")).change, PatchStatus::Empty);
    assert_eq!(
        made.grade(Some("nonsense")).change,
        PatchStatus::DoesNotApply
    );
}

#[test]
fn an_agents_change_is_graded_and_the_tests_are_not_where_it_works() {
    let made = made(PARSER);
    let (task, sandbox) = (made.task(), sandbox());
    let place = made.scratch.path().join("trial");
    let workspace = Workspace::prepare(&task.workspace, &sandbox, &place).unwrap();
    assert_eq!(workspace.working_directory(), "/app");
    let limits = Limits {
        wall: Duration::from_secs(60),
        output_bytes: 4096,
        memory_mb: 1024,
    };
    let listed = "git cat-file --batch-all-objects --batch-check";
    let objects = sandbox.run(&workspace.invocation(listed, limits)).unwrap();
    assert_eq!(objects.text().lines().count(), 4, "{objects:?}");
    let added = sandbox.run(&workspace.invocation("echo $ADDED", limits));
    assert_eq!(added.unwrap().text(), "a flag\n");
    edit(&workspace, "f.py", "return 1", "return 2").unwrap();
    let graded = grade(&task, &workspace, &sandbox).unwrap();
    assert!(graded.resolved, "{graded:?}");
    assert!(graded.patch.unwrap().contains("+def f(): return 2"));
}

#[test]
fn tests_that_did_not_run_are_told_from_those_that_failed() {
    let silent = "import json, sys\njson.dump({'tests': [{'name': 'it loads', 'status': 'FAILED'}]}, open(sys.argv[3], 'w'))\n";
    let made = made(silent);
    let grade = made.grade(Some(&made.gold));
    assert_eq!(
        grade.detail.as_deref(),
        Some("2 hidden tests failed, of which 1 did not run")
    );
}

#[test]
fn a_parser_without_a_result_is_no_verdict() {
    for parser in [
        "raise SystemExit(1)",
        "import sys; open(sys.argv[3], 'w').write('[')",
        "import os, sys; os.symlink('/etc/passwd', sys.argv[3])",
    ] {
        let made = made(parser);
        let grade = made.grade(Some(&made.gold));
        assert!(grade.verifier_failed && !grade.resolved, "{grade:?}");
        assert_eq!(grade.report, None);
    }
}
