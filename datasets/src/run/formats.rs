//! The files of a run directory and the versions of their formats, in one table.

/// A file of a run directory.
pub(crate) struct FileFormat {
    /// Its name; that of a folder of such files ends in `/`.
    pub(crate) name: &'static str,
    /// The newest version, which is the one written.
    pub(crate) version: u32,
    /// The field that holds the version. Without one, the version is that of `run.json`.
    pub(crate) field: Option<&'static str>,
}

/// What was planned, and where it ran.
pub(crate) const MANIFEST: FileFormat = FileFormat {
    name: "run.json",
    version: 1,
    field: Some("version"),
};

/// What happened.
pub(crate) const JOURNAL: FileFormat = FileFormat {
    name: "journal.jsonl",
    version: 1,
    field: Some("timeslip_journal"),
};

/// The instrument's own error.
pub(crate) const CALIBRATION: FileFormat = FileFormat::of_manifest("calibration.json");

/// What recorded clients and their servers said.
pub(crate) const BODIES: FileFormat = FileFormat::of_manifest("bodies.jsonl");

/// The same without a word of it.
pub(crate) const SHAPES: FileFormat = FileFormat::of_manifest("shapes.jsonl");

/// True emission times of simulated endpoints, a file each.
pub(crate) const EMISSIONS: FileFormat = FileFormat::of_manifest("emissions/");

/// The session of each trial, as ATIF, which has a version of its own.
pub(crate) const TRAJECTORIES: FileFormat = FileFormat::of_manifest("trajectories/");

/// The changes that endpoints made, as SWE-bench reads them.
pub(crate) const PREDICTIONS: FileFormat = FileFormat::of_manifest("predictions/");

impl FileFormat {
    const fn of_manifest(name: &'static str) -> Self {
        FileFormat {
            name,
            version: MANIFEST.version,
            field: None,
        }
    }

    /// Refuses a version that is newer than this program.
    pub(crate) fn check(&self, found: u32) -> Result<(), String> {
        if found <= self.version {
            return Ok(());
        }
        Err(format!(
            "`{}` is {found}, newer than this timeslip reads ({}); use a newer timeslip",
            self.field.unwrap_or("version"),
            self.version
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_file_and_its_version() {
        const FORMATS: [FileFormat; 8] = [
            MANIFEST,
            JOURNAL,
            CALIBRATION,
            BODIES,
            SHAPES,
            EMISSIONS,
            TRAJECTORIES,
            PREDICTIONS,
        ];
        let text = include_str!("../../../docs/run-directory.md");
        for format in FORMATS {
            let version = format.field.map_or_else(
                || "that of `run.json`".to_owned(),
                |field| format!("{}, in `{field}`", format.version),
            );
            let row = format!("| `{}` | {version} |", format.name);
            assert!(text.contains(&row), "{row}");
        }
    }
}
