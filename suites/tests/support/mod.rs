//! Sandboxes to test, and small commands to run in them.
#![allow(dead_code, reason = "not every test needs everything")]

pub mod containers;
pub mod files;
pub mod tasks;

use std::path::Path;
use std::time::Duration;

use timeslip_suites::{Backend, Execution, Invocation, Limits, Mount, Quota, Sandbox};

pub const LIMITS: Limits = Limits {
    wall: Duration::from_secs(20),
    output_bytes: 16 * 1024,
    memory_mb: 1024,
};

/// The sandboxes this machine can test; says loudly what it cannot.
pub fn sandboxes() -> Vec<Sandbox> {
    let mut sandboxes = vec![Sandbox::new(Backend::Process).unwrap()];
    match Backend::Bubblewrap.check() {
        Ok(_) => sandboxes.push(Sandbox::new(Backend::Bubblewrap).unwrap()),
        Err(why) => eprintln!("SKIPPED: bubblewrap is not tested: {why}"),
    }
    sandboxes
}

/// The bubblewrap sandbox, if there is one.
pub fn bubblewrap() -> Option<Sandbox> {
    sandboxes()
        .into_iter()
        .find(|sandbox| sandbox.backend() == Backend::Bubblewrap)
}

/// The strongest sandbox there is without an engine.
pub fn sandbox() -> Sandbox {
    bubblewrap().unwrap_or_else(|| Sandbox::new(Backend::Process).unwrap())
}

pub fn invocation(workspace: &Path, command: &str, limits: Limits) -> Invocation {
    Invocation {
        command: command.to_owned(),
        working_directory: "/app".to_owned(),
        mounts: vec![Mount {
            host: workspace.to_path_buf(),
            inside: "/app".to_owned(),
            writable: true,
        }],
        environment: vec![("TASK".to_owned(), "/app/data".to_owned())],
        limits,
        quota: Quota::default(),
        root: None,
        user: None,
    }
}

pub fn run_limited(sandbox: &Sandbox, command: &str, limits: Limits) -> Execution {
    let workspace = tempfile::tempdir().unwrap();
    sandbox
        .run(&invocation(workspace.path(), command, limits))
        .unwrap()
}

pub fn run(sandbox: &Sandbox, command: &str) -> Execution {
    run_limited(sandbox, command, LIMITS)
}

/// Makes a root file system out of this machine's bash and a few other programs.
pub fn rootfs(directory: &Path) {
    let script = r#"
        mkdir -p bin etc tmp root
        for name in bash ls cat touch mkdir sleep id; do
            program=$(command -v $name); cp -L "$program" bin/
            ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
                mkdir -p ".$(dirname "$library")"; cp -L "$library" ".$library"
            done
        done
        ln -s bash bin/sh
        echo made >etc/system"#;
    std::fs::create_dir_all(directory).unwrap();
    let mut command = std::process::Command::new("bash");
    command.args(["-ec", script]).current_dir(directory);
    assert!(command.status().unwrap().success());
}
