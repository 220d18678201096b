//! Real coding agents, as data: which there are, how each is installed, started, and pointed
//! at a server.
//!
//! A new agent is one file below `agents/` and one line in `SHIPPED`; one of a user's own is
//! a file of the same form. `docs/agents.md` describes the format.

mod adapter;
mod layer;
mod sign_in;
mod template;

use std::path::Path;

pub use adapter::{Adapter, Control, Install, Installer, Pointing, Speaks};
pub use layer::{Layer, Layers};
pub use sign_in::{SignIn, UpstreamOf};
pub use template::{Template, Values};

use crate::error::Error;
use crate::read;

/// The name of the agent that is part of timeslip.
pub const BUILT_IN: &str = "builtin";

/// What an agent is given as its key where a proxy puts another in its place: the endpoint's
/// own is nobody else's.
pub const KEY: &str = "timeslip";

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("agents/", $name, ".toml")))),*]
    };
}

/// The adapters that come with timeslip: name and content of their files.
static SHIPPED: &[(&str, &str)] = shipped![
    "codex",
    "codex-acp",
    "claude-code",
    "claude-agent-acp",
    "opencode",
    "mini-swe-agent",
    "gemini",
    "goose",
    "qwen-code",
    "pi",
];

/// Every adapter that comes with timeslip, in the order of the table.
///
/// # Errors
/// [`Error::Config`] when a shipped file is broken.
pub fn shipped() -> Result<Vec<Adapter>, Error> {
    let files = SHIPPED.iter();
    files
        .map(|(name, text)| Adapter::parse(Path::new(&format!("agents/{name}.toml")), text))
        .collect()
}

/// The adapter of a name, or of a file; `None` for the agent that is part of timeslip.
///
/// # Errors
/// [`Error::Config`] for a name that is not known, or with file, line and field of a file that
/// is wrong.
pub fn find(name: &str) -> Result<Option<Adapter>, Error> {
    if name == BUILT_IN {
        return Ok(None);
    }
    if name.contains('/') || name.ends_with(".toml") {
        let path = Path::new(name);
        return Adapter::parse(path, &read::text(path)?).map(Some);
    }
    let known = SHIPPED.iter().map(|(name, _)| *name);
    match shipped()?.into_iter().find(|adapter| adapter.name == name) {
        Some(adapter) => Ok(Some(adapter)),
        None => Err(Error::Config {
            place: format!("agent '{name}'"),
            problem: format!(
                "is not known; known are {BUILT_IN}, {}. For one of your own name its file, such \
                 as ./{name}.toml",
                known.collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_adapter_is_whole_and_called_as_its_file() {
        let adapters = shipped().unwrap();
        let names: Vec<&str> = adapters.iter().map(|one| one.name.as_str()).collect();
        let files: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
        for adapter in adapters {
            assert!(adapter.install.is_some(), "{}", adapter.name);
            assert!(!adapter.ask_version.is_empty(), "{}", adapter.name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        assert_eq!(find("builtin").unwrap(), None);
        let error = find("codx").unwrap_err().to_string();
        insta::assert_snapshot!(error, @"agent 'codx': is not known; known are builtin, codex, codex-acp, claude-code, claude-agent-acp, opencode, mini-swe-agent, gemini, goose, qwen-code, pi. For one of your own name its file, such as ./codx.toml");
    }
}
