//! SWE-bench Pro: the hidden tests are taken from the fix's commit, run by the task's
//! own script, and read by its own parser.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use timeslip_datasets::swebench::{InstanceReport, Split, TestsStatus};
use timeslip_datasets::swebench_pro::ProTask;

use super::{Change, Grade, infrastructure, last_lines};
use crate::beneath;
use crate::workspace::{Repository, mount};
use crate::{Error, Exit, Limits, Result, Sandbox, Task, Workspace};

const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// The largest list of results that is read.
const RESULT_BYTES: u64 = 64 * 1024 * 1024;

/// Where scripts and results are.
const PLACE: &str = "/workspace";

const APPLY: &str = "git apply -v /tmp/patch.diff";

/// Runs the tests and reads what they print. The parser's Python has either name.
const RUN: &str = "bash /workspace/set_up_tests.sh
bash /workspace/run_script.sh \"$(cat /workspace/test_files)\" \\
    >/workspace/stdout.log 2>/workspace/stderr.log
tail -c 1000000 /workspace/stdout.log /workspace/stderr.log
python=$(command -v python || command -v python3)
\"$python\" /workspace/parser.py /workspace/stdout.log /workspace/stderr.log /workspace/output.json";

#[derive(Deserialize)]
struct Results {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    status: String,
}

pub(super) fn grade_patch(
    task: &Task,
    pro: &ProTask,
    repository: Option<&Repository>,
    patch: Option<&[u8]>,
    directory: &Path,
    sandbox: &Sandbox,
) -> Result<Grade> {
    let patch = patch.map(without_binaries);
    if patch.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Grade::nothing_changed());
    }
    let place = tempfile::tempdir_in(directory)
        .map_err(Error::io("cannot create a directory", directory))?;
    let fresh = Workspace::for_verifier(task, sandbox, &place.path().join("checkout"))?;
    // The agent's checkout does not have them.
    if let (Some(tree), Some(repository)) = (fresh.tree(), repository) {
        repository.add(&task.id, &pro.commits_of_tests(), tree)?;
    }
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    let scripts = place.path().join("workspace");
    fs::create_dir(&scripts).map_err(Error::io("cannot be created", &scripts))?;
    let write = |name: &str, content: &[u8]| {
        let file = scripts.join(name);
        fs::write(&file, content).map_err(Error::io("cannot be written", &file))
    };
    write("set_up_tests.sh", pro.set_up_tests.as_bytes())?;
    write("run_script.sh", pro.run_script.as_bytes())?;
    write("parser.py", pro.parser.as_bytes())?;
    write("test_files", pro.test_files.join(",").as_bytes())?;
    if let Some(patch) = &patch {
        let file = fresh.tmp().join("patch.diff");
        fs::write(&file, patch).map_err(Error::io("cannot be written", &file))?;
        let applied = sandbox.run(&fresh.invocation(APPLY, limits))?;
        if !applied.succeeded() {
            let log = applied.text();
            return Ok(Grade {
                change: Change::DoesNotApply,
                ..Grade::unresolved(format!(
                    "the change does not apply to a fresh checkout: {}",
                    last_lines(&log)
                ))
            }
            .with_log(log));
        }
    }
    let mut invocation = fresh.invocation(RUN, limits);
    invocation.mounts.push(mount(&scripts, PLACE, true));
    let execution = sandbox.run(&invocation)?;
    let log = execution.text();
    let grade = match execution.exit {
        Exit::TimedOut => Grade::no_verdict(format!(
            "the tests took longer than {} s",
            task.verifier_timeout.as_secs_f64()
        )),
        Exit::Signal(signal) => {
            Grade::no_verdict(format!("the evaluation was killed by signal {signal}"))
        }
        Exit::Code(_) => match reported(&scripts) {
            Ok(passed) => verdict(pro, patch.is_some(), &passed),
            Err(why) => Grade::no_verdict(format!("{why}: {}", last_lines(&log))),
        },
    };
    Ok(Grade {
        change: if patch.is_some() {
            Change::Applied
        } else {
            Change::None
        },
        infrastructure: infrastructure::find(&log).filter(|_| !grade.resolved),
        ..grade
    }
    .with_log(log))
}

/// As upstream: sections about binary files are left out.
fn without_binaries(patch: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut section: Vec<u8> = Vec::new();
    let mut binary = false;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            if !binary {
                kept.append(&mut section);
            }
            section.clear();
            binary = false;
        }
        binary |= line.starts_with(b"GIT binary patch") || line.starts_with(b"Binary files ");
        section.extend_from_slice(line);
    }
    if !binary {
        kept.append(&mut section);
    }
    kept
}

/// The tests that the parser names, and whether they passed. It runs beside tested code,
/// which can put anything in the place of its file.
fn reported(scripts: &Path) -> Result<BTreeMap<String, bool>, String> {
    let file = beneath::read(scripts, Path::new("output.json"), RESULT_BYTES)
        .map_err(|refusal| format!("the parser's output.json {refusal}"))?;
    let results: Results = serde_json::from_slice(&file)
        .map_err(|error| format!("the parser's output.json is not valid: {error}"))?;
    let mut reported = BTreeMap::new();
    for test in results.tests {
        // Of several results of a test one that passed counts, as upstream.
        *reported.entry(test.name).or_default() |= test.status == "PASSED";
    }
    Ok(reported)
}

fn verdict(pro: &ProTask, patched: bool, reported: &BTreeMap<String, bool>) -> Grade {
    let split = |tests: &[String]| {
        let (success, failure) = tests
            .iter()
            .cloned()
            .partition(|test| reported.get(test) == Some(&true));
        Split { success, failure }
    };
    let tests = TestsStatus {
        fail_to_pass: split(&pro.fail_to_pass),
        pass_to_pass: split(&pro.pass_to_pass),
        ..TestsStatus::default()
    };
    let failures = [&tests.fail_to_pass, &tests.pass_to_pass].map(|split| split.failure.clone());
    let failed_tests = failures.concat();
    let resolved = failed_tests.is_empty();
    Grade {
        resolved,
        detail: (!resolved).then(|| failure(&failed_tests, reported)),
        failed_tests,
        report: Some(Box::new(InstanceReport {
            patch_is_none: !patched,
            patch_exists: patched,
            patch_successfully_applied: patched,
            resolved,
            tests_status: Some(tests),
            ..InstanceReport::default()
        })),
        ..Grade::default()
    }
}

/// A test that the parser does not name has not run at all: nothing may have.
fn failure(failed: &[String], reported: &BTreeMap<String, bool>) -> String {
    let silent = failed.iter().filter(|test| !reported.contains_key(*test));
    match silent.count() {
        0 => format!("{} hidden tests failed", failed.len()),
        silent => format!(
            "{} hidden tests failed, of which {silent} did not run",
            failed.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_sections_are_left_out() {
        let text = "diff --git a/a b/a\n+a\n";
        let binary = "diff --git a/b b/b\nGIT binary patch\nliteral 1\n";
        let differ = "diff --git a/c b/c\nBinary files a/c and b/c differ\n";
        let whole = format!("{text}{binary}{text}{differ}");
        let kept = without_binaries(whole.as_bytes());
        assert_eq!(kept, format!("{text}{text}").into_bytes());
        assert!(without_binaries(binary.as_bytes()).is_empty());
    }
}
