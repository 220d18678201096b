//! `timeslip doctor`: what this machine lacks, and how to get it.

use std::fmt::Write;
use std::path::PathBuf;

use timeslip_suites::{BACKENDS, Image, Sandbox, sandbox};

use crate::cli::sandbox_times;
use crate::error::Error;
use crate::exit;
use crate::run::environment;

/// A program, who needs it, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
    required: bool,
}

const NEEDS: &[Need] = &[
    Need {
        program: "bash",
        package: "bash",
        purpose: "every tool call and grader",
        required: true,
    },
    Need {
        program: "git",
        package: "git",
        purpose: "repositories of SWE-bench-style tasks",
        required: true,
    },
    Need {
        program: "python3",
        package: "python3",
        purpose: "bundled Python tasks",
        required: true,
    },
    Need {
        program: "gcc",
        package: "gcc",
        purpose: "bundled C tasks",
        required: true,
    },
    Need {
        program: "make",
        package: "make",
        purpose: "bundled C tasks",
        required: true,
    },
    Need {
        program: "chromium",
        package: "chromium",
        purpose: "tests of the report in a browser",
        required: false,
    },
];

/// Say what this machine lacks and how to get it
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Measure how long this sandbox takes to prepare and to start: bubblewrap, docker or process
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Root file system to measure it with: a directory or an archive
    #[arg(
        long,
        value_name = "PATH",
        requires = "sandbox",
        conflicts_with = "image"
    )]
    rootfs: Option<PathBuf>,
    /// Image of a container engine to measure it with
    #[arg(long, value_name = "IMAGE", requires = "sandbox")]
    image: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if let Some(name) = &arguments.sandbox {
        let image = match (&arguments.rootfs, &arguments.image) {
            (Some(path), _) => Some(Image::at(path)?),
            (None, Some(name)) => Some(Image::Reference(name.clone())),
            (None, None) => None,
        };
        return super::print(&sandbox_times::measure(name, image.as_ref())?);
    }
    diagnose()
}

fn diagnose() -> Result<u8, Error> {
    let mut text = String::new();
    let mut missing = Vec::new();
    let mut required_missing = false;
    let backend = sandbox::detect().map(|detection| detection.backend);
    // Writing to a string cannot fail.
    let mut line = |mark: &str, name: &str, words: &str| {
        let _ = writeln!(text, "{mark:<8}{name:<14}{words}");
    };
    for need in NEEDS {
        match which::which(need.program) {
            Ok(path) => line("ok", need.program, &path.display().to_string()),
            Err(_) => {
                line(
                    "MISSING",
                    need.program,
                    &format!("needed for {}", need.purpose),
                );
                missing.push(need.package);
                required_missing |= need.required;
            }
        }
    }
    for backend in BACKENDS {
        match backend.check() {
            Ok(words) if !backend.capabilities().isolated => line("", backend.name(), &words),
            Ok(words) => line("ok", backend.name(), &words),
            Err(error) => line("", backend.name(), &error.to_string()),
        }
    }
    if !backend.is_some_and(|backend| backend.capabilities().isolated) {
        line("WARNING", "sandbox", "none: tools run with your rights");
        missing.push("bubblewrap");
    }
    let sandbox = backend.and_then(|backend| Sandbox::new(backend).ok());
    let mut usable = sandbox.is_some();
    let name = backend.map_or("no sandbox", |backend| backend.name());
    line(
        if usable { "ok" } else { "MISSING" },
        "tool calls",
        &format!("in {name} (--sandbox auto)"),
    );
    for warning in sandbox.iter().flat_map(Sandbox::warnings) {
        line("WARNING", "limits", &warning);
    }
    match Sandbox::layers_are_overlays() {
        Ok(true) => line("ok", "set-up", "tasks are laid out by overlay mounts"),
        Ok(false) => line(
            "",
            "set-up",
            "tasks are laid out by copying; as root, overlay mounts would be quicker",
        ),
        Err(error) => {
            line("MISSING", "set-up", &error.to_string());
            usable = false;
        }
    }
    for (name, value) in environment::facts() {
        line("", &name, &value);
    }
    if !missing.is_empty() {
        let _ = writeln!(
            text,
            "\non Debian or Ubuntu: sudo apt-get install {}",
            missing.join(" ")
        );
    }
    super::print(&text)?;
    Ok(if required_missing || !usable {
        exit::USAGE
    } else {
        exit::PASS
    })
}
