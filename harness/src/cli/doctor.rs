//! `timeslip doctor`: what this machine lacks, and how to get it.

use std::fmt::Write;
use std::path::PathBuf;

use timeslip_suites::{Backend, Sandbox};

use crate::error::Error;
use crate::{environment, exit};

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

pub(super) fn run() -> Result<u8, Error> {
    let mut text = String::new();
    let mut missing = Vec::new();
    let mut required_missing = false;
    let detection = Backend::detect();
    // Writing to a string cannot fail.
    let mut line = |mark: &str, name: &str, words: &str| {
        let _ = writeln!(text, "{mark:<8}{name:<14}{words}");
    };
    for need in NEEDS {
        match find(need.program) {
            Some(path) => line("ok", need.program, &path.display().to_string()),
            None => {
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
    match detection.backend {
        Backend::Bubblewrap => line("ok", "sandbox", &detection.why),
        Backend::Process => {
            line(
                "WARNING",
                "sandbox",
                &format!("none: tools run with your rights ({})", detection.why),
            );
            missing.push("bubblewrap");
        }
    }
    let usable = Sandbox::new(detection.backend).is_ok();
    line(
        if usable { "ok" } else { "MISSING" },
        "tool calls",
        detection.backend.name(),
    );
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

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
