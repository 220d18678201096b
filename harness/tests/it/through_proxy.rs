//! The built-in agent takes as long through the recording proxy as without it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use timeslip_datasets::run::RunDirectory;
use timeslip_datasets::run::journal::Trial;

use crate::support::{QUICK_PROFILE, timeslip};

/// What the proxy may add to a model call, in nanoseconds: the documented most of a request.
const A_CALL: i128 = 1_000_000;
const ATTEMPTS: &str = "8";

/// Starts a server; the process and where it listens.
fn listening(folder: &Path, arguments: &[&str]) -> (Child, String) {
    // One of the two says it on its standard output.
    let mut server = Command::new("sh")
        .args([
            "-c",
            "exec \"$0\" \"$@\" 2>&1",
            env!("CARGO_BIN_EXE_timeslip"),
        ])
        .current_dir(folder)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("http://127") {
        line.clear();
        assert!(words.read_line(&mut line).unwrap() > 0, "it ended");
    }
    std::thread::spawn(move || words.read_to_end(&mut Vec::new()));
    let (_, rest) = line.split_once("http://").unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c));
    (
        server,
        format!("http://{}", &rest[..end.unwrap_or(rest.len())]),
    )
}

fn median(mut values: Vec<i128>) -> i128 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_task_takes_as_long_through_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("quick.toml"), QUICK_PROFILE).unwrap();
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--profile",
        "quick.toml",
    ];
    let (server, direct) = listening(folder, &serve);
    let upstream = format!("{direct}/v1");
    let record = [
        "record",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--directory",
        "recorded",
    ];
    let (mut proxy, proxied) = listening(folder, &record);
    let endpoints = [
        ("proxied", &proxied),
        ("again", &direct),
        ("direct", &direct),
    ];
    let mut config =
        "[run]\nendpoints = [\"proxied\", \"again\", \"direct\"]\ndirectory = \"runs\"\n\
         [limits]\nclient_lag_ms = 2000.0\n"
            .to_owned();
    for (name, origin) in endpoints {
        config += &format!(
            "[endpoint.{name}]\nbase_url = \"{origin}/v1\"\nmodel = \"quick\"\nprotocol = \"chat-completions\"\n"
        );
    }
    std::fs::write(folder.join("timeslip.toml"), config).unwrap();
    timeslip()
        .current_dir(folder)
        .args([
            "run",
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--attempts",
            ATTEMPTS,
        ])
        .assert()
        .success();
    for process in [&proxy, &server] {
        kill_process(Pid::from_child(process), Signal::INT).unwrap();
    }
    assert!(proxy.wait().unwrap().success());
    let _ = { server }.wait();
    let (directory, manifest) = RunDirectory::open(&folder.join("runs/latest")).unwrap();
    let journal = directory.read_journal(&manifest).unwrap();
    let mut trials: BTreeMap<String, Vec<Trial>> = BTreeMap::new();
    for trial in journal.map(Result::unwrap) {
        trials
            .entry(trial.key.endpoint.clone())
            .or_default()
            .push(trial);
    }
    for of_endpoint in trials.values_mut() {
        of_endpoint.sort_by_key(|trial| trial.key.attempt);
        assert_eq!(of_endpoint.len().to_string(), ATTEMPTS);
    }
    let calls = trials["direct"][0].exchanges.len() as i128;
    let model = |trial: &Trial| -> i128 {
        let exchanges = trial.exchanges.iter().map(|one| one.marks);
        exchanges
            .map(|marks| i128::from(marks.done - marks.start))
            .sum()
    };
    let task = |trial: &Trial| i128::from(trial.finished.wall_ns);
    for (what, of) in [
        ("model", &model as &dyn Fn(&Trial) -> i128),
        ("task", &task),
    ] {
        let more = |name: &str| -> Vec<i128> {
            let pairs = trials[name].iter().zip(&trials["direct"]);
            pairs.map(|(one, direct)| of(one) - of(direct)).collect()
        };
        // What the machine adds by itself, to a time that nothing is added to.
        let noise = median(more("again").into_iter().map(i128::abs).collect());
        let added = median(more("proxied"));
        let bound = calls * A_CALL + 4 * noise;
        eprintln!("{what}: {added} ns added over {calls} calls, noise {noise} ns");
        assert!(added <= bound, "{what}: {added} ns, bound {bound} ns");
    }
}
