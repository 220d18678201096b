//! What a crash leaves behind is gone after the next start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{LIMITS, bubblewrap, invocation, rootfs};
use timeslip_suites::Image;

/// Runs one of the two victims below in a process of its own.
fn victim(name: &str, image: &Path, scratch: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            &format!("crash::{name}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("IMAGE", image)
        .env("TMPDIR", scratch)
        .spawn()
        .unwrap()
}

fn image() -> Option<Image> {
    std::env::var_os("IMAGE").map(|path| Image::Directory(PathBuf::from(path)))
}

#[test]
#[ignore = "a part of the test below"]
fn works_until_it_is_killed() {
    let (Some(image), Some(sandbox)) = (image(), bubblewrap()) else {
        return;
    };
    let scratch = timeslip_suites::Sandbox::scratch().unwrap();
    let place = scratch.path().join("root");
    let mut invocation = invocation(scratch.path(), "touch /app/begun; sleep 30", LIMITS);
    invocation.limits.wall = Duration::from_secs(30);
    invocation.root = Some(sandbox.root(&image, &place).unwrap().0);
    let _ = sandbox.run(&invocation);
}

#[test]
#[ignore = "a part of the test below"]
fn starts_and_ends() {
    let sandbox = bubblewrap();
    assert!(image().is_none() || sandbox.is_some());
}

/// The mounts, control groups and directories that carry the process's number.
fn left(pid: u32, scratch: &Path) -> Vec<String> {
    let mark = format!("-{pid}-");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts
        .lines()
        .filter(|line| line.contains("timeslip-") && line.contains(&mark));
    let mut left: Vec<String> = mounts.map(str::to_owned).collect();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup"), scratch.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("timeslip-") && name.contains(&mark) {
                left.push(entry.path().display().to_string());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
        }
    }
    left
}

#[test]
fn the_next_start_removes_what_a_crash_left() {
    if bubblewrap().is_none() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let (image, scratch) = (outside.path().join("image"), outside.path().join("tmp"));
    rootfs(&image);
    fs::create_dir(&scratch).unwrap();

    let mut killed = victim("works_until_it_is_killed", &image, &scratch);
    let pid = killed.id();
    let deadline = Instant::now() + Duration::from_secs(20);
    let begun = || {
        let entries = scratch.read_dir().unwrap().flatten();
        entries
            .map(|entry| entry.path())
            .any(|path| path.join("begun").exists())
    };
    while !begun() {
        assert!(Instant::now() < deadline, "the victim did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!left(pid, &scratch).is_empty());

    let mut alive = victim("works_until_it_is_killed", &image, &scratch);
    let alive_pid = alive.id();
    let mine = |path: &Path| path.to_string_lossy().contains(&format!("-{alive_pid}-"));
    let begun = || {
        let entries = scratch.read_dir().unwrap().flatten();
        let mut paths = entries.map(|entry| entry.path());
        paths.any(|path| mine(&path) && path.join("begun").exists())
    };
    while !begun() {
        assert!(Instant::now() < deadline, "the second victim did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left(pid, &scratch), Vec::<String>::new());

    // What belongs to a living process is left alone.
    let before = left(alive_pid, &scratch);
    assert!(
        victim("starts_and_ends", &image, &scratch)
            .wait()
            .unwrap()
            .success()
    );
    assert_eq!(left(alive_pid, &scratch), before);
    alive.kill().unwrap();
    alive.wait().unwrap();
    assert!(
        victim("starts_and_ends", &image, &scratch)
            .wait()
            .unwrap()
            .success()
    );
    assert_eq!(left(alive_pid, &scratch), Vec::<String>::new());
}
