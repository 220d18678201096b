//! Hidden tests that are taken from the commit of the fix, run by the task's own script,
//! and read by its own parser.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use timeslip_datasets::swebench::{InstanceReport, Split, TestsStatus};
use timeslip_datasets::text::plural;

use super::patch;
use crate::grade::last_lines;
use crate::path_guard;
use crate::sandbox::Scratch;
use crate::starts::RepositoryClone;
use crate::task::{PatchAttempt, StepAttempt, Verifier, digest};
use crate::workspace::mount;
use crate::{Exit, Grade, Limits, Result, Workspace};

/// Hidden tests with a runner and a parser of their own.
#[derive(Clone, Debug)]
pub(crate) struct ResultParser {
    /// The task's id.
    pub(crate) task: String,
    /// The commit that a change starts from.
    pub(crate) base_commit: String,
    /// The image that its environment is published in.
    pub(crate) image: String,
    /// Where the commits of the tests come from, unless they are in the image.
    pub(crate) clone: Option<RepositoryClone>,
    /// The commits that tests are taken from.
    pub(crate) commits_of_tests: Vec<String>,
    /// Puts the tests into the repository.
    pub(crate) set_up_tests: String,
    /// Runs the test files that it is given.
    pub(crate) run_script: String,
    /// Reads what they print.
    pub(crate) parser: String,
    /// The files with the tests.
    pub(crate) test_files: Vec<String>,
    /// Variables of every command.
    pub(crate) variables: Vec<(String, String)>,
    /// Tests that the fix turns green.
    pub(crate) fail_to_pass: Vec<String>,
    /// Tests that must stay green.
    pub(crate) pass_to_pass: Vec<String>,
}

const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// The largest list of results that is read.
const RESULT_BYTES: u64 = 64 * 1024 * 1024;

/// Where scripts and results are.
const PLACE: &str = "/workspace";

const APPLY: &str = "git -c core.hooksPath=/dev/null apply -v /tmp/patch.diff";

/// Runs the tests and reads what they print. The parser's Python has either name.
const RUN: &str = "bash /workspace/set_up_tests.sh
bash /workspace/run_script.sh \"$(cat /workspace/test_files)\" \\
    >/workspace/stdout.log 2>/workspace/stderr.log
tail -c 1000000 /workspace/stdout.log /workspace/stderr.log
python=$(command -v python || command -v python3)
\"$python\" /workspace/parser.py /workspace/stdout.log /workspace/stderr.log /workspace/output.json";

#[derive(Deserialize)]
struct ParserOutput {
    tests: Vec<ParsedTest>,
}

#[derive(Deserialize)]
struct ParsedTest {
    name: String,
    status: String,
}

impl Verifier for ResultParser {
    fn identity(&self) -> String {
        let lists = [&self.test_files, &self.fail_to_pass, &self.pass_to_pass];
        let lists = lists.map(|list| list.join("\n"));
        digest([
            "result parser",
            &self.task,
            &self.base_commit,
            &self.image,
            &self.set_up_tests,
            &self.run_script,
            &self.parser,
            &format!("{:?}", self.variables),
            &lists[0],
            &lists[1],
            &lists[2],
        ])
    }

    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade> {
        patch::taken(attempt, &self.base_commit, |patch| self.grade_patch(patch))
    }

    fn grade_patch(&self, attempt: &PatchAttempt<'_>) -> Result<Grade> {
        let (task, sandbox) = (attempt.task, attempt.sandbox);
        let patch = attempt.patch.map(without_binaries);
        if patch.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Grade::nothing_changed());
        }
        let place = Scratch::within(attempt.place, "checkout-")?;
        let checkout = place.path().join("checkout");
        let fresh = Workspace::for_verifier(&task.workspace, sandbox, &checkout)?;
        // The agent's checkout does not have them.
        if let (Some(tree), Some(clone)) = (fresh.tree(), &self.clone) {
            clone.add(&task.id, &self.commits_of_tests, tree)?;
        }
        let limits = Limits {
            wall: attempt.step.verifier_time,
            output_bytes: OUTPUT_BYTES,
            memory_mb: task.workspace.needs.memory_mb,
        };
        let scripts = place.path().join("workspace");
        let test_files = self.test_files.join(",");
        let files = [
            ("set_up_tests.sh", self.set_up_tests.as_bytes()),
            ("run_script.sh", self.run_script.as_bytes()),
            ("parser.py", self.parser.as_bytes()),
            ("test_files", test_files.as_bytes()),
        ];
        patch::write_scripts(&scripts, &files)?;
        if let Some(patch) = &patch
            && let Some(grade) = patch::refused(attempt, patch, APPLY, &fresh, limits)?
        {
            return Ok(grade);
        }
        let mut invocation = fresh.invocation(RUN, limits);
        invocation.mounts.push(mount(&scripts, PLACE, true));
        let execution = sandbox.run(&invocation)?;
        let log = execution.text();
        let grade = match execution.exit {
            Exit::TimedOut => Grade::no_verdict(format!(
                "the tests took longer than {} s",
                attempt.step.verifier_time.as_secs_f64()
            )),
            Exit::DiskLimit => Grade::no_verdict("disk limit: the tests wrote too much"),
            exit @ (Exit::Signal(_) | Exit::Cancelled) => {
                Grade::no_verdict(format!("the evaluation {exit}"))
            }
            Exit::Code(_) => match reported(&scripts) {
                Ok(passed) => self.verdict(patch.is_some(), &passed),
                Err(why) => Grade::no_verdict(format!("{why}: {}", last_lines(&log))),
            },
        };
        Ok(patch::concluded(grade, patch.is_some(), log))
    }
}

/// As upstream: sections about binary files are left out.
fn without_binaries(patch: &[u8]) -> Vec<u8> {
    let is_binary = |section: &[u8]| {
        section
            .split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(b"GIT binary patch") || line.starts_with(b"Binary files "))
    };
    let mut sections = patch::sections(patch);
    sections.retain(|section| !is_binary(section));
    sections.concat()
}

/// The tests that the parser names, and whether they passed. It runs beside tested code,
/// which can put anything in the place of its file.
fn reported(scripts: &Path) -> Result<BTreeMap<String, bool>, String> {
    let file = path_guard::read(scripts, Path::new("output.json"), RESULT_BYTES)
        .map_err(|refusal| format!("the parser's output.json {refusal}"))?;
    let results: ParserOutput = serde_json::from_slice(&file)
        .map_err(|error| format!("the parser's output.json is not valid: {error}"))?;
    let mut reported = BTreeMap::new();
    for test in results.tests {
        // Of several results of a test one that passed counts, as upstream.
        *reported.entry(test.name).or_default() |= test.status == "PASSED";
    }
    Ok(reported)
}

impl ResultParser {
    fn verdict(&self, patched: bool, reported: &BTreeMap<String, bool>) -> Grade {
        let split = |tests: &[String]| {
            let (success, failure) = tests
                .iter()
                .cloned()
                .partition(|test| reported.get(test) == Some(&true));
            Split { success, failure }
        };
        let tests = TestsStatus {
            fail_to_pass: split(&self.fail_to_pass),
            pass_to_pass: split(&self.pass_to_pass),
            ..TestsStatus::default()
        };
        let failures =
            [&tests.fail_to_pass, &tests.pass_to_pass].map(|split| split.failure.clone());
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
}

/// A test that the parser does not name has not run at all: nothing may have.
fn failure(failed: &[String], reported: &BTreeMap<String, bool>) -> String {
    let silent = failed.iter().filter(|test| !reported.contains_key(*test));
    let failed = plural(failed.len(), "hidden test");
    match silent.count() {
        0 => format!("{failed} failed"),
        silent => format!("{failed} failed, of which {silent} did not run"),
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
