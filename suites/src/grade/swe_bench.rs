//! SWE-bench: the change is applied to a fresh checkout, and the hidden tests of
//! the fix decide.

use std::fs;

use timeslip_datasets::swebench::{EvalType, SweTask};

use super::{Grade, last_lines};
use crate::log_parsers::{self, Status, Statuses};
use crate::workspace::mount;
use crate::{Error, Exit, Limits, Result, Sandbox, Task, Workspace};

/// The largest change that is graded.
const PATCH_BYTES: usize = 4 * 1024 * 1024;
const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";
const EXIT_CODE: &str = ">>>>> Test Exit Code:";

/// The exit code of a shell whose script was killed by a signal is above this.
const KILLED: i32 = 128;

/// Everything since the base commit, new files too. The agent may have planted
/// configuration that runs programs, which is why this happens inside, and
/// settings that change the format, which are overridden.
const DIFF: &str = "git -c core.fsmonitor=false -c core.quotePath=true add -A 2>/dev/null; \
    git -c core.fsmonitor=false --no-pager diff --cached --binary --no-color --no-ext-diff \
    --no-textconv --src-prefix=a/ --dst-prefix=b/ ";

/// Upstream's chain: ever more forgiving ways to apply a patch, each from a clean
/// tree, and at the end the question whether it was there all along.
const APPLY: &str = r#"
patch=/tmp/patch.diff
clean() { git reset -q --hard && git clean -fdq; }
git apply --verbose "$patch" ||
{ clean && git apply --verbose --3way "$patch"; } ||
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
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: PATCH_BYTES,
        memory_mb: task.memory_mb,
    };
    let diff = format!("{DIFF}{} 2>/dev/null", swe.base_commit);
    let execution = sandbox.run(&workspace.invocation(&diff, limits))?;
    if execution.output_total_bytes > PATCH_BYTES as u64 {
        return Ok(Grade::unresolved(format!(
            "the change is larger than {PATCH_BYTES} bytes"
        )));
    }
    if !execution.succeeded() {
        return Ok(Grade::unresolved(format!(
            "the repository was left in a state in which git finds no change ({:?})",
            execution.exit
        )));
    }
    if execution.output.is_empty() {
        return Ok(Grade::unresolved("nothing was changed"));
    }
    let grade = grade_patch(task, swe, &execution.output, workspace, sandbox)?;
    Ok(Grade {
        patch: Some(execution.text()),
        ..grade
    })
}

/// Grades a patch on a checkout of its own.
fn grade_patch(
    task: &Task,
    swe: &SweTask,
    patch: &[u8],
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<Grade> {
    let place = tempfile::tempdir_in(workspace.directory()).map_err(Error::io(
        "cannot create a directory",
        workspace.directory(),
    ))?;
    let fresh = Workspace::prepare(task, sandbox, &place.path().join("checkout"))?;
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };

    let patch_file = fresh.tmp().join("patch.diff");
    fs::write(&patch_file, patch).map_err(Error::io("cannot be written", &patch_file))?;
    let applied = sandbox.run(&fresh.invocation(APPLY, limits))?;
    if !applied.succeeded() {
        return Ok(Grade::unresolved(format!(
            "the change does not apply to a fresh checkout: {}",
            last_lines(&applied.text())
        )));
    }

    let scripts = place.path().join("eval");
    fs::create_dir(&scripts).map_err(Error::io("cannot be created", &scripts))?;
    let script = scripts.join("eval.sh");
    fs::write(&script, swe.eval_script.as_deref().unwrap_or_default())
        .map_err(Error::io("cannot be written", &script))?;
    let mut invocation = fresh.invocation("bash /eval/eval.sh", limits);
    invocation.mounts.push(mount(&scripts, "/eval", false));
    let execution = sandbox.run(&invocation)?;
    Ok(match execution.exit {
        Exit::Code(code) if code < KILLED => verdict(swe, &execution.text()),
        Exit::TimedOut => Grade::no_verdict(format!(
            "the tests took longer than {} s",
            task.verifier_timeout.as_secs_f64()
        )),
        exit => Grade::no_verdict(format!("the evaluation was killed ({exit:?})")),
    })
}

/// Reads the log of the evaluation script.
fn verdict(swe: &SweTask, log: &str) -> Grade {
    let Some(section) = test_output(log) else {
        return Grade::no_verdict(format!(
            "the evaluation printed no test output: {}",
            last_lines(log)
        ));
    };
    let parse = swe.log_parser.as_deref().and_then(log_parsers::find);
    let statuses = parse.map(|parse| parse(section)).unwrap_or_default();
    if statuses.is_empty() {
        return Grade::no_verdict(format!(
            "the test output holds no result: {}",
            last_lines(section)
        ));
    }
    // The log does not describe the run that happened.
    let failure_seen = statuses
        .values()
        .any(|status| matches!(status, Status::Failed | Status::Error));
    if recorded_exit_code(log).is_some_and(|code| code != 0) && !failure_seen {
        return Grade::no_verdict("the test command failed, but its output shows no failure");
    }
    let failed_tests = failed_tests(swe, &statuses);
    Grade {
        resolved: failed_tests.is_empty(),
        detail: (!failed_tests.is_empty())
            .then(|| format!("{} hidden tests failed", failed_tests.len())),
        failed_tests,
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

fn failed_tests(swe: &SweTask, statuses: &Statuses) -> Vec<String> {
    let passes = |test: &str, skipping_allowed: bool| {
        let status = status_of(test, statuses);
        match swe.eval_type {
            EvalType::FailOnly => status != Some(Status::Failed),
            EvalType::PassAndFail => match status {
                Some(Status::Passed | Status::ExpectedFailure) => true,
                Some(Status::Skipped) => skipping_allowed,
                Some(Status::Failed | Status::Error) | None => false,
            },
        }
    };
    let fixed = swe.fail_to_pass.iter().filter(|test| !passes(test, false));
    let kept = swe.pass_to_pass.iter().filter(|test| !passes(test, true));
    fixed.chain(kept).cloned().collect()
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
        let judge = |results: &str| verdict(&task, &log(results));
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
        assert!(verdict(&task, &log("PASSED other")).resolved);
        assert!(!verdict(&task, &log("FAILED kept")).resolved);
    }

    #[test]
    fn results_count_between_the_markers_only() {
        let task = task(&["x"], &[]);
        let outside = format!("PASSED x\n{}PASSED x\n", log("FAILED x"));
        assert!(!verdict(&task, &outside).resolved);
        let forged_end = log(&format!("PASSED x\n{END}\nFAILED x"));
        assert!(!verdict(&task, &forged_end).resolved);
    }

    #[test]
    fn a_log_without_results_is_no_verdict() {
        let task = task(&["x"], &[]);
        for broken in ["", "PASSED x", &log(""), &log("collected 0 items")] {
            let grade = verdict(&task, broken);
            assert!(grade.verifier_failed && !grade.resolved, "{broken}");
        }
        let contradicted = format!("{}{EXIT_CODE} 1\n", log("PASSED x"));
        assert!(verdict(&task, &contradicted).verifier_failed);
        let agreed = format!("{}{EXIT_CODE} 0\n", log("PASSED x"));
        assert!(verdict(&task, &agreed).resolved);
    }

    #[test]
    fn names_cut_off_in_a_parameter_match_by_prefix() {
        let task = task(&["t[log(photon"], &[]);
        assert!(verdict(&task, &log("PASSED t[log(photon)]\nXFAIL t[log(photon-2)]")).resolved);
        assert!(
            !verdict(
                &task,
                &log("PASSED t[log(photon)]\nFAILED t[log(photon-2)]")
            )
            .resolved
        );
        assert!(!verdict(&task, &log("PASSED t[log]")).resolved);
    }
}
