//! A client's own sign-in: where it asks by itself, and how it is pointed at a proxy that
//! passes its credentials on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::Template;

/// Longest file that is looked into.
const MAX_FILE: u64 = 1 << 20;

/// How a client is recorded with the sign-in that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The wire protocol.
    pub protocol: String,
    /// The variable that names the folder of its files.
    #[serde(default)]
    pub folder_variable: String,
    /// That folder below the home directory, where the variable is not set.
    #[serde(default)]
    pub folder: PathBuf,
    /// Where it asks: the first whose condition holds.
    pub upstreams: Vec<UpstreamOf>,
    /// Arguments that follow the program's name.
    #[serde(default)]
    pub arguments: Vec<Template>,
    /// Variables.
    #[serde(default)]
    pub environment: BTreeMap<String, Template>,
}

/// Where a client asks, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamOf {
    /// The base URL.
    pub url: String,
    /// Only where this JSON file of the folder has `field`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The field, which is neither null nor empty.
    #[serde(default)]
    pub field: String,
}

impl SignIn {
    /// Where the client asks as it is signed in; `variable` reads the environment.
    #[must_use]
    pub fn upstream(&self, variable: impl Fn(&str) -> Option<String>) -> Option<&str> {
        let named = variable(&self.folder_variable).filter(|folder| !folder.is_empty());
        let folder = named.map_or_else(
            || Path::new(&variable("HOME").unwrap_or_default()).join(&self.folder),
            PathBuf::from,
        );
        let holds = |upstream: &&UpstreamOf| match &upstream.file {
            Some(file) => has_field(&folder.join(file), &upstream.field),
            None => true,
        };
        let upstream = self.upstreams.iter().find(holds)?;
        Some(&upstream.url)
    }
}

/// Whether a JSON file has a field with something in it. What is in it goes nowhere.
fn has_field(file: &Path, field: &str) -> bool {
    let is_short =
        std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() <= MAX_FILE);
    let text = is_short.then(|| std::fs::read(file).ok()).flatten();
    let value = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    value.is_some_and(|value| match &value[field] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents;

    #[test]
    fn the_upstream_follows_from_how_a_client_is_signed_in() {
        let codex = agents::find("codex").unwrap().unwrap();
        let sign_in = codex.sign_in.unwrap();
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".codex");
        std::fs::create_dir(&folder).unwrap();
        let upstream = |variable: &str, value: &Path| {
            let value = value.to_str().unwrap().to_owned();
            let url = sign_in.upstream(|name| (name == variable).then(|| value.clone()));
            url.unwrap().to_owned()
        };
        let (plan, key) = (
            "https://chatgpt.com/backend-api/codex",
            "https://api.openai.com/v1",
        );
        assert_eq!(upstream("HOME", home.path()), key);
        for (auth, expected) in [
            (r#"{"OPENAI_API_KEY":"k","tokens":null}"#, key),
            (r#"{"tokens":{"access_token":"t"}}"#, plan),
            ("no JSON", key),
        ] {
            std::fs::write(folder.join("auth.json"), auth).unwrap();
            assert_eq!(upstream("HOME", home.path()), expected, "{auth}");
            assert_eq!(upstream("CODEX_HOME", &folder), expected, "{auth}");
        }
    }
}
