//! What a recording keeps of what was said: all of it, its shape, or nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use timeslip_datasets::run::RunDirectory;

use crate::record::{of, record, walk};
use crate::support::{quick_config, timeslip};

/// Bytes of a text that would be recognised.
const WINDOW: usize = 12;
/// Fields whose values are names and ids, and no texts.
const NAMES: &[&str] = &[
    "call_id",
    "finish_reason",
    "id",
    "model",
    "name",
    "object",
    "role",
    "system_fingerprint",
    "tool_call_id",
    "type",
];

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/my-agent/my-agent.toml")
}

/// Runs a task with the example agent on the fast endpoint; the run directory.
fn run(folder: &Path, arguments: &[&str]) -> PathBuf {
    let config = quick_config(folder);
    let output = timeslip()
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .args(["run", "--config", config.to_str().unwrap()])
        .args(["--suite", "terminal-mini", "--task", "word-tally"])
        .args(["--endpoint", "fast", "--sandbox", "process"])
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    folder.join("runs/latest")
}

fn agent() -> [String; 2] {
    ["--agent".to_owned(), example().to_str().unwrap().to_owned()]
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The bodies of a run, each exchange's request and response.
fn bodies(run: &Path) -> Vec<[Value; 2]> {
    let journal = lines(&run.join("journal.jsonl"));
    let (directory, _) = RunDirectory::open(run).unwrap();
    let mut bodies = directory.read_bodies().unwrap().unwrap();
    let exchanges = of(&journal, "exchange").into_iter();
    exchanges
        .map(|exchange| {
            ["request_body", "response_body"].map(|name| {
                let body = bodies.read(exchange[name].as_str().unwrap()).unwrap();
                serde_json::from_slice(&body.unwrap()).unwrap()
            })
        })
        .collect()
}

/// All texts in a JSON value, those in JSON texts too.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                texts(&inner, into);
            }
            into.push(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, into)),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(name, _)| !NAMES.contains(&name.as_str()));
            fields.for_each(|(_, value)| texts(value, into));
        }
        _ => {}
    }
}

/// Every window of every line, as it would be found in a file.
fn windows(text: &[u8]) -> HashSet<&[u8]> {
    let pieces = text.split(|byte| b"\n\r\t\"\\".contains(byte));
    pieces.flat_map(|piece| piece.windows(WINDOW)).collect()
}

/// No text of a conversation, which is in `bodies`, is in any file of a run. What is in
/// `ordinary`, the report of another run, is in every one.
fn assert_nothing_was_said(bodies: &[[Value; 2]], run: &Path, ordinary: &[u8]) {
    let mut said = Vec::new();
    bodies
        .iter()
        .flatten()
        .for_each(|body| texts(body, &mut said));
    let said = said.join("\n");
    let mut said = windows(said.as_bytes());
    assert!(said.len() > 500, "{}", said.len());
    for window in windows(ordinary) {
        said.remove(window);
    }
    // Both tasks begin with it.
    said.extend(windows(b"Runs a bash command in"));
    for path in walk(run) {
        let content = std::fs::read(&path).unwrap();
        let found: Vec<_> = windows(&content)
            .intersection(&said)
            .map(|window| String::from_utf8_lossy(window).into_owned())
            .collect();
        assert!(found.is_empty(), "{found:?} in {}", path.display());
    }
}

/// What stands in every run directory: that of a run of both agents on another task.
fn ordinary() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    timeslip()
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .args([
            "run",
            "--config",
            config.to_str().unwrap(),
            "--hashed",
            "--endpoint",
            "fast",
        ])
        .args([
            "--suite",
            "terminal-mini",
            "--task",
            "free-slots",
            "--agent",
            "builtin",
        ])
        .args(agent())
        .assert()
        .success();
    let run = folder.path().join("runs/latest");
    let files = walk(&run).into_iter();
    let files = files.filter(|path| path.extension().is_none_or(|end| end != "jsonl"));
    let mut ordinary: Vec<u8> = files
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    // How a recorded command ended.
    ordinary.extend_from_slice(b"\nexit status: 0");
    ordinary
}

#[test]
fn a_run_of_a_real_agent_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let agent = agent.each_ref().map(String::as_str);
    let run_directory = run(folder.path(), &agent);
    let bodies = bodies(&run_directory);
    assert!(bodies.len() > 2);
    for (earlier, later) in bodies.iter().zip(&bodies[1..]) {
        let messages = |body: &Value| body["messages"].as_array().unwrap().clone();
        let [request, response] = earlier;
        let (before, after) = (messages(request), messages(&later[0]));
        assert_eq!(after[..before.len()], before);
        assert_eq!(after[before.len()], response["choices"][0]["message"]);
    }
    let without = run(folder.path(), &[&agent[..], &["--no-bodies"]].concat());
    assert!(!without.join("bodies.jsonl").exists());
    let built_in = run(folder.path(), &[]);
    assert!(
        !built_in.join("bodies.jsonl").exists(),
        "nothing goes through a proxy"
    );
}

#[test]
fn a_hashed_run_tells_what_is_equal_and_no_word() {
    let ordinary = ordinary();
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let agent = agent.each_ref().map(String::as_str);
    let whole = run(folder.path(), &agent);
    let whole = std::fs::canonicalize(whole).unwrap();
    let hashed = run(folder.path(), &[&agent[..], &["--hashed"]].concat());
    assert_nothing_was_said(&bodies(&whole), &hashed, &ordinary);
    let built_in = run(folder.path(), &["--hashed"]);
    assert_nothing_was_said(&bodies(&whole), &built_in, &ordinary);
    assert!(!built_in.join("trajectories").exists());
}

#[test]
fn a_hashed_recording_keeps_what_conversations_are_made_of() {
    let command = r#"python3 "$AGENT" "$OPENAI_BASE_URL" quick < "$TASK""#;
    let (plain, hashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, _, told) = record(plain.path(), &["-e", "fast"], command);
    let (code, words, lines_of_hashed) =
        record(hashed.path(), &["-e", "fast", "--hashed"], command);
    assert_eq!(code, Some(0), "{words}");
    let run = hashed.path().join("runs/latest");
    assert_nothing_was_said(
        &bodies(&plain.path().join("runs/latest")),
        &run,
        &ordinary(),
    );
    let told_apart = |lines: &[Value]| -> Vec<[Value; 3]> {
        let lines = lines.iter().filter(|line| !line["turn"].is_null());
        lines
            .map(|line| ["turn", "agent", "name"].map(|name| line[name].clone()))
            .collect()
    };
    assert_eq!(told_apart(&lines_of_hashed), told_apart(&told));

    let shapes = lines(&run.join("shapes.jsonl"));
    let of_shape = |exchange: &Value, name: &str| -> Vec<Value> {
        let number: u64 = exchange[name].as_str().unwrap().parse().unwrap();
        let line = shapes.iter().find(|line| line["shape"] == number).unwrap();
        line["parts"].as_array().unwrap().clone()
    };
    let exchanges = of(&lines_of_hashed, "exchange");
    let kind = |part: &Value| {
        let line = shapes.iter().find(|line| line["part"] == *part);
        line.unwrap()["kind"].as_str().unwrap().to_owned()
    };
    for (earlier, later) in exchanges.iter().zip(&exchanges[1..]) {
        let before = of_shape(earlier, "request_body");
        let mut answer = of_shape(earlier, "response_body");
        let after = of_shape(later, "request_body");
        assert_eq!(
            after[..before.len()],
            before,
            "what is repeated has the same numbers"
        );
        // Of reasoning only this is known, that it is the same.
        answer.retain(|part| kind(part) != "reasoning");
        let added = after[before.len()..].iter();
        let (answered, rest): (Vec<_>, Vec<_>) = added
            .filter(|part| kind(part) != "reasoning")
            .cloned()
            .partition(|part| answer.contains(part));
        assert_eq!(answered, answer, "and so has the answer");
        assert!(!rest.is_empty() && rest.iter().all(|part| kind(part) == "result"));
    }
    let request = of_shape(exchanges[0], "request_body");
    let tool = shapes
        .iter()
        .find(|line| line["part"] == request[0])
        .unwrap();
    assert_eq!(
        (&tool["kind"], &tool["name"]),
        (&"tool".into(), &"shell".into())
    );
}
