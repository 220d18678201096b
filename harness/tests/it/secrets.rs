//! A server that puts the key it was sent into everything it says gets it into no file.
//!
//! No sandbox is given a key, so a tool can print it only where the server has told it how:
//! here by writing it backwards.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use crate::server::{self, events, http};
use crate::support::timeslip;

const KEY: &str = "sk-Echo/4711+k3y";

/// The key in every form in which it is sent, between harmless words.
fn echoed() -> String {
    let encoded = BASE64.encode(format!("user:{KEY}").as_bytes());
    let hex = HEXLOWER.encode(KEY.as_bytes());
    let percent = KEY.replace('/', "%2F").replace('+', "%2B");
    format!("a {KEY} b {encoded} c {hex} d {percent} e")
}

/// What must be in no file: a part of each form.
fn forms() -> Vec<String> {
    let parts = [KEY.to_owned(), KEY[3..14].to_owned()];
    let encoded = BASE64.encode(format!("user:{KEY}").as_bytes());
    let more = [
        encoded[8..24].to_owned(),
        HEXLOWER.encode(&KEY.as_bytes()[2..12]),
        "Echo%2F4711".to_owned(),
        "Echo\\/4711".to_owned(),
    ];
    parts.into_iter().chain(more).collect()
}

fn calls() -> Vec<(String, Value)> {
    let backwards: String = KEY.chars().rev().collect();
    vec![
        (echoed(), json!({ echoed(): echoed() })),
        (
            "shell".to_owned(),
            json!({ "command": format!("printf {backwards} | rev; echo {KEY}") }),
        ),
        (
            "edit_file".to_owned(),
            json!({ "path": format!("{KEY}/x"), "old_text": "", "new_text": echoed() }),
        ),
    ]
}

/// Every character of the key escaped, which a JSON parser makes the key again.
fn escaped(text: &str) -> String {
    let units: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let plain = Value::from(KEY).to_string();
    text.replace(plain.trim_matches('"'), &units)
}

fn responses_answer() -> Vec<u8> {
    let said = echoed();
    let mut payloads = vec![
        json!({"type": "response.created", "response": {"id": said, "model": said}}),
        json!({"type": said, "x": said}),
        json!({"type": "response.reasoning_summary_text.delta", "delta": said}),
        json!({"type": "response.output_text.delta", "delta": said}),
    ];
    for (index, (name, arguments)) in calls().into_iter().enumerate() {
        let arguments = escaped(&arguments.to_string());
        payloads.push(json!({
            "type": "response.output_item.done",
            "output_index": index + 1,
            "item": {
                "type": "function_call", "id": format!("{said}{index}"),
                "call_id": format!("{said}{index}"), "name": name, "arguments": arguments,
            },
        }));
    }
    payloads.push(json!({
        "type": "response.completed",
        "response": {"id": said, "model": said, "service_tier": said, "output": []},
    }));
    stream(&payloads)
}

fn chat_answer() -> Vec<u8> {
    let said = echoed();
    let calls = calls().into_iter().enumerate();
    let calls: Vec<Value> = calls
        .map(|(index, (name, arguments))| {
            json!({
                "index": index, "id": format!("{said}{index}"), "type": "function",
                "function": {"name": name, "arguments": escaped(&arguments.to_string())},
            })
        })
        .collect();
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": said, "model": said, "service_tier": said, "system_fingerprint": said,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    stream(&[
        chunk(
            json!({"reasoning_content": said, said.clone(): said}),
            Value::Null,
        ),
        chunk(json!({"content": said}), Value::Null),
        chunk(json!({"tool_calls": calls}), Value::Null),
        chunk(json!({}), "tool_calls".into()),
    ])
}

fn stream(payloads: &[Value]) -> Vec<u8> {
    let texts: Vec<String> = payloads.iter().map(Value::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    events(&texts)
}

/// Answers every request by the next answer, the last one for ever; gives the port.
fn serve(answers: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (next, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            server::read_request(&stream);
            let _ = stream.write_all(&answers[next.min(answers.len() - 1)]);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

/// Files below `folder` that hold a form of the key.
fn leaks(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            leaks(&path, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for form in forms().iter().filter(|form| text.contains(form.as_str())) {
            found.push(format!("{}: {form}", path.display()));
        }
    }
}

#[test]
fn an_echoed_key_is_in_no_file_of_a_run() {
    let given = [
        "api_key_env = \"ECHOED\"",
        "query = { key = \"$ECHOED\", api-version = \"1\" }",
        "headers = { x-api-key = \"$ECHOED\" }",
        "headers = { authorization = \"Bearer $ECHOED\" }",
    ];
    let cases = [
        ("responses", given[0], responses_answer()),
        ("chat-completions", given[0], chat_answer()),
        ("chat-completions", given[1], chat_answer()),
        ("chat-completions", given[2], chat_answer()),
        ("chat-completions", given[3], chat_answer()),
    ];
    for (protocol, given, answer) in cases {
        let refused = http("500 No", "content-type: text/plain\r\n", &echoed());
        let fatal = http("400 No", "content-type: text/plain\r\n", &echoed());
        // The first one refuses what is asked before the run.
        let port = serve(vec![refused.clone(), refused, answer, fatal]);
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[run]\nendpoints = [\"a\"]\n[endpoint.a]\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             model = \"m\"\nprotocol = \"{protocol}\"\ntransport = \"http-sse\"\n{given}\n"
        );
        std::fs::write(folder.path().join("timeslip.toml"), config).unwrap();
        let output = timeslip()
            .current_dir(folder.path())
            .env("ECHOED", KEY)
            .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = told + &String::from_utf8_lossy(&output.stdout);
        let mut found = Vec::new();
        leaks(&folder.path().join("runs"), &mut found);
        assert!(
            found.is_empty(),
            "{protocol} {given}:\n{}",
            found.join("\n")
        );
        let shown = forms().into_iter().find(|form| told.contains(form));
        assert_eq!(shown, None, "{protocol}: {told}");
        let run = std::fs::read_dir(folder.path().join("runs"))
            .unwrap()
            .next();
        let run = run.unwrap_or_else(|| panic!("{told}")).unwrap().path();
        let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
        // All of it happened: the answer was read, and its calls were made.
        assert_eq!(
            journal.matches("\"event\":\"tool\"").count(),
            3,
            "{journal}"
        );
        assert!(journal.contains("\"exit 0\""), "{journal}");
    }
}
