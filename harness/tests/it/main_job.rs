//! The whole path: real sockets, real tools, real graders, report and resume.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{QUICK_PROFILE, quick_config, timeslip};

fn only_run(folder: &Path) -> PathBuf {
    std::fs::canonicalize(folder.join("runs/latest")).unwrap()
}

fn summary(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap()
}

fn check_every_trial(summary: &Value, trials: usize) {
    let listed = summary["trials"].as_array().unwrap();
    assert_eq!(listed.len(), trials);
    for trial in listed {
        let stages = trial["stages_ns"].as_object().unwrap();
        let sum: u64 = stages.values().map(|ns| ns.as_u64().unwrap()).sum();
        assert_eq!(Some(sum), trial["wall_ns"].as_u64(), "{trial}");
        assert_ne!(trial["outcome"], "error", "{trial}");
    }
}

#[test]
fn both_suites_on_both_endpoints() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let output = timeslip()
        .arg("run")
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("simulated"), "{text}");
    let run = only_run(folder.path());
    let summary = summary(&run);
    assert!(summary["planned_trials"].as_u64().unwrap() >= 44);
    check_every_trial(
        &summary,
        usize::try_from(summary["planned_trials"].as_u64().unwrap()).unwrap(),
    );
    // The recordings decide: the one endpoint plays solutions, the other does not.
    let rate = |endpoint: &str| {
        summary["endpoints"][endpoint]["resolve_rate"]["point"]
            .as_f64()
            .unwrap()
    };
    assert_eq!((rate("fast"), rate("slow")), (1.0, 0.0));
    assert_eq!(summary["endpoints"]["fast"]["simulated"], true);
    let ratio = summary["comparison"]["task_time_ratio"]["point"]
        .as_f64()
        .unwrap();
    let token_ratio = summary["comparison"]["token_rate_ratio"].as_f64().unwrap();
    // How long tools take is the machine's affair; that tokens are not tasks is ours.
    assert!(
        ratio > 0.0 && token_ratio > ratio,
        "tasks {ratio}, tokens {token_ratio}"
    );
    for file in ["report.html", "run.json", "journal.jsonl", "csv/trials.csv"] {
        assert!(run.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let charts = std::fs::read_dir(run.join("charts")).unwrap();
    assert!(
        charts
            .filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "png")
            .count()
            >= 4
    );

    // Rendering again from the journal gives the same summary.
    let before = std::fs::read(run.join("summary.json")).unwrap();
    timeslip().arg("report").arg(&run).assert().success();
    assert_eq!(std::fs::read(run.join("summary.json")).unwrap(), before);
}

fn finished(journal: &str) -> usize {
    journal.matches("\"event\":\"trial_finished\"").count()
}

/// The only run of a folder, gone on with to its end.
fn resumed(folder: &Path) -> PathBuf {
    let run = only_run(folder);
    timeslip()
        .args(["run", "--resume"])
        .arg(&run)
        .assert()
        .success();
    run
}

/// Starts a run of 24 trials and comes back when so many of them are finished.
fn run_until(folder: &Path, config: &Path, trials: usize) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_timeslip"))
        .args([
            "run",
            "--suite",
            "terminal-mini",
            "--concurrency",
            "2",
            "--config",
        ])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = folder.join("runs/latest/journal.jsonl");
    let started = Instant::now();
    while finished(&std::fs::read_to_string(&journal).unwrap_or_default()) < trials {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the run does not get anywhere"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// Kills a run in the middle, as hard as it gets, and finishes it.
#[test]
fn a_killed_run_is_resumed_and_keeps_what_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let mut child = run_until(folder.path(), &config, 5);
    let journal = folder.path().join("runs/latest/journal.jsonl");
    child.kill().unwrap();
    child.wait().unwrap();
    let run = only_run(folder.path());
    // As a crash of the machine may leave it: the last line torn.
    let mut torn = std::fs::read(&journal).unwrap();
    torn.extend_from_slice(b"{\"trial\":{\"suite\":\"terminal-m");
    std::fs::write(&journal, &torn).unwrap();
    let kept = String::from_utf8(torn).unwrap();
    let kept = &kept[..kept.rfind("\"event\":\"trial_finished\"").unwrap()];
    assert!(finished(kept) < 24, "the run ended before it was killed");

    let output = timeslip()
        .args(["run", "--resume"])
        .arg(&run)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let whole = std::fs::read_to_string(&journal).unwrap();
    assert!(
        whole.starts_with(kept),
        "finished trials must be kept byte for byte"
    );
    assert_eq!(finished(&whole), 24);
    check_every_trial(&summary(&run), 24);
}

/// Five endpoints, killed in the middle, resumed, reported, compared and gated.
#[test]
fn several_candidates_are_measured_against_one_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let profile = |name: &str| folder.path().join(name).display().to_string();
    let further = format!(
        "[endpoint.plain]\nsimulate = {fast:?}\n\
         [endpoint.chat]\nsimulate = {fast:?}\nprotocol = \"chat-completions\"\ntransport = \"http2-sse\"\n\
         [endpoint.again]\nsimulate = {slow:?}\nprotocol = \"anthropic-messages\"\n",
        fast = profile("fast.toml"),
        slow = profile("slow.toml"),
    );
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "endpoints = [\"fast\", \"slow\"]",
        "endpoints = [\"slow\", \"fast\", \"plain\", \"chat\", \"again\"]\nbaseline = \"slow\"",
    );
    std::fs::write(&config, text + &further).unwrap();
    let mut child = run_until(folder.path(), &config, 12);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = resumed(folder.path());

    let summary = summary(&run);
    check_every_trial(&summary, 60);
    let names: Vec<&String> = summary["endpoints"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["fast", "plain", "chat", "again", "slow"]);
    let further = summary["further_comparisons"].as_array().unwrap();
    let compared = std::iter::once(&summary["comparison"]).chain(further);
    let candidates: Vec<&Value> = compared
        .map(|comparison| {
            assert_eq!(comparison["baseline"], "slow");
            assert_eq!(comparison["pairs"], 12);
            &comparison["candidate"]
        })
        .collect();
    assert_eq!(candidates, ["fast", "plain", "chat", "again"]);

    let output = timeslip().arg("compare").arg(&run).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for name in ["fast", "plain", "chat", "again"] {
        assert!(text.contains(&format!("\n{name} against slow\n")), "{text}");
    }
    let rules = folder.path().join("gate.toml");
    std::fs::write(
        &rules,
        "[[rule]]\nmetric = \"resolve_rate\"\nmax_regress = \"10 points\"\n",
    )
    .unwrap();
    let json = folder.path().join("gate.json");
    // Which verdict it comes to is the machine's affair; what is judged is ours.
    timeslip()
        .args(["gate", "--candidate"])
        .arg(&run)
        .arg("--rules")
        .arg(&rules)
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let result: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let findings = result["findings"].as_array().unwrap();
    let judged: Vec<&Value> = findings
        .iter()
        .map(|finding| &finding["endpoint"])
        .collect();
    assert_eq!(judged, ["fast", "plain", "chat", "again"]);
    assert!(findings.iter().all(|finding| finding["baseline"] == "slow"));
}

/// Ctrl-C ends a run at once, whatever tools are doing, and says how to go on.
#[test]
fn an_interrupted_run_stops_at_once_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let child = run_until(folder.path(), &config, 1);
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.contains("timeslip run --resume"), "{errors}");
    let run = resumed(folder.path());
    check_every_trial(&summary(&run), 24);
}

#[test]
fn a_run_is_not_written_by_two() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let arguments = [
        "run",
        "--suite",
        "terminal-mini",
        "--task",
        "word-tally",
        "--config",
    ];
    timeslip().args(arguments).arg(&config).assert().success();
    let run = only_run(folder.path());
    let lock = std::fs::File::open(run.join("journal.jsonl")).unwrap();
    lock.lock().unwrap();
    let output = timeslip()
        .args(["run", "--resume"])
        .arg(&run)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another timeslip"));
}

#[test]
fn a_key_shows_up_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let text = std::fs::read_to_string(&config).unwrap()
        + "api_key_env = \"TIMESLIP_TEST_KEY\"\nheaders = { x-auth = \"$TIMESLIP_TEST_KEY\" }\n";
    std::fs::write(&config, text).unwrap();
    let key = "sk-very-secret-0123456789";
    let output = timeslip()
        .env("TIMESLIP_TEST_KEY", key)
        .args([
            "run",
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--config",
        ])
        .arg(&config)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut folders = vec![only_run(folder.path())];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                let bytes = std::fs::read(&path).unwrap();
                assert!(
                    !bytes
                        .windows(key.len())
                        .any(|window| window == key.as_bytes()),
                    "{}",
                    path.display()
                );
            }
        }
    }
    assert!(files > 5);
    let printed = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&printed).contains(key));
}

/// What the client could not keep up with is no result: the report says so, first of
/// all, and the exit code does.
#[test]
fn a_run_whose_client_lagged_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace("client_lag_ms = 2000.0", "client_lag_ms = 0.000001");
    std::fs::write(&config, text).unwrap();
    let output = timeslip()
        .args(["run", "--task", "word-tally", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("This run is invalid"), "{text}");
    let run = only_run(folder.path());
    let summary = summary(&run);
    assert_eq!(summary["valid"], false);
    let calibration = &summary["calibration"]["settings"][0];
    assert!(calibration["ttft_error"]["n"].as_u64().unwrap() > 0);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("This run is invalid")
            && page.contains("TTFT error: responses over websocket")
    );
}

/// Whatever it is called and wherever its profile was read from.
#[test]
fn one_endpoint_of_two_runs_is_told_as_such() {
    let run = |slower: bool, name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let profile = if slower {
            QUICK_PROFILE.replace("20000.0", "2000.0")
        } else {
            QUICK_PROFILE.to_owned()
        };
        std::fs::write(folder.path().join("profile.toml"), profile).unwrap();
        let config = format!(
            "[limits]\nclient_lag_ms = 2000.0\n\
             [endpoint.{name}]\nsimulate = \"profile.toml\"\ntransport = \"http-sse\"\n"
        );
        std::fs::write(folder.path().join("timeslip.toml"), config).unwrap();
        let output = timeslip()
            .current_dir(folder.path())
            .args(["run", "--suite", "terminal-mini", "--task", "word-tally"])
            .args(["--endpoint", name])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        (folder, name.to_owned())
    };
    let (mine, yours, other) = (run(false, "mine"), run(false, "yours"), run(true, "other"));
    let told = |second: &(tempfile::TempDir, String)| {
        let operand = |(folder, name): &(tempfile::TempDir, String)| {
            format!("{}:{name}", only_run(folder.path()).display())
        };
        let output = timeslip()
            .args(["compare", &operand(&mine), &operand(second), "--json"])
            .output()
            .unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        summary["warnings"].to_string().contains("really the same")
    };
    assert!(told(&yours));
    assert!(!told(&other));
}
