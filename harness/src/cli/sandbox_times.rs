//! `timeslip doctor --sandbox`: what a sandbox costs on this machine.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use timeslip_datasets::text::plural;
use timeslip_suites::{Execution, Image, Invocation, Limits, Mount, Quota, Root, Sandbox};

use super::isolation;
use crate::error::Error;

/// Commands that are run; the median is shown.
const COMMANDS: usize = 41;

/// Root file systems that are made: the first one cold, the others warm.
const ROOTS: usize = 5;

/// Times making root file systems and running the smallest command in them.
pub(super) fn measure(name: &str, image: Option<&Image>) -> Result<String, Error> {
    let chosen = isolation::choose(name)?;
    let sandbox = chosen.sandbox;
    let scratch = Sandbox::scratch()?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |what: &str, times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        if let (Some(least), Some(most)) = (times.first(), times.last()) {
            let _ = writeln!(
                text,
                "{what:<34}{:>9}  ({} to {}, {})",
                show(times[times.len() / 2]),
                show(*least),
                show(*most),
                plural(times.len(), "time")
            );
        }
    };
    let mut root = None;
    if let Some(image) = image {
        let began = Instant::now();
        sandbox.fetch(image)?;
        line("making the image available", &[began.elapsed()]);
        let mut times = Vec::new();
        for index in 0..ROOTS {
            let place = scratch.path().join(format!("root-{index}"));
            let began = Instant::now();
            let (made, _) = sandbox.root(image, &place)?;
            sandbox.ready(&smallest(scratch.path(), Some(made.clone())), false)?;
            times.push(began.elapsed());
            root = Some(made);
        }
        line("root file system, first", &times[..1]);
        line("root file system, later", &times[1..]);
    }
    let mut executions = Vec::new();
    for _ in 0..COMMANDS {
        executions.push(sandbox.run(&smallest(scratch.path(), root.clone()))?);
    }
    let times = |of: fn(&Execution) -> Option<Duration>| -> Vec<Duration> {
        executions.iter().filter_map(of).collect()
    };
    line(
        "sandbox start",
        &times(|it| Some(it.command_started? - it.spawned)),
    );
    line(
        "command (true)",
        &times(|it| Some(it.command_ended? - it.command_started?)),
    );
    line(
        "sandbox end",
        &times(|it| Some(it.ended - it.command_ended?)),
    );
    line("all of it", &times(|it| Some(it.ended - it.spawned)));
    for warning in chosen.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    Ok(text)
}

/// The smallest command there is, in a workspace.
fn smallest(workspace: &Path, root: Option<Root>) -> Invocation {
    Invocation {
        command: "true".to_owned(),
        working_directory: "/app".to_owned(),
        mounts: vec![Mount {
            host: workspace.to_path_buf(),
            inside: "/app".to_owned(),
            writable: true,
        }],
        environment: Vec::new(),
        limits: Limits {
            wall: Duration::from_secs(60),
            output_bytes: 4096,
            memory_mb: 1024,
        },
        quota: Quota::default(),
        disk: None,
        root,
        user: None,
        cancel: None,
        observed: false,
    }
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
