//! The files in `docs/examples` can be used as they stand.

use std::path::{Path, PathBuf};

use crate::support::timeslip;
use timeslip_reports::claims::ClaimsFile;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples")
}

/// Runs in `folder` with every key set; what was printed.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = timeslip();
    command.current_dir(folder).args(arguments);
    for key in ["OPENAI_API_KEY", "CEREBRAS_API_KEY"] {
        command.env(key, "set");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

#[test]
fn every_example_is_accepted_by_the_command_that_it_is_for() {
    let mut seen = 0;
    for entry in examples().read_dir().unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        match name {
            "README.md" => continue,
            "gate.toml" => assert!(
                run(
                    &examples(),
                    &["gate", "--check-rules", "--rules", "gate.toml"]
                )
                .contains("5 rules")
            ),
            "claims.toml" => {
                let text = std::fs::read_to_string(&file).unwrap();
                assert_eq!(ClaimsFile::parse(&text).unwrap().claims.len(), 3);
            }
            "suite.toml" => suite_file(&file),
            "my-agent" => {
                let agent = ["--agent", "./my-agent/my-agent.toml"];
                let plan = run(&examples(), &[&["run", "--dry-run"][..], &agent].concat());
                assert!(plan.contains("my-agent 1, chat-completions"), "{plan}");
            }
            _ => {
                let plan = run(&examples(), &["run", "--dry-run", "--config", name]);
                assert!(
                    plan.contains("candidate") && plan.contains("trials"),
                    "{plan}"
                );
            }
        }
        seen += 1;
    }
    assert!(
        seen >= 9,
        "only {seen} examples in {}",
        examples().display()
    );
}

/// The example names a folder of tasks beside it.
fn suite_file(file: &Path) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file, folder.path().join("suite.toml")).unwrap();
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/bundled/terminal-mini");
    std::os::unix::fs::symlink(tasks, folder.path().join("tasks")).unwrap();
    let listed = run(folder.path(), &["suites", "suite.toml"]);
    assert!(
        listed.contains("ours") && listed.contains("10 tasks"),
        "{listed}"
    );
}
