//! What a suite file does with its tasks: selection, quarantine, prompt and grader, and
//! whether they can be relied on.

use std::fs;
use std::time::Duration;

use crate::support::tasks::Source;
use crate::support::{bubblewrap, can, sandbox};
use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{Quarantined, Suite, SuiteFile, Task, Workspace, grade};

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
    insta::assert_snapshot!(problems.join("\n"), @"gpu: needs what no sandbox here has: 1 GPU");
    // An image is only there for who has containers.
    let image = suite.task("image").unwrap();
    let followed = |task: &Task, backend| Workspace::check_start(&task.workspace, &can(backend));
    insta::assert_snapshot!(followed(image, "bubblewrap").unwrap_err(), @"image: is made from the image i, which needs containers; without them a Dockerfile can be followed");
    followed(image, "docker").unwrap();
    followed(suite.task("good").unwrap(), "bubblewrap").unwrap();
    let file = SuiteFile::read(&without.scratch.path().join("suite.toml")).unwrap();
    let error = Suite::load(&file, without.scratch.path()).unwrap_err();
    insta::assert_snapshot!(error, @"gpu: needs what no sandbox here has: 1 GPU");
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
    assert_eq!(task.steps[0].instruction, "Be brief. Make it so.");
    assert_eq!(task.steps[0].verifier_time, Duration::from_secs(7));
    let judged = grade(&task, &source.prepare(&task), &sandbox()).unwrap();
    assert!(judged.resolved && judged.reward == Some(0.6));
}

#[test]
fn verifiers_write_beside_their_tests_where_a_suite_says_so() {
    let Some(sandbox) = bubblewrap() else { return };
    let reward = |lines: &str| {
        let source = Source::new("harbor").task("made", "").suite(lines).file(
            "source/made/tests/test.sh",
            "touch /tests/built && r=1 || r=0; echo $r >/logs/verifier/reward.txt\n",
        );
        let task = source.only();
        let reward = grade(&task, &source.prepare(&task), &sandbox)
            .unwrap()
            .reward;
        let built = source.scratch.path().join("source/made/tests/built");
        assert!(!built.exists());
        reward
    };
    assert_eq!(reward(""), Some(0.0));
    assert_eq!(reward("[grader]\nwritable_tests = true\n"), Some(1.0));
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
        verify(task, &sandbox, 2, source.scratch.path()).soundness
    };
    assert_eq!(verdict("sound"), Soundness::Sound);
    let broken = |why: &str| Soundness::Broken(why.to_owned());
    assert_eq!(verdict("solved"), broken("passed untouched 2 of 2 times"));
    assert_eq!(
        verdict("unsolvable"),
        broken("with its solution, passed 0 of 2 times: reward 0: why")
    );
    let task = suite.task("unsolvable").unwrap();
    let tried = verify(task, &sandbox, 1, source.scratch.path());
    let logs = (tried.untouched_log, tried.solved_log);
    assert_eq!(logs, (None, Some("why\n".to_owned())));
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
    let soundness = verify(&task, &sandbox(), 20, source.scratch.path()).soundness;
    assert!(matches!(soundness, Soundness::Flaky(_)), "{soundness:?}");
}
