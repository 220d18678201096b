//! `timeslip record`: a client of somebody else's, on real sockets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use timeslip_datasets::run::RunDirectory;

use crate::support::{quick_config, timeslip};

/// What the example agent of the documentation is asked by.
const COMMAND: &str = r#"python3 "$AGENT" "$OPENAI_BASE_URL" quick < "$TASK""#;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of a bundled task's files below `folder`.
fn workspace(folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let work = folder.join("work");
    let task = repository().join("datasets/bundled/terminal-mini/word-tally/environment/files");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([&task, &work])
        .status();
    assert!(copied.unwrap().success());
    work
}

/// Records a shell command; gives its exit code, what it was told, and the journal's lines.
pub fn record(
    folder: &Path,
    arguments: &[&str],
    command: &str,
) -> (Option<i32>, String, Vec<Value>) {
    let work = workspace(folder);
    let config = quick_config(folder);
    let output = timeslip()
        .current_dir(work)
        .env(
            "AGENT",
            repository().join("docs/examples/my-agent/agent.py"),
        )
        .env(
            "TASK",
            repository().join("datasets/bundled/terminal-mini/word-tally/instruction.md"),
        )
        .env("OPENAI_API_KEY", "sk-very-secret-0123456789")
        .args(["record", "--config", config.to_str().unwrap()])
        .args(arguments)
        .args(["--", "bash", "-c", command])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let journal = std::fs::read_to_string(folder.join("runs/latest/journal.jsonl"));
    let journal = journal.unwrap_or_default();
    let lines = journal.lines().skip(1);
    let lines = lines.map(|line| serde_json::from_str(line).unwrap());
    (output.status.code(), error, lines.collect())
}

/// Lines of an event.
pub fn of<'a>(lines: &'a [Value], event: &'a str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn a_client_that_nothing_is_known_of_is_recorded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error, lines) = record(folder.path(), &["-e", "fast"], COMMAND);
    assert_eq!(code, Some(0), "{error}");
    let exchanges = of(&lines, "exchange");
    assert!(exchanges.len() > 2, "{error}");
    for (turn, exchange) in (1..).zip(&exchanges) {
        assert_eq!(
            (&exchange["turn"], &exchange["agent"]),
            (&json!(turn), &json!(0))
        );
        assert!(
            exchange["usage"]["output_tokens"].as_u64() > Some(0),
            "{exchange}"
        );
        assert!(exchange["error"].is_null(), "{exchange}");
    }
    let tools = of(&lines, "tool");
    assert_eq!(tools.len(), exchanges.len() - 1, "{error}");
    for (tool, next) in tools.iter().zip(&exchanges[1..]) {
        assert_eq!(
            (&tool["name"], &tool["end"]),
            (&json!("shell"), &next["marks"]["start"])
        );
        assert!(tool["end"].as_u64() > tool["start"].as_u64());
    }
    let finished = of(&lines, "trial_finished")[0];
    assert_eq!(finished["outcome"], "ungraded");
    let summary = std::fs::read_to_string(folder.path().join("runs/latest/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let endpoint = &summary["endpoints"]["fast"];
    assert_eq!(
        (&endpoint["trials"], &endpoint["resolve_rate"]["point"]),
        (&json!(1), &Value::Null)
    );
    let stages = summary["trials"][0]["stages_ns"].as_object().unwrap();
    let sum: u64 = stages.values().map(|ns| ns.as_u64().unwrap()).sum();
    assert_eq!(Some(sum), finished["wall_ns"].as_u64());
}

#[test]
fn what_was_said_comes_back_as_it_was_and_no_key_does() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error, lines) = record(folder.path(), &["-e", "fast"], COMMAND);
    assert_eq!(code, Some(0), "{error}");
    let run = folder.path().join("runs/latest");
    let (directory, _) = RunDirectory::open(&run).unwrap();
    let mut bodies = directory.read_bodies().unwrap().unwrap();
    let mut before = 0;
    for exchange in of(&lines, "exchange") {
        let mut body = |name: &str| {
            let body = bodies
                .read(exchange[name].as_str().unwrap())
                .unwrap()
                .unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let messages = body("request_body")["messages"].as_array().unwrap().len();
        assert!(messages > before, "{exchange}");
        before = messages;
        assert_eq!(body("response_body")["id"], exchange["response_id"]);
    }
    for entry in walk(&run) {
        let text = std::fs::read(&entry).unwrap();
        let found = text.windows(14).any(|part| part == b"sk-very-secret");
        assert!(!found, "{}", entry.display());
    }
    let (_, error, _) = record(
        &folder.path().join("none"),
        &["-e", "fast", "--no-bodies"],
        "true",
    );
    assert!(
        !folder.path().join("none/runs/latest/bodies.jsonl").exists(),
        "{error}"
    );
}

/// All files below a folder.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| walk(folder)));
    files
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let folder = tempfile::tempdir().unwrap();
    for (command, expected) in [("exit 7", 7), ("kill -9 $$", 137)] {
        let (code, error, lines) = record(folder.path(), &["-e", "fast"], command);
        assert_eq!(code, Some(expected), "{error}");
        assert_eq!(of(&lines, "trial_finished")[0]["outcome"], "ungraded");
        std::fs::remove_dir_all(folder.path().join("work")).unwrap();
    }
}

#[test]
fn what_cannot_be_recorded_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let told = |arguments: &[&str]| {
        let output = timeslip()
            .current_dir(folder.path())
            .args(["record", "--config", config.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!(told(&[]), @"timeslip: record: nothing to record; give a command after `--`, or --listen ADDRESS for clients that are started elsewhere");
    insta::assert_snapshot!(told(&["--", "bash"]), @"timeslip: record: where bash asks is not known; say it by --upstream URL, or by --endpoint NAME");
    insta::assert_snapshot!(told(&["--upstream", "nowhere", "--", "bash"]), @"timeslip: --upstream: not a whole URL; write http://… or https://…");
    insta::assert_snapshot!(told(&["-e", "fast", "--", "no-such-client"]), @"timeslip: no-such-client: is no program that can be found; nothing was recorded");
    let error = told(&["-e", "fsat", "--", "bash"]);
    assert!(error.contains("fsat"), "{error}");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_client_is_told_of_a_signal_that_came_to_timeslip_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let ready = folder.path().join("ready");
    let mut recording = std::process::Command::new(env!("CARGO_BIN_EXE_timeslip"))
        .current_dir(folder.path())
        .env("READY", &ready)
        .args([
            "record",
            "--config",
            config.to_str().unwrap(),
            "-e",
            "fast",
            "--",
        ])
        .args(["bash", "-c", "touch \"$READY\"; exec sleep 600"])
        .spawn()
        .unwrap();
    while !ready.exists() {
        assert!(recording.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let id = rustix::process::Pid::from_child(&recording);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(recording.wait().unwrap().code(), Some(128 + 15));
    let journal = std::fs::read_to_string(folder.path().join("runs/latest/journal.jsonl")).unwrap();
    assert!(journal.contains("ungraded"), "{journal}");
}
