//! Predictions are scored: reference solutions, untouched tasks, other people's
//! patches, and what our own runs leave behind.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{quick_config, timeslip};

const TASK: &str = "saltmarsh__fieldcsv-5";

/// Exit code, standard output and standard error of `timeslip grade`.
fn grade(arguments: &[&str]) -> (i32, String, String) {
    let output = timeslip()
        .args(["grade", "--suite", "swe-mini"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

fn read(file: &Path) -> Value {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn gold_passes_and_base_fails() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = out.to_str().unwrap();
    for (subject, resolved) in [("--gold", true), ("--base", false)] {
        let (code, text, errors) = grade(&[subject, "--task", TASK, "--output", output]);
        assert_eq!(code, 0, "{text}{errors}");
        let model = subject.trim_start_matches('-');
        let report = read(&out.join(model).join(TASK).join("report.json"));
        assert_eq!(report[TASK]["resolved"], resolved, "{report}");
        let summary = read(&out.join(format!("{model}.out.json")));
        assert_eq!(summary["schema_version"], 2);
        assert_eq!(summary["resolved_instances"], u8::from(resolved));
        let failed = &report[TASK]["tests_status"]["FAIL_TO_PASS"]["failure"];
        assert_eq!(failed.as_array().unwrap().is_empty(), resolved);
    }
}

#[test]
fn a_verdict_is_kept_for_the_patch_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("p.json"), folder.path().join("out"));
    let gold = folder.path().join("gold");
    grade(&["--gold", "--task", TASK, "--output", gold.to_str().unwrap()]);
    let gold = std::fs::read_to_string(gold.join("gold").join(TASK).join("patch.diff")).unwrap();
    let score = |patch: Value| {
        let prediction =
            json!({"instance_id": TASK, "model_name_or_path": "../a/b", "model_patch": patch});
        std::fs::write(&file, json!({ TASK: prediction }).to_string()).unwrap();
        let (code, text, errors) = grade(&[
            "--predictions",
            file.to_str().unwrap(),
            "--task",
            TASK,
            "--output",
            out.to_str().unwrap(),
        ]);
        assert_eq!(code, 0, "{text}{errors}");
        errors.trim().to_owned()
    };
    assert_eq!(score(json!(gold)), format!("{TASK}: resolved"));
    assert_eq!(score(json!(gold)), format!("{TASK}: resolved (kept)"));
    let nothing = "diff --git a/NOTE b/NOTE\nnew file mode 100644\n--- /dev/null\n+++ b/NOTE\n@@ -0,0 +1 @@\n+x\n";
    assert_eq!(score(json!(nothing)), format!("{TASK}: unresolved"));
    assert_eq!(score(json!(gold)), format!("{TASK}: resolved"));
    assert_eq!(score(json!("no patch")), format!("{TASK}: does not apply"));
    assert_eq!(score(Value::Null), format!("{TASK}: empty patch"));
    // The model's name did not lead out of the folder.
    let names = |place: &Path| place.read_dir().unwrap().count();
    assert_eq!((names(folder.path()), names(&out)), (3, 2));
}

#[test]
fn what_a_run_predicts_can_be_scored() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let run = timeslip()
        .args(["run", "--task", TASK, "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    for (endpoint, verdict) in [("fast", "resolved"), ("slow", "")] {
        let name = format!("runs/latest/predictions/{endpoint}.jsonl");
        let file = folder.path().join(name);
        let (code, text, errors) =
            grade(&["--predictions", file.to_str().unwrap(), "--task", TASK]);
        assert_eq!(code, 0, "{text}{errors}");
        let resolved = text.contains("1 task: 1 resolved");
        assert_eq!(resolved, verdict == "resolved", "{text}");
    }
}

/// Writes a suite whose one task is solved by a file that is not UTF-8 and a large one, and
/// the recording of an agent that makes them.
fn suite_of_odd_bytes(folder: &Path) {
    let script = r#"
        set -e; mkdir history; cd history; git init -q -b main
        printf 'caf\351 1\n' >latin.txt; git add -A
        git -c user.name=a -c user.email=a@b commit -qm start
        cd ..; task=source/tasks/made__odd-1; mkdir -p source/repos $task/trajectories
        echo 'datasets: [made]' >source/sweb.yaml
        git -C history fast-export --all >source/repos/made__odd.fast-import
        cd $task; echo 'Write odd bytes.' >problem_statement.md; touch gold.patch test.patch
        printf '%s\n' 'instance_id: made__odd-1' 'repo: made/odd' "version: '1'" 'split: test' \
            'image: x' 'log_parser: parse_log_pytest' 'eval_type: pass_and_fail' \
            "base_commit: $(git -C ../../../history rev-parse HEAD)" >task.yaml
        echo '{"FAIL_TO_PASS": ["f"], "PASS_TO_PASS": []}' >tests.json
    "#;
    let made = std::process::Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let task = folder.join("source/tasks/made__odd-1");
    let eval = "cd /testbed\necho '>>>>> Start Test Output'\npython3 -c 'import os\n\
        right = open(\"latin.txt\", \"rb\").read() == b\"caf\\xe9 2\\n\" and os.path.getsize(\"large\") == 5000000\n\
        print(\"PASSED\" if right else \"FAILED\", \"f\")'\necho '>>>>> End Test Output'\n";
    std::fs::write(task.join("eval.sh"), eval).unwrap();
    let work = "printf 'caf\\351 2\\n' >latin.txt; head -c 5000000 /dev/urandom >large";
    let call =
        json!({"tool_call_id": "call_1", "function_name": "shell", "arguments": {"command": work}});
    let recording = json!({
        "schema_version": "ATIF-v1.6",
        "session_id": "solve",
        "agent": {"name": "made", "version": "1", "model_name": "made"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "Fix it."},
            {"step_id": 2, "source": "agent", "message": "So.", "tool_calls": [call]},
            {"step_id": 3, "source": "agent", "message": "Done."},
        ],
        "extra": {"resolves": true},
    });
    let file = task.join("trajectories/solve.json");
    std::fs::write(file, recording.to_string()).unwrap();
}

/// What the agent's own work was found to be, its saved prediction is found to be.
#[test]
fn what_is_no_text_is_graded_alike_when_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    suite_of_odd_bytes(folder.path());
    let config = quick_config(folder.path());
    let suite = format!(
        "[suite.odd]\nformat = \"swe-bench\"\nsource = {:?}\n",
        folder.path().join("source")
    );
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + &suite).unwrap();
    let config = config.to_str().unwrap();
    let run = timeslip()
        .args(["run", "--suite", "odd", "--config", config])
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let predictions = folder.path().join("runs/latest/predictions/fast.jsonl");
    let journal = std::fs::read_to_string(folder.path().join("runs/latest/journal.jsonl")).unwrap();
    let resolved = |line: &&str| line.contains("\"fast\"") && line.contains("\"resolved\"");
    assert_eq!(journal.lines().filter(resolved).count(), 1, "{journal}");
    let graded = timeslip()
        .args(["grade", "--suite", "odd", "--config", config])
        .arg("--predictions")
        .arg(&predictions)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&graded.stdout);
    assert!(text.contains("1 task: 1 resolved"), "{graded:?}");
}

#[test]
fn bad_input_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.jsonl");
    std::fs::write(&file, "{\"instance_id\": \"other\"}\n{\"id\": 1}\n").unwrap();
    let (code, _, errors) = grade(&["--predictions", file.to_str().unwrap()]);
    assert_eq!(code, 4, "{errors}");
    for told in [
        "p.jsonl: other: has no change; it should be called model_patch or patch",
        "p.jsonl:2: is not a row: missing field `instance_id`",
        "holds no prediction that can be graded",
    ] {
        assert!(errors.contains(told), "{errors}");
    }
    let (code, _, errors) = grade(&["--gold", "--base"]);
    assert!(code == 2 && errors.contains("--base"), "{errors}");
    let (code, _, errors) = grade(&["--gold", "--task", "none"]);
    assert!(
        code == 2 && errors.contains("include[0] \"none\" fits no task"),
        "{errors}"
    );
    let terminal = timeslip()
        .args(["grade", "--suite", "terminal-mini", "--gold"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&terminal.stderr);
    assert!(
        errors.contains("has no solution that is a patch"),
        "{errors}"
    );
}
