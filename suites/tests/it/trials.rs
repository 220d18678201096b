//! Whole trials on small tasks made for the purpose: what a workspace contains,
//! what it hides, and agents that try to cheat.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::files::write;
use crate::support::{LIMITS, can, edit, sandbox};
use timeslip_datasets::run::journal::Warmth;
use timeslip_suites::{Error, Grade, Sandbox, Suite, SuiteFile, Task, Workspace, grade, steps};

fn load(directory: &Path, format: &str) -> Result<Task, Error> {
    let file = directory.join("suite.toml");
    let text = format!("name = \"made\"\nformat = \"{format}\"\nsource = \"source\"\n");
    write(&file, &text);
    let mut suite = Suite::load(&SuiteFile::read(&file)?, directory)?;
    assert_eq!(suite.tasks.len(), 1);
    Ok(suite.tasks.remove(0))
}

/// One directory for a suite and one trial of its task.
struct Trial {
    task: Task,
    sandbox: Sandbox,
    // In this order: its mounts are in there.
    workspace: Workspace,
    scratch: tempfile::TempDir,
}

impl Trial {
    fn new(scratch: tempfile::TempDir, format: &str) -> Self {
        let task = load(scratch.path(), format).unwrap();
        let sandbox = sandbox();
        let directory = scratch.path().join("trial");
        let workspace = Workspace::prepare(&task.workspace, &sandbox, &directory).unwrap();
        Self {
            scratch,
            task,
            sandbox,
            workspace,
        }
    }

    fn run(&self, command: &str) -> String {
        let invocation = self.workspace.invocation(command, LIMITS);
        self.sandbox.run(&invocation).unwrap().text()
    }

    fn grade(&self) -> Grade {
        grade(&self.task, &self.workspace, &self.sandbox).unwrap()
    }
}

fn harbor(dockerfile: &str, test: &str) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let task = scratch.path().join("source/made");
    write(&task.join("task.toml"), "[verifier]\ntimeout_sec = 10\n");
    write(&task.join("instruction.md"), "Make it so.\n");
    write(&task.join("environment/Dockerfile"), dockerfile);
    write(&task.join("environment/data/in.txt"), "in\n");
    write(&task.join("environment/run.sh"), "echo run\n");
    write(&task.join("tests/test.sh"), test);
    write(&task.join("solution/solve.sh"), "true\n");
    scratch
}

const DOCKERFILE: &str = "FROM debian\nWORKDIR /app\nCOPY data/ run.sh ./\nENV GREETING=\"hello there\"\nRUN cp in.txt made.txt && \\\n    echo \"$GREETING\" >greeting\nWORKDIR sub\n";

/// A repository with the broken `f.py` at its second commit and the fix at its third.
fn swe_bench() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let history = scratch.path().join("history");
    fs::create_dir(&history).unwrap();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(arguments)
            .current_dir(&history)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    git(&["init", "-q", "-b", "main"]);
    fs::write(history.join("latin.txt"), b"caf\xe9 1\n").unwrap();
    write(&history.join("crlf.txt"), "a\r\nb\r\n");
    std::os::unix::fs::symlink("latin.txt", history.join("was")).unwrap();
    for (content, message) in [
        ("def f(): return 0\n", "start"),
        ("def f(): return 1\n", "break"),
        ("def f(): return 2\n", "the secret fix"),
    ] {
        write(&history.join("f.py"), content);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", message]);
    }
    let base = String::from_utf8(git(&["rev-parse", "HEAD~1"])).unwrap();
    let gold = String::from_utf8(git(&["diff", "HEAD~1", "HEAD"])).unwrap();
    let stream = git(&["fast-export", "--all"]);

    let source = scratch.path().join("source");
    write(&source.join("sweb.yaml"), "datasets: [made]\n");
    fs::create_dir(source.join("repos")).unwrap();
    fs::write(source.join("repos/made__f.fast-import"), &stream).unwrap();
    let task = source.join("tasks/made__f-1");
    let yaml = format!(
        "instance_id: made__f-1\nrepo: made/f\nbase_commit: {base}version: '1'\nsplit: test\nimage: x\nlog_parser: parse_log_pytest\neval_type: pass_and_fail\n"
    );
    let eval = "#!/bin/bash\nset -uxo pipefail\ncd /testbed\n: '>>>>> Start Test Output'\npython3 -c 'import f; print(\"PASSED\" if f.f() == 2 else \"FAILED\", \"f\")'\n: '>>>>> End Test Output'\n";
    write(&task.join("task.yaml"), &yaml);
    write(
        &task.join("tests.json"),
        "{\"FAIL_TO_PASS\": [\"f\"], \"PASS_TO_PASS\": []}",
    );
    write(&task.join("problem_statement.md"), "f is wrong\n");
    write(&task.join("gold.patch"), &gold);
    write(&task.join("test.patch"), "");
    write(&task.join("eval.sh"), eval);
    scratch
}

#[test]
fn a_dockerfile_is_followed() {
    let trial = Trial::new(harbor(DOCKERFILE, "true\n"), "harbor");
    assert_eq!(
        trial.run("cd ..; ls; cat made.txt greeting; echo $GREETING"),
        "greeting\nin.txt\nmade.txt\nrun.sh\nsub\nin\nhello there\nhello there\n"
    );
    assert_eq!(trial.workspace.working_directory(), "/app/sub");
}

#[test]
fn edits_stay_in_the_workspace_whatever_is_planted() {
    let trial = Trial::new(harbor(DOCKERFILE, "true\n"), "harbor");
    let edit = |path: &str| {
        let edited = edit(&trial.workspace, path, "", "new\n");
        edited.map_err(|error| error.to_string())
    };
    assert!(edit("a.txt").is_ok() && edit("/app/sub/b.txt").is_ok());
    assert_eq!(trial.run("cat a.txt b.txt"), "new\nnew\n");
    for outside in ["../c.txt", "/app/c.txt", "/etc/c.txt", "/app/sub/../c.txt"] {
        assert!(edit(outside).unwrap_err().contains("leaves the directory"));
    }
    let elsewhere = trial.scratch.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    trial.run(&format!(
        "cd ..; rm -r sub; ln -s {} sub",
        elsewhere.display()
    ));
    assert!(edit("c.txt").unwrap_err().contains("symbolic link"));
    assert_eq!(elsewhere.read_dir().unwrap().count(), 0);
}

#[test]
fn a_removed_working_directory_is_the_agents_problem() {
    let test = "echo 1 >/logs/verifier/reward.txt\n";
    let trial = Trial::new(harbor(DOCKERFILE, test), "harbor");
    trial.run("cd ..; rm -r sub");
    let next = trial.run("pwd");
    assert!(next.contains("No such file"), "{next}");
    let grade = trial.grade();
    assert!(!grade.resolved && !grade.verifier_failed, "{grade:?}");
    assert!(grade.detail.unwrap().contains("the untouched task has one"));
}

#[test]
fn a_build_context_cannot_show_the_host() {
    let secret = tempfile::tempdir().unwrap();
    write(&secret.path().join("key"), "secret");
    for source in ["link", "link/key", "data"] {
        let dockerfile = format!("FROM x\nWORKDIR /app\nCOPY {source} here/\n");
        let scratch = harbor(&dockerfile, "true\n");
        let context = scratch.path().join("source/made/environment");
        for link in ["link", "data/link"] {
            std::os::unix::fs::symlink(secret.path(), context.join(link)).unwrap();
        }
        let task = load(scratch.path(), "harbor").unwrap();
        let prepared =
            Workspace::prepare(&task.workspace, &sandbox(), &scratch.path().join("trial"));
        let error = prepared.unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{source}: {error}");
    }
}

#[test]
fn tmp_lasts_from_one_command_to_the_next_but_not_into_grading() {
    let test = "ls /tmp | grep -q note && exit; mkdir -p /logs/verifier; echo 1 >/logs/verifier/reward.txt\n";
    let trial = Trial::new(harbor(DOCKERFILE, test), "harbor");
    trial.run("echo hi >/tmp/note");
    assert_eq!(trial.run("cat /tmp/note"), "hi\n");
    assert_eq!(trial.grade().reward, Some(1.0));
}

#[test]
fn a_verifier_decides_by_its_reward_alone() {
    let reward = |test: &str| Trial::new(harbor(DOCKERFILE, test), "harbor").grade();
    let solved = reward("echo 1 >/logs/verifier/reward.txt; exit 3\n");
    assert!(solved.resolved && !solved.verifier_failed);
    let partial = reward("echo why; echo 0.5 >/logs/verifier/reward.txt\n");
    assert_eq!((partial.resolved, partial.reward), (false, Some(0.5)));
    assert_eq!(partial.detail.as_deref(), Some("reward 0.5: why"));
    let none = reward("echo broken\n");
    assert!(!none.resolved && none.verifier_failed);
    assert_eq!(
        none.detail.as_deref(),
        Some("the verifier wrote neither reward.json nor reward.txt: broken")
    );
}

#[test]
fn dockerfiles_that_need_docker_are_errors_with_a_line() {
    let error = |dockerfile: &str| {
        let scratch = harbor(dockerfile, "true\n");
        let error = load(scratch.path(), "harbor")
            .and_then(|task| {
                Workspace::prepare(&task.workspace, &sandbox(), &scratch.path().join("trial"))
                    .map(drop)
            })
            .unwrap_err()
            .to_string();
        let prefix = scratch.path().join("source/made/environment");
        error.replace(&prefix.display().to_string(), "environment")
    };
    insta::assert_snapshot!(error("FROM x\nCOPY run.sh /usr/bin/\nWORKDIR /app\n"), @"environment/Dockerfile:2: COPY writes to /usr/bin, outside /app; without Docker or a `rootfs` in the suite file only that directory can be prepared");
    insta::assert_snapshot!(error("FROM x\nWORKDIR /app\nCOPY ../tests .\n"), @r#"environment/Dockerfile:3: COPY "../tests" leaves the build context"#);
    insta::assert_snapshot!(error("FROM x\nWORKDIR /app\nCOPY run.sh ../../etc/x\n"), @r#"environment/Dockerfile:3: "../../etc/x" has '..' in it; write the path without"#);
    insta::assert_snapshot!(error("FROM x\nWORKDIR /app\nCOPY none .\n"), @r#"environment/Dockerfile:3: COPY "none" is not in environment"#);
    insta::assert_snapshot!(error("FROM x\nWORKDIR /tests\n"), @"environment/Dockerfile:2: WORKDIR is in /tests, which is not the task's own; use /app");
    insta::assert_snapshot!(error("FROM x\nRUN true\n"), @"environment/Dockerfile:2: has no WORKDIR; the agent has to start somewhere, /app by custom");
    insta::assert_snapshot!(error("FROM x\nWORKDIR /app\nRUN echo no; exit 4\n"), @"environment/Dockerfile:3: RUN exited with code 4 (what installs packages needs a network, or `shims` in the suite file): no");
    insta::assert_snapshot!(error("FROM x\nWORKDIR /app\nRUN ln -s /etc here\nCOPY run.sh here/\n"), @"environment/Dockerfile:4: run.sh goes through a symbolic link; use the path the link points to");
}

#[test]
fn a_checkout_knows_nothing_of_the_future() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    assert_eq!(trial.run("git log --all --format=%s"), "break\nstart\n");
    assert_eq!(
        trial.run("git status --short; git branch; git remote"),
        "* main\n"
    );
    let objects = "git cat-file --batch-all-objects --batch-check='%(objecttype)'";
    assert_eq!(
        trial.run(&format!("{objects} | sort | uniq -c | tr -s ' '")),
        " 5 blob\n 2 commit\n 2 tree\n"
    );
    let scratch = trial.scratch.path().display().to_string();
    let traces = format!("grep -rl 'secret fix' . ; grep -rlF '{scratch}' .git");
    assert_eq!(trial.run(&traces), "");
    assert_eq!(
        trial.run("echo x >y && git add -A && git commit -qm z && git log -1 --format=%an"),
        "agent\n"
    );
}

#[test]
fn nothing_of_the_task_is_visible_to_the_agent() {
    let sandbox = sandbox();
    if !sandbox.capabilities().isolated {
        return;
    }
    let trial = Trial::new(harbor(DOCKERFILE, "true\n"), "harbor");
    let scratch = trial.scratch.path().display();
    let seen = format!(
        "ls / | tr '\\n' ' '; ls -d {scratch} /tests /solution 2>/dev/null; find /logs -type f"
    );
    let listing = trial.run(&seen);
    for hidden in ["tests", "solution", "home"] {
        assert!(!listing.contains(hidden), "{listing}");
    }
}

#[test]
fn a_change_is_graded_on_a_fresh_checkout() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    assert_eq!(trial.grade().detail.as_deref(), Some("nothing was changed"));
    trial.run("sed -i s/1/3/ f.py");
    let wrong = trial.grade();
    assert_eq!(wrong.failed_tests, ["f"], "{wrong:?}");
    assert!(wrong.patch.unwrap().contains("+def f(): return 3"));
    trial.run("sed -i s/3/2/ f.py && git commit -qam 'my fix'");
    let right = trial.grade();
    assert!(right.resolved, "{right:?}");
}

#[test]
fn new_and_binary_files_are_part_of_a_change_and_build_products_are_not() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    trial.run(
        "printf 'from g import g as f\\n' >f.py; printf '\\0\\1\\2' >data.bin; \
         echo 'def g(): return open(\"data.bin\", \"rb\").read()[2]' >g.py; python3 -c 'import f'",
    );
    let grade = trial.grade();
    assert!(grade.resolved, "{grade:?}");
    assert!(!grade.patch.unwrap().contains("__pycache__"));
}

/// Changes that are no text in UTF-8, or that git does not take in without help, and a
/// Python expression that is true once they are in place.
const ODD_CHANGES: &[(&str, &str)] = &[
    (
        "printf 'caf\\351 2\\n' >latin.txt",
        "open('latin.txt', 'rb').read() == b'caf\\xe9 2\\n'",
    ),
    (
        "printf 'caf\\303\\251\\n' >latin.txt; printf 'new \\351\\n' >new.txt; mkdir d; printf '\\351' >d/no-end",
        "open('latin.txt', 'rb').read() == b'caf\\xc3\\xa9\\n' and open('new.txt', 'rb').read() == b'new \\xe9\\n' and open('d/no-end', 'rb').read() == b'\\xe9'",
    ),
    (
        "git mv latin.txt moved.txt; printf 'more \\351\\n' >>moved.txt",
        "open('moved.txt', 'rb').read() == b'caf\\xe9 1\\nmore \\xe9\\n' and not os.path.exists('latin.txt')",
    ),
    ("rm latin.txt", "not os.path.exists('latin.txt')"),
    (
        "printf x >\"$(printf 'n\\351w')\"; printf y >'a \"b'; printf z >\"$(printf 'tab\\there')\"",
        "open(b'n\\xe9w').read() + open('a \"b').read() + open('tab\\there').read() == 'xyz'",
    ),
    (
        "sed -i 's/b/B/' crlf.txt; printf 'mixed\\r\\nlines\\n' >mixed.txt",
        "open('crlf.txt', 'rb').read() == b'a\\r\\nB\\r\\n' and open('mixed.txt', 'rb').read() == b'mixed\\r\\nlines\\n'",
    ),
    (
        "chmod +x crlf.txt; ln -s latin.txt link; : >empty; ln -sfn nowhere was; printf '\\0\\351' >bin",
        "os.access('crlf.txt', os.X_OK) and os.readlink('link') == 'latin.txt' and os.path.getsize('empty') == 0 and os.readlink('was') == 'nowhere' and open('bin', 'rb').read() == b'\\0\\xe9'",
    ),
    (
        "git init -q sub; touch sub/x; touch .git/index.lock; echo kept >kept",
        "open('kept').read() == 'kept\\n'",
    ),
    (
        "git config diff.context 0; git config diff.submodule log; git config diff.renames copies; echo '* -diff' >.git/info/attributes; cp latin.txt copy; printf '[diff]\\nnoprefix = true\\n' >~/.gitconfig",
        "open('copy', 'rb').read() == b'caf\\xe9 1\\n'",
    ),
    (
        "head -c 6000000 /dev/urandom >large.bin; yes line | head -c 9000000 >large.txt",
        "os.path.getsize('large.bin') + os.path.getsize('large.txt') == 15000000",
    ),
];

/// What the agent's own work gives and what its saved patch gives is the same.
#[test]
fn a_change_of_any_bytes_is_the_same_as_a_saved_patch() {
    for (work, holds) in ODD_CHANGES {
        let trial = Trial::new(swe_bench(), "swe-bench");
        let fix = format!(
            "cat >f.py <<'END'\nimport os\ndef f(): return 2 if {holds} else 1\nEND\n{work}"
        );
        let printed = trial.run(&fix);
        let grade = trial.grade();
        assert!(grade.resolved, "{work}: {printed}: {grade:?}");
        let patch = grade.patch.unwrap();
        let place = trial.scratch.path();
        let saved = steps::grade_patch(&trial.task, Some(&patch), &trial.sandbox, place).unwrap();
        assert!(saved.resolved, "{work}: {saved:?}");
    }
}

#[test]
fn planted_configuration_does_not_reach_the_verdict() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    let escaped = trial.scratch.path().join("escaped");
    trial.run(&format!(
        "git config core.fsmonitor 'touch {0}; false'; git config diff.external 'touch {0}'; \
         git config diff.noprefix true; git config color.ui always; git config core.pager 'touch {0}'; \
         printf '#!/bin/sh\\ntouch {0}\\n' >.git/hooks/pre-commit; \
         mkdir -p .git/hooks; ln -s / root; sed -i s/1/2/ f.py",
        escaped.display()
    ));
    let grade = trial.grade();
    assert!(grade.resolved, "{grade:?}");
    assert!(!escaped.exists());
}

#[test]
fn planted_hooks_do_not_run() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    trial.run(
        "sed -i s/1/2/ f.py; mkdir -p .git/hooks; cd .git/hooks; \
         for name in post-index-change post-checkout pre-commit reference-transaction; do \
         printf '#!/bin/sh\\necho planted >/testbed/planted\\n' >$name; chmod +x $name; done",
    );
    assert_eq!(
        trial.run("git add -A; cat planted; rm planted"),
        "planted\n"
    );
    let grade = trial.grade();
    assert!(grade.resolved, "{grade:?}");
    assert!(!grade.patch.unwrap().contains("planted"));
}

#[test]
fn a_patch_puts_no_hook_into_the_repository() {
    let scratch = swe_bench();
    let eval = scratch.path().join("source/tasks/made__f-1/eval.sh");
    let text = fs::read_to_string(&eval).unwrap();
    let reset = "cd /testbed\ngit checkout HEAD -- f.py\n";
    write(&eval, &text.replace("cd /testbed\n", reset));
    let trial = Trial::new(scratch, "swe-bench");
    let patch = "diff --git a/.git/hooks/post-checkout b/.git/hooks/post-checkout\n\
        new file mode 100755\n--- /dev/null\n+++ b/.git/hooks/post-checkout\n@@ -0,0 +1,2 @@\n\
        +#!/bin/sh\n+echo 'def f(): return 2' >f.py\n";
    let place = trial.scratch.path();
    let grade = steps::grade_patch(&trial.task, Some(patch), &trial.sandbox, place).unwrap();
    assert!(!grade.resolved, "{grade:?}");
}

/// The task of [`swe_bench()`], whose hidden tests are a new file.
fn swe_bench_with_test_patch() -> tempfile::TempDir {
    let scratch = swe_bench();
    let eval = "#!/bin/bash\nset -uxo pipefail\ncd /testbed\ngit apply -v - <<'EOF_114329324912'\n\
        diff --git a/t/test_f.py b/t/test_f.py\nnew file mode 100644\n--- /dev/null\n+++ b/t/test_f.py\n\
        @@ -0,0 +1,2 @@\n+import f\n+print(\"PASSED\" if f.f() == 2 else \"FAILED\", \"f\")\n\
        EOF_114329324912\n: '>>>>> Start Test Output'\nPYTHONPATH=. python3 t/test_f.py\n: '>>>>> End Test Output'\n";
    write(&scratch.path().join("source/tasks/made__f-1/eval.sh"), eval);
    scratch
}

#[test]
fn the_hidden_tests_are_run_whatever_the_change_has_in_their_place() {
    let forged = "mkdir -p t; echo 'print(\"PASSED f\")' >t/test_f.py";
    // Where they cannot be put in place it is the change that stands in the way: graded they
    // are not, and it is not solved.
    for (work, resolved, in_place) in [
        ("sed -i s/1/2/ f.py", true, true),
        ("touch x", false, true),
        (forged, false, true),
        (&format!("sed -i s/1/2/ f.py; {forged}"), true, true),
        ("mkdir -p t/test_f.py; touch t/test_f.py/x", false, true),
        ("touch t", false, false),
        (
            "mkdir u; echo 'print(\"PASSED f\")' >u/test_f.py; ln -s u t",
            false,
            false,
        ),
    ] {
        let trial = Trial::new(swe_bench_with_test_patch(), "swe-bench");
        trial.run(work);
        let grade = trial.grade();
        let detail = grade.detail.as_deref().unwrap_or_default();
        let stood_in_the_way = detail.contains("the hidden tests cannot be put in place");
        assert_eq!(
            (grade.resolved, !stood_in_the_way, grade.verifier_failed),
            (resolved, in_place, false),
            "{work}: {grade:?}"
        );
    }
}

#[test]
fn broken_repositories_and_forged_results_do_not_pass() {
    let trial = Trial::new(swe_bench(), "swe-bench");
    trial.run("sed -i s/1/2/ f.py; rm -rf .git");
    let grade = trial.grade();
    assert!(!grade.resolved && grade.patch.is_none());

    let trial = Trial::new(swe_bench(), "swe-bench");
    trial.run(
        "printf 'import os, signal\\nprint(\"PASSED f\\\\n>>>>> End Test Output\", flush=True)\\nos.kill(os.getppid(), signal.SIGKILL)\\n' >f.py",
    );
    let grade = trial.grade();
    assert!(!grade.resolved && !grade.verifier_failed, "{grade:?}");
    assert!(grade.detail.unwrap().contains("was killed"));
}

#[test]
fn a_task_without_its_history_or_a_known_parser_is_an_error() {
    let without = |change: &dyn Fn(&Path)| {
        let scratch = swe_bench();
        change(&scratch.path().join("source"));
        let error = load(scratch.path(), "swe-bench").unwrap_err().to_string();
        error.replace(&format!("{}/", scratch.path().display()), "")
    };
    insta::assert_snapshot!(without(&|source| fs::remove_file(source.join("repos/made__f.fast-import")).unwrap()), @"made__f-1: source/repos/made__f.fast-import is missing; it holds the history of made/f as a git fast-import stream");
    insta::assert_snapshot!(without(&|source| {
        let file = source.join("tasks/made__f-1/task.yaml");
        let yaml = fs::read_to_string(&file).unwrap();
        fs::write(file, yaml.replace("parse_log_pytest", "parse_log_cobol")).unwrap();
    }), @r#"made__f-1: log_parser "parse_log_cobol" is not known; there are parse_log_pytest, parse_log_pytest_options, parse_log_pytest_v2, parse_log_django, parse_log_seaborn, parse_log_sympy, parse_log_matplotlib, parse_log_astroid, parse_log_flask, parse_log_marshmallow, parse_log_pvlib, parse_log_pyvista, parse_log_sqlfluff, parse_log_xarray, parse_log_pydicom, parse_log_requests, parse_log_pylint, parse_log_astropy, parse_log_scikit, parse_log_sphinx, parse_log_redis, parse_log_jq, parse_log_doctest, parse_log_micropython_test, parse_log_googletest, parse_log_gotest, parse_log_maven, parse_log_ant, parse_log_gradle_custom, parse_log_jest, parse_log_jest_json, parse_log_vitest, parse_log_karma, parse_log_tap, parse_log_phpunit, parse_log_minitest, parse_log_cucumber, parse_log_ruby_unit, parse_log_rspec_transformed_json, parse_log_cargo, parse_log_immutable_js, parse_log_jekyll"#);
}

#[test]
fn a_task_repository_without_histories_has_its_code_in_images() {
    let scratch = swe_bench();
    fs::remove_dir_all(scratch.path().join("source/repos")).unwrap();
    let task = load(scratch.path(), "swe-bench").unwrap();
    let error = Workspace::check_start(&task.workspace, &can("bubblewrap")).unwrap_err();
    insta::assert_snapshot!(error, @"made__f-1: its code is in the image x: use `--sandbox docker`, or export it and name the archive as `rootfs`, with {task} in its name, or name a folder with a clone of made/f as `repositories` in the suite file");
    Workspace::check_start(&task.workspace, &can("docker")).unwrap();
}

#[test]
fn a_commit_that_is_not_in_the_history_is_an_error() {
    let scratch = swe_bench();
    let file = scratch.path().join("source/tasks/made__f-1/task.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    let base = yaml.split("base_commit: ").nth(1).unwrap()[..40].to_owned();
    fs::write(&file, yaml.replace(&base, &"1".repeat(40))).unwrap();
    let task = load(scratch.path(), "swe-bench").unwrap();
    let error =
        Workspace::prepare(&task.workspace, &sandbox(), &scratch.path().join("trial")).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("made__f-1: preparing the environment failed: git fetch"),
        "{message}"
    );
}

#[test]
fn a_suite_selects_by_id_and_knows_its_ids() {
    let scratch = harbor(DOCKERFILE, "true\n");
    let select = |lines: &str| {
        let file = scratch.path().join("suite.toml");
        let text = format!("name = \"made\"\nformat = \"harbor\"\nsource = \"source\"\n{lines}");
        write(&file, &text);
        Suite::load(&SuiteFile::read(&file).unwrap(), scratch.path())
            .map(|suite| suite.tasks.len())
            .map_err(|error| {
                error
                    .to_string()
                    .replace(&format!("{}/", scratch.path().display()), "")
            })
    };
    assert_eq!(select("include = [\"made\"]"), Ok(1));
    insta::assert_snapshot!(select("include = [\"maid\"]").unwrap_err(), @r#"suite.toml:4: include[0] "maid" fits no task of source; there are made"#);
    insta::assert_snapshot!(select("exclude = [\"made\"]").unwrap_err(), @"suite.toml:4: exclude leaves no task");
}

#[test]
fn trials_can_be_prepared_at_the_same_time() {
    let scratch = swe_bench();
    let task = load(scratch.path(), "swe-bench").unwrap();
    let sandbox = sandbox();
    let starts = std::thread::scope(|scope| {
        let trials: Vec<_> = (0..6)
            .map(|index| {
                let (task, sandbox) = (&task, &sandbox);
                let directory = scratch.path().join(format!("trial-{index}"));
                scope.spawn(move || {
                    Workspace::prepare(&task.workspace, sandbox, &directory).unwrap()
                })
            })
            .collect();
        let workspaces = trials.into_iter().map(|trial| trial.join().unwrap());
        workspaces
            .map(|workspace| workspace.warmth())
            .collect::<Vec<_>>()
    });
    // Somebody makes the state; whoever waits for it has not found it.
    assert!(starts.contains(&Warmth::Cold));
    let later =
        Workspace::prepare(&task.workspace, &sandbox, &scratch.path().join("later")).unwrap();
    assert_eq!(later.warmth(), Warmth::Warm);
}
