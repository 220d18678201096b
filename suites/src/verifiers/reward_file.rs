//! The reward that a test script leaves in a file.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::grade::{REWARD, Rewards};
use crate::path_guard::{self, PathRefusal};

const REWARD_BYTES: u64 = 64 * 1024;

/// Most characters of a name or text that are quoted.
const SHOWN: usize = 60;

/// The file with rewards by name, and the one with a bare number.
pub(super) const FILES: [&str; 2] = ["reward.json", "reward.txt"];

/// The rewards below `logs`: `reward.json` beats `reward.txt`, and the exit code
/// of the script says nothing. Where both are there and the tests name but one of them,
/// the other was written by what they test.
pub(super) fn rewards(logs: &Path, names: impl Fn(&str) -> bool) -> Result<Rewards, String> {
    let there = |name: &str| fs::symlink_metadata(logs.join("verifier").join(name)).is_ok();
    let both = FILES.iter().all(|name| there(name));
    let forged = both && names(FILES[1]) && !names(FILES[0]);
    let read = |name: &str| match path_guard::read(
        logs,
        &Path::new("verifier").join(name),
        REWARD_BYTES,
    ) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(PathRefusal::Missing) => Ok(None),
        Err(refusal) => Err(format!("/logs/verifier/{name} {refusal}")),
    };
    let json = match forged {
        true => None,
        false => read(FILES[0])?,
    };
    let (name, rewards) = if let Some(text) = json {
        (FILES[0], json_rewards(&text))
    } else if let Some(text) = read(FILES[1])? {
        (FILES[1], text_reward(&text))
    } else {
        return Err("the verifier wrote neither reward.json nor reward.txt".to_owned());
    };
    rewards.map_err(|why| format!("/logs/verifier/{name} {why}"))
}

fn text_reward(text: &str) -> Result<Rewards, String> {
    let number = text
        .trim()
        .parse()
        .ok()
        .filter(|reward: &f64| reward.is_finite());
    number.map(one).ok_or_else(|| {
        let text: String = text.trim().chars().take(SHOWN).collect();
        format!("holds {text:?}, which is no number")
    })
}

fn one(reward: f64) -> Rewards {
    Rewards::from([(REWARD.to_owned(), reward)])
}

/// A bare number, or numbers by name; where one is named `reward` it alone decides, and
/// what else there is may be anything.
fn json_rewards(text: &str) -> Result<Rewards, String> {
    let found = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    let entries = match found {
        Value::Object(entries) if entries.is_empty() => return Err("holds no reward".to_owned()),
        Value::Object(entries) => entries,
        other => return number("its content", &other).map(one),
    };
    let decides = entries
        .get(REWARD)
        .is_some_and(|reward| number(REWARD, reward).is_ok());
    let mut rewards = Rewards::new();
    for (name, value) in &entries {
        match number(name, value) {
            Ok(reward) => drop(rewards.insert(name.clone(), reward)),
            Err(_) if decides => {}
            Err(why) => return Err(why),
        }
    }
    Ok(rewards)
}

fn number(name: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "too large a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let name: String = name.chars().take(SHOWN).collect();
        format!("gives {kind} for {name:?}, which has to be a number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::{shown, single, solves};
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
        rewards(logs(files).path(), |_| true).map(|rewards| single(&rewards).unwrap())
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
    fn a_file_that_no_test_names_beats_none_that_one_does() {
        let files = [("reward.txt", "0"), ("reward.json", "1")];
        let read = |known: &str| {
            let rewards = rewards(logs(&files).path(), |name| known.contains(name)).unwrap();
            single(&rewards)
        };
        assert_eq!(read("reward.txt"), Some(0.0));
        assert_eq!(read("reward.json"), Some(1.0));
        assert_eq!(read("reward.txt reward.json"), Some(1.0));
        assert_eq!(read(""), Some(1.0));
    }

    #[test]
    fn of_several_rewards_all_have_to_be_earned_unless_one_sums_them_up() {
        let read = |json: &str| rewards(logs(&[("reward.json", json)]).path(), |_| true).unwrap();
        let parts = read(r#"{"right": 1, "fast": 0.5}"#);
        assert_eq!((single(&parts), solves(&parts, 1.0)), (Some(0.75), false));
        assert_eq!(shown(&parts), "fast 0.5, right 1");
        assert!(solves(&read(r#"{"right": 1, "fast": 1.0}"#), 1.0));
        let summed = read(r#"{"right": 0, "reward": 1}"#);
        assert_eq!((single(&summed), solves(&summed, 1.0)), (Some(1.0), true));
        assert!(solves(&parts, 0.5));
    }

    #[test]
    fn a_reward_of_that_name_alone_decides() {
        let parts = r#"{"reward": 1, "parts": {"a": 1}, "note": "x", "time": 3}"#;
        let rewards = rewards(logs(&[("reward.json", parts)]).path(), |_| true).unwrap();
        let kept = [("reward".to_owned(), 1.0), ("time".to_owned(), 3.0)];
        assert_eq!(rewards, Rewards::from(kept));
    }

    #[test]
    fn what_is_no_reward_is_no_verdict() {
        insta::assert_snapshot!(read(&[]).unwrap_err(), @"the verifier wrote neither reward.json nor reward.txt");
        insta::assert_snapshot!(read(&[("reward.txt", "yes")]).unwrap_err(), @r#"/logs/verifier/reward.txt holds "yes", which is no number"#);
        insta::assert_snapshot!(read(&[("reward.txt", "inf")]).unwrap_err(), @r#"/logs/verifier/reward.txt holds "inf", which is no number"#);
        insta::assert_snapshot!(read(&[("reward.txt", "1"), ("reward.json", r#"{"a":1,"b":"x"}"#)]).unwrap_err(), @r#"/logs/verifier/reward.json gives a text for "b", which has to be a number"#);
        let long = "1".repeat(REWARD_BYTES as usize + 1);
        insta::assert_snapshot!(read(&[("reward.txt", &long)]).unwrap_err(), @"/logs/verifier/reward.txt is larger than 65536 bytes");
    }

    #[test]
    fn links_are_not_followed() {
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "1").unwrap();
        let logs = logs(&[]);
        symlink(elsewhere.path(), logs.path().join("verifier/reward.txt")).unwrap();
        insta::assert_snapshot!(rewards(logs.path(), |_| true).unwrap_err(), @"/logs/verifier/reward.txt goes through a symbolic link; use the path the link points to");
    }
}
