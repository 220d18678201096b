//! The nightly script, as a job of continuous integration runs it.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::QUICK_PROFILE;

/// Generous: what is tested is the script, on a machine that is shared.
const RULES: &str = "drift = \"90%\"\n\
    [[rule]]\nmetric = \"stage.prefill\"\nmax_regress = \"90%\"\n\
    [[rule]]\nmetric = \"resolve_rate\"\nmax_regress = \"20 points\"\n";

fn night(folder: &Path, against: &str) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/nightly"))
        .args(["--config", "night.toml", "--rules", "gate rules.toml"])
        .args(["--runs", "all runs", "--artefacts", "the artefacts"])
        .args(["--against", against, "--", "--suite", "terminal-mini"])
        .env("TIMESLIP", env!("CARGO_BIN_EXE_timeslip"))
        .env_remove("GITHUB_ACTIONS")
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [stdout, stderr].map(|part| String::from_utf8(part).unwrap());
    (status.code(), text.concat())
}

#[test]
fn nights_are_judged_remembered_and_rejected() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let profile = QUICK_PROFILE.replace(
        "prefill_tokens_per_second = 200000.0",
        "prefill_tokens_per_second = 20000.0",
    );
    std::fs::write(folder.join("profile.toml"), &profile).unwrap();
    std::fs::write(folder.join("gate rules.toml"), RULES).unwrap();
    let config = "[run]\nendpoints = [\"simulated\"]\n[limits]\nclient_lag_ms = 2000.0\n\
        [endpoint.simulated]\nsimulate = \"profile.toml\"\n";
    std::fs::write(folder.join("night.toml"), config).unwrap();

    // The first night has nothing to be held against, and begins the history.
    let (code, text) = night(folder, "history");
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("nothing to compare with"), "{text}");
    let (code, text) = night(folder, "history");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("gate: pass") && text.contains("added"),
        "{text}"
    );
    for artefact in [
        "gate.json",
        "gate.txt",
        "junit.xml",
        "bencher.json",
        "report.html",
        "summary.json",
        "charts",
        "csv",
    ] {
        let path = folder.join("the artefacts").join(artefact);
        assert!(path.exists(), "{artefact}");
    }

    let timeslip = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_timeslip"))
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    let file = "all runs/history.sqlite";

    // A slow night: found, measured again, found again, and no baseline for the next one.
    std::fs::write(
        folder.join("profile.toml"),
        profile.replace("20000.0\ncached", "4000.0\ncached"),
    )
    .unwrap();
    let (code, text) = night(folder, "history");
    assert_eq!(code, Some(100), "{text}");
    assert!(text.contains("measuring again"), "{text}");
    assert!(text.contains("it was rejected"), "{text}");
    let shown = timeslip(&["history", "show", "--history-file", file]);
    assert!(shown.contains("rejected"), "{shown}");
    // A rebuilt history remembers it.
    timeslip(&["history", "rebuild", "all runs", "--history-file", file]);
    let shown = timeslip(&["history", "show", "--history-file", file]);
    assert!(shown.contains("rejected"), "{shown}");

    let (code, text) = night(folder, "nothing");
    assert_eq!(code, Some(2), "{text}");
}
