//! A run that goes nowhere or costs too much ends itself; what it has is reported.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::server::http;
use crate::support::{quick_config, timeslip};

fn run(folder: &Path, arguments: &[&str]) -> (Output, String) {
    let output = timeslip()
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    (output, words)
}

fn trials(folder: &Path) -> usize {
    let summary = std::fs::read(folder.join("runs/latest/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    summary["trials"].as_array().unwrap().len()
}

/// A server that refuses every request, each in other words.
fn refuses() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = crate::server::read_request(&stream);
            let _ = stream.write_all(&http("401 No", "", &format!("request {number} refused")));
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn a_run_whose_trials_all_fail_alike_ends_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = format!("http://127.0.0.1:{}/v1", refuses());
    let arguments = [
        "run",
        "--suite",
        "terminal-mini",
        "--no-check",
        "--model",
        "m",
    ];
    let concurrent = ["--concurrency", "1", "--base-url", &url];
    let arguments = [&arguments[..], &concurrent].concat();
    let (output, words) = run(folder, &[&arguments[..], &["--max-failures", "2"]].concat());
    assert_eq!(output.status.code(), Some(5), "{words}");
    let told = "timeslip: stopped: the last 2 trials of endpoint command-line ended alike, \
                without an answer: HTTP 401: request 1 refused; correct that, or allow more with \
                --max-failures; go on with `timeslip run --resume ";
    assert!(words.contains(told), "{words}");
    assert!((2..=3).contains(&trials(folder)), "{words}");
    assert!(folder.join("runs/latest/report.html").exists());
}

#[test]
fn a_run_ends_when_its_money_is_spent_and_goes_on_with_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = quick_config(folder);
    let text = std::fs::read_to_string(&config).unwrap();
    let price = "price = { input = 1000, output = 1000, priced_at = \"2026\" }\ntransport";
    std::fs::write(&config, text.replace("transport", price)).unwrap();
    let first = [
        "run",
        "--suite",
        "terminal-mini",
        "--task",
        "word-tally",
        "--attempts",
        "3",
        "--concurrency",
        "1",
        "--max-cost",
        "1",
    ];
    let (output, words) = run(folder, &first);
    assert_eq!(output.status.code(), Some(5), "{words}");
    assert!(
        words.contains("timeslip: stopped: the run has cost $"),
        "{words}"
    );
    assert!(
        words.contains("of the $1 that --max-cost allows"),
        "{words}"
    );
    let reached = trials(folder);
    let resume = ["run", "--resume", "runs/latest", "--max-cost"];
    let (output, words) = run(folder, &[&resume[..], &["1"]].concat());
    assert_eq!(output.status.code(), Some(5), "{words}");
    assert!(trials(folder) <= reached + 1);
    let (output, words) = run(folder, &[&resume[..], &["1000000"]].concat());
    assert!(!words.contains("stopped"), "{words}");
    assert!(trials(folder) > reached + 1, "{output:?}");
}

#[test]
fn a_budget_needs_prices() {
    let folder = tempfile::tempdir().unwrap();
    let server = ["run", "--base-url", "http://127.0.0.1:1/v1", "--model", "m"];
    let (output, words) = run(folder.path(), &[&server[..], &["--max-cost", "1"]].concat());
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(words, @r#"timeslip: --max-cost: endpoint 'command-line' has no price, so nobody knows what it costs; give it one in its table of timeslip.toml, in US dollars per million tokens: price = { input = …, cached_input = …, output = …, priced_at = "…" }"#);
    for amount in ["0", "-1", "inf", "much"] {
        let (output, words) = run(folder.path(), &["run", &format!("--max-cost={amount}")]);
        assert_eq!(output.status.code(), Some(2));
        assert!(words.contains("write a number above 0"), "{words}");
    }
}
