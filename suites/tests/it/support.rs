//! Sandboxes to test, and small commands to run in them.

pub mod containers;
pub mod fake;
pub mod files;
pub mod tasks;

use std::path::Path;
use std::time::Duration;

use timeslip_suites::{
    BACKENDS, Backend, Capabilities, Execution, Invocation, Limits, Mount, PathRefusal, Quota,
    Sandbox, Workspace,
};

pub const LIMITS: Limits = Limits {
    wall: Duration::from_secs(20),
    output_bytes: 16 * 1024,
    memory_mb: 1024,
};

/// The kind of sandbox of a name.
pub fn backend(name: &str) -> &'static dyn Backend {
    timeslip_suites::sandbox::by_name(name).unwrap()
}

/// What the kind of sandbox of a name can do.
pub fn can(name: &str) -> Capabilities {
    backend(name).capabilities()
}

/// The sandboxes this machine can test that need no image; says loudly what it cannot.
pub fn sandboxes() -> Vec<Sandbox> {
    let mut sandboxes = Vec::new();
    for &backend in BACKENDS {
        if !backend.capabilities().machine_system {
            continue;
        }
        match backend.check() {
            Ok(_) => sandboxes.push(Sandbox::new(backend).unwrap()),
            Err(why) => eprintln!("SKIPPED: {} is not tested: {why}", backend.name()),
        }
    }
    sandboxes
}

/// The bubblewrap sandbox, if there is one.
pub fn bubblewrap() -> Option<Sandbox> {
    let mut sandboxes = sandboxes().into_iter();
    sandboxes.find(|sandbox| sandbox.backend().name() == "bubblewrap")
}

/// The most preferred sandbox there is that needs no image.
pub fn sandbox() -> Sandbox {
    sandboxes().swap_remove(0)
}

/// Replaces the one occurrence of `old` in a file, or writes the whole file.
pub fn edit(workspace: &Workspace, path: &str, old: &str, new: &str) -> Result<(), PathRefusal> {
    let found = match workspace.read(path, 1 << 20) {
        Err(PathRefusal::Missing) if old.is_empty() => None,
        found => Some(found?),
    };
    let content = match &found {
        Some(found) if !old.is_empty() => {
            let text = String::from_utf8(found.bytes.clone()).unwrap();
            assert_eq!(text.matches(old).count(), 1, "{path}: {old}");
            text.replace(old, new)
        }
        _ => new.to_owned(),
    };
    workspace.write(path, found.as_ref(), content.as_bytes())
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
        disk: None,
        root: None,
        user: None,
        cancel: None,
        observed: false,
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
