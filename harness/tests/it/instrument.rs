//! What measures, while everything else goes on.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::support::{quick_config, timeslip};

/// What the measuring thread may ask of the kernel: what is done to sockets, waiting for
/// them, waking and being woken. Its first calls, by which it comes to be, are apart.
const ALLOWED: &[&str] = &[
    "bind",
    "clock_gettime",
    "close",
    "connect",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "futex",
    "getpeername",
    "getrandom",
    "getsockname",
    "getsockopt",
    // The allocator gives back what it has not used for long; it takes no file and no lock.
    "madvise",
    "read",
    "recvfrom",
    "recvmsg",
    "sched_yield",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "timerfd_create",
    "timerfd_settime",
    "write",
    "writev",
];

#[test]
fn what_reads_streams_touches_sockets_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let trace = folder.path().join("trace");
    let timeslip = timeslip().get_program().to_owned();
    let ran = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        // Files, processes and memory are what it must not touch, sockets what it may.
        .args([
            "-e",
            "trace=%file,%process,%memory,%network,%desc,prctl,fsync",
        ])
        .arg(timeslip)
        .arg("run")
        .arg("--config")
        .arg(&config)
        .args(["--suite", "terminal-mini"])
        .current_dir(folder.path())
        .output();
    let Ok(ran) = ran else {
        eprintln!("skipped: strace is not installed");
        return;
    };
    let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
    if errors.contains("ptrace") {
        eprintln!("skipped: this system allows no tracing: {errors}");
        return;
    }
    // A traced run is slow, and may well find that it was.
    assert!(matches!(ran.status.code(), Some(0 | 5)), "{errors}");
    let trace = std::fs::read_to_string(&trace).unwrap();
    let named = trace
        .lines()
        .find(|line| line.contains("PR_SET_NAME, \"timeslip-measur\""))
        .expect("the measuring thread has its name");
    let thread = named.split_whitespace().next().unwrap();
    let mut calls: Vec<&str> = trace
        .lines()
        .filter_map(|line| {
            let (id, call) = line.split_once(' ')?;
            let name = call.trim_start().split_once('(')?.0;
            (id == thread && !name.starts_with('<')).then_some(name)
        })
        .collect();
    // It begins with the pages of its stack and of its ring of packets, and ends with giving
    // them back.
    let first = calls.iter().position(|call| *call == "connect").unwrap();
    let last = calls.iter().rposition(|call| *call == "recvmsg").unwrap();
    let reading = calls.drain(first..=last);
    let other: BTreeSet<&str> = reading.filter(|call| !ALLOWED.contains(call)).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn calibration_beside_tools_knows_its_error() {
    let output = timeslip()
        .args(["calibrate", "--with-tools", "--streams", "4"])
        .args(["--exchanges", "2", "--tokens", "32", "--json"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let calibration: Value = serde_json::from_slice(&output.stdout).unwrap();
    let setting = &calibration["settings"][0];
    assert_eq!(setting["streams"], 4);
    assert_eq!(setting["ttft_error"]["n"], 8);
    assert_eq!(setting["inter_event_error"]["n"], 8 * 31);
    assert!(calibration["priority"].is_string(), "{calibration}");
}
