//! The history on real runs: what is added, shown, pinned and made again.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{quick_config, timeslip};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = quick_config(folder.path());
        let text = std::fs::read_to_string(&config).unwrap();
        let fast = folder.path().join("fast.toml");
        let again =
            format!("[endpoint.fast-again]\nsimulate = {fast:?}\ntransport = \"websocket\"\n");
        std::fs::write(&config, text + &again).unwrap();
        Place { folder }
    }

    fn measure(&self, endpoints: [&str; 2]) -> PathBuf {
        let output = timeslip()
            .current_dir(&self.folder)
            .args(["run", "--task", "word-tally"])
            .args(endpoints.map(|endpoint| format!("--endpoint={endpoint}")))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        std::fs::canonicalize(self.folder.path().join("runs/latest")).unwrap()
    }

    /// Standard output of `timeslip history`, or the exit code and standard error.
    fn history(&self, arguments: &[&str]) -> Result<String, (i32, String)> {
        let output = timeslip()
            .current_dir(&self.folder)
            .arg("history")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match output.status.code().unwrap() {
            0 => Ok(text(output.stdout)),
            code => Err((code, text(output.stderr))),
        }
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&self.history(&["show", "--json"]).unwrap()).unwrap()
    }

    fn run_of(&self, endpoints: [&str; 2]) -> Value {
        let shown = self.shown();
        let settings = shown["settings"].as_array().unwrap();
        let setting = settings
            .iter()
            .find(|setting| setting["endpoints"] == serde_json::json!(endpoints));
        setting.unwrap()["runs"][0].clone()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("runs/history.sqlite")).unwrap()
    }
}

fn name(run: &Path) -> &str {
    run.file_name().unwrap().to_str().unwrap()
}

#[test]
fn runs_are_added_shown_pinned_and_found_again() {
    let place = Place::new();
    let (code, error) = place.history(&["show"]).unwrap_err();
    assert_eq!(code, 2);
    assert!(error.contains("add a run first"), "{error}");

    let run = place.measure(["fast", "slow"]);
    let twice = place.measure(["fast", "fast-again"]);
    let added = place
        .history(&["add", &run.display().to_string(), "runs/latest"])
        .unwrap();
    assert_eq!(
        added,
        format!("{}: added\n{}: added\n", name(&run), name(&twice))
    );
    let before = place.bytes();
    let added = place.history(&["add", "runs/latest"]).unwrap();
    assert_eq!(added, format!("{}: was there already\n", name(&twice)));
    assert_eq!(place.bytes(), before);

    // The figures are those of the report.
    let summary = std::fs::read(run.join("summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let shown = place.shown();
    let setting = &shown["settings"][1];
    assert_eq!(setting["endpoints"].to_string(), r#"["fast","slow"]"#);
    let trend = &setting["trends"][0];
    assert_eq!(
        (&trend["metric"], &trend["endpoint"]),
        (&"task_time".into(), &"fast".into())
    );
    let expected = summary["endpoints"]["fast"]["wall_ms"]["p50"]
        .as_f64()
        .unwrap();
    let shown_ns = trend["values"][0]["value"].as_f64().unwrap();
    assert!(
        (shown_ns / 1e6 - expected).abs() < 1e-6,
        "{shown_ns} {expected}"
    );

    let kept = place.run_of(["fast", "slow"]);
    for (field, expected) in [
        ("valid", true),
        ("complete", true),
        ("simulated", true),
        ("same_endpoint", false),
        ("pinned", false),
    ] {
        assert_eq!(kept[field], expected, "{field}");
    }
    assert_eq!(place.run_of(["fast", "fast-again"])["same_endpoint"], true);
    // What one endpoint under two names says of `fast` is said of it in the other setting.
    let floors = place.history(&["floor", "--json"]).unwrap();
    let floors: Value = serde_json::from_str(&floors).unwrap();
    let floor = &floors["settings"][1]["floors"][0];
    assert_eq!(floor["endpoint"], "fast");
    assert_eq!(floor["same_endpoint"], 1);
    assert_eq!(floor["floor"], Value::Null);

    place.history(&["pin", &run.display().to_string()]).unwrap();
    assert_eq!(place.run_of(["fast", "slow"])["pinned"], true);
    let text = place.history(&["show"]).unwrap();
    assert!(text.contains(&format!("baseline {}", name(&run))), "{text}");

    // A damaged index is refused, and made again with all that it held.
    let shown = place.shown();
    let file = place.folder.path().join("runs/history.sqlite");
    std::fs::write(&file, "spoilt").unwrap();
    for command in [&["show"][..], &["add", "runs/latest"]] {
        let (code, error) = place.history(command).unwrap_err();
        assert_eq!(code, 2);
        assert!(error.contains("timeslip history rebuild"), "{error}");
    }
    let rebuilt = place.history(&["rebuild"]).unwrap();
    assert_eq!(rebuilt, "runs/history.sqlite: 2 runs\n");
    assert_eq!(place.shown(), shown);

    place
        .history(&["pin", "--remove", &run.display().to_string()])
        .unwrap();
    assert_eq!(place.run_of(["fast", "slow"])["pinned"], false);

    // Half a run is kept out of what others are compared with.
    let journal = twice.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let half = &text[..text.find("\"trial_finished\"").unwrap()];
    std::fs::write(&journal, half).unwrap();
    let added = place.history(&["add", "runs/latest"]).unwrap();
    assert!(
        added.contains("brought up to date") && added.contains("nothing is compared"),
        "{added}"
    );
    let (code, error) = place.history(&["pin", "runs/latest"]).unwrap_err();
    assert_eq!(code, 2, "{error}");
    // A directory that cannot be read is named and left out.
    std::fs::write(&journal, "no journal\n").unwrap();
    let (code, error) = place.history(&["rebuild"]).unwrap_err();
    assert!(code == 5 && error.contains(name(&twice)), "{error}");
    assert_eq!(place.shown()["settings"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_run_is_not_added() {
    let place = Place::new();
    for command in [
        &["add", "absent"][..],
        &["pin", "."],
        &["rebuild", "absent"],
    ] {
        let (code, error) = place.history(command).unwrap_err();
        assert_eq!(code, 2, "{error}");
        assert!(!place.folder.path().join("runs").exists(), "{error}");
    }
}
