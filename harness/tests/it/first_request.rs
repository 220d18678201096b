//! Every real endpoint is asked for a word before a run: what is wrong is told once, with
//! the URL and the server's words.

use std::path::Path;
use std::process::Output;

use crate::server::{canned, events, http};
use crate::support::timeslip;

const TASK: [&str; 5] = ["run", "--suite", "terminal-mini", "--task", "word-tally"];

fn done() -> Vec<u8> {
    events(&[
        r#"{"type":"response.output_text.delta","delta":"yes"}"#,
        r#"{"type":"response.completed","response":{"id":"r","output":[]}}"#,
    ])
}

/// A refusal in the shape of most servers.
fn refusal(status: &str, message: &str) -> Vec<u8> {
    let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
    http(status, "content-type: application/json\r\n", &body)
}

/// Runs one task with endpoints of these fields, named a, b, ….
fn run(folder: &Path, endpoints: &[String], arguments: &[&str]) -> (Output, String) {
    let mut config = String::from("[run]\nendpoints = [");
    let names = ["a", "b", "c", "d"];
    for (name, _) in names.iter().zip(endpoints) {
        config.push_str(&format!("\"{name}\","));
    }
    config.push_str("]\n");
    for (name, fields) in names.iter().zip(endpoints) {
        config.push_str(&format!("[endpoint.{name}]\nmodel = \"m\"\n{fields}\n"));
    }
    std::fs::write(folder.join("timeslip.toml"), config).unwrap();
    let output = timeslip()
        .current_dir(folder)
        .env("FIRST_REQUEST_KEY", "sk-first-request-4711")
        .env("BROKEN_KEY", "sk-first-request-4711\n")
        .args(TASK)
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    (output, words)
}

fn at(port: u16, fields: &str) -> String {
    format!("base_url = \"http://127.0.0.1:{port}/v1\"\n{fields}")
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_nothing_is_run() {
    let (key, _a) = canned(vec![refusal(
        "401 Unauthorized",
        "Incorrect key sk-first-request-4711",
    )]);
    let (path, _b) = canned(vec![refusal("404 Not Found", "no model \\u001b[31mm")]);
    let (old, _c) = canned(vec![http("400 Bad Request", "", "what?")]);
    let folder = tempfile::tempdir().unwrap();
    let endpoints = [
        at(
            key,
            "query = { sig = \"$FIRST_REQUEST_KEY\", v = \"1\" }\napi_key_env = \"FIRST_REQUEST_KEY\"",
        ),
        at(path, "protocol = \"chat-completions\""),
        at(old, "transport = \"http2-sse\""),
        at(1, "protocol = \"gemini\""),
    ];
    let (output, words) = run(folder.path(), &endpoints, &[]);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(!folder.path().join("runs").exists());
    let ports = [(key, "KEY"), (path, "PATH"), (old, "OLD")];
    let words = ports.iter().fold(words, |words, (port, name)| {
        words.replace(&port.to_string(), name)
    });
    insta::assert_snapshot!(words, @"
    timeslip: endpoint a: http://127.0.0.1:KEY/v1/responses: HTTP 401: Incorrect key ***; correct the key in FIRST_REQUEST_KEY; nothing was run
    endpoint b: http://127.0.0.1:PATH/v1/chat/completions: HTTP 404: no model  [31mm; correct `base_url`, `model` or `protocol`; nothing was run
    endpoint c: http://127.0.0.1:OLD/v1/responses: the server does not speak HTTP/2 here: it answered in another protocol; use transport http-sse; nothing was run
    endpoint d: http://127.0.0.1:1/v1/models/m:streamGenerateContent?alt=sse: cannot connect to 127.0.0.1:1: Connection refused (os error 111); nothing was run
    ");
}

#[test]
fn what_cannot_be_sent_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let endpoints = [
        at(1, "api_key_env = \"BROKEN_KEY\""),
        at(1, "headers = { authorization = \"Bearer $BROKEN_KEY\" }"),
        at(1, "query = { sig = \"$NOT_SET_ANYWHERE\" }"),
    ];
    let (output, words) = run(folder.path(), &endpoints, &["--no-check"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(words, @"
    timeslip: endpoint.a.api_key_env: the environment variable BROKEN_KEY holds a line break or another character that no header can have; export it without
    endpoint.b.headers.authorization: the environment variable BROKEN_KEY holds a line break or another character that no header can have; export it without
    endpoint.c.query.sig: the environment variable NOT_SET_ANYWHERE is not set; export it with the key
    ");
    let (output, words) = run(
        folder.path(),
        &[at(1, "headers = { \"x team\" = \"1\" }")],
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(words, @r#"timeslip: timeslip.toml: endpoint.a.headers.x team: is not a header name: letters, digits and hyphens, such as "x-team""#);
}

#[test]
fn a_server_that_is_busy_is_no_reason_not_to_begin() {
    for busy in ["429 Too Many Requests", "529 Overloaded", "503 Down"] {
        let (port, server) = canned(vec![refusal(busy, "later"), done()]);
        let folder = tempfile::tempdir().unwrap();
        let (_, words) = run(folder.path(), &[at(port, "")], &[]);
        let status = &busy[..3];
        let told = format!(
            "warning: endpoint a did not answer a first request, and is tried again in the run: \
             http://127.0.0.1:{port}/v1/responses: HTTP {status}: later"
        );
        assert!(words.contains(&told), "{words}");
        assert!(folder.path().join("runs/latest/report.html").exists());
        let requests = server.join().unwrap();
        assert!(requests[1].contains("software engineer"), "{requests:?}");
    }
}

#[test]
fn the_first_request_is_tiny_and_in_no_figure() {
    // A server that takes no limit is asked without.
    let refused = refusal("400 Bad Request", "unknown field max_output_tokens");
    let (port, server) = canned(vec![refused, done(), done()]);
    let folder = tempfile::tempdir().unwrap();
    let (_, words) = run(folder.path(), &[at(port, "")], &[]);
    assert!(!words.contains("warning: endpoint"), "{words}");
    let requests = server.join().unwrap();
    let limited = requests
        .iter()
        .map(|request| request.contains("\"max_output_tokens\":16"));
    assert_eq!(limited.collect::<Vec<_>>(), [true, false, false]);
    assert!(
        requests[..2]
            .iter()
            .all(|request| { request.len() < 1_500 && !request.contains("software engineer") })
    );
    let journal = folder.path().join("runs/latest/journal.jsonl");
    let journal = std::fs::read_to_string(journal).unwrap();
    assert_eq!(journal.matches("\"event\":\"exchange\"").count(), 1);
}

#[test]
fn a_run_that_is_resumed_asks_again_unless_it_must_not() {
    let refused = || refusal("401 Unauthorized", "no");
    let (port, server) = canned(vec![refused()]);
    let folder = tempfile::tempdir().unwrap();
    let stopped = ["--no-check", "--max-failures", "1"];
    let (output, words) = run(folder.path(), &[at(port, "")], &stopped);
    assert_eq!(output.status.code(), Some(5), "{words}");
    // The first request of all was the trial's.
    let requests = server.join().unwrap();
    assert!(requests[0].contains("software engineer"), "{requests:?}");
    let resume = |arguments: &[&str]| {
        let output = timeslip()
            .current_dir(folder.path())
            .args(["run", "--resume", "runs/latest"])
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, words) = resume(&[]);
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("nothing was run"), "{words}");
    let (code, words) = resume(&["--no-check"]);
    assert_ne!(code, Some(2), "{words}");
}
