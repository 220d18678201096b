//! SWE-bench: the change is applied to a fresh checkout, and the hidden tests of
//! the fix decide.

use std::fs;
use std::path::Path;

use timeslip_datasets::swebench::{EvalType, InstanceReport, Split, SweTask, TestsStatus};

use super::{Change, Grade, change, infrastructure, last_lines, runner_summary};
use crate::log_parsers::{self, Status, Statuses};
use crate::workspace::mount;
use crate::{Error, Exit, Limits, Result, Sandbox, Task, Workspace};

const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";
const EXIT_CODE: &str = ">>>>> Test Exit Code:";

/// The exit code of a shell whose script was killed by a signal is above this.
const KILLED: i32 = 128;

/// Upstream's chain: ever more forgiving ways to apply a patch, each from the tree as it
/// was (an image may have changes of its own in it), and at the end the question whether
/// it was there all along.
const APPLY: &str = r#"
patch=/tmp/patch.diff
remember() {
  head=$(git rev-parse HEAD) && git add -A && tree=$(git write-tree) && git reset -q &&
    was=$(git -c user.name=grader -c user.email=grader@localhost commit-tree -p "$head" -m x "$tree")
}
clean() { git reset -q --hard "$was" && git clean -fdq && git reset -q "$head"; }
git apply --verbose "$patch" ||
{ remember && git apply --verbose --3way "$patch"; } ||
{ clean && git apply --verbose --reject "$patch"; } ||
{ clean && patch --batch --forward --fuzz=5 -p1 -i "$patch"; } ||
git apply --check --reverse "$patch"
"#;

pub(super) fn grade(
    task: &Task,
    swe: &SweTask,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<Grade> {
    change::graded(task, &swe.base_commit, workspace, sandbox, |patch| {
        grade_patch(task, swe, Some(patch), workspace.directory(), sandbox)
    })
}

/// Grades a patch, or the untouched repository, on a checkout of its own.
pub(super) fn grade_patch(
    task: &Task,
    swe: &SweTask,
    patch: Option<&[u8]>,
    directory: &Path,
    sandbox: &Sandbox,
) -> Result<Grade> {
    if patch.is_some_and(<[u8]>::is_empty) {
        return Ok(Grade::nothing_changed());
    }
    let place = tempfile::tempdir_in(directory)
        .map_err(Error::io("cannot create a directory", directory))?;
    let fresh = Workspace::for_verifier(task, sandbox, &place.path().join("checkout"))?;
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    if let Some(patch) = patch {
        let patch_file = fresh.tmp().join("patch.diff");
        fs::write(&patch_file, patch).map_err(Error::io("cannot be written", &patch_file))?;
        let applied = sandbox.run(&fresh.invocation(APPLY, limits))?;
        if !applied.succeeded() {
            let log = applied.text();
            return Ok(Grade {
                change: Change::DoesNotApply,
                infrastructure: infrastructure::find(&log),
                ..Grade::unresolved(format!(
                    "the change does not apply to a fresh checkout: {}",
                    last_lines(&log)
                ))
            }
            .with_log(log));
        }
    }

    let scripts = place.path().join("eval");
    fs::create_dir(&scripts).map_err(Error::io("cannot be created", &scripts))?;
    let script = scripts.join("eval.sh");
    let text = with_exit_code(swe.eval_script.as_deref().unwrap_or_default());
    fs::write(&script, text).map_err(Error::io("cannot be written", &script))?;
    let mut invocation = fresh.invocation("bash /eval/eval.sh", limits);
    invocation.mounts.push(mount(&scripts, "/eval", false));
    let execution = sandbox.run(&invocation)?;
    let mut log = execution.text();
    let grade = match execution.exit {
        Exit::Code(code) if code < KILLED => verdict(swe, patch.is_some(), &log),
        Exit::TimedOut => {
            let seconds = task.verifier_timeout.as_secs_f64();
            log.push_str(&format!("\n\nTimeout error: {seconds} seconds exceeded."));
            Grade::no_verdict(format!("the tests took longer than {seconds} s"))
        }
        exit => Grade::no_verdict(format!("the evaluation was killed ({exit:?})")),
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

/// Reads the log of the evaluation script.
fn verdict(swe: &SweTask, patched: bool, log: &str) -> Grade {
    let report = InstanceReport {
        patch_is_none: !patched,
        patch_exists: patched,
        ..InstanceReport::default()
    };
    let no_verdict = |detail: String| {
        let found = infrastructure::find(log);
        Grade {
            report: Some(Box::new(InstanceReport {
                infra_failure: found.is_some_and(|found| found.certain),
                infra_failure_reason: found.map(|found| found.reason.to_owned()),
                ..report.clone()
            })),
            ..Grade::no_verdict(detail)
        }
    };
    let Some(section) = test_output(log) else {
        return no_verdict(format!(
            "the evaluation printed no test output: {}",
            last_lines(log)
        ));
    };
    let parser = swe.log_parser.as_deref().unwrap_or_default();
    let statuses = match log_parsers::find(parser, &swe.instance_id) {
        Ok(parse) => parse(section),
        Err(message) => return no_verdict(message),
    };
    // Of failures alone, there may be none to see.
    let all_well = swe.eval_type == EvalType::FailOnly && runner_summary::tests_ran(section);
    if statuses.is_empty() && !all_well {
        return no_verdict(format!(
            "the test output holds no result: {}",
            last_lines(section)
        ));
    }
    // The log does not describe the run that happened.
    let failure_seen = statuses
        .values()
        .any(|status| matches!(status, Status::Failed | Status::Error));
    if recorded_exit_code(log).is_some_and(|code| code != 0) && !failure_seen {
        let detail = "the test command failed, but its output shows no failure";
        return no_verdict(detail.to_owned());
    }
    let tests = tests_status(swe, &statuses);
    let failed = |split: &Split| split.failure.clone();
    let failed_tests: Vec<String> =
        [failed(&tests.fail_to_pass), failed(&tests.pass_to_pass)].concat();
    let resolved = failed_tests.is_empty();
    Grade {
        resolved,
        detail: (!resolved).then(|| format!("{} hidden tests failed", failed_tests.len())),
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

fn tests_status(swe: &SweTask, statuses: &Statuses) -> TestsStatus {
    let passes = |test: &str, skipping_allowed: bool| match swe.eval_type {
        EvalType::FailOnly => statuses.get(test) != Some(&Status::Failed),
        EvalType::PassAndFail => match status_of(test, statuses) {
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
        fail_to_pass: split(&swe.fail_to_pass, false),
        pass_to_pass: split(&swe.pass_to_pass, true),
        ..TestsStatus::default()
    }
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

    fn task(fail_to_pass: &[&str], pass_to_pass: &[&str]) -> SweTask {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        SweTask {
            repo: "a/b".to_owned(),
            instance_id: "a__b-1".to_owned(),
            base_commit: String::new(),
            patch: String::new(),
            test_patch: String::new(),
            problem_statement: String::new(),
            hints_text: String::new(),
            created_at: String::new(),
            version: String::new(),
            fail_to_pass: names(fail_to_pass),
            pass_to_pass: names(pass_to_pass),
            environment_setup_commit: String::new(),
            difficulty: String::new(),
            image: None,
            eval_script: None,
            log_parser: Some("parse_log_pytest".to_owned()),
            eval_type: EvalType::PassAndFail,
        }
    }

    fn log(results: &str) -> String {
        format!("+ git apply\n+ : '{START}'\n{results}\n+ : '{END}'\n")
    }

    #[test]
    fn both_lists_have_to_pass() {
        let task = task(&["fixed"], &["kept"]);
        let judge = |results: &str| verdict(&task, true, &log(results));
        assert!(judge("PASSED fixed\nPASSED kept").resolved);
        assert!(judge("XFAIL fixed\nSKIPPED kept").resolved);
        assert_eq!(judge("SKIPPED fixed\nPASSED kept").failed_tests, ["fixed"]);
        assert_eq!(judge("PASSED fixed\nERROR kept").failed_tests, ["kept"]);
        assert_eq!(judge("PASSED other").failed_tests, ["fixed", "kept"]);
    }

    #[test]
    fn fail_only_asks_for_failures() {
        let task = SweTask {
            eval_type: EvalType::FailOnly,
            ..task(&["fixed"], &["kept"])
        };
        assert!(verdict(&task, true, &log("PASSED other")).resolved);
        assert!(!verdict(&task, true, &log("FAILED kept")).resolved);
        let fixed = verdict(&task, true, &log("FAILED fixed\nPASSED kept"));
        assert_eq!(fixed.failed_tests, ["fixed"]);
        assert!(verdict(&task, true, &log("ERROR fixed\nSKIPPED kept")).resolved);
    }

    #[test]
    fn fail_only_asks_for_a_run() {
        let fail_only = SweTask {
            eval_type: EvalType::FailOnly,
            log_parser: Some("parse_log_jest".to_owned()),
            ..task(&["fixed"], &["kept"])
        };
        assert!(verdict(&fail_only, true, &log("Tests:   2 passed, 2 total")).resolved);
        for never_began in ["Tests:   0 total", "Cannot start Chrome", ""] {
            let grade = verdict(&fail_only, true, &log(never_began));
            assert!(grade.verifier_failed && !grade.resolved, "{never_began}");
        }
        let broken = format!("{}{EXIT_CODE} 1\n", log("Tests:   2 passed, 2 total"));
        assert!(verdict(&fail_only, true, &broken).verifier_failed);
        let pass_and_fail = SweTask {
            eval_type: EvalType::PassAndFail,
            ..fail_only
        };
        assert!(verdict(&pass_and_fail, true, &log("Tests:   2 passed, 2 total")).verifier_failed);
    }

    #[test]
    fn every_language_is_graded() {
        let task = SweTask {
            instance_id: "tokio-rs__axum-1".to_owned(),
            log_parser: Some("parse_log_cargo".to_owned()),
            ..task(&["tests::fixed"], &["tests::kept"])
        };
        let judge = |fixed: &str| {
            let results = format!("test tests::fixed ... {fixed}\ntest tests::kept ... ok");
            verdict(&task, true, &log(&results))
        };
        assert!(judge("ok").resolved);
        assert_eq!(judge("FAILED").failed_tests, ["tests::fixed"]);
        let of_its_own = SweTask {
            log_parser: Some("parse_log_jekyll".to_owned()),
            ..task.clone()
        };
        let grade = verdict(&of_its_own, true, &log("test tests::fixed ... ok"));
        insta::assert_snapshot!(grade.detail.unwrap(), @r#"log_parser "parse_log_jekyll" depends on the task, and is known for jekyll__jekyll-8047, jekyll__jekyll-8167, jekyll__jekyll-8761, jekyll__jekyll-8771, jekyll__jekyll-9141 alone; name the parser that it stands for"#);
    }

    #[test]
    fn results_count_between_the_markers_only() {
        let task = task(&["x"], &[]);
        let outside = format!("PASSED x\n{}PASSED x\n", log("FAILED x"));
        assert!(!verdict(&task, true, &outside).resolved);
        let forged_end = log(&format!("PASSED x\n{END}\nFAILED x"));
        assert!(!verdict(&task, true, &forged_end).resolved);
    }

    #[test]
    fn a_log_without_results_is_no_verdict() {
        let task = task(&["x"], &[]);
        for broken in ["", "PASSED x", &log(""), &log("collected 0 items")] {
            let grade = verdict(&task, true, broken);
            assert!(grade.verifier_failed && !grade.resolved, "{broken}");
        }
        let contradicted = format!("{}{EXIT_CODE} 1\n", log("PASSED x"));
        assert!(verdict(&task, true, &contradicted).verifier_failed);
        let agreed = format!("{}{EXIT_CODE} 0\n", log("PASSED x"));
        assert!(verdict(&task, true, &agreed).resolved);
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
            verdict(
                &task,
                true,
                &log("PASSED t[log(photon)]\nXFAIL t[log(photon-2)]")
            )
            .resolved
        );
        assert!(
            !verdict(
                &task,
                true,
                &log("PASSED t[log(photon)]\nFAILED t[log(photon-2)]")
            )
            .resolved
        );
        assert!(!verdict(&task, true, &log("PASSED t[log]")).resolved);
    }
}
