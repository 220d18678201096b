//! The gate on real runs of the embedded endpoints.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{QUICK_PROFILE, timeslip};

/// What the machine is not part of: the tests share it, and tools feel that.
const RULES: &str = r#"
alpha = 0.01
min_pairs = 10
drift = "30%"

[[rule]]
metric = "ttft"
max_regress = "30%"

[[rule]]
metric = "stage.prefill"
max_regress = "50%"

[[rule]]
metric = "stage.decode"
max_regress = "50%"

[[rule]]
metric = "resolve_rate"
max_regress = "10 points"
"#;

/// Runs the terminal tasks on a simulated endpoint.
fn run(folder: &Path, name: &str, profile: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, profile).unwrap();
    let config = folder.join(format!("{name}.config.toml"));
    let text = format!(
        "[run]\nendpoints = [\"simulated\"]\nsuites = [\"terminal-mini\"]\ndirectory = {:?}\n\
         [limits]\nclient_lag_ms = 2000.0\n[endpoint.simulated]\nsimulate = {file:?}\n",
        folder.join(name),
    );
    std::fs::write(&config, text).unwrap();
    timeslip()
        .arg("run")
        .arg("--config")
        .arg(config)
        .assert()
        .success();
    std::fs::canonicalize(folder.join(name).join("latest")).unwrap()
}

fn gate(folder: &Path, candidate: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join("gate.toml"), RULES).unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = timeslip()
        .current_dir(folder)
        .args(["gate", "--rules", "gate.toml", "--candidate"])
        .arg(candidate)
        .args(arguments)
        .output()
        .unwrap();
    let text = [stdout, stderr].map(|part| String::from_utf8(part).unwrap());
    (status.code(), text.concat())
}

#[test]
fn a_planted_slowdown_is_found_in_its_stage_and_half_a_journal_is_no_run() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    // Long enough in every stage to stand out from a busy machine.
    let steady = QUICK_PROFILE
        .replace("200000.0", "20000.0")
        .replace("20000.0\nresolve", "4000.0\nresolve")
        .replace("queue_slots = 8", "queue_slots = 64");
    let slow = steady.replace(
        "prefill_tokens_per_second = 20000.0",
        "prefill_tokens_per_second = 5000.0",
    );
    assert_ne!(steady, slow);
    let baseline = run(folder, "baseline", &steady);
    let same = run(folder, "same", &steady);
    let slow = run(folder, "slow", &slow);
    let against = baseline.display().to_string();

    let (code, text) = gate(folder, &same, &["--baseline", &against]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("smallest regression this would have found"),
        "{text}"
    );

    let outputs = [
        "--json",
        "gate.json",
        "--junit",
        "junit.xml",
        "--bencher",
        "bencher.json",
    ];
    let arguments = [&["--baseline", &against], &outputs[..]].concat();
    let (code, text) = gate(folder, &slow, &arguments);
    assert_eq!(code, Some(100), "{text}");
    let line = text
        .lines()
        .find(|line| line.contains("stage.prefill"))
        .unwrap();
    assert!(line.starts_with("REGRESSION"), "{text}");
    assert!(text.contains("mostly prefill"), "{text}");
    let decode = text
        .lines()
        .find(|line| line.contains("stage.decode"))
        .unwrap();
    assert!(decode.starts_with("PASS"), "{text}");
    for file in ["gate.json", "bencher.json"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            json.as_object().is_some_and(|object| !object.is_empty()),
            "{file}"
        );
    }
    assert!(
        std::fs::read_to_string(folder.join("junit.xml"))
            .unwrap()
            .contains("<failure")
    );

    // Measured again, it is still there; the same again is not.
    let again = slow.display().to_string();
    let (code, text) = gate(
        folder,
        &slow,
        &["--baseline", &against, "--confirm", &again],
    );
    assert_eq!(code, Some(100), "{text}");
    let again = same.display().to_string();
    let (code, text) = gate(
        folder,
        &slow,
        &["--baseline", &against, "--confirm", &again],
    );
    assert_eq!(code, Some(0), "{text}");

    let journal = same.join("journal.jsonl");
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &whole[..whole.len() / 2]).unwrap();
    for (candidate, against) in [(&same, &baseline), (&slow, &same)] {
        let against = against.display().to_string();
        let (code, text) = gate(folder, candidate, &["--baseline", &against]);
        assert_eq!(code, Some(5), "{text}");
        assert!(text.contains("incomplete"), "{text}");
    }
    // Nothing left of the trials at all.
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap();
    std::fs::write(&journal, &whole[..=header]).unwrap();
    let (code, text) = gate(folder, &same, &["--baseline", &against]);
    assert_eq!(code, Some(4), "{text}");
}

#[test]
fn what_cannot_be_judged_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let (code, text) = gate(folder, &folder.join("absent"), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("run.json"), "{text}");
    std::fs::write(folder.join("broken.toml"), "[[rule]]\nmetric = 5\n").unwrap();
    let output = timeslip()
        .current_dir(folder)
        .args(["gate", "--rules", "broken.toml", "--candidate", "absent"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("broken.toml") && text.contains("line 2"),
        "{text}"
    );
}

#[test]
fn github_gets_a_summary_and_annotations() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let run = run(folder, "alone", QUICK_PROFILE);
    let summary = folder.join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let output = timeslip()
        .current_dir(folder)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .args(["gate", "--github", "--candidate"])
        .arg(&run)
        .output()
        .unwrap();
    // One endpoint and no baseline: there is nothing to compare.
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("::error title="), "{text}");
    let written = std::fs::read_to_string(&summary).unwrap();
    assert!(
        written.starts_with("before\n### gate: no decision"),
        "{written}"
    );
}
