//! `run.json`: what was planned, and where it ran.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::formats;
use super::plan::Plan;
use crate::{Error, Result, atomic, files};

/// The content of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version.
    pub version: u32,
    /// Id, also the directory's name.
    pub run_id: String,
    /// RFC 3339 UTC.
    pub started_at: String,
    /// Version of timeslip.
    pub timeslip_version: String,
    /// Sandbox backend.
    pub sandbox: String,
    /// Facts about the machine.
    pub environment: Vec<(String, String)>,
    /// Things a reader must know.
    pub warnings: Vec<String>,
    /// The resolved plan.
    pub plan: Plan,
}

impl Manifest {
    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        atomic::write(file, (text + "\n").as_bytes())
    }

    /// Reads a manifest of this version or an older one.
    pub(super) fn read(file: &Path) -> Result<Self> {
        /// Of a newer version nothing else may be as it is known here.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let text = files::read_text(file, "a run directory holds run.json and journal.jsonl")?;
        let invalid = |error: serde_json::Error| files::json_error(file, &error);
        let Version { version } = serde_json::from_str(&text).map_err(invalid)?;
        formats::MANIFEST
            .check(version)
            .map_err(|problem| Error::invalid(file, problem))?;
        serde_json::from_str(&text).map_err(invalid)
    }
}
