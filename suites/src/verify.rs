//! Whether a task can be relied on: untouched it fails, with the author's solution it
//! passes, every time.

use std::path::Path;

use timeslip_datasets::text::plural;

use crate::grade::tail;
use crate::sandbox::Scratch;
use crate::steps::{begin_step, combine, grade_step};
use crate::{Execution, Grade, Result, Sandbox, Task, Workspace, solution};

/// What trying a task came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// Untouched it failed and solved it passed, every time.
    Sound,
    /// The same attempt ended in different ways.
    Flaky(String),
    /// It cannot be solved as its author did, is solved from the start, or cannot be tried.
    Broken(String),
}

/// What trying a task came to, and what was printed where an attempt did not end as it
/// should: the first time untouched, and the first time with the solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether it can be relied on.
    pub soundness: Soundness,
    /// By the verifier, when the task was untouched.
    pub untouched_log: Option<String>,
    /// By the solution and the verifier.
    pub solved_log: Option<String>,
}

/// What is done to a task before it is graded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TriedWith {
    /// Nothing that matters.
    Nothing,
    /// What its author did.
    Solution,
}

/// How much of what a failing solution printed is told.
const TOLD: usize = 200;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AttemptEnding {
    Failed(String),
    Passed,
    /// The task came to no verdict.
    Stuck(String),
}

/// Tries a task `times` times each way. `scratch` is an existing directory; what is made
/// there is removed again.
#[must_use]
pub fn verify(task: &Task, sandbox: &Sandbox, times: u32, scratch: &Path) -> Verified {
    let attempts = |work: TriedWith| {
        let mut unexpected = None;
        let mut endings = Vec::new();
        for _ in 0..times.max(1) {
            let (ending, log) = attempt(task, sandbox, work, scratch);
            if unexpected.is_none() && !work.leads_to(&ending) {
                unexpected = Some(log);
            }
            endings.push(ending);
        }
        (endings, unexpected)
    };
    let (untouched, untouched_log) = attempts(TriedWith::Nothing);
    let (solved, solved_log) = attempts(TriedWith::Solution);
    Verified {
        soundness: judge(&untouched, &solved),
        untouched_log,
        solved_log,
    }
}

impl TriedWith {
    /// Whether an attempt at a sound task ends like this.
    fn leads_to(self, ending: &AttemptEnding) -> bool {
        match self {
            TriedWith::Nothing => matches!(ending, AttemptEnding::Failed(_)),
            TriedWith::Solution => *ending == AttemptEnding::Passed,
        }
    }
}

fn judge(untouched: &[AttemptEnding], solved: &[AttemptEnding]) -> Soundness {
    let mut problems = Vec::new();
    let mut flaky = false;
    let passes = |endings: &[AttemptEnding]| {
        let passed = endings
            .iter()
            .filter(|ending| **ending == AttemptEnding::Passed);
        passed.count()
    };
    let stuck = |endings: &[AttemptEnding]| {
        let first = endings.iter().find_map(|ending| match ending {
            AttemptEnding::Stuck(why) => Some(why.clone()),
            _ => None,
        });
        let count = endings
            .iter()
            .filter(|e| matches!(e, AttemptEnding::Stuck(_)))
            .count();
        first.map(|why| (count, why))
    };
    let (tries, passed) = (untouched.len(), passes(untouched));
    if passed > 0 {
        flaky |= passed < tries;
        problems.push(format!(
            "passed untouched {passed} of {}",
            plural(tries, "time")
        ));
    }
    if let Some((count, why)) = stuck(untouched) {
        flaky |= count < tries;
        problems.push(format!(
            "untouched, no verdict {count} of {}: {why}",
            plural(tries, "time")
        ));
    }
    let (tries, passed) = (solved.len(), passes(solved));
    if passed < tries {
        flaky |= passed > 0;
        let why = solved.iter().find_map(|ending| match ending {
            AttemptEnding::Failed(why) | AttemptEnding::Stuck(why) => Some(why.as_str()),
            AttemptEnding::Passed => None,
        });
        let why = why.unwrap_or_default();
        problems.push(format!(
            "with its solution, passed {passed} of {}: {why}",
            plural(tries, "time")
        ));
    }
    match (problems.is_empty(), flaky) {
        (true, _) => Soundness::Sound,
        (false, true) => Soundness::Flaky(problems.join("; ")),
        (false, false) => Soundness::Broken(problems.join("; ")),
    }
}

/// How one attempt ended, and what was printed.
fn attempt(
    task: &Task,
    sandbox: &Sandbox,
    work: TriedWith,
    scratch: &Path,
) -> (AttemptEnding, String) {
    let mut log = String::new();
    let ending = match graded(task, sandbox, work, scratch, &mut log) {
        Err(error) => AttemptEnding::Stuck(error.to_string()),
        Ok(Err(why)) => AttemptEnding::Stuck(why),
        Ok(Ok(grade)) if grade.resolved => AttemptEnding::Passed,
        Ok(Ok(grade)) => {
            let why = grade.detail.unwrap_or_default();
            match grade.verifier_failed {
                true => AttemptEnding::Stuck(why),
                false => AttemptEnding::Failed(why),
            }
        }
    };
    (ending, log)
}

fn graded(
    task: &Task,
    sandbox: &Sandbox,
    work: TriedWith,
    scratch: &Path,
    log: &mut String,
) -> Result<Result<Grade, String>> {
    let place = Scratch::within(scratch, "try-")?;
    let workspace = Workspace::prepare(&task.workspace, sandbox, &place.path().join("trial"))?;
    let (mut grades, mut failures) = (Vec::new(), Vec::new());
    for step in 0..task.steps.len() {
        match begin_step(task, step, &workspace, sandbox) {
            // The step before left nothing to go on with.
            Err(_) if work == TriedWith::Nothing && step > 0 => break,
            result => result?,
        }
        if work == TriedWith::Nothing {
            leave_a_note(task, &workspace);
        } else {
            match solution::solve(task, step, &workspace, sandbox)? {
                None => return Ok(Err("has no solution to try".to_owned())),
                Some(execution) => {
                    log.push_str(&execution.text());
                    failures.extend(failure(&execution));
                }
            }
        }
        let grade = grade_step(task, step, &workspace, sandbox)?;
        log.push_str(&grade.grade.log);
        let go_on = grade.go_on;
        grades.push(grade);
        if !go_on {
            break;
        }
    }
    let mut grade = combine(task, grades);
    if let Some(detail) = &mut grade.detail {
        // What came first says more.
        failures.push(std::mem::take(detail));
        *detail = failures.join("; ");
    }
    Ok(Ok(grade))
}

/// How a solution failed, if it did. What it was to do may be done all the same.
fn failure(execution: &Execution) -> Option<String> {
    if execution.succeeded() {
        return None;
    }
    let text = execution.text();
    let last = tail(text.trim_end(), TOLD);
    Some(format!("its solution {}: {last}", execution.exit))
}

/// A change without a meaning: a repository that was not changed at all is not even
/// tested.
fn leave_a_note(task: &Task, workspace: &Workspace) {
    if task.gold_patch().is_some() {
        // Should it fail, the task fails for having no change, as it should.
        let _ = workspace.write("note-of-verify.txt", None, b"nothing was changed\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endings(text: &str) -> Vec<AttemptEnding> {
        let ending = |letter| match letter {
            'p' => AttemptEnding::Passed,
            'f' => AttemptEnding::Failed("a reason".to_owned()),
            _ => AttemptEnding::Stuck("stuck".to_owned()),
        };
        text.chars().map(ending).collect()
    }

    #[test]
    fn only_the_same_right_ending_every_time_is_sound() {
        let judged = |untouched: &str, solved: &str| judge(&endings(untouched), &endings(solved));
        assert_eq!(judged("ff", "pp"), Soundness::Sound);
        let broken = |why: &str| Soundness::Broken(why.to_owned());
        let flaky = |why: &str| Soundness::Flaky(why.to_owned());
        assert_eq!(judged("pp", "pp"), broken("passed untouched 2 of 2 times"));
        assert_eq!(
            judged("ff", "ff"),
            broken("with its solution, passed 0 of 2 times: a reason")
        );
        assert_eq!(
            judged("ff", "pf"),
            flaky("with its solution, passed 1 of 2 times: a reason")
        );
        assert_eq!(judged("fp", "pp"), flaky("passed untouched 1 of 2 times"));
        assert_eq!(
            judged("ss", "pp"),
            broken("untouched, no verdict 2 of 2 times: stuck")
        );
        assert_eq!(
            judged("s", "s"),
            broken(
                "untouched, no verdict 1 of 1 time: stuck; with its solution, passed 0 of 1 time: stuck"
            )
        );
    }
}
