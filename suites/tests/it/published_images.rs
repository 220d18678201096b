//! SWE-bench and SWE-bench Pro tasks in the images they are published with, made up here
//! under their names: what the agent finds, and how it is graded.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::support::containers::{base, build, engine};
use crate::support::files::{commit, git, repository, suite, write};
use crate::support::{LIMITS, bubblewrap, edit};
use serde_json::json;
use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{Image, PatchStatus, Sandbox, Task, Workspace, grade, grade_patch};

const TEST: &str = "import os, sys\nsys.path.insert(0, '.')\nimport f\nprint('PASSED' if f.f() == 2 and os.environ['BY'] == 'image' else 'FAILED', 'tests/test_f.py::f')\n";

/// Of conda, what the scripts of SWE-bench ask for; pytest and pip for one kind of test.
const CONDA: [(&str, &str); 3] = [
    (
        "bin/activate",
        "conda() {\n  [ \"$*\" = 'activate testbed' ] || return 1\n  export CONDA_DEFAULT_ENV=testbed CONDA_PREFIX=/opt/miniconda3/envs/testbed\n  export PATH=$CONDA_PREFIX/bin:$PATH\n}\n",
    ),
    (
        "envs/testbed/bin/python",
        "#!/bin/bash\n[ \"$1\" = -m ] || exec python3 \"$@\"\n",
    ),
    (
        "envs/testbed/bin/pytest",
        "#!/bin/bash\nshift\nfor file; do python3 \"$file\"; done\n",
    ),
];

/// A repository as it was cloned into an image, and what is told of it.
struct Made {
    scratch: tempfile::TempDir,
    base: String,
    fix: String,
    gold: String,
    tests: String,
}

impl Made {
    /// The history goes on after the base commit in every way that git knows.
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let code = scratch.path().join("context/code");
        repository(&code);
        let with = |f: u8, message: &str| {
            let content = format!("def f(): return {f}\n");
            commit(&code, &[("f.py", &content), ("pins", "x>=1\n")], message)
        };
        with(0, "start");
        git(&code, &["tag", "-a", "-m", "first", "v0"]);
        let base = with(1, "break");
        let fix = commit(
            &code,
            &[("f.py", "def f(): return 2\n"), ("tests/test_f.py", TEST)],
            "the secret fix",
        );
        git(&code, &["tag", "v9"]);
        git(&code, &["update-ref", "refs/remotes/origin/main", &fix]);
        with(3, "even later");
        git(&code, &["gc", "-q"]);
        git(&code, &["branch", "later"]);
        write(&code.join("f.py"), "secret stash\n");
        git(&code, &["stash", "-q"]);
        let diff = |path: &str| git(&code, &["diff", &base, &fix, "--", path]);
        let (gold, tests) = (diff("f.py"), diff("tests"));
        git(&code, &["reset", "-q", "--hard", &base]);
        Self {
            scratch,
            base,
            fix,
            gold,
            tests,
        }
    }

    fn code(&self) -> std::path::PathBuf {
        self.scratch.path().join("context/code")
    }

    /// Builds the image `name` with the repository in `place`.
    fn image(&self, name: &str, place: &str, more: &str) {
        let context = self.scratch.path().join("context");
        for (file, content) in CONDA {
            write(&context.join("conda").join(file), content);
        }
        let text = format!(
            "FROM {}\nENV BY=image\nCOPY conda /opt/miniconda3\nRUN chmod +x /opt/miniconda3/envs/testbed/bin/*\nCOPY code {place}\n{more}\n",
            base()
        );
        write(&context.join("Dockerfile"), &text);
        build(&context, name);
    }

    /// The only task of a suite of rows.
    fn task(&self, format: &str, row: &serde_json::Value, lines: &str) -> Task {
        write(&self.scratch.path().join("rows.jsonl"), &row.to_string());
        let head = format!("format = \"{format}\"\nsource = \"rows.jsonl\"");
        suite(self.scratch.path(), &head, lines).tasks.remove(0)
    }

    /// A classic row: how it is run is known of its repository.
    fn swe_bench(&self, id: &str, lines: &str) -> Task {
        self.task(
            "swe-bench",
            &json!({
                "repo": "pallets/flask", "instance_id": id, "base_commit": self.base,
                "patch": self.gold, "test_patch": self.tests, "version": "2.3",
                "problem_statement": "f is wrong", "FAIL_TO_PASS": "[\"tests/test_f.py::f\"]",
                "PASS_TO_PASS": "[]",
            }),
            lines,
        )
    }

    fn prepare(&self, task: &Task, sandbox: &Sandbox, name: &str) -> Result<Workspace, String> {
        let began = Instant::now();
        let workspace =
            Workspace::prepare(&task.workspace, sandbox, &self.scratch.path().join(name));
        eprintln!("{}: {name} prepared in {:?}", task.id, began.elapsed());
        workspace.map_err(|error| error.to_string())
    }
}

/// Everything git could tell of what is in `.git`.
const TELL: &str = "git log --all --topo-order --format=%s; git tag; git for-each-ref --format='%(refname)'; \
    git fsck --full --strict 2>&1; git status --short; grep -rlE 'secret|later' .git; \
    git cat-file --batch-all-objects --batch-check='%(objectname)' | git cat-file --batch | grep -aE 'secret|later|return [23]'; \
    git reflog | grep -v reset";

fn text(sandbox: &Sandbox, workspace: &Workspace, command: &str) -> String {
    let invocation = workspace.invocation(command, LIMITS);
    sandbox.run(&invocation).unwrap().text()
}

#[test]
fn a_published_image_is_worked_in_without_its_future_and_graded_as_it_is() {
    let Some((sandbox, _)) = engine() else { return };
    let made = Made::new();
    // What images change: a commit of their own, and files that git does not know.
    write(&made.code().join("pins"), "x==1\n");
    git(&made.code(), &["commit", "-qam", "SWE-bench"]);
    let pinned = git(&made.code(), &["diff", &made.base, "--", "pins"]);
    write(&made.code().join("build.log"), "built\n");
    let task = made.swe_bench("pallets__flask-1", "");
    let name = "swebench/sweb.eval.x86_64.pallets_1776_flask-1:latest";
    made.image(name, "/testbed", "");
    Workspace::check(&task.workspace, &sandbox).unwrap();
    for attempt in ["one", "two"] {
        let workspace = made.prepare(&task, &sandbox, attempt).unwrap();
        assert_eq!(workspace.working_directory(), "/testbed");
        assert_eq!(
            text(&sandbox, &workspace, TELL),
            "The state of the environment\nbreak\nstart\nv0\nrefs/heads/main\nrefs/tags/v0\n"
        );
        let gone = format!("git cat-file -e {} && echo there", made.fix);
        assert!(!text(&sandbox, &workspace, &gone).contains("there"));
        assert_eq!(
            text(
                &sandbox,
                &workspace,
                "command -v pytest; echo $CONDA_DEFAULT_ENV $BY $PIP_NO_INDEX; cat pins build.log"
            ),
            "/opt/miniconda3/envs/testbed/bin/pytest\ntestbed image 1\nx==1\nbuilt\n"
        );
        let untouched = grade(&task, &workspace, &sandbox).unwrap();
        assert_eq!(untouched.change, PatchStatus::Empty, "{untouched:?}");
        edit(&workspace, "f.py", "return 1", "return 2").unwrap();
        edit(&workspace, "sub/new.py", "", "n = 1\n").unwrap();
        let graded = grade(&task, &workspace, &sandbox).unwrap();
        assert!(graded.resolved, "{graded:?}");
        let patch = graded.patch.unwrap();
        assert!(patch.contains("+def f(): return 2") && patch.contains("sub/new.py"));
        assert!(
            !patch.contains("pins") && !patch.contains("build.log"),
            "{patch}"
        );
        assert!(
            graded.log.contains("conda activate testbed"),
            "{}",
            graded.log
        );
    }
    assert_eq!(
        verify(&task, &sandbox, 1, made.scratch.path()).soundness,
        Soundness::Sound
    );
    let judged = |patch: &str| grade_patch(&task, Some(patch), &sandbox, made.scratch.path());
    assert!(judged(&made.gold).unwrap().resolved);
    // A prediction from elsewhere that has the image's own changes in it.
    let both = format!("{pinned}{}", made.gold);
    let graded = judged(&both).unwrap();
    assert!(graded.resolved, "{graded:?}");
    let elsewhere = made.gold.replace("return 1", "return 7");
    assert_eq!(
        judged(&elsewhere).unwrap().change,
        PatchStatus::DoesNotApply
    );
}

#[test]
fn an_exported_image_begins_without_its_future_too() {
    let Some((_, Image::Archive(rootfs))) = engine() else {
        return;
    };
    let Some(sandbox) = bubblewrap() else { return };
    let made = Made::new();
    let root = made.scratch.path().join("roots/pallets__flask-1");
    fs::create_dir_all(root.join("testbed")).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(made.code().join("."))
        .arg(root.join("testbed"))
        .status();
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(&root)
        .arg("-xf")
        .arg(rootfs)
        .status();
    assert!(copied.unwrap().success() && unpacked.unwrap().success());
    let task = made.swe_bench("pallets__flask-1", "rootfs = \"roots/{task}\"");
    for attempt in ["one", "two"] {
        let workspace = made.prepare(&task, &sandbox, attempt).unwrap();
        assert_eq!(
            text(&sandbox, &workspace, TELL),
            "break\nstart\nv0\nrefs/heads/main\nrefs/tags/v0\n"
        );
        edit(&workspace, "f.py", "return 1", "return 7").unwrap();
    }
    assert!(root.join("testbed/.git/refs/stash").exists());
}

#[test]
fn what_an_image_lacks_is_said() {
    let Some((sandbox, _)) = engine() else { return };
    let made = Made::new();
    let name = |id: u32| format!("swebench/sweb.eval.x86_64.pallets_1776_flask-{id}:latest");
    made.image(&name(2), "/testbed", "RUN rm -f /usr/bin/git");
    made.image(&name(3), "/testbed", "RUN rm -rf /testbed/.git");
    made.image(&name(4), "/elsewhere", "");
    made.image(
        &name(5),
        "/testbed",
        "RUN rm -rf /opt/miniconda3/bin/* && echo false >/opt/miniconda3/bin/activate",
    );
    let error = |id: u32| {
        let task = made.swe_bench(&format!("pallets__flask-{id}"), "");
        made.prepare(&task, &sandbox, &format!("p{id}"))
            .err()
            .unwrap()
    };
    insta::assert_snapshot!(error(2), @"pallets__flask-2: preparing the environment failed: its image has no git, so there is no telling what was changed; use an image with git, or clones (`repositories` in the suite file)");
    insta::assert_snapshot!(error(3), @"pallets__flask-3: preparing the environment failed: its image has no git repository in /testbed");
    insta::assert_snapshot!(error(4), @"pallets__flask-4: preparing the environment failed: its image's repository cannot be made ready (Code(1)): launcher: line 14: cd: /testbed: No such file or directory");
    insta::assert_snapshot!(error(5), @"pallets__flask-5: preparing the environment failed: its image has no conda environment `testbed`");
}

const RUN_SCRIPT: &str =
    "IFS=, read -ra files <<<\"$1\"\nfor file in \"${files[@]}\"; do python3 \"$file\"; done\n";

/// The small Python of the image has no JSON.
const PARSER: &str = "import sys\nlines = [line.split() for line in open(sys.argv[1])]\ntests = ['{\"name\": \"%s\", \"status\": \"%s\"}' % (name, status) for status, name in lines]\nopen(sys.argv[3], 'w').write('{\"tests\": [%s]}' % ','.join(tests))\n";

#[test]
fn an_image_of_swe_bench_pro_begins_at_the_base_commit() {
    let Some((sandbox, _)) = engine() else { return };
    let made = Made::new();
    // What its set-up would undo.
    git(&made.code(), &["checkout", "-q", "later"]);
    let id = "instance_made__f-1-vnan";
    let scripts = made.scratch.path().join("run_scripts").join(id);
    write(&scripts.join("run_script.sh"), RUN_SCRIPT);
    write(&scripts.join("parser.py"), PARSER);
    let task = made.task(
        "swe-bench-pro",
        &json!({
            "repo": "made/f", "instance_id": id, "base_commit": made.base, "patch": made.gold,
            "test_patch": "", "problem_statement": "f is wrong",
            "fail_to_pass": "['tests/test_f.py::f']", "pass_to_pass": "[]",
            "selected_test_files_to_run": "['tests/test_f.py']",
            "before_repo_set_cmd": format!("git reset --hard {0}\ngit clean -fd\ngit checkout {0}\ngit checkout {1} -- tests", made.base, made.fix),
        }),
        "",
    );
    made.image("jefzda/sweap-images:made.f-made__f-1", "/app", "");
    let workspace = made.prepare(&task, &sandbox, "one").unwrap();
    assert_eq!(workspace.working_directory(), "/app");
    assert_eq!(
        text(&sandbox, &workspace, TELL),
        "break\nstart\nv0\nrefs/heads/main\nrefs/tags/v0\n"
    );
    assert_eq!(
        text(&sandbox, &workspace, "cat f.py; echo $BY"),
        "def f(): return 1\nimage\n"
    );
    edit(&workspace, "f.py", "return 1", "return 2").unwrap();
    let graded = grade(&task, &workspace, &sandbox).unwrap();
    assert!(graded.resolved, "{graded:?}");
    assert_eq!(
        verify(&task, &sandbox, 1, made.scratch.path()).soundness,
        Soundness::Sound
    );
}
