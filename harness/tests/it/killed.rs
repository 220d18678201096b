//! What is left when timeslip, an agent or a recorder is killed and can say nothing any more.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use timeslip_datasets::run::RunDirectory;
use timeslip_datasets::run::journal::{Outcome, Trial, TrialKey};

use crate::support::{quick_config, timeslip};

const ATTEMPTS: &str = "6";

/// Comes back when something is so.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ids and command lines of the processes that name a folder.
fn processes(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        Some((entry.file_name().into_string().ok()?, line))
    });
    let own = std::process::id().to_string();
    let folder = folder.to_str().unwrap();
    lines
        .filter(|(pid, line)| *pid != own && line.contains(folder))
        .collect()
}

/// A copy of the example agent below a folder, so that its processes name that.
fn agent(folder: &Path) -> PathBuf {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/my-agent");
    let own = folder.join("agent");
    fs::create_dir(&own).unwrap();
    for name in ["agent.py", "my-agent.toml"] {
        fs::copy(example.join(name), own.join(name)).unwrap();
    }
    own.join("my-agent.toml")
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let words = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("words"));
    Command::new(env!("CARGO_BIN_EXE_timeslip"))
        .current_dir(folder)
        .env("TMPDIR", temporary)
        .env("XDG_CACHE_HOME", folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.unwrap())
        .spawn()
        .unwrap()
}

fn words(folder: &Path) -> String {
    fs::read_to_string(folder.join("words")).unwrap_or_default()
}

/// The finished trials of a run, of each of which all that was said can be read.
fn finished(run: &Path) -> BTreeMap<TrialKey, Trial> {
    let (directory, manifest) = RunDirectory::open(run).unwrap();
    let journal = directory.read_journal(&manifest).unwrap();
    let mut trials = BTreeMap::new();
    let mut bodies = directory.read_bodies().unwrap();
    for trial in journal {
        let trial = trial.unwrap();
        for exchange in &trial.exchanges {
            for name in [&exchange.request_body, &exchange.response_body] {
                let name = name.as_ref().unwrap();
                let body = bodies.as_mut().unwrap().read(name).unwrap();
                serde_json::from_slice::<Value>(&body.unwrap()).unwrap();
            }
        }
        assert!(
            trials.insert(trial.key.clone(), trial).is_none(),
            "a trial twice"
        );
    }
    trials
}

#[test]
fn a_run_of_a_real_agent_loses_the_trial_in_flight_and_nothing_else() {
    for sandbox in ["bubblewrap", "process"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (agent, config) = (agent(folder), quick_config(folder));
        let begin = [
            "run",
            "--config",
            config.to_str().unwrap(),
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--endpoint",
            "fast",
            "--attempts",
            ATTEMPTS,
            "--sandbox",
            sandbox,
            "--agent",
            agent.to_str().unwrap(),
        ];
        let run = folder.join("runs/latest");
        let go_on = ["run", "--resume", run.to_str().unwrap()];
        let mut before = BTreeMap::new();
        for kill in 0..8_u64 {
            let mut child = match kill {
                0 => start(folder, &begin),
                _ => start(folder, &go_on),
            };
            let begun = Instant::now();
            // At first there must be a run, and then any moment will do.
            if kill == 0 {
                let mut refused = false;
                wait_for("no run begins", || {
                    refused = child.try_wait().unwrap().is_some();
                    refused || run.join("journal.jsonl").exists()
                });
                if refused && words(folder).contains("bwrap") {
                    break;
                }
            }
            let any = RandomState::new().hash_one(kill) % 2500;
            while begun.elapsed() < Duration::from_millis(any)
                && child.try_wait().unwrap().is_none()
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            child.wait().unwrap();
            wait_for("something lives on", || processes(folder).is_empty());
            let now = finished(&run);
            for (key, trial) in &before {
                assert_eq!(now.get(key), Some(trial), "killed after {any} ms");
            }
            before = now;
        }
        if !run.exists() {
            continue;
        }
        let mut last = start(folder, &go_on);
        assert!(last.wait().unwrap().success(), "{}", words(folder));
        let all = finished(&run);
        assert_eq!(all.len().to_string(), ATTEMPTS);
        for (key, trial) in &all {
            assert_eq!(
                trial.finished.outcome,
                Outcome::Resolved,
                "{:?}",
                trial.finished
            );
            assert!(before.get(key).is_none_or(|earlier| earlier == trial));
        }
        let left: Vec<_> = fs::read_dir(folder.join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_agent_that_is_killed_costs_its_own_trial() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (agent, config) = (agent(folder), quick_config(folder));
    let mut child = start(
        folder,
        &[
            "run",
            "--config",
            config.to_str().unwrap(),
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--endpoint",
            "fast",
            "--attempts",
            "3",
            "--sandbox",
            "process",
            "--agent",
            agent.to_str().unwrap(),
        ],
    );
    // Graders are Python, too.
    let is_agent = |line: &str| line.starts_with("python3 ") && line.contains("agent/agent.py");
    let mut killed = 0;
    while child.try_wait().unwrap().is_none() {
        if killed == 0 {
            let found = processes(folder).into_iter();
            for (pid, _) in found.filter(|(_, line)| is_agent(line)) {
                let sent = Command::new("kill").args(["-9", &pid]).status();
                killed += u32::from(sent.unwrap().success());
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(killed > 0, "{}", words(folder));
    let trials = finished(&folder.join("runs/latest"));
    assert_eq!(trials.len(), 3);
    let resolved = trials
        .values()
        .filter(|trial| trial.finished.outcome == Outcome::Resolved);
    assert!(resolved.count() >= 2, "{trials:#?}");
    assert!(processes(folder).is_empty());
}

#[test]
fn a_recording_that_is_killed_takes_its_client_along_and_can_be_read() {
    for number in 0..4_u64 {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (config, agent) = (quick_config(folder), agent(folder));
        let script = agent.parent().unwrap().join("agent.py");
        let task = folder.join("task");
        fs::write(&task, "Count words.").unwrap();
        let client =
            format!("while true; do python3 {script:?} \"$OPENAI_BASE_URL\" quick <{task:?}; done");
        let mut recording = start(
            folder,
            &[
                "record",
                "--config",
                config.to_str().unwrap(),
                "-e",
                "fast",
                "--",
                "bash",
                "-c",
                &client,
            ],
        );
        let run = folder.join("runs/latest");
        wait_for("nothing is recorded", || {
            assert!(recording.try_wait().unwrap().is_none(), "{}", words(folder));
            fs::metadata(run.join("bodies.jsonl")).is_ok_and(|file| file.len() > 0)
        });
        std::thread::sleep(Duration::from_millis(
            RandomState::new().hash_one(number) % 400,
        ));
        recording.kill().unwrap();
        recording.wait().unwrap();
        wait_for("the client lives on", || processes(folder).is_empty());
        assert!(finished(&run).is_empty(), "the one trial was under way");
        let (directory, _) = RunDirectory::open(&run).unwrap();
        directory.read_bodies().unwrap().unwrap();
        let output = timeslip()
            .args(["report", run.to_str().unwrap()])
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!words.contains("panicked"), "{words}");
    }
}
