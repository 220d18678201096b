//! Ctrl-C, SIGTERM and SIGHUP end every command at once, with all that it has started.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::suites::{HONEST, recording, suite, task};
use crate::support::{quick_config, timeslip};

/// Comes back when something is so.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command whose scratch folders are in `FOLDER/tmp` and whose words in `FOLDER/errors`.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    let (temporary, errors) = (folder.join("tmp"), folder.join("errors"));
    fs::create_dir_all(&temporary).unwrap();
    Command::new(env!("CARGO_BIN_EXE_timeslip"))
        .current_dir(folder)
        .env("TMPDIR", temporary)
        .args(arguments)
        .stdout(fs::File::create(folder.join("text")).unwrap())
        .stderr(fs::File::create(errors).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Sends a signal; the words of the command that it ended. Nothing of it may be left.
fn end(folder: &Path, mut child: Child, signal: &str) -> String {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(sent.success());
    let status = child.wait().unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let words = read("text") + &read("errors");
    assert_eq!(status.code(), Some(130), "{signal}: {words}");
    let left: Vec<_> = fs::read_dir(folder.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{signal}: {left:?}");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    words
}

/// How many processes sleep for that long.
fn sleepers(seconds: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let wanted = format!("sleep\0{seconds}\0");
    lines.filter(|line| line == wanted.as_bytes()).count()
}

#[test]
fn nothing_outlives_a_command_that_a_signal_ends() {
    let cases = [
        ("run", "bubblewrap", "-TERM"),
        ("run", "process", "-HUP"),
        ("verify", "bubblewrap", "-INT"),
        ("verify", "process", "-TERM"),
    ];
    for (number, (command, sandbox, signal)) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let seconds = format!("3000.{}{number}", std::process::id());
        // Deaf to what can be ignored, and one of the two in a session of its own.
        let stubborn = format!("trap '' INT TERM HUP; setsid sleep {seconds} & sleep {seconds}");
        task(folder, "one", &format!("{stubborn}; {HONEST}"));
        let session = folder.join("tasks/one/trajectories/solve.json");
        fs::write(session, recording(&stubborn)).unwrap();
        suite(folder, "");
        let arguments = match command {
            "run" => vec!["run", "--suite", "mine", "--endpoint", "fast"],
            _ => vec!["verify", "mine", "--config", "timeslip.toml"],
        };
        let child = start(folder, &[arguments, vec!["--sandbox", sandbox]].concat());
        wait_for("no tool starts", || sleepers(&seconds) == 2);
        let words = end(folder, child, signal);
        wait_for("a tool lives on", || sleepers(&seconds) == 0);
        let told = match command {
            "run" => "timeslip: interrupted; go on with `timeslip run --resume ",
            _ => "timeslip: interrupted before the task was done: there is no result",
        };
        assert!(words.contains(told), "{command}: {words}");
        if command == "run" {
            assert!(folder.join("runs/latest/report.html").exists());
        }
    }
}

#[test]
fn a_run_ended_during_calibration_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    quick_config(folder);
    let suite = ["run", "--suite", "terminal-mini", "--task", "word-tally"];
    let child = start(folder, &suite);
    wait_for("no run begins", || {
        fs::read_to_string(folder.join("errors"))
            .unwrap()
            .contains("run ")
    });
    let words = end(folder, child, "-HUP");
    let resume = words.split('`').nth(1).unwrap();
    let resume: Vec<&str> = resume.split(' ').skip(1).collect();
    timeslip().args(resume).assert().success();
    let summary = fs::read(folder.join("runs/latest/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["trials"].as_array().unwrap().len(), 2);
}

#[test]
fn grades_that_were_reached_are_summed_up_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let child = start(
        folder,
        &["grade", "--suite", "swe-mini", "--gold", "--output", "out"],
    );
    wait_for("no grade is reached", || {
        fs::read_to_string(folder.join("errors"))
            .unwrap()
            .contains(": resolved")
    });
    let words = end(folder, child, "-TERM");
    assert!(
        words.contains(" of 12 tasks") && words.contains("out/gold.out.json"),
        "{words}"
    );
    let task = words
        .lines()
        .find_map(|line| line.strip_suffix(": resolved"));
    let again = timeslip()
        .current_dir(folder)
        .args(["grade", "--suite", "swe-mini", "--gold", "--output", "out"])
        .args(["--task", task.unwrap()])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&again.stderr);
    assert!(errors.contains("resolved (kept)"), "{errors}");
}
