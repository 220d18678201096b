//! Harbor and Terminal-Bench 1: the task's own test script leaves a reward, or prints
//! what pytest found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use timeslip_datasets::harbor::{HarborTask, Verdict};

use super::{Grade, REWARD, infrastructure, last_lines, pytest_summary, separate, single, solves};
use crate::beneath::{self, Refusal};
use crate::sandbox::{TMP, copy};
use crate::steps::{StepGrade, lay_out_tests, reaches};
use crate::workspace::{ARTIFACTS, LOGS, mount, open_to_all};
use crate::{Error, Exit, Limits, Result, Sandbox, Task, Workspace};

const OUTPUT_BYTES: usize = 1024 * 1024;
const REWARD_BYTES: u64 = 64 * 1024;

type Rewards = BTreeMap<String, f64>;

pub(super) fn grade(
    task: &Task,
    harbor: &HarborTask,
    step: usize,
    workspace: &Workspace,
    sandbox: &Sandbox,
) -> Result<StepGrade> {
    let failed = |message: String| Error::Prepare {
        task: task.id.clone(),
        message,
    };
    let own = harbor
        .steps
        .get(step)
        .ok_or_else(|| failed(format!("has no step {step}")))?;
    let place = tempfile::tempdir_in(workspace.directory()).map_err(Error::io(
        "cannot create a directory",
        workspace.directory(),
    ))?;
    let here = |name: &str| place.path().join(name);
    let (logs, tmp, tests) = (here("logs"), here("tmp"), here("tests"));
    for new in [&logs.join("verifier"), &logs.join(ARTIFACTS), &tmp, &tests] {
        fs::create_dir_all(new).map_err(Error::io("cannot be created", new))?;
        if workspace.in_container() {
            // Whoever the verifier is there.
            open_to_all(new)?;
        }
    }
    let fresh = if own.verifier.separate {
        match separate::prepare(task, &own.verifier, workspace, sandbox, &here("separate"))? {
            Ok(fresh) => Some(fresh),
            Err(why) => return Ok(judged(Grade::no_verdict(why), Rewards::new(), false)),
        }
    } else {
        None
    };
    let limits = Limits {
        wall: own.verifier.timeout,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    let command = format!("bash /tests/{}", own.verifier.script);
    let judged_in = fresh.as_ref().unwrap_or(workspace);
    let user = own.verifier.user.as_deref();
    let mut invocation = judged_in.by(user, judged_in.invocation(&command, limits));
    // A scratch directory the agent has not prepared: it is the home directory too.
    invocation
        .mounts
        .retain(|mount| mount.inside != TMP && mount.inside != LOGS);
    let writable = task.grader.writable_tests;
    let tests = match &own.verifier.tests[..] {
        [single] if single.is_dir() && !writable => single,
        [single] if single.is_dir() => {
            copy(single, &tests)?;
            &tests
        }
        several => {
            lay_out_tests(several, &tests)
                .map_err(|(path, refusal)| failed(format!("{path} {refusal}")))?;
            &tests
        }
    };
    invocation
        .mounts
        .extend([mount(&tmp, TMP, true), mount(&logs, LOGS, true)]);
    if own.verifier.image.is_none() {
        invocation.mounts.push(mount(tests, "/tests", writable));
    }
    if let Some(artifacts) = workspace.artifacts() {
        let inside = format!("{LOGS}/{ARTIFACTS}");
        invocation.mounts.push(mount(&artifacts, &inside, true));
    }
    let variables = own.verifier.env.iter();
    invocation
        .environment
        .extend(variables.map(|(name, value)| (name.clone(), value.clone())));
    let execution = sandbox.run(&invocation)?;
    let output = execution.text();
    let verdict = if execution.exit == Exit::TimedOut {
        let seconds = own.verifier.timeout.as_secs_f64();
        Err(format!("the verifier took longer than {seconds} s"))
    } else {
        match own.verifier.verdict {
            Verdict::RewardFile => rewards(&logs).map(|rewards| (rewards, Vec::new())),
            Verdict::PytestSummary => pytest_summary::failures(&output)
                .map(|failed| {
                    let reward = if failed.is_empty() { 1.0 } else { 0.0 };
                    (Rewards::from([(REWARD.to_owned(), reward)]), failed)
                })
                .map_err(str::to_owned),
        }
        .map_err(|why| format!("{why}: {}", last_lines(&output)))
    };
    Ok(match verdict {
        Ok((rewards, failed_tests)) => {
            let go_on = reaches(&rewards, &own.min_reward);
            let resolved = solves(&rewards, task.grader.solved_at());
            let grade = Grade {
                resolved,
                infrastructure: infrastructure::find(&output).filter(|_| !resolved),
                reward: single(&rewards),
                detail: (!resolved)
                    .then(|| format!("reward {}: {}", shown(&rewards), last_lines(&output))),
                failed_tests,
                ..Grade::default()
            };
            judged(grade, rewards, go_on)
        }
        Err(why) => judged(Grade::no_verdict(why), Rewards::new(), false),
    })
}

fn judged(grade: Grade, rewards: Rewards, go_on: bool) -> StepGrade {
    StepGrade {
        grade,
        rewards,
        go_on,
    }
}

/// `0.5`, or each of several by its name.
fn shown(rewards: &Rewards) -> String {
    match rewards.get(REWARD) {
        Some(reward) if rewards.len() == 1 => reward.to_string(),
        _ => {
            let each = rewards.iter();
            let each: Vec<String> = each
                .map(|(name, reward)| format!("{name} {reward}"))
                .collect();
            each.join(", ")
        }
    }
}

/// The rewards below `logs`: `reward.json` beats `reward.txt`, and the exit code
/// of the script says nothing.
fn rewards(logs: &Path) -> Result<Rewards, String> {
    let read =
        |name: &str| match beneath::read(logs, &Path::new("verifier").join(name), REWARD_BYTES) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(format!("/logs/verifier/{name} {refusal}")),
        };
    let (name, rewards) = if let Some(text) = read("reward.json")? {
        ("reward.json", json_rewards(&text))
    } else if let Some(text) = read("reward.txt")? {
        ("reward.txt", text.trim().parse().ok().map(one))
    } else {
        return Err("the verifier wrote neither reward.json nor reward.txt".to_owned());
    };
    rewards
        .filter(|rewards| !rewards.is_empty() && rewards.values().all(|reward| reward.is_finite()))
        .ok_or_else(|| format!("/logs/verifier/{name} holds no reward"))
}

fn one(reward: f64) -> Rewards {
    Rewards::from([(REWARD.to_owned(), reward)])
}

/// A bare number, or numbers by name.
fn json_rewards(text: &str) -> Option<Rewards> {
    match serde_json::from_str(text).ok()? {
        Value::Number(number) => Some(one(number.as_f64()?)),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(name, reward)| Some((name, reward.as_f64()?)))
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn logs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let logs = tempfile::tempdir().unwrap();
        fs::create_dir(logs.path().join("verifier")).unwrap();
        for (name, content) in files {
            fs::write(logs.path().join("verifier").join(name), content).unwrap();
        }
        logs
    }

    fn read(files: &[(&str, &str)]) -> Result<f64, String> {
        rewards(logs(files).path()).map(|rewards| single(&rewards).unwrap())
    }

    #[test]
    fn json_beats_text() {
        assert_eq!(read(&[("reward.txt", " 1\n")]), Ok(1.0));
        assert_eq!(
            read(&[("reward.txt", "1"), ("reward.json", r#"{"reward": 0.5}"#)]),
            Ok(0.5)
        );
        assert_eq!(read(&[("reward.json", r#"{"accuracy": 1}"#)]), Ok(1.0));
        assert_eq!(read(&[("reward.json", "0")]), Ok(0.0));
    }

    #[test]
    fn of_several_rewards_all_have_to_be_earned_unless_one_sums_them_up() {
        let read = |json: &str| rewards(logs(&[("reward.json", json)]).path()).unwrap();
        let parts = read(r#"{"right": 1, "fast": 0.5}"#);
        assert_eq!((single(&parts), solves(&parts, 1.0)), (Some(0.75), false));
        assert_eq!(shown(&parts), "fast 0.5, right 1");
        assert!(solves(&read(r#"{"right": 1, "fast": 1.0}"#), 1.0));
        let summed = read(r#"{"right": 0, "reward": 1}"#);
        assert_eq!((single(&summed), solves(&summed, 1.0)), (Some(1.0), true));
        assert!(solves(&parts, 0.5));
    }

    #[test]
    fn what_is_no_reward_is_no_verdict() {
        insta::assert_snapshot!(read(&[]).unwrap_err(), @"the verifier wrote neither reward.json nor reward.txt");
        insta::assert_snapshot!(read(&[("reward.txt", "yes")]).unwrap_err(), @"/logs/verifier/reward.txt holds no reward");
        insta::assert_snapshot!(read(&[("reward.txt", "inf")]).unwrap_err(), @"/logs/verifier/reward.txt holds no reward");
        insta::assert_snapshot!(read(&[("reward.txt", "1"), ("reward.json", r#"{"a":1,"b":"x"}"#)]).unwrap_err(), @"/logs/verifier/reward.json holds no reward");
        let long = "1".repeat(REWARD_BYTES as usize + 1);
        insta::assert_snapshot!(read(&[("reward.txt", &long)]).unwrap_err(), @"/logs/verifier/reward.txt is larger than 65536 bytes");
    }

    #[test]
    fn links_are_not_followed() {
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "1").unwrap();
        let logs = logs(&[]);
        symlink(elsewhere.path(), logs.path().join("verifier/reward.txt")).unwrap();
        insta::assert_snapshot!(rewards(logs.path()).unwrap_err(), @"/logs/verifier/reward.txt goes through a symbolic link; use the path the link points to");
    }
}
