//! Bounds on everything a command starts, tried with commands that want more.

use std::time::{Duration, Instant};

use crate::support::{LIMITS, invocation, run_limited, sandboxes};
use timeslip_suites::{Exit, Limits, Quota, Sandbox};

/// The sandboxes whose commands are bounded together; says loudly if there are none.
fn grouped() -> Vec<Sandbox> {
    let mut sandboxes = sandboxes();
    sandboxes.retain(|sandbox| {
        for warning in sandbox.warnings() {
            eprintln!("SKIPPED: {}: {warning}", sandbox.backend().name());
        }
        sandbox.warnings().is_empty()
    });
    sandboxes
}

/// The control groups this process has made and not removed.
fn groups_left() -> Vec<std::path::PathBuf> {
    let mine = format!("-{}-", std::process::id());
    let mut left = Vec::new();
    let mut pending = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("timeslip-") && name.contains(&mine) {
                    left.push(entry.path());
                }
                pending.push(entry.path());
            }
        }
    }
    left
}

#[test]
fn memory_is_bounded_and_running_out_is_seen() {
    for sandbox in sandboxes() {
        let limits = Limits {
            memory_mb: 256,
            ..LIMITS
        };
        let greedy = "python3 -c 'x = bytearray(512 << 20)'";
        let execution = run_limited(&sandbox, greedy, limits);
        if sandbox.warnings().is_empty() {
            assert_eq!(execution.exit, Exit::Code(137));
            assert!(execution.exceeded.memory);
            assert!(!execution.exceeded.processes);
        } else {
            assert_eq!(execution.exit, Exit::Code(1));
            assert!(execution.text().contains("MemoryError"));
        }
        let modest = run_limited(&sandbox, "python3 -c 'bytearray(64 << 20)'", limits);
        assert_eq!(modest.exit, Exit::Code(0), "{}", modest.text());
        assert_eq!(modest.exceeded, Default::default());
    }
}

#[test]
fn processes_share_one_bound_of_memory() {
    for sandbox in grouped() {
        let limits = Limits {
            memory_mb: 256,
            ..LIMITS
        };
        let hold = "python3 -c 'import time; x = bytearray(100 << 20); time.sleep(2)' & ";
        let execution = run_limited(&sandbox, &format!("{}wait", hold.repeat(4)), limits);
        assert!(execution.exceeded.memory);
    }
}

#[test]
fn memory_in_files_of_the_scratch_directory_counts() {
    for sandbox in grouped()
        .into_iter()
        .filter(|s| s.backend().name() == "bubblewrap")
    {
        let limits = Limits {
            memory_mb: 128,
            ..LIMITS
        };
        let execution = run_limited(&sandbox, "head -c 512M /dev/zero >/dev/shm/x", limits);
        assert_ne!(execution.exit, Exit::Code(0));
        assert!(execution.exceeded.memory);
    }
}

#[test]
fn a_fork_bomb_ends_and_leaves_nothing() {
    for sandbox in grouped() {
        let began = Instant::now();
        let workspace = tempfile::tempdir().unwrap();
        let mut bomb = invocation(workspace.path(), "f() { f | f & }; f; sleep 20", LIMITS);
        bomb.limits.wall = Duration::from_secs(2);
        bomb.quota.processes = 50;
        let execution = sandbox.run(&bomb).unwrap();
        assert_eq!(execution.exit, Exit::TimedOut);
        assert!(execution.exceeded.processes);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(groups_left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn processor_time_is_bounded() {
    for sandbox in grouped() {
        let workspace = tempfile::tempdir().unwrap();
        let spin = "timeout 1 sh -c 'while :; do :; done' & ";
        let command = format!("{}wait; times | tail -1", spin.repeat(3));
        let mut invocation = invocation(workspace.path(), &command, LIMITS);
        invocation.quota = Quota {
            cpus: Some(1),
            ..Quota::default()
        };
        let execution = sandbox.run(&invocation).unwrap();
        let text = execution.text();
        // "0m1.010s 0m0.004s": what the children used.
        let user = text.split_whitespace().next().unwrap();
        let seconds: f64 = user
            .trim_start_matches("0m")
            .trim_end_matches('s')
            .parse()
            .unwrap();
        assert!(seconds < 1.5, "{text}");
    }
}

#[test]
fn a_daemon_in_its_own_session_does_not_survive() {
    for sandbox in grouped() {
        let workspace = tempfile::tempdir().unwrap();
        let daemon = "setsid sh -c 'sleep 1; touch survived' & sleep 0.1; echo done";
        let execution = sandbox
            .run(&invocation(workspace.path(), daemon, LIMITS))
            .unwrap();
        assert_eq!(execution.text(), "done\n");
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!workspace.path().join("survived").exists());
    }
}
