//! The run directory: the truth of a run, from which everything else is rebuilt.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timeslip_datasets::journal::TrialKey;
use timeslip_reports::input::Calibration;
use timeslip_reports::render::atomic;

use crate::error::Error;
use crate::run::plan::Plan;

/// Longest part of a file name that is made from a name from outside.
const MAX_NAME: usize = 64;

/// Version of `run.json`.
const VERSION: u32 = 1;

/// `run.json`: what was planned, and where it ran.
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

/// What is said of a run after it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It is the baseline of its setting.
    Pinned,
    /// A gate found a regression in it.
    Rejected,
}

impl Remark {
    /// The empty file that says it.
    fn file(self) -> &'static str {
        match self {
            Remark::Pinned => "pinned",
            Remark::Rejected => "rejected",
        }
    }
}

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes a new directory under `parent`, named by the time, with its manifest.
    /// It appears under its name only once it is whole.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn create(
        parent: &Path,
        sandbox: &str,
        environment: Vec<(String, String)>,
        warnings: Vec<String>,
        plan: Plan,
    ) -> Result<(Self, Manifest), Error> {
        // For people: a fraction of a second says nothing to them.
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .unwrap_or_else(|_| OffsetDateTime::now_utc());
        // Colons are not welcome in file names everywhere.
        let stamp = format!(
            "{}T{:02}-{:02}-{:02}Z",
            now.date(),
            now.hour(),
            now.minute(),
            now.second()
        );
        std::fs::create_dir_all(parent)
            .map_err(Error::system(format!("cannot make {}", parent.display())))?;
        let mut run_id = stamp.clone();
        for number in 2.. {
            if !parent.join(&run_id).exists() {
                break;
            }
            run_id = format!("{stamp}-{number}");
        }
        let manifest = Manifest {
            version: VERSION,
            run_id: run_id.clone(),
            started_at: now.format(&Rfc3339).unwrap_or_default(),
            timeslip_version: env!("CARGO_PKG_VERSION").into(),
            sandbox: sandbox.into(),
            environment,
            warnings,
            plan,
        };
        let path = parent.join(&run_id);
        let making = || Error::system(format!("cannot make {}", path.display()));
        let unfinished = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(parent)
            .map_err(making())?;
        let text =
            serde_json::to_string_pretty(&manifest).map_err(|error| making()(error.into()))?;
        std::fs::write(unfinished.path().join("run.json"), text + "\n").map_err(making())?;
        timeslip_datasets::journal::Writer::create(
            &unfinished.path().join("journal.jsonl"),
            &run_id,
        )
        .map_err(making())?;
        make_readable(unfinished.path()).map_err(making())?;
        std::fs::rename(unfinished.keep(), &path).map_err(making())?;
        let directory = RunDirectory(path);
        directory.point_latest(parent);
        Ok((directory, manifest))
    }

    /// Writes down the instrument's own error.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn write_calibration(&self, calibration: &Calibration) -> Result<(), Error> {
        let path = self.calibration();
        let writing = || Error::system(format!("cannot write {}", path.display()));
        let text =
            serde_json::to_string_pretty(calibration).map_err(|error| writing()(error.into()))?;
        atomic::write(&path, (text + "\n").as_bytes()).map_err(writing())
    }

    /// The instrument's own error, when it was taken.
    ///
    /// # Errors
    /// [`Error::Run`] when what is there cannot be read.
    pub fn read_calibration(&self) -> Result<Option<Calibration>, Error> {
        let path = self.calibration();
        let bad = |problem: String| Error::Run {
            path: path.clone(),
            problem,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    fn calibration(&self) -> PathBuf {
        self.0.join("calibration.json")
    }

    /// Opens an existing directory and reads its manifest.
    ///
    /// # Errors
    /// [`Error::Run`] when it is not a run directory, or of a newer version.
    pub fn open(path: &Path) -> Result<(Self, Manifest), Error> {
        let file = path.join("run.json");
        let bad = |problem: String| Error::Run {
            path: file.clone(),
            problem,
        };
        let text = std::fs::read_to_string(&file).map_err(|error| {
            bad(format!(
                "{error}; a run directory holds run.json and journal.jsonl"
            ))
        })?;
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version: Version =
            serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if version.version > VERSION {
            return Err(bad(format!(
                "version {} is newer than this timeslip reads ({VERSION})",
                version.version
            )));
        }
        let manifest = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let path = std::fs::canonicalize(path).map_err(|error| bad(error.to_string()))?;
        Ok((RunDirectory(path), manifest))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    /// True emission times of a simulated endpoint.
    ///
    /// # Errors
    /// [`Error::System`] when the folder cannot be made.
    pub fn emissions(&self, endpoint: &str) -> Result<PathBuf, Error> {
        self.file_in("emissions", &format!("{}.jsonl", file_name(endpoint)))
    }

    /// The session of a trial.
    ///
    /// # Errors
    /// [`Error::System`] when the folder cannot be made.
    pub fn trajectory(&self, trial: &TrialKey) -> Result<PathBuf, Error> {
        let TrialKey {
            suite,
            task,
            endpoint,
            attempt,
        } = trial;
        let name = [suite, task, endpoint]
            .map(|part| file_name(part))
            .join("--");
        self.file_in("trajectories", &format!("{name}--{attempt}.json"))
    }

    /// Whether something was said of the run. Kept here and not in the history, which is
    /// made again from run directories.
    #[must_use]
    pub fn is(&self, remark: Remark) -> bool {
        self.0.join(remark.file()).exists()
    }

    /// Says something of the run, or takes it back.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn remark(&self, remark: Remark, holds: bool) -> Result<(), Error> {
        let path = self.0.join(remark.file());
        let changed = if holds {
            atomic::write(&path, b"")
        } else if path.exists() {
            std::fs::remove_file(&path)
        } else {
            Ok(())
        };
        changed.map_err(Error::system(format!("cannot change {}", path.display())))
    }

    /// The changes that an endpoint made in its attempts of that number, one for each
    /// task, as SWE-bench reads them: `predictions/<endpoint>.jsonl`, of later attempts
    /// `predictions/<endpoint>--<attempt>.jsonl`.
    ///
    /// # Errors
    /// [`Error::System`] when the folder cannot be made.
    pub fn predictions(&self, trial: &TrialKey) -> Result<PathBuf, Error> {
        let endpoint = file_name(&trial.endpoint);
        let name = match trial.attempt {
            1 => format!("{endpoint}.jsonl"),
            attempt => format!("{endpoint}--{attempt}.jsonl"),
        };
        self.file_in("predictions", &name)
    }

    fn file_in(&self, folder: &str, name: &str) -> Result<PathBuf, Error> {
        let folder = self.0.join(folder);
        std::fs::create_dir_all(&folder)
            .map_err(Error::system(format!("cannot make {}", folder.display())))?;
        Ok(folder.join(name))
    }

    /// Takes the run for this process, so that two cannot append to one journal.
    /// The lock goes with the process, however that ends.
    ///
    /// # Errors
    /// [`Error::Run`] when another process has it.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.journal();
        let file = File::open(&path).map_err(|error| Error::Run {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Run {
                path,
                problem: "another timeslip is writing this run; wait for it to end".into(),
            }),
            Err(TryLockError::Error(error)) => Err(Error::Run {
                path,
                problem: error.to_string(),
            }),
        }
    }

    /// `latest` is a convenience; a file system without links does without it.
    fn point_latest(&self, parent: &Path) {
        #[cfg(unix)]
        if let Some(name) = self.0.file_name() {
            let link = parent.join(format!(".latest-{}", std::process::id()));
            let _ = std::fs::remove_file(&link);
            if std::os::unix::fs::symlink(name, &link).is_ok() {
                let _ = std::fs::rename(&link, parent.join("latest"));
            }
        }
    }
}

/// A temporary directory is private to its maker; a run is for everybody.
fn make_readable(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// A name that is safe as a file name: task and endpoint names come from outside. A
/// name that had to be changed gets a hash, so that two never become one.
fn file_name(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() <= MAX_NAME && name.chars().all(safe) && !name.starts_with('.') {
        return name.to_owned();
    }
    let kept: String = name
        .chars()
        .map(|c| if safe(c) { c } else { '_' })
        .take(MAX_NAME - 9)
        .collect();
    let hash = Sha256::digest(name);
    let hash: String = hash
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{hash}", kept.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_apart_and_inside() {
        assert_eq!(file_name("django__django-11001"), "django__django-11001");
        for name in ["a b", "a_b/", "../../etc", ".hidden", "", &"x".repeat(300)] {
            let file = file_name(name);
            assert!(
                file.len() <= MAX_NAME && !file.contains('/') && !file.starts_with('.'),
                "{file}"
            );
        }
        assert_ne!(file_name("a b"), file_name("a_b"));
        assert_ne!(file_name("ä"), file_name("ö"));
    }
}
