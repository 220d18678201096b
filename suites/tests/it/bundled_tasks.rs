//! Every bundled task is honest: untouched it fails, the reference solution
//! passes, and its recordings end as they say.

use crate::support::{LIMITS, backend, edit, sandbox};
use timeslip_datasets::atif::{ToolCall, Trajectory};
use timeslip_suites::{Grade, Sandbox, Suite, SuiteFile, Task, Workspace, grade, solution};

/// Prepares a workspace, lets `work` at it, and grades the result.
fn attempt(task: &Task, sandbox: &Sandbox, work: impl FnOnce(&Workspace)) -> Grade {
    let scratch = tempfile::tempdir().unwrap();
    let workspace =
        Workspace::prepare(&task.workspace, sandbox, &scratch.path().join("trial")).unwrap();
    work(&workspace);
    grade(task, &workspace, sandbox).unwrap()
}

/// Changes nothing that matters, so that SWE-bench tasks have a patch to grade.
fn leave_a_note(workspace: &Workspace) {
    edit(workspace, "note-of-a-test.txt", "", "seen\n").unwrap();
}

fn solve_with_reference(task: &Task, workspace: &Workspace, sandbox: &Sandbox) {
    let execution = solution::solve(task, 0, workspace, sandbox).unwrap();
    let execution = execution.expect("has a solution");
    assert!(execution.succeeded(), "{}: {}", task.id, execution.text());
}

/// Does what a recording does, as the agent loop would.
fn replay(task: &Task, recording: &Trajectory, workspace: &Workspace, sandbox: &Sandbox) {
    let mut submitted = false;
    for step in recording.agent_steps() {
        for call in step.tool_calls {
            assert!(!submitted, "{}: a call after submit", task.id);
            submitted = call.function_name == "submit";
            replay_call(task, call, workspace, sandbox);
        }
    }
    assert!(submitted, "{}: never submits", task.id);
}

fn replay_call(task: &Task, call: &ToolCall, workspace: &Workspace, sandbox: &Sandbox) {
    let argument = |name: &str| {
        call.arguments
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_else(|| panic!("{}: {} has no {name}", task.id, call.tool_call_id))
    };
    match call.function_name.as_str() {
        "shell" => {
            let invocation = workspace.invocation(argument("command"), LIMITS);
            let execution = sandbox.run(&invocation).unwrap();
            assert!(execution.command_started <= execution.command_ended);
        }
        "edit_file" => {
            let (path, old, new) = (argument("path"), argument("old_text"), argument("new_text"));
            if let Err(error) = edit(workspace, path, old, new) {
                panic!("{}: {}: {error}", task.id, call.tool_call_id);
            }
        }
        "submit" => {
            argument("summary");
        }
        other => panic!("{}: unknown tool {other}", task.id),
    }
}

/// What is wrong with a task, empty if nothing is.
fn complaints(task: &Task, sandbox: &Sandbox) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut expect = |what: &str, resolved: bool, grade: &Grade| {
        if grade.resolved != resolved || grade.verifier_failed {
            complaints.push(format!("{}: {what}: {grade:?}", task.id));
        }
    };
    let untouched = attempt(task, sandbox, leave_a_note);
    expect("untouched", false, &untouched);
    let reference = attempt(task, sandbox, |workspace| {
        solve_with_reference(task, workspace, sandbox);
    });
    expect("reference", true, &reference);
    let recordings = task.steps[0].recordings().unwrap();
    for recording in &recordings {
        let resolves = recording.resolves().expect("extra.resolves is set");
        let name = recording.session_id.as_deref().unwrap_or_default();
        let replayed = attempt(task, sandbox, |workspace| {
            replay(task, recording, workspace, sandbox);
        });
        expect(name, resolves, &replayed);
    }
    let report = untouched.report.as_deref();
    if let Some(tests) = report.and_then(|report| report.tests_status.as_ref())
        && !(tests.fail_to_pass.success.is_empty() && tests.pass_to_pass.failure.is_empty())
    {
        complaints.push(format!(
            "{}: before the fix {:?} fail, not just FAIL_TO_PASS",
            task.id, untouched.failed_tests
        ));
    }
    let mut outcomes: Vec<_> = recordings.iter().filter_map(Trajectory::resolves).collect();
    outcomes.sort_unstable();
    if outcomes != [false, true] {
        complaints.push(format!(
            "{}: needs one recording that solves it and one that fails, has {outcomes:?}",
            task.id
        ));
    }
    complaints
}

fn check_suite(name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let suite = Suite::load(&SuiteFile::shipped(name).unwrap(), scratch.path()).unwrap();
    let sandbox = sandbox();
    let complaints: Vec<String> = suite
        .tasks
        .iter()
        .flat_map(|task| complaints(task, &sandbox))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn swe_mini_is_honest() {
    check_suite("swe-mini");
}

#[test]
fn terminal_mini_is_honest() {
    check_suite("terminal-mini");
}

/// The unprotected backend gives the same verdicts where paths are plain.
#[test]
fn solutions_also_pass_without_bubblewrap() {
    let sandbox = Sandbox::new(backend("process")).unwrap();
    for name in SuiteFile::SHIPPED {
        let scratch = tempfile::tempdir().unwrap();
        let suite = Suite::load(&SuiteFile::shipped(name).unwrap(), scratch.path()).unwrap();
        for task in &suite.tasks {
            let grade = attempt(task, &sandbox, |workspace| {
                solve_with_reference(task, workspace, &sandbox);
            });
            assert!(grade.resolved, "{}: {grade:?}", task.id);
        }
    }
}

/// A session has no recordings to replay: what its file says leads to where its last check
/// holds, and what it begins with does not.
#[test]
fn edit_mini_is_honest() {
    let scratch = tempfile::tempdir().unwrap();
    let suite = Suite::load(&SuiteFile::shipped("edit-mini").unwrap(), scratch.path()).unwrap();
    assert!(suite.tasks.len() >= 20, "{}", suite.tasks.len());
    let sandbox = sandbox();
    let mut complaints = Vec::new();
    for task in &suite.tasks {
        let untouched = attempt(task, &sandbox, |_| {});
        let solved = attempt(task, &sandbox, |workspace| {
            solve_with_reference(task, workspace, &sandbox);
        });
        let session = task.steps[0].session.as_ref().unwrap();
        let fails = session.acts.iter().any(|act| !act.wrong.is_empty());
        if untouched.resolved || !solved.resolved || !fails {
            complaints.push(format!("{}: {untouched:?} {solved:?} {fails}", task.id));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
