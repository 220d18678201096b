//! What a suite file asks for takes effect in a run; suites are listed and verified.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{quick_config, timeslip};

fn write(file: &Path, content: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

/// Runs in the folder: exit code, standard output and standard error without its name.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = timeslip()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(&folder.display().to_string(), "FOLDER")
    };
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

pub fn recording(command: &str) -> String {
    let call = |id: &str, name: &str, arguments: Value| json!({ "tool_call_id": id, "function_name": name, "arguments": arguments });
    let step = |id: u32, call: Value| json!({ "step_id": id, "source": "agent", "message": "", "tool_calls": [call] });
    json!({
        "schema_version": "ATIF-v1.6",
        "session_id": "made",
        "agent": { "name": "made", "version": "1" },
        "extra": { "resolves": true },
        "steps": [
            { "step_id": 1, "source": "user", "message": "go" },
            step(2, call("a", "shell", json!({ "command": command }))),
            step(3, call("b", "submit", json!({ "summary": "done" }))),
        ],
    })
    .to_string()
}

/// A task that a file `done` solves.
pub fn task(folder: &Path, name: &str, verifier: &str) {
    let at = |file: &str| folder.join("tasks").join(name).join(file);
    write(&at("task.toml"), "[metadata]\ncategory = \"made\"\n");
    write(&at("instruction.md"), &format!("Solve {name}.\n"));
    write(&at("environment/Dockerfile"), "FROM x\nWORKDIR /app\n");
    write(
        &at("tests/test.sh"),
        &format!("{verifier}\necho $r >/logs/verifier/reward.txt\n"),
    );
    write(&at("solution/solve.sh"), "touch done\n");
    write(
        &at("trajectories/solve.json"),
        &recording("touch done; echo solved"),
    );
}

pub const HONEST: &str = "test -f done && r=1 || r=0";

pub fn suite(folder: &Path, lines: &str) {
    let config = quick_config(folder);
    let text = std::fs::read_to_string(&config).unwrap();
    let table = format!("[suite.mine]\nformat = \"harbor\"\nsource = \"tasks\"\n{lines}\n");
    std::fs::write(&config, text + &table).unwrap();
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_suite_decides_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "one", HONEST);
    suite(
        folder,
        "attempts = 2\n[suite.mine.limits]\nturns = 7\ncommand_seconds = 3",
    );
    let plan = |more: &[&str]| {
        let mut arguments = vec![
            "run",
            "--dry-run",
            "--suite",
            "mine",
            "--suite",
            "terminal-mini",
            "--task",
            "one",
            "--task",
            "word-tally",
        ];
        arguments.extend(more);
        let (code, plan, errors) = run(folder, &arguments);
        assert_eq!(code, 0, "{errors}");
        let interesting = |line: &&str| {
            line.contains("turns") || line.starts_with("trials") || line.starts_with("suite")
        };
        plan.lines()
            .filter(interesting)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(plan(&[]), @r"
    suite      mine: 1 task, from FOLDER/tasks
    suite      terminal-mini: 1 task, from bundled:terminal-mini
    limits     40 turns, 900 s a trial, 60 s a command, 32 KiB of output, 2048 MiB, 10240 MiB written, events unread for 2000 ms
               mine: 7 turns, 900 s a trial, 3 s a command, 32 KiB of output, 2048 MiB, 10240 MiB written, events unread for 2000 ms
    trials     6 (1 to 2 attempts, 4 at once, seed 1), in this order:
    ");
    insta::assert_snapshot!(plan(&["--attempts", "1", "--turns", "9", "--trial-seconds", "5"]), @r"
    suite      mine: 1 task, from FOLDER/tasks
    suite      terminal-mini: 1 task, from bundled:terminal-mini
    limits     9 turns, 5 s a trial, 60 s a command, 32 KiB of output, 2048 MiB, 10240 MiB written, events unread for 2000 ms
               mine: 9 turns, 5 s a trial, 3 s a command, 32 KiB of output, 2048 MiB, 10240 MiB written, events unread for 2000 ms
    trials     4 (1 attempt, 4 at once, seed 1), in this order:
    ");
}

#[test]
fn limits_prompt_and_quarantine_take_effect_in_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "one", HONEST);
    task(folder, "odd", HONEST);
    write(
        &folder.join("q.toml"),
        "[[quarantined]]\ntask = \"odd\"\nwhy = \"flaky: 1 of 3\"\nwhen = \"2026-01-02\"\n",
    );
    suite(
        folder,
        "quarantine = \"q.toml\"\nprompt = \"Be brief.\\n{instruction}\"\nlimits = { turns = 1 }",
    );
    let (code, text, errors) = run(folder, &["run", "--suite", "mine", "--endpoint", "fast"]);
    assert_eq!(code, 0, "{text}{errors}");
    let warning = "mine/odd is left out, in quarantine, found 2026-01-02: flaky: 1 of 3";
    assert!(
        errors.contains(warning) && text.contains(warning),
        "{text}{errors}"
    );
    let latest = folder.join("runs/latest");
    let summary = read_json(&latest.join("summary.json"));
    assert_eq!(summary["trials"].as_array().unwrap().len(), 1);
    // Solved in the one turn there is, but never submitted.
    let trial = &summary["trials"][0];
    assert_eq!(trial["turns"], 1, "{trial}");
    let session = latest.join("trajectories/mine--one--fast--1.json");
    assert_eq!(
        read_json(&session)["steps"][0]["message"],
        "Be brief.\nSolve one."
    );
    // The run remembers what it is made of, whatever becomes of the list.
    let plan = &read_json(&latest.join("run.json"))["plan"]["suites"][0];
    assert_eq!(
        (&plan["include"], &plan["quarantine"]),
        (&json!(["one"]), &Value::Null)
    );
}

#[test]
fn steps_share_one_trial_and_grading_between_them_is_not_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let at = |file: &str| folder.join("tasks/staged").join(file);
    write(
        &at("task.toml"),
        "[[steps]]\nname = \"first\"\nmin_reward = 1.0\n[[steps]]\nname = \"second\"\n",
    );
    write(&at("environment/Dockerfile"), "FROM x\nWORKDIR /app\n");
    for (step, work) in [("first", "touch a"), ("second", "mv a b")] {
        let own = |file: &str| at(&format!("steps/{step}/{file}"));
        write(&own("instruction.md"), &format!("Do the {step} thing."));
        write(&own("trajectories/solve.json"), &recording(work));
    }
    write(
        &at("steps/first/tests/test.sh"),
        "sleep 2; test -f a && echo 1 >/logs/verifier/reward.txt\n",
    );
    write(
        &at("steps/second/tests/test.sh"),
        "test -f b && echo 1 >/logs/verifier/reward.txt\n",
    );
    suite(folder, "");
    let (code, text, errors) = run(folder, &["run", "--suite", "mine", "--endpoint", "fast"]);
    assert_eq!(code, 0, "{text}{errors}");
    let latest = folder.join("runs/latest");
    let summary = read_json(&latest.join("summary.json"));
    let trial = &summary["trials"][0];
    assert_eq!(
        (&trial["outcome"], &trial["turns"]),
        (&json!("resolved"), &json!(4)),
        "{trial}"
    );
    let stages = trial["stages_ns"].as_object().unwrap();
    let sum: u64 = stages.values().map(|ns| ns.as_u64().unwrap()).sum();
    assert_eq!(Some(sum), trial["wall_ns"].as_u64(), "{trial}");
    assert!(
        sum < 2_000_000_000,
        "the two seconds of the first verifier are inside: {trial}"
    );
    let journal = std::fs::read_to_string(latest.join("journal.jsonl")).unwrap();
    let finished = journal
        .lines()
        .find(|line| line.contains("trial_finished"))
        .unwrap();
    let finished: Value = serde_json::from_str(finished).unwrap();
    assert!(
        finished["grading_ns"].as_u64().unwrap() >= 2_000_000_000,
        "{finished}"
    );
    let session = read_json(&latest.join("trajectories/mine--staged--fast--1.json"));
    let said: Vec<&Value> = session["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["source"] == "user")
        .map(|step| &step["message"])
        .collect();
    assert_eq!(said, ["Do the first thing.", "Do the second thing."]);
}

#[test]
fn a_task_that_cannot_be_used_is_in_the_way_of_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "one", HONEST);
    task(folder, "gpu", HONEST);
    write(
        &folder.join("tasks/gpu/task.toml"),
        "[environment]\ngpus = 1\n",
    );
    suite(folder, "");
    let (code, _, errors) = run(folder, &["run", "--suite", "mine", "--dry-run"]);
    assert!(
        code == 2 && errors.contains("gpu: needs what no sandbox here has"),
        "{errors}"
    );
    let (code, _, errors) = run(
        folder,
        &["run", "--suite", "mine", "--dry-run", "--task", "gpu"],
    );
    assert!(
        code == 2 && errors.contains("gpu: needs what no sandbox here has"),
        "{errors}"
    );
    let (code, plan, errors) = run(
        folder,
        &["run", "--suite", "mine", "--dry-run", "--task", "one"],
    );
    assert_eq!(code, 0, "{errors}");
    assert!(plan.contains("mine: 1 task"), "{plan}");
}

#[test]
fn names_of_a_suite_do_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "one", HONEST);
    suite(
        folder,
        "description = \"a\\u001b]0;owned\\u0007\\u0000b\\u202ec\\nforged: 9 tasks\"",
    );
    let (code, listed, errors) = run(folder, &["suites", "mine"]);
    assert_eq!(code, 0, "{errors}");
    insta::assert_snapshot!(listed, @r"
    mine: 1 task, from tasks
      a ]0;owned  b c forged: 9 tasks
      tags: made 1
    ");
}

#[test]
fn suites_are_listed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "one", HONEST);
    task(folder, "two", HONEST);
    suite(folder, "attempts = 3\ndescription = \"Two tasks.\"");
    let (code, listed, errors) = run(folder, &["suites"]);
    assert_eq!(code, 0, "{errors}");
    insta::assert_snapshot!(listed, @r"
    swe-mini: 12 tasks, from bundled:swe-mini
      SWE-bench-format bug fixes in small Python and C repositories, self-contained and offline
      tags: 15 min - 1 hour 5, <15 min fix 4, 1-4 hours 3, brackenford/tallybook 3, fernhollow/stencil 3, lanternops/logturn 3, saltmarsh/fieldcsv 3
    terminal-mini: 12 tasks, from bundled:terminal-mini
      Harbor-format terminal tasks (the layout of Terminal-Bench 2), self-contained and offline
      tags: medium 8, git 4, c 3, python 3, bash 2, builds 2, data 2, debugging 2, 20 more
    edit-mini: 24 tasks, from bundled:edit-mini
      Sessions of a scripted developer on small repositories, with a check after each act
      tags: interrupt 5, restyle 5, type 5, accept 4, steer 4, undo 3, adjust 2, fix 2, 5 more
    mine: 2 tasks, 3 attempts each, from tasks
      Two tasks.
      tags: made 2
    ");
    write(
        &folder.join("tasks/two/task.toml"),
        "[environment]\ngpus = 2\n",
    );
    let (code, listed, _) = run(folder, &["suites", "mine"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(listed, @r"
    mine: 1 task, 3 attempts each, from tasks
      Two tasks.
      tags: made 1
      UNUSABLE two: needs what no sandbox here has: 2 GPUs
    ");
    write(
        &folder.join("s.toml"),
        "name = \"s\"\nformat = \"harbor\"\nsource = \"tasks\"\ninclude = [\"one\", \"three\"]\n",
    );
    let (code, _, errors) = run(folder, &["suites", "s.toml"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(errors, @r#"timeslip: s.toml:4: include[1] "three" fits no task of tasks; there are one, two"#);
}

#[test]
fn verify_lists_what_cannot_be_relied_on_and_quarantines_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    task(folder, "good", HONEST);
    task(folder, "solved", "r=1");
    suite(folder, "quarantine = \"q.toml\"");
    write(&folder.join("q.toml"), "");
    let (code, text, errors) = run(
        folder,
        &["verify", "mine", "--times", "2", "--quarantine", "q.toml"],
    );
    assert_eq!(code, 5, "{errors}");
    insta::assert_snapshot!(text, @r"
    sound   good
    BROKEN  solved
        passed untouched 2 of 2 times
    mine: sound: 1 of 2 tasks; each was tried 2× untouched and 2× with its solution
    ");
    let list = std::fs::read_to_string(folder.join("q.toml")).unwrap();
    assert!(
        list.contains("task = \"solved\"")
            && list.contains("broken: passed untouched 2 of 2 times"),
        "{list}"
    );
    // The suite leaves it out from now on; verify looks at it all the same.
    let (_, listed, _) = run(folder, &["suites", "mine"]);
    assert!(listed.starts_with("mine: 1 task"), "{listed}");
    task(folder, "solved", HONEST);
    let (code, _, errors) = run(
        folder,
        &[
            "verify",
            "mine",
            "--task",
            "solved",
            "--quarantine",
            "q.toml",
        ],
    );
    assert_eq!(code, 0, "{errors}");
    let list = std::fs::read_to_string(folder.join("q.toml")).unwrap();
    assert!(!list.contains("solved"), "{list}");
    let (code, _, errors) = run(folder, &["verify", "mine", "--task", "none"]);
    assert_eq!(code, 2);
    assert!(
        errors.contains("--task none: mine has no such task"),
        "{errors}"
    );
}
