//! What has to hold once an act of a session is over.

use timeslip_datasets::session::{Check, Session};

use crate::grade::{REWARD, Rewards, last_lines};
use crate::task::{Step, StepAttempt, Verifier, digest};
use crate::{Error, Grade, Limits, Result, Sandbox, Task, Workspace};

/// Bytes that are kept of what a check prints.
const OUTPUT_BYTES: usize = 16 * 1024;
/// Most characters of an answer that are quoted.
const QUOTED: usize = 120;

/// Tries a check on what a session has come to; why it does not hold, where it does not.
/// `said` is the text of the act's answer.
///
/// # Errors
/// The machinery failed.
pub fn check_act(
    check: &Check,
    said: &str,
    (task, step): (&Task, &Step),
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<Option<String>> {
    let matches = |pattern: &String| {
        let pattern = regex::Regex::new(pattern);
        // It was checked when the session was read.
        pattern.is_ok_and(|pattern| pattern.is_match(said))
    };
    let quoted = || -> String {
        let text: String = said.trim().chars().take(QUOTED).collect();
        format!("{text:?}")
    };
    if let Some(pattern) = check.says.as_ref().filter(|pattern| !matches(pattern)) {
        return Ok(Some(format!("{} does not match {pattern}", quoted())));
    }
    if let Some(pattern) = check.says_not.as_ref().filter(|pattern| matches(pattern)) {
        return Ok(Some(format!("{} matches {pattern}", quoted())));
    }
    let Some(command) = &check.command else {
        return Ok(None);
    };
    let limits = Limits {
        wall: step.verifier_time,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.workspace.needs.memory_mb,
    };
    let execution = sandbox.run(&workspace.invocation(command, limits))?;
    if execution.succeeded() {
        return Ok(None);
    }
    let text = execution.text();
    Ok(Some(format!("{}: {}", execution.exit, last_lines(&text))))
}

/// Judges what a session was left as by the last of its checks that runs a command: what
/// else is checked on the way is known only while it is played.
#[derive(Clone, Debug)]
pub(crate) struct LastCheck(Option<Check>);

impl LastCheck {
    pub(crate) fn of(session: &Session) -> Self {
        let checks = session
            .acts
            .iter()
            .rev()
            .filter_map(|act| act.check.as_ref());
        let command = checks.filter_map(|check| check.command.clone()).next();
        LastCheck(command.map(|command| Check {
            command: Some(command),
            ..Check::default()
        }))
    }
}

impl Verifier for LastCheck {
    fn identity(&self) -> String {
        let command = self.0.as_ref().and_then(|check| check.command.as_deref());
        digest(["last check", command.unwrap_or_default()])
    }

    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade> {
        let StepAttempt {
            task,
            step,
            workspace,
            sandbox,
        } = *attempt;
        let Some(check) = &self.0 else {
            return Err(Error::Unsupported {
                task: task.id.clone(),
                message: "has no act whose check runs a command".to_owned(),
            });
        };
        let problem = check_act(check, "", (task, step), workspace, sandbox)?;
        Ok(grade_of(&[problem]))
    }
}

/// The grade of what was checked: each entry is a check, with why it does not hold.
#[must_use]
pub fn grade_of(checks: &[Option<String>]) -> Grade {
    let passed = checks.iter().filter(|problem| problem.is_none()).count();
    let reward = match checks.len() {
        0 => 1.0,
        all => passed as f64 / all as f64,
    };
    Grade {
        resolved: passed == checks.len(),
        reward: Some(reward),
        rewards: Rewards::from([(REWARD.to_owned(), reward)]),
        detail: checks.iter().flatten().next().cloned(),
        ..Grade::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reward_is_the_share_of_checks_that_hold() {
        let grade = grade_of(&[None, Some("wrong".into()), None, None]);
        assert_eq!((grade.resolved, grade.reward), (false, Some(0.75)));
        assert_eq!(grade.detail.as_deref(), Some("wrong"));
        assert!(grade_of(&[None]).resolved);
    }
}
