//! Harbor: the task's own test script leaves a reward.

use std::fs;
use std::path::Path;

use serde_json::Value;
use timeslip_datasets::harbor::HarborTask;

use super::{Grade, last_lines};
use crate::beneath::{self, Refusal};
use crate::sandbox::TMP;
use crate::workspace::mount;
use crate::{Error, Exit, Limits, Result, Sandbox, Workspace};

const OUTPUT_BYTES: usize = 1024 * 1024;
const REWARD_BYTES: u64 = 64 * 1024;

/// A reward from here on counts as solved.
const SOLVED: f64 = 1.0;

pub(super) fn grade(task: &HarborTask, workspace: &Workspace, sandbox: &Sandbox) -> Result<Grade> {
    let place = tempfile::tempdir_in(workspace.directory()).map_err(Error::io(
        "cannot create a directory",
        workspace.directory(),
    ))?;
    let (logs, tmp) = (place.path().join("logs"), place.path().join("tmp"));
    for new in [&logs.join("verifier"), &tmp] {
        fs::create_dir_all(new).map_err(Error::io("cannot be created", new))?;
    }
    let limits = Limits {
        wall: task.verifier_timeout,
        output_bytes: OUTPUT_BYTES,
        memory_mb: task.memory_mb,
    };
    let mut invocation = workspace.invocation("bash /tests/test.sh", limits);
    // A scratch directory the agent has not prepared: it is the home directory too.
    invocation.mounts.retain(|mount| mount.inside != TMP);
    invocation.mounts.extend([
        mount(&tmp, TMP, true),
        mount(&task.tests, "/tests", false),
        mount(&logs, "/logs", true),
    ]);
    let execution = sandbox.run(&invocation)?;
    if execution.exit == Exit::TimedOut {
        return Ok(Grade::no_verdict(format!(
            "the verifier took longer than {} s",
            task.verifier_timeout.as_secs_f64()
        )));
    }
    let output = execution.text();
    Ok(match reward(&logs) {
        Ok(reward) => Grade {
            resolved: reward >= SOLVED,
            reward: Some(reward),
            detail: (reward < SOLVED).then(|| format!("reward {reward}: {}", last_lines(&output))),
            ..Grade::default()
        },
        Err(why) => Grade::no_verdict(format!("{why}: {}", last_lines(&output))),
    })
}

/// The reward below `logs`: `reward.json` beats `reward.txt`, and the exit code
/// of the script says nothing.
fn reward(logs: &Path) -> Result<f64, String> {
    let read =
        |name: &str| match beneath::read(logs, &Path::new("verifier").join(name), REWARD_BYTES) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(format!("/logs/verifier/{name} {refusal}")),
        };
    let (name, number) = if let Some(text) = read("reward.json")? {
        ("reward.json", json_reward(&text))
    } else if let Some(text) = read("reward.txt")? {
        ("reward.txt", text.trim().parse().ok())
    } else {
        return Err("the verifier wrote neither reward.json nor reward.txt".to_owned());
    };
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("/logs/verifier/{name} holds no reward"))
}

/// A bare number, `{"reward": 1.0}`, or a single entry of another name.
fn json_reward(text: &str) -> Option<f64> {
    match serde_json::from_str(text).ok()? {
        Value::Number(number) => number.as_f64(),
        Value::Object(entries) => match entries.get("reward") {
            Some(reward) => reward.as_f64(),
            None if entries.len() == 1 => entries.values().next()?.as_f64(),
            None => None,
        },
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
        reward(logs(files).path())
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
    fn what_is_no_reward_is_no_verdict() {
        insta::assert_snapshot!(read(&[]).unwrap_err(), @"the verifier wrote neither reward.json nor reward.txt");
        insta::assert_snapshot!(read(&[("reward.txt", "yes")]).unwrap_err(), @"/logs/verifier/reward.txt holds no reward");
        insta::assert_snapshot!(read(&[("reward.txt", "inf")]).unwrap_err(), @"/logs/verifier/reward.txt holds no reward");
        insta::assert_snapshot!(read(&[("reward.txt", "1"), ("reward.json", r#"{"a":1,"b":1}"#)]).unwrap_err(), @"/logs/verifier/reward.json holds no reward");
        let long = "1".repeat(REWARD_BYTES as usize + 1);
        insta::assert_snapshot!(read(&[("reward.txt", &long)]).unwrap_err(), @"/logs/verifier/reward.txt is larger than 65536 bytes");
    }

    #[test]
    fn links_are_not_followed() {
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "1").unwrap();
        let logs = logs(&[]);
        symlink(elsewhere.path(), logs.path().join("verifier/reward.txt")).unwrap();
        insta::assert_snapshot!(reward(logs.path()).unwrap_err(), @"/logs/verifier/reward.txt goes through a symbolic link; use the path the link points to");
    }
}
