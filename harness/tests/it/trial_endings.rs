//! Who ended a trial and what the verifier found are two facts.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{canned, events, http};
use crate::support::timeslip;

const SOLUTION: &str =
    include_str!("../../../datasets/bundled/terminal-mini/word-tally/solution/solve.sh");

/// An answer that calls the shell.
fn calls(command: &str) -> Vec<u8> {
    let arguments = json!({ "command": command }).to_string();
    let item = json!({
        "type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": arguments,
    });
    let delta = json!({
        "type": "response.function_call_arguments.delta",
        "item_id": "f", "output_index": 0, "delta": arguments,
    });
    events(&[
        &json!({"type": "response.output_item.added", "output_index": 0, "item": item}).to_string(),
        &delta.to_string(),
        &json!({"type": "response.output_item.done", "output_index": 0, "item": item}).to_string(),
        &json!({"type": "response.completed", "response": {"id": "r", "output": [item]}})
            .to_string(),
    ])
}

/// Runs one task against a server whose first answer runs `command` and whose second is
/// `last`; gives the exit code, the trial's last line and the summary.
fn ended(command: &str, last: Vec<u8>) -> (Option<i32>, Value, Value) {
    let (port, _server) = canned(vec![calls(command), last]);
    let folder = tempfile::tempdir().unwrap();
    let config = "[limits]\ndisk_mb = 60\n";
    std::fs::write(folder.path().join("timeslip.toml"), config).unwrap();
    let output = timeslip()
        .current_dir(folder.path())
        .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
        .args(["--base-url", &format!("http://127.0.0.1:{port}/v1")])
        .args(["--model", "m", "--directory", "runs", "--no-check"])
        .output()
        .unwrap();
    let run = folder.path().join("runs/latest");
    let read = |name: &str| std::fs::read_to_string(Path::join(&run, name)).unwrap();
    let line = read("journal.jsonl").lines().last().unwrap().to_owned();
    let finished: Value = serde_json::from_str(&line).unwrap();
    let summary = serde_json::from_str(&read("summary.json")).unwrap();
    (output.status.code(), finished, summary)
}

fn facts(finished: &Value) -> [&str; 3] {
    ["event", "outcome", "ended_by"].map(|name| finished[name].as_str().unwrap())
}

#[test]
fn work_that_is_done_counts_though_the_endpoint_fails_afterwards() {
    let refused = http(
        "401 Unauthorized",
        "",
        "{\"error\":{\"message\":\"no key\"}}",
    );
    let (code, finished, summary) = ended(SOLUTION, refused);
    assert_eq!(facts(&finished), ["trial_finished", "resolved", "endpoint"]);
    let detail = finished["detail"].as_str().unwrap();
    assert!(
        detail.contains("401") && detail.contains("no key"),
        "{detail}"
    );
    // One of one trial met a fault: no figure of this run is to be relied on.
    assert_eq!((code, &summary["valid"]), (Some(5), &json!(false)));
    let mut endpoints = summary["endpoints"].as_object().unwrap().values();
    let endpoint = endpoints.next().unwrap();
    assert_eq!(endpoint["resolve_rate"]["point"], 1.0);
    assert_eq!(endpoint["wall_ms"]["n"], 0);
}

#[test]
fn work_that_is_not_done_is_graded_though_the_endpoint_fails() {
    let refused = http("401 Unauthorized", "", "{}");
    let (code, finished, _) = ended("true", refused);
    assert_eq!(facts(&finished), ["trial_finished", "error", "endpoint"]);
    assert!(finished["grading_ns"].as_u64().unwrap() > 0);
    assert_eq!(code, Some(5));
}

#[test]
fn who_writes_more_than_the_trial_may_is_stopped_and_graded() {
    let fills = "head -c 300M /dev/zero >big; sleep 60";
    for (command, outcome) in [
        (fills.to_owned(), "limit_reached"),
        (format!("{SOLUTION}\n{fills}"), "resolved"),
    ] {
        let (code, finished, summary) = ended(&command, Vec::new());
        let expected = ["trial_finished", outcome, "disk_limit"];
        assert_eq!(facts(&finished), expected, "{finished}");
        let detail = finished["detail"].as_str().unwrap();
        assert!(detail.contains("wrote more than 60 MiB"), "{detail}");
        assert_eq!((code, &summary["valid"]), (Some(0), &json!(true)));
    }
}

#[test]
fn a_context_that_overflows_is_a_limit_of_the_model() {
    let body = r#"{"error":{"code":"context_length_exceeded","message":"Your input exceeds the context window of this model."}}"#;
    let (code, finished, summary) = ended("true", http("400 Bad Request", "", body));
    assert_eq!(
        facts(&finished),
        ["trial_finished", "limit_reached", "context_limit"]
    );
    assert_eq!((code, &summary["valid"]), (Some(0), &json!(true)));
}
