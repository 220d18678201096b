//! Who fills the disk is stopped.

use std::time::Duration;

use super::{HONEST, LIMITS, Trial};
use timeslip_suites::{Exit, Limits, Workspace};

/// Ways to fill a disk: each writes 400 MiB if nothing stops it, and does not end by itself.
const FILLERS: &[(&str, &str)] = &[
    (
        "a large file",
        "head -c 400M /dev/zero | tr '\\0' x >big; sleep 60",
    ),
    (
        "many small ones",
        "python3 -c 'for n in range(100000): open(str(n), \"w\").close()'; sleep 60",
    ),
    (
        "in every place",
        "for place in /app /tmp /logs/artifacts; do head -c 140M /dev/zero | tr '\\0' x >$place/big; done; sleep 60",
    ),
    (
        "a file without a name",
        "exec 3>gone; rm gone; head -c 400M /dev/zero | tr '\\0' x >&3; sleep 60",
    ),
    (
        "in the background",
        "setsid bash -c 'head -c 400M /dev/zero | tr \"\\0\" x >big' & sleep 60",
    ),
];

#[test]
fn who_fills_the_disk_is_stopped_graded_and_removed() {
    for name in ["bubblewrap", "process"] {
        for (filler, command) in FILLERS {
            let Some(mut trial) = Trial::within(name, HONEST) else {
                break;
            };
            let mut spec = trial.task.workspace.clone();
            spec.needs.disk_mb = 100;
            let directory = trial.place.path().join("bounded");
            trial.workspace = Workspace::prepare(&spec, &trial.sandbox, &directory).unwrap();
            // What is within the limit is left alone, and so is what takes no room.
            let within = trial.run("truncate -s 900M hole; head -c 20M /dev/zero >kept");
            assert!(
                within.succeeded() && !within.exceeded.disk,
                "{name}: {within:?}"
            );
            let limits = Limits {
                wall: Duration::from_secs(50),
                ..LIMITS
            };
            let full = trial.run_limited(&format!("printf right >done; {command}"), limits);
            assert_eq!(
                full.exit,
                Exit::DiskLimit,
                "{name}, {filler}: {}",
                full.text()
            );
            assert!(full.exceeded.disk);
            // The verifier has room of its own.
            let grade = trial.grade();
            assert!(grade.resolved, "{name}, {filler}: {grade:?}");
            let place = trial.place.path().to_owned();
            drop(trial);
            assert!(!place.exists(), "{name}, {filler}");
        }
    }
}

#[test]
fn a_tested_program_cannot_fill_the_disk_either() {
    let Some(mut trial) = Trial::new("bash /app/program; echo 1 >/logs/verifier/reward.txt\n")
    else {
        return;
    };
    trial.task.workspace.needs.disk_mb = 100;
    let directory = trial.place.path().join("bounded");
    trial.workspace =
        Workspace::prepare(&trial.task.workspace, &trial.sandbox, &directory).unwrap();
    trial.run("echo 'for n in 1 2 3 4; do head -c 100M /dev/zero >$n; done; sleep 60' >program");
    let grade = trial.grade();
    let detail = grade.detail.as_deref().unwrap_or_default();
    assert!(
        !grade.resolved && !grade.verifier_failed && detail.contains("disk limit"),
        "{grade:?}"
    );
}
