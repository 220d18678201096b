//! A proxy that the environment names.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::server::{self, events};
use crate::support::timeslip;

/// Nobody answers to this name: only the proxy knows the way.
const HOST: &str = "model.test";

#[test]
fn a_run_goes_through_the_proxy_and_its_report_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = server::read_request(&stream);
            seen.lock().unwrap().push(head);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            server::read_request(&stream);
            let answer = events(&[
                r#"{"type":"response.output_text.delta","delta":"done"}"#,
                r#"{"type":"response.completed","response":{"id":"r","output":[]}}"#,
            ]);
            let _ = stream.write_all(&answer);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let folder = tempfile::tempdir().unwrap();
    timeslip()
        .current_dir(folder.path())
        .env("http_proxy", &proxy)
        .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
        .args([
            "--base-url",
            &format!("http://{HOST}:8000/v1"),
            "--model",
            "m",
        ])
        .assert()
        .success();
    for head in heads.lock().unwrap().iter() {
        assert!(
            head.starts_with(&format!("CONNECT {HOST}:8000 HTTP/1.1\r\n")),
            "{head}"
        );
    }
    let run = std::fs::read_dir(folder.path().join("runs"))
        .unwrap()
        .next()
        .unwrap();
    let run = run.unwrap().path();
    let summary = std::fs::read_to_string(run.join("summary.json")).unwrap();
    assert!(summary.contains("through a proxy"));
}
