//! Terminal tasks with everything their formats know: several steps, a verifier apart,
//! variables, shims, Terminal-Bench 1; and what a suite file does with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{
    Backend, Error, Grade, Limits, Quarantined, Sandbox, Suite, SuiteFile, Task, Workspace, gold,
    grade, steps,
};

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(20),
    output_bytes: 64 * 1024,
    memory_mb: 2048,
};

fn sandbox() -> Sandbox {
    let backend = match Backend::Bubblewrap.check() {
        Ok(_) => Backend::Bubblewrap,
        Err(why) => {
            eprintln!("SKIPPED: not tried in bubblewrap: {why}");
            Backend::Process
        }
    };
    Sandbox::new(backend).unwrap()
}

fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// A folder `source` of tasks and a suite file over it.
struct Source {
    scratch: tempfile::TempDir,
    lines: String,
}

impl Source {
    fn new(format: &str) -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            lines: format!("name = \"made\"\nformat = \"{format}\"\nsource = \"source\"\n"),
        }
    }

    fn file(self, path: &str, content: &str) -> Self {
        write(&self.scratch.path().join(path), content);
        self
    }

    /// A Harbor task that is solved by a file `done` in its working directory.
    fn task(self, name: &str, toml: &str) -> Self {
        let at = |file: &str| format!("source/{name}/{file}");
        self.file(&at("task.toml"), toml)
            .file(&at("instruction.md"), "Make it so.\n")
            .file(&at("environment/Dockerfile"), "FROM x\nWORKDIR /app\n")
            .file(
                &at("tests/test.sh"),
                "test -f /app/done && r=1 || r=0; echo $r >/logs/verifier/reward.txt\n",
            )
            .file(&at("solution/solve.sh"), "touch done\n")
    }

    fn suite(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self
    }

    fn open(&self) -> Result<(Suite, Vec<(String, Error)>), String> {
        let file = self.scratch.path().join("suite.toml");
        write(&file, &self.lines);
        SuiteFile::read(&file)
            .and_then(|file| Suite::open(&file, self.scratch.path()))
            .map_err(|error| self.without_folder(&error.to_string()))
    }

    fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.scratch.path().display()), "")
    }

    fn ids(&self) -> Result<Vec<String>, String> {
        let (suite, problems) = self.open()?;
        assert!(problems.is_empty(), "{problems:?}");
        Ok(suite.tasks.into_iter().map(|task| task.id).collect())
    }

    fn only(&self) -> Task {
        let (mut suite, problems) = self.open().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(suite.tasks.len(), 1);
        suite.tasks.remove(0)
    }

    fn prepare(&self, task: &Task) -> Workspace {
        let directory = tempfile::tempdir_in(self.scratch.path()).unwrap().keep();
        Workspace::prepare(task, &sandbox(), &directory.join("trial")).unwrap()
    }

    fn verify(&self, task: &Task) -> Soundness {
        verify(task, &sandbox(), 1, self.scratch.path())
    }
}

fn run(workspace: &Workspace, command: &str) -> String {
    let invocation = workspace.invocation(command, LIMITS);
    sandbox().run(&invocation).unwrap().text()
}

/// What a task of three steps comes to when each step is worked on by a command.
fn work_through(source: &Source, work: [&str; 3]) -> (Vec<f64>, Grade) {
    let (task, sandbox) = (source.only(), sandbox());
    assert_eq!(task.steps(), 3);
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
        .map(|step| step.rewards.get("reward").copied().unwrap_or(-1.0));
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
    assert_eq!(task.assignment(1).map(|(told, _)| told), Some("two"));
    assert_eq!(task.assignment(3), None);
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
    if sandbox.backend() == Backend::Process {
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
    let prepared = Workspace::prepare(&task, &sandbox, &without.scratch.path().join("t"));
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
    assert_eq!(task.tags(), ["easy", "x"]);
    assert_eq!(source.verify(&task), Soundness::Sound);
    let workspace = source.prepare(&task);
    let untouched = grade(&task, &workspace, &sandbox()).unwrap();
    assert_eq!(
        (untouched.reward, untouched.failed_tests),
        (Some(0.0), vec!["done".to_owned()])
    );
    assert!(
        gold::solve(&task, 0, &workspace, &sandbox())
            .unwrap()
            .unwrap()
            .succeeded()
    );
    // The task's own files are not in the environment.
    assert_eq!(run(&workspace, "ls"), "done\nin.txt\n");
}

#[test]
fn what_needs_containers_is_set_apart_and_can_be_excluded() {
    let source = || {
        Source::new("harbor")
            .task("gpu", "[environment]\ngpus = 1\n")
            .task("image", "[environment]\ndocker_image = 'i'\n")
            .task("good", "")
    };
    let without = source();
    fs::remove_file(
        without
            .scratch
            .path()
            .join("source/image/environment/Dockerfile"),
    )
    .unwrap();
    let (suite, problems) = without.open().unwrap();
    let problems: Vec<String> = problems
        .iter()
        .map(|(_, error)| error.to_string())
        .collect();
    insta::assert_snapshot!(problems.join("\n"), @"gpu: needs what no sandbox here has: 1 GPUs");
    // An image is only there for who has containers.
    let image = suite.task("image").unwrap();
    let followed = |task, backend| Workspace::check_recipe(task, backend);
    insta::assert_snapshot!(followed(image, Backend::Bubblewrap).unwrap_err(), @"image: is made from the image i, which needs containers; without them a Dockerfile can be followed");
    followed(image, Backend::Docker).unwrap();
    followed(suite.task("good").unwrap(), Backend::Bubblewrap).unwrap();
    let file = SuiteFile::read(&without.scratch.path().join("suite.toml")).unwrap();
    let error = Suite::load(&file, without.scratch.path()).unwrap_err();
    insta::assert_snapshot!(error, @"gpu: needs what no sandbox here has: 1 GPUs");
    let selected = source().suite("exclude = ['gpu']\n").ids().unwrap();
    assert_eq!(selected, ["good", "image"]);
}

#[test]
fn tasks_are_selected_by_pattern_tag_and_sample() {
    let source = |lines: &str| {
        let tagged = |tag: &str| format!("[metadata]\ntags = ['{tag}']\n");
        let mut source = Source::new("harbor").suite(lines);
        for (name, tag) in [
            ("a-1", "x"),
            ("a-2", "y"),
            ("b-1", "x"),
            ("b-2", "z"),
            ("c", "z"),
        ] {
            source = source.task(name, &tagged(tag));
        }
        source
    };
    let ids = |lines: &str| source(lines).ids();
    assert_eq!(ids("include = ['a-*', 'c']").unwrap(), ["a-1", "a-2", "c"]);
    assert_eq!(
        ids("exclude = ['?-1']\ntags = ['y', 'z']").unwrap(),
        ["a-2", "b-2", "c"]
    );
    insta::assert_snapshot!(ids("include = [\n  'a-*',\n  'd*',\n]").unwrap_err(), @r#"suite.toml:6: include[1] "d*" fits no task of source; there are a-1, a-2, b-1, b-2, c"#);
    insta::assert_snapshot!(ids("tags = ['w']").unwrap_err(), @"suite.toml:4: tags leaves no task");
    insta::assert_snapshot!(ids("sample = { count = 6 }").unwrap_err(), @"suite.toml:4: sample.count asks for 6 tasks, but there are 5");

    let drawn = |seed: u64, more: &str| {
        ids(&format!("sample = {{ count = 2, seed = {seed} }}\n{more}")).unwrap()
    };
    let first = drawn(1, "");
    assert_eq!(first, drawn(1, ""));
    assert!((2..20).any(|seed| drawn(seed, "") != first));
    // Taking one out changes that one only.
    let less = drawn(1, &format!("exclude = ['{}']", first[0]));
    assert!(
        less.contains(&first[1]) && !less.contains(&first[0]),
        "{less:?}"
    );
}

#[test]
fn what_is_in_quarantine_is_left_out_and_named() {
    let source = Source::new("harbor")
        .task("good", "")
        .task("odd", "")
        .suite("quarantine = 'q.toml'\n")
        .file(
            "q.toml",
            "[[quarantined]]\ntask = 'odd'\nwhy = 'flaky'\nwhen = '2026-01-02'\n[[quarantined]]\ntask = 'elsewhere'\nwhy = 'x'\n",
        );
    let (suite, _) = source.open().unwrap();
    assert_eq!(suite.tasks.len(), 1);
    let odd = Quarantined {
        task: "odd".to_owned(),
        why: "flaky".to_owned(),
        when: "2026-01-02".to_owned(),
    };
    assert_eq!(suite.excluded, [odd]);
}

#[test]
fn prompt_and_grader_options_take_effect() {
    let lines =
        "prompt = 'Be brief. {instruction}'\n[grader]\nsolved_at = 0.5\ntimeout_seconds = 7\n";
    let source = Source::new("harbor").task("made", "").suite(lines).file(
        "source/made/tests/test.sh",
        "echo 0.6 >/logs/verifier/reward.txt\n",
    );
    let task = source.only();
    assert_eq!(task.instruction, "Be brief. Make it so.");
    assert_eq!(
        task.assignment(0).map(|(told, _)| told),
        Some("Be brief. Make it so.")
    );
    assert_eq!(task.verifier_timeout, Duration::from_secs(7));
    let judged = grade(&task, &source.prepare(&task), &sandbox()).unwrap();
    assert!(judged.resolved && judged.reward == Some(0.6));
}

#[test]
fn verify_tells_sound_from_broken_and_flaky_tasks() {
    let test = |body: &str| format!("{body}; echo $r >/logs/verifier/reward.txt\n");
    let source = Source::new("harbor")
        .task("sound", "")
        .task("solved", "")
        .file("source/solved/tests/test.sh", &test("r=1"))
        .task("unsolvable", "")
        .file("source/unsolvable/tests/test.sh", &test("echo why; r=0"))
        .task("silent", "")
        .file("source/silent/tests/test.sh", "true\n")
        .task("unsolved", "");
    fs::remove_dir_all(source.scratch.path().join("source/unsolved/solution")).unwrap();
    let (suite, _) = source.open().unwrap();
    let sandbox = sandbox();
    let verdict = |id: &str| {
        let task = suite.task(id).unwrap();
        verify(task, &sandbox, 2, source.scratch.path())
    };
    assert_eq!(verdict("sound"), Soundness::Sound);
    let broken = |why: &str| Soundness::Broken(why.to_owned());
    assert_eq!(verdict("solved"), broken("passed untouched 2 of 2 times"));
    assert_eq!(
        verdict("unsolvable"),
        broken("with its solution, passed 0 of 2 times: reward 0: why")
    );
    let Soundness::Broken(why) = verdict("silent") else {
        panic!("no verdict is broken");
    };
    assert!(
        why.contains("no verdict 2 of 2 times: the verifier wrote neither"),
        "{why}"
    );
    assert_eq!(
        verdict("unsolved"),
        broken("with its solution, passed 0 of 2 times: has no solution to try")
    );
    // Nothing is left behind.
    let left: Vec<_> = fs::read_dir(source.scratch.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(".tmp")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_flaky_task_is_found_by_trying_again() {
    let source = Source::new("harbor").task("odd", "").file(
        "source/odd/tests/test.sh",
        "test -f /app/done && test $((RANDOM % 2)) = 0 && r=1 || r=0; echo $r >/logs/verifier/reward.txt\n",
    );
    let task = source.only();
    // Twenty attempts agree once in half a million times.
    let soundness = verify(&task, &sandbox(), 20, source.scratch.path());
    assert!(matches!(soundness, Soundness::Flaky(_)), "{soundness:?}");
}
