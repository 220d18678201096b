//! Terminal tasks with everything their formats know: several steps, a verifier apart,
//! variables, shims, Terminal-Bench 1; and what a suite file does with them.

use std::fs;

use crate::support::tasks::Source;
use crate::support::{LIMITS, sandbox};
use timeslip_suites::verify::Soundness;
use timeslip_suites::{Grade, Workspace, grade, solution, steps};

fn run(workspace: &Workspace, command: &str) -> String {
    let invocation = workspace.invocation(command, LIMITS);
    sandbox().run(&invocation).unwrap().text()
}

/// What a task of three steps comes to when each step is worked on by a command.
fn work_through(source: &Source, work: [&str; 3]) -> (Vec<f64>, Grade) {
    let (task, sandbox) = (source.only(), sandbox());
    assert_eq!(task.steps.len(), 3);
    let workspace = source.prepare(&task);
    let mut grades = Vec::new();
    for (step, command) in work.into_iter().enumerate() {
        if steps::begin_step(&task, step, &workspace, &sandbox).is_err() {
            break;
        }
        run(&workspace, command);
        let grade = steps::grade_step(&task, step, &workspace, &sandbox).unwrap();
        let go_on = grade.go_on;
        grades.push(grade);
        if !go_on {
            break;
        }
    }
    let rewards = grades
        .iter()
        .map(|step| step.grade.rewards.get("reward").copied().unwrap_or(-1.0));
    (rewards.collect(), steps::combine(&task, grades))
}

fn three_steps() -> Source {
    let toml = "schema_version = '1.4'\n\
        [environment.env]\nPROJECT = 'p'\n\
        [[steps]]\nname = 'one'\nmin_reward = 0.5\n[steps.verifier]\nenv = { LINES_WANTED = '1' }\n\
        [[steps]]\nname = 'two'\n[steps.verifier]\nenv = { LINES_WANTED = '2' }\n\
        [steps.healthcheck]\ncommand = 'test -s notes'\ninterval_sec = 0.01\nretries = 2\n\
        [[steps]]\nname = 'three'\n[steps.verifier]\nenv = { LINES_WANTED = '3' }\n";
    let step = |name: &str, file: &str| format!("source/made/steps/{name}/{file}");
    let mut source = Source::new("harbor")
        .file("source/made/task.toml", toml)
        .file(
            "source/made/environment/Dockerfile",
            "FROM x\nWORKDIR /app\n",
        )
        .file(
            "source/made/tests/judge.sh",
            "n=$(wc -l <notes); echo $((n / LINES_WANTED)) >/logs/verifier/reward.txt\n",
        )
        .file(&step("two", "workdir/seed.txt"), "seed\n")
        .file(
            &step("two", "workdir/setup.sh"),
            "mv seed.txt seed-$PROJECT; rm -- \"$0\"\n",
        );
    for name in ["one", "two", "three"] {
        source = source
            .file(&step(name, "instruction.md"), name)
            .file(&step(name, "tests/test.sh"), ". /tests/judge.sh\n")
            .file(&step(name, "solution/solve.sh"), "echo line >>notes\n");
    }
    source
}

#[test]
fn steps_follow_one_another_in_the_same_workspace() {
    let source = three_steps();
    let line = "echo line >>notes";
    let (rewards, grade) = work_through(&source, [line, "ls >seen; echo line >>notes", line]);
    assert_eq!(rewards, [1.0, 1.0, 1.0]);
    assert!(grade.resolved && grade.reward == Some(1.0), "{grade:?}");
    let task = source.only();
    assert_eq!(task.steps[1].instruction, "two");
    assert_eq!(source.verify(&task), Soundness::Sound);
}

#[test]
fn a_step_gets_its_files_and_the_set_up_script_is_run() {
    let source = three_steps();
    let (task, sandbox) = (source.only(), sandbox());
    let workspace = source.prepare(&task);
    let error = steps::begin_step(&task, 1, &workspace, &sandbox).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"test -s notes\" failed 2 times"),
        "{error}"
    );
    assert_eq!(run(&workspace, "ls; cat seed-p"), "seed-p\nseed\n");
}

#[test]
fn a_step_that_earns_too_little_ends_the_trial() {
    let (rewards, grade) = work_through(&three_steps(), ["touch notes", "true", "true"]);
    assert_eq!(rewards, [0.0]);
    assert!(!grade.resolved && !grade.verifier_failed, "{grade:?}");
    assert!(
        grade
            .detail
            .unwrap()
            .starts_with("step 1 of 3 (one): reward 0")
    );
    let (rewards, grade) = work_through(&three_steps(), ["echo a >notes", "true", "true"]);
    assert_eq!(rewards, [1.0, 0.0, 0.0]);
    assert_eq!(grade.reward, Some(1.0 / 3.0));
}

#[test]
fn a_verifier_apart_sees_the_artifacts_and_nothing_else() {
    let toml = "artifacts = ['/app/done', '/app/out']\n[verifier]\nenvironment_mode = 'separate'\n";
    let source = Source::new("harbor").task("made", toml).file(
        "source/made/tests/test.sh",
        "ls /app /app/out; test -f /app/out/x && test ! -e /app/extra && echo 1 >/logs/verifier/reward.txt\n",
    );
    let task = source.only();
    let workspace = source.prepare(&task);
    run(&workspace, "mkdir out; touch out/x extra");
    let judged = grade(&task, &workspace, &sandbox()).unwrap();
    assert!(judged.resolved, "{judged:?}");
    run(&workspace, "rm -r out; ln -s / out");
    let judged = grade(&task, &workspace, &sandbox()).unwrap();
    assert!(judged.verifier_failed, "{judged:?}");
    assert!(judged.detail.unwrap().contains("symbolic link"));

    let outside = Source::new("harbor").task("made", &toml.replace("/app/done", "/etc/x"));
    let task = outside.only();
    let error = grade(&task, &outside.prepare(&task), &sandbox()).unwrap_err();
    assert!(
        error.to_string().contains("hands /etc/x to its verifier"),
        "{error}"
    );
}

#[test]
fn variables_and_the_working_directory_are_as_the_task_says() {
    let toml = "[environment]\nworkdir = '/app/deep'\nenv = { A = 'a', H = '${HOME:-none}' }\n\
        [verifier]\nenv = { B = 'b' }\n[solution]\nenv = { C = 'c' }\n";
    let source = Source::new("harbor")
        .task("made", toml)
        .file(
            "source/made/tests/test.sh",
            "test \"$A$B$(cat done)\" = abc && r=1 || r=0; echo $r >/logs/verifier/reward.txt\n",
        )
        .file("source/made/solution/solve.sh", "printf $C >done\n");
    let task = source.only();
    let workspace = source.prepare(&task);
    assert_eq!(run(&workspace, "pwd; echo $A $H $B"), "/app/deep\na none\n");
    assert_eq!(source.verify(&task), Soundness::Sound);
}

#[test]
fn shims_stand_in_for_what_needs_a_network() {
    let sandbox = sandbox();
    if !sandbox.capabilities().isolated {
        return;
    }
    let source = || {
        Source::new("harbor")
            .task("made", "")
            .file(
                "source/made/environment/Dockerfile",
                "FROM x\nRUN fetch-packages tree\nWORKDIR /app\n",
            )
            .file(
                "source/made/tests/test.sh",
                "fetch-packages pytest && test -f /app/done && echo 1 >/logs/verifier/reward.txt\n",
            )
    };
    let without = source();
    let task = without.only();
    let prepared = Workspace::prepare(&task.workspace, &sandbox, &without.scratch.path().join("t"));
    let error = prepared.unwrap_err().to_string();
    assert!(
        error.contains("Dockerfile:2: RUN exited with code 127 (what installs"),
        "{error}"
    );

    let with = source()
        .suite("shims = 'shims'\n")
        .file("shims/fetch-packages", "#!/bin/sh\necho \"$1 is here\"\n");
    let program = with.scratch.path().join("shims/fetch-packages");
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let task = with.only();
    let workspace = with.prepare(&task);
    assert_eq!(run(&workspace, "fetch-packages x"), "x is here\n");
    let spoil = run(&workspace, "echo >/shims/fetch-packages || echo refused");
    assert!(spoil.ends_with("refused\n"), "{spoil}");
    run(&workspace, "touch done");
    assert!(grade(&task, &workspace, &sandbox).unwrap().resolved);

    let missing = source().suite("shims = 'none'\n").open().unwrap_err();
    assert!(
        missing.contains("none: the shims cannot be listed"),
        "{missing}"
    );
}

#[test]
fn terminal_bench_1_is_graded_by_what_pytest_prints() {
    let compose = "services:\n  client:\n    build:\n      dockerfile: Dockerfile\n";
    let tests = "echo '== short test summary info =='; \
        test -f done && echo 'PASSED t.py::done' || echo 'FAILED t.py::done - no'; \
        echo 'SKIPPED [1] t.py:1: not here'; test -f $TEST_DIR/data.txt; exit 1\n";
    let source = Source::new("terminal-bench-1")
        .file(
            "source/made/task.yaml",
            "instruction: Make it so.\ndifficulty: easy\ntags: [x]\n",
        )
        .file("source/made/docker-compose.yaml", compose)
        .file(
            "source/made/Dockerfile",
            "FROM x\nWORKDIR /app\nCOPY task-deps/in.txt .\n",
        )
        .file("source/made/task-deps/in.txt", "in\n")
        .file("source/made/run-tests.sh", tests)
        .file("source/made/tests/data.txt", "")
        .file(
            "source/made/solution.yaml",
            "- command: cp in.txt done\n- command: ls\n",
        );
    let task = source.only();
    assert_eq!(task.tags, ["easy", "x"]);
    assert_eq!(source.verify(&task), Soundness::Sound);
    let workspace = source.prepare(&task);
    let untouched = grade(&task, &workspace, &sandbox()).unwrap();
    assert_eq!(
        (untouched.reward, untouched.failed_tests),
        (Some(0.0), vec!["done".to_owned()])
    );
    assert!(
        solution::solve(&task, 0, &workspace, &sandbox())
            .unwrap()
            .unwrap()
            .succeeded()
    );
    // The task's own files are not in the environment.
    assert_eq!(run(&workspace, "ls"), "done\nin.txt\n");
}
