//! The reward that a test script leaves in a file.

use std::path::Path;

use serde_json::Value;

use crate::grade::{REWARD, Rewards};
use crate::path_guard::{self, PathRefusal};

const REWARD_BYTES: u64 = 64 * 1024;

/// The rewards below `logs`: `reward.json` beats `reward.txt`, and the exit code
/// of the script says nothing.
pub(super) fn rewards(logs: &Path) -> Result<Rewards, String> {
    let read = |name: &str| match path_guard::read(
        logs,
        &Path::new("verifier").join(name),
        REWARD_BYTES,
    ) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(PathRefusal::Missing) => Ok(None),
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
    use crate::grade::{shown, single, solves};
    use std::fs;
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
