//! What is seen of a command's processes, on real ones.

use std::time::Duration;

use crate::support::{LIMITS, invocation, sandboxes};
use timeslip_suites::sandbox::{Observed, ProcessLife, Sandbox};
use timeslip_suites::{Exit, Invocation};

fn observe(sandbox: &Sandbox, command: &str) -> Observed {
    let workspace = tempfile::tempdir().unwrap();
    let invocation = Invocation {
        observed: true,
        ..invocation(workspace.path(), command, LIMITS)
    };
    let execution = sandbox.run(&invocation).unwrap();
    assert_eq!(execution.exit, Exit::Code(0), "{}", execution.text());
    execution.observed.unwrap()
}

/// The lives that are told of; says loudly if this machine's kernel tells of none.
fn lives(sandbox: &Sandbox, command: &str) -> Option<Vec<ProcessLife>> {
    let lives = observe(sandbox, command).processes;
    if lives.is_none() {
        eprintln!("SKIPPED: the kernel tells nothing of processes here");
    }
    lives
}

fn lasted(life: &ProcessLife) -> Duration {
    life.ended.unwrap() - life.started
}

#[test]
fn every_process_has_its_life_and_its_words() {
    for sandbox in sandboxes() {
        // A session of its own does not hide it, nor does it that its parent is gone.
        let command = "sleep 0.31 & (setsid sleep 0.62 &); wait; sleep 0.7";
        let Some(lives) = lives(&sandbox, command) else {
            return;
        };
        for (words, least) in [("sleep 0.31", 310), ("sleep 0.62", 620), ("sleep 0.7", 700)] {
            let line = format!("{words} ");
            let found = lives
                .iter()
                .find(|life| life.words.lines().any(|own| own == line));
            let life = found.unwrap_or_else(|| panic!("{words}: {lives:?}"));
            let least = Duration::from_millis(least);
            assert!(lasted(life) >= least, "{life:?}");
            let parent = &lives[life.parent.unwrap()];
            assert!(parent.started <= life.started, "{parent:?} {life:?}");
        }
        assert!(lives.iter().all(|life| life.ended.is_some()), "{lives:?}");
        let roots = lives.iter().filter(|life| life.parent.is_none());
        assert_eq!(roots.count(), 1);
    }
}

#[test]
fn nothing_is_seen_of_what_others_start() {
    for sandbox in sandboxes() {
        let other = std::process::Command::new("sleep").arg("0.43").spawn();
        let Some(lives) = lives(&sandbox, "sleep 0.1") else {
            return;
        };
        other.unwrap().wait().unwrap();
        assert!(!lives.iter().any(|life| life.words.contains("sleep 0.43")));
    }
}

#[test]
fn processor_time_and_memory_are_those_of_all_processes() {
    for sandbox in sandboxes() {
        if let Some(warning) = sandbox.warnings().first() {
            eprintln!("SKIPPED: {}: {warning}", sandbox.backend().name());
            continue;
        }
        let busy = "python3 -c 'import time; x = bytearray(200 << 20); \
                    t = time.process_time()\nwhile time.process_time() < t + 0.3: pass'";
        let observed = observe(&sandbox, &format!("{busy} & {busy}; wait"));
        let cpu = observed.cpu.unwrap();
        assert!(cpu >= Duration::from_millis(600), "{cpu:?}");
        let peak = observed.peak_memory_bytes.unwrap();
        // Both at once for 0.3 s, unless one had to wait for the other.
        assert!((200 << 20..1 << 30).contains(&peak), "{peak}");
    }
}

#[test]
fn a_command_that_is_not_observed_is_not() {
    for sandbox in sandboxes() {
        let execution = crate::support::run(&sandbox, "true");
        assert!(execution.observed.is_none());
    }
}
