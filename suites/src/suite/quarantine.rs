//! Tasks that cannot be relied on, listed in a file.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::read_bounded;
use crate::{Error, Result};

/// One task that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Its id.
    pub task: String,
    /// What is wrong with it.
    pub why: String,
    /// When that was found.
    #[serde(default)]
    pub when: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuarantineList {
    #[serde(default)]
    quarantined: Vec<Quarantined>,
}

/// What is at the top of a file that is written.
const HEADING: &str =
    "# Tasks that cannot be relied on. A suite names this file as `quarantine`.\n\n";

impl Quarantined {
    /// Reads a quarantine file.
    pub fn read(file: &Path) -> Result<Vec<Self>> {
        let text = read_bounded(file)?;
        let list: QuarantineList = toml::from_str(&text).map_err(|error| Error::SuiteFile {
            file: file.display().to_string(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        Ok(list.quarantined)
    }

    /// Writes what was found out about the tasks `tried`; what the file says of others
    /// stays.
    pub fn update(file: &Path, tried: &BTreeSet<&str>, found: Vec<Self>) -> Result<()> {
        let mut quarantined = match file.exists() {
            true => Self::read(file)?,
            false => Vec::new(),
        };
        quarantined.retain(|entry| !tried.contains(entry.task.as_str()));
        quarantined.extend(found);
        quarantined.sort_by(|one, other| one.task.cmp(&other.task));
        let text =
            toml::to_string(&QuarantineList { quarantined }).map_err(|error| Error::SuiteFile {
                file: file.display().to_string(),
                message: error.to_string(),
            })?;
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let write = || -> std::io::Result<()> {
            let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
            fresh.write_all(HEADING.as_bytes())?;
            fresh.write_all(text.as_bytes())?;
            fresh.persist(file).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(Error::io("cannot be written", file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_replaced_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        let entry = |task: &str, why: &str| Quarantined {
            task: task.to_owned(),
            why: why.to_owned(),
            when: "2026-01-02".to_owned(),
        };
        let first = vec![entry("b", "flaky"), entry("a", "broken\n\"quoted\"")];
        Quarantined::update(&file, &BTreeSet::from(["a", "b"]), first).unwrap();
        Quarantined::update(&file, &BTreeSet::from(["b", "c"]), vec![entry("c", "x")]).unwrap();
        let read = Quarantined::read(&file).unwrap();
        assert_eq!(read, [entry("a", "broken\n\"quoted\""), entry("c", "x")]);
        assert!(
            std::fs::read_to_string(&file)
                .unwrap()
                .starts_with("# Tasks")
        );

        std::fs::write(&file, "[[quarantined]]\ntask = 'a'\n").unwrap();
        let error = Quarantined::read(&file).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("why"), "{error}");
    }
}
