//! A script that runs the hidden tests on a fresh checkout with the change applied, and
//! a parser of what it prints.

use timeslip_datasets::swebench::{InstanceReport, Split, TestsStatus};
use timeslip_datasets::text::plural;

use super::{patch, runner_summary, test_patch};
use crate::grade::{Infrastructure, last_lines};
use crate::log_parsers::{self, Status, Statuses};
use crate::sandbox::Scratch;
use crate::task::{PatchAttempt, StepAttempt, Verifier, digest};
use crate::workspace::mount;
use crate::{Exit, Grade, Limits, Result, Workspace};

/// Hidden tests that a script runs between two markers.
#[derive(Clone, Debug)]
pub(crate) struct EvaluationScript {
    /// The task's id: some parsers depend on it.
    pub(crate) task: String,
    /// The commit that a change starts from.
    pub(crate) base_commit: String,
    /// The image that its environment is published in.
    pub(crate) image: String,
    /// The version of the software.
    pub(crate) version: String,
    /// Runs the tests in the repository.
    pub(crate) script: String,
    /// The name of the parser of what it prints.
    pub(crate) log_parser: String,
    /// A test counts unless the log says that it failed; otherwise only when it says
    /// that it passed.
    pub(crate) only_failures_count: bool,
    /// Tests that the fix turns green.
    pub(crate) fail_to_pass: Vec<String>,
    /// Tests that must stay green.
    pub(crate) pass_to_pass: Vec<String>,
}

const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";
const EXIT_CODE: &str = ">>>>> Test Exit Code:";

/// The exit code of a shell whose script was killed by a signal is above this, which is
/// that of a git that gave up.
const KILLED: i32 = 128;

/// Upstream's chain: ever more forgiving ways to apply a patch, each from the tree as it
/// was (an image may have changes of its own in it), and at the end the question whether
/// it was there all along. No hook of the repository runs; `patch`, which would write
/// below `.git` what git refuses, finds the repository gone from there.
const APPLY: &str = r#"
patch=/tmp/patch.diff
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
remember() {
  head=$(git rev-parse HEAD) && git add -A && tree=$(git write-tree) && git reset -q &&
    was=$(git -c user.name=grader -c user.email=grader@localhost commit-tree -p "$head" -m x "$tree")
}
clean() { git reset -q --hard "$was" && git clean -fdq && git reset -q "$head"; }
loosely() {
  aside=$(mktemp -d ./.timeslip-XXXXXXXXXXXX) && mv .git "$aside/git" || return
  patch --batch --forward --fuzz=5 -p1 -i "$patch"; code=$?
  rm -rf .git && mv "$aside/git" .git && rm -rf "$aside" && return "$code"
}
git apply --verbose "$patch" ||
{ remember && git apply --verbose --3way "$patch"; } ||
{ clean && git apply --verbose --reject "$patch"; } ||
{ clean && loosely; } ||
git apply --check --reverse "$patch"
"#;

impl Verifier for EvaluationScript {
    fn identity(&self) -> String {
        let tests = [&self.fail_to_pass, &self.pass_to_pass].map(|tests| tests.join("\n"));
        digest([
            "evaluation script",
            &self.task,
            &self.base_commit,
            &self.image,
            &self.version,
            &self.script,
            &self.log_parser,
            &self.only_failures_count.to_string(),
            &tests[0],
            &tests[1],
        ])
    }

    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade> {
        patch::taken(attempt, &self.base_commit, |patch| self.grade_patch(patch))
    }

    fn grade_patch(&self, attempt: &PatchAttempt<'_>) -> Result<Grade> {
        let (task, sandbox) = (attempt.task, attempt.sandbox);
        if attempt.patch.is_some_and(<[u8]>::is_empty) {
            return Ok(Grade::nothing_changed());
        }
        let place = Scratch::within(attempt.place, "checkout-")?;
        let checkout = place.path().join("checkout");
        let fresh = Workspace::for_verifier(&task.workspace, sandbox, &checkout)?;
        let limits = Limits {
            wall: attempt.step.verifier_time,
            output_bytes: OUTPUT_BYTES,
            memory_mb: task.workspace.needs.memory_mb,
        };
        if let Some(patch) = attempt.patch
            && let Some(grade) = patch::refused(attempt, patch, APPLY, &fresh, limits)?
        {
            return Ok(Grade {
                infrastructure: Infrastructure::find(&grade.log),
                ..grade
            });
        }
        let scripts = place.path().join("eval");
        let script = with_exit_code(&test_patch::guarded(&self.script));
        patch::write_scripts(&scripts, &[("eval.sh", script.as_bytes())])?;
        let mut invocation = fresh.invocation("bash /eval/eval.sh", limits);
        invocation.mounts.push(mount(&scripts, "/eval", false));
        let execution = sandbox.run(&invocation)?;
        let mut log = execution.text();
        let patched = attempt.patch.is_some();
        let grade = match execution.exit {
            Exit::Code(code) if code <= KILLED => self.verdict(patched, &log),
            Exit::TimedOut => {
                let seconds = attempt.step.verifier_time.as_secs_f64();
                log.push_str(&format!("\n\nTimeout error: {seconds} seconds exceeded."));
                Grade::no_verdict(format!("the tests took longer than {seconds} s"))
            }
            Exit::DiskLimit => Grade::no_verdict("disk limit: the tests wrote too much"),
            exit => Grade::no_verdict(format!("the evaluation was killed: it {exit}")),
        };
        Ok(patch::concluded(grade, patched, log))
    }
}

/// The script, made to record how the test command ended: its own exit code is that
/// of putting the tests back.
fn with_exit_code(script: &str) -> String {
    let is_end = |line: &str| line.contains(END);
    let records = script.contains(EXIT_CODE);
    let Some(end) = script.lines().position(is_end).filter(|_| !records) else {
        return script.to_owned();
    };
    let mut text = String::new();
    for (index, line) in script.lines().enumerate() {
        if index == end {
            text.push_str("TIMESLIP_TEST_EXIT_CODE=$?\n");
        }
        text.push_str(line);
        text.push('\n');
        if index == end {
            text.push_str(&format!("echo \"{EXIT_CODE} $TIMESLIP_TEST_EXIT_CODE\"\n"));
        }
    }
    text
}

impl EvaluationScript {
    /// Reads the log of the evaluation script.
    fn verdict(&self, patched: bool, log: &str) -> Grade {
        let report = InstanceReport {
            patch_is_none: !patched,
            patch_exists: patched,
            ..InstanceReport::default()
        };
        let statuses = match self.statuses(log) {
            Ok(statuses) => statuses,
            Err(why) => return no_verdict(why, log, report),
        };
        let tests = self.tests_status(&statuses);
        let failed = [&tests.fail_to_pass, &tests.pass_to_pass].map(|split| split.failure.clone());
        let failed_tests = failed.concat();
        let resolved = failed_tests.is_empty();
        Grade {
            resolved,
            detail: (!resolved)
                .then(|| format!("{} failed", plural(failed_tests.len(), "hidden test"))),
            failed_tests,
            report: Some(Box::new(InstanceReport {
                patch_successfully_applied: true,
                resolved,
                tests_status: Some(tests),
                ..report
            })),
            ..Grade::default()
        }
    }

    /// What the log says of each test, or why it says nothing that can be relied on.
    fn statuses(&self, log: &str) -> Result<Statuses, String> {
        // Tested code that prints this gains nothing by it.
        if let Some((before, _)) = log.split_once(&format!("{}\n", test_patch::REFUSED)) {
            return Err(format!(
                "the hidden tests cannot be put in place: {}",
                last_lines(before)
            ));
        }
        let section = test_output(log)
            .ok_or_else(|| format!("the evaluation printed no test output: {}", last_lines(log)))?;
        let statuses = log_parsers::find(&self.log_parser, &self.task)?(section);
        // Where only failures count, there may be none to see.
        let all_well = self.only_failures_count && runner_summary::tests_ran(section);
        if statuses.is_empty() && !all_well {
            return Err(format!(
                "the test output holds no result: {}",
                last_lines(section)
            ));
        }
        // The log does not describe the run that happened.
        let failure_seen = statuses
            .values()
            .any(|status| matches!(status, Status::Failed | Status::Error));
        if recorded_exit_code(log).is_some_and(|code| code != 0) && !failure_seen {
            return Err("the test command failed, but its output shows no failure".to_owned());
        }
        Ok(statuses)
    }

    fn tests_status(&self, statuses: &Statuses) -> TestsStatus {
        let passes = |test: &str, skipping_allowed: bool| match self.only_failures_count {
            true => statuses.get(test) != Some(&Status::Failed),
            false => match status_of(test, statuses) {
                Some(Status::Passed | Status::ExpectedFailure) => true,
                Some(Status::Skipped) => skipping_allowed,
                Some(Status::Failed | Status::Error) | None => false,
            },
        };
        let split = |tests: &[String], skipping_allowed: bool| {
            let (success, failure) = tests
                .iter()
                .cloned()
                .partition(|test| passes(test, skipping_allowed));
            Split { success, failure }
        };
        TestsStatus {
            fail_to_pass: split(&self.fail_to_pass, false),
            pass_to_pass: split(&self.pass_to_pass, true),
            ..TestsStatus::default()
        }
    }
}

/// No verdict, with what the log shows of a broken environment.
fn no_verdict(why: String, log: &str, report: InstanceReport) -> Grade {
    let found = Infrastructure::find(log);
    Grade {
        report: Some(Box::new(InstanceReport {
            infra_failure: found.is_some_and(|found| found.certain),
            infra_failure_reason: found.map(|found| found.reason.to_owned()),
            ..report
        })),
        ..Grade::no_verdict(why)
    }
}

/// From the first start marker to the last end marker. Upstream stops at the
/// first end marker, which tested code could print to hide what comes after.
fn test_output(log: &str) -> Option<&str> {
    let (_, after) = log.split_once(START)?;
    after.rsplit_once(END).map(|(section, _)| section)
}

/// What the script recorded of the test command after the markers, if anything.
fn recorded_exit_code(log: &str) -> Option<i32> {
    let (_, after) = log.rsplit_once(EXIT_CODE)?;
    after.split_whitespace().next()?.parse().ok()
}

/// Hundreds of test names in SWE-bench Verified are cut off inside a parameter
/// (`test_x[log(photon`); those match by prefix, if all candidates agree.
fn status_of(test: &str, statuses: &Statuses) -> Option<Status> {
    if let Some(status) = statuses.get(test) {
        return Some(*status);
    }
    if test.matches('[').count() <= test.matches(']').count() {
        return None;
    }
    let mut candidates = statuses
        .range(test.to_owned()..)
        .take_while(|(name, _)| name.starts_with(test))
        .map(|(_, status)| *status);
    let passing = |status: Status| matches!(status, Status::Passed | Status::ExpectedFailure);
    let first = candidates.next()?;
    candidates
        .all(|other| passing(other) == passing(first))
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(fail_to_pass: &[&str], pass_to_pass: &[&str]) -> EvaluationScript {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        EvaluationScript {
            task: "a__b-1".to_owned(),
            base_commit: String::new(),
            image: String::new(),
            version: String::new(),
            script: String::new(),
            log_parser: "parse_log_pytest".to_owned(),
            only_failures_count: false,
            fail_to_pass: names(fail_to_pass),
            pass_to_pass: names(pass_to_pass),
        }
    }

    fn log(results: &str) -> String {
        format!("+ git apply\n+ : '{START}'\n{results}\n+ : '{END}'\n")
    }

    #[test]
    fn both_lists_have_to_pass() {
        let task = task(&["fixed"], &["kept"]);
        let judge = |results: &str| task.verdict(true, &log(results));
        assert!(judge("PASSED fixed\nPASSED kept").resolved);
        assert!(judge("XFAIL fixed\nSKIPPED kept").resolved);
        assert_eq!(judge("SKIPPED fixed\nPASSED kept").failed_tests, ["fixed"]);
        assert_eq!(judge("PASSED fixed\nERROR kept").failed_tests, ["kept"]);
        assert_eq!(judge("PASSED other").failed_tests, ["fixed", "kept"]);
    }

    #[test]
    fn fail_only_asks_for_failures() {
        let task = EvaluationScript {
            only_failures_count: true,
            ..task(&["fixed"], &["kept"])
        };
        assert!(task.verdict(true, &log("PASSED other")).resolved);
        assert!(!task.verdict(true, &log("FAILED kept")).resolved);
        let fixed = task.verdict(true, &log("FAILED fixed\nPASSED kept"));
        assert_eq!(fixed.failed_tests, ["fixed"]);
        assert!(
            task.verdict(true, &log("ERROR fixed\nSKIPPED kept"))
                .resolved
        );
    }

    #[test]
    fn fail_only_asks_for_a_run() {
        let fail_only = EvaluationScript {
            only_failures_count: true,
            log_parser: "parse_log_jest".to_owned(),
            ..task(&["fixed"], &["kept"])
        };
        assert!(
            fail_only
                .verdict(true, &log("Tests:   2 passed, 2 total"))
                .resolved
        );
        for never_began in ["Tests:   0 total", "Cannot start Chrome", ""] {
            let grade = fail_only.verdict(true, &log(never_began));
            assert!(grade.verifier_failed && !grade.resolved, "{never_began}");
        }
        let broken = format!("{}{EXIT_CODE} 1\n", log("Tests:   2 passed, 2 total"));
        assert!(fail_only.verdict(true, &broken).verifier_failed);
        let pass_and_fail = EvaluationScript {
            only_failures_count: false,
            ..fail_only
        };
        assert!(
            pass_and_fail
                .verdict(true, &log("Tests:   2 passed, 2 total"))
                .verifier_failed
        );
    }

    #[test]
    fn every_language_is_graded() {
        let task = EvaluationScript {
            task: "tokio-rs__axum-1".to_owned(),
            log_parser: "parse_log_cargo".to_owned(),
            ..task(&["tests::fixed"], &["tests::kept"])
        };
        let judge = |fixed: &str| {
            let results = format!("test tests::fixed ... {fixed}\ntest tests::kept ... ok");
            task.verdict(true, &log(&results))
        };
        assert!(judge("ok").resolved);
        assert_eq!(judge("FAILED").failed_tests, ["tests::fixed"]);
        let of_its_own = EvaluationScript {
            log_parser: "parse_log_jekyll".to_owned(),
            ..task.clone()
        };
        let grade = of_its_own.verdict(true, &log("test tests::fixed ... ok"));
        insta::assert_snapshot!(grade.detail.unwrap(), @r#"log_parser "parse_log_jekyll" depends on the task, and is known for jekyll__jekyll-8047, jekyll__jekyll-8167, jekyll__jekyll-8761, jekyll__jekyll-8771, jekyll__jekyll-9141 alone; name the parser that it stands for"#);
    }

    #[test]
    fn results_count_between_the_markers_only() {
        let task = task(&["x"], &[]);
        let outside = format!("PASSED x\n{}PASSED x\n", log("FAILED x"));
        assert!(!task.verdict(true, &outside).resolved);
        let forged_end = log(&format!("PASSED x\n{END}\nFAILED x"));
        assert!(!task.verdict(true, &forged_end).resolved);
    }

    #[test]
    fn a_log_without_results_is_no_verdict() {
        let task = task(&["x"], &[]);
        for broken in ["", "PASSED x", &log(""), &log("collected 0 items")] {
            let grade = task.verdict(true, broken);
            assert!(grade.verifier_failed && !grade.resolved, "{broken}");
        }
        let contradicted = format!("{}{EXIT_CODE} 1\n", log("PASSED x"));
        assert!(task.verdict(true, &contradicted).verifier_failed);
        let agreed = format!("{}{EXIT_CODE} 0\n", log("PASSED x"));
        assert!(task.verdict(true, &agreed).resolved);
    }

    #[test]
    fn a_script_records_how_its_tests_ended() {
        let script = format!("run\n: '{END}'\nrestore\n");
        insta::assert_snapshot!(with_exit_code(&script), @r#"
        run
        TIMESLIP_TEST_EXIT_CODE=$?
        : '>>>>> End Test Output'
        echo ">>>>> Test Exit Code: $TIMESLIP_TEST_EXIT_CODE"
        restore
        "#);
        let recorded = with_exit_code(&script);
        assert_eq!(with_exit_code(&recorded), recorded);
        assert_eq!(with_exit_code("run"), "run");
    }

    #[test]
    fn names_cut_off_in_a_parameter_match_by_prefix() {
        let task = task(&["t[log(photon"], &[]);
        assert!(
            task.verdict(true, &log("PASSED t[log(photon)]\nXFAIL t[log(photon-2)]"))
                .resolved
        );
        assert!(
            !task
                .verdict(true, &log("PASSED t[log(photon)]\nFAILED t[log(photon-2)]"))
                .resolved
        );
        assert!(!task.verdict(true, &log("PASSED t[log]")).resolved);
    }
}
