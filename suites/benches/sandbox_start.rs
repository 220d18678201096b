//! How long a sandbox takes to start and to end around a command that does nothing.
//!
//! `cargo bench -p timeslip-suites --bench sandbox_start` prints, for every sandbox of this
//! machine, the minimum, the median and the 99th percentile of: asked for → the command begins, the
//! command ended → nothing is left, and the whole. With `--check MS` it fails when the
//! median start of bubblewrap is above so many milliseconds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use timeslip_suites::{BACKENDS, Backend, Invocation, Limits, Mount, Quota, Sandbox};

const ROUNDS: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let flag = arguments.iter().position(|argument| argument == "--check");
    let bound: Option<f64> = flag.and_then(|at| arguments.get(at + 1)?.parse().ok());
    println!("{ROUNDS} starts each, milliseconds: minimum / median / 99th percentile");
    let without_image = |backend: &&&dyn Backend| backend.capabilities().machine_system;
    for &backend in BACKENDS.iter().filter(without_image) {
        match Sandbox::new(backend) {
            Ok(sandbox) => {
                let start = measure(&sandbox);
                if backend.name() == "bubblewrap"
                    && let Some(bound) = bound
                    && start > bound
                {
                    eprintln!("the median start of bubblewrap is above {bound} ms");
                    std::process::exit(1);
                }
            }
            Err(error) => println!("{:<12}SKIPPED: {error}", backend.name()),
        }
    }
}

/// Prints the figures of a sandbox and gives its median start.
fn measure(sandbox: &Sandbox) -> f64 {
    let workspace = tempfile::tempdir().unwrap();
    let invocation = Invocation {
        command: ":".to_owned(),
        working_directory: "/app".to_owned(),
        mounts: vec![Mount {
            host: workspace.path().to_path_buf(),
            inside: "/app".to_owned(),
            writable: true,
        }],
        environment: Vec::new(),
        limits: Limits {
            wall: Duration::from_secs(10),
            output_bytes: 1024,
            memory_mb: 1024,
        },
        quota: Quota::default(),
        disk: None,
        root: None,
        user: None,
        cancel: None,
        observed: false,
    };
    let (mut starts, mut ends, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS + 10 {
        let execution = sandbox.run(&invocation).unwrap();
        // The first ones fill the machine's caches.
        if round >= 10 {
            let (began, ended) = (
                execution.command_started.unwrap(),
                execution.command_ended.unwrap(),
            );
            starts.push(began - execution.spawned);
            ends.push(execution.ended - ended);
            wholes.push(execution.ended - execution.spawned);
        }
    }
    let [start, end, whole] = [starts, ends, wholes].map(figures);
    println!(
        "{:<12}start {}, end {}, whole {}",
        sandbox.backend().name(),
        shown(start),
        shown(end),
        shown(whole)
    );
    start[1]
}

fn shown([least, median, high]: [f64; 3]) -> String {
    format!("{least:.1} / {median:.1} / {high:.1}")
}

/// Minimum, median and 99th percentile, in milliseconds.
fn figures(mut durations: Vec<Duration>) -> [f64; 3] {
    durations.sort();
    let at = |share: f64| {
        let index = ((durations.len() - 1) as f64 * share).round() as usize;
        durations[index].as_secs_f64() * 1e3
    };
    [0.0, 0.5, 0.99].map(at)
}
