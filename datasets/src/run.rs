//! A run directory: the record of a run, from which every report is made.
//!
//! ```text
//! run.json  journal.jsonl  calibration.json  bodies.jsonl  shapes.jsonl  emissions/  trajectories/  predictions/
//! ```
//!
//! Whoever measures writes these files, whoever reports reads them, and neither knows the
//! other. `docs/run-directory.md` describes each of them.

pub mod bodies;
pub mod calibration;
pub mod emissions;
pub mod journal;
pub mod manifest;
pub mod plan;
pub mod shapes;

mod error;
mod formats;
mod lines;
mod names;
mod without_text;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::atomic;
use bodies::{BodyReader, BodyWriter};
use calibration::Calibration;
use journal::{Journal, TrialKey, Writer};
use manifest::Manifest;
use names::file_name;
use plan::Plan;
use shapes::ShapeWriter;

pub use error::Error;

/// A remark on a run, made after it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It is the baseline of its setting.
    Pinned,
    /// A gate found a regression in it.
    Rejected,
}

impl Remark {
    /// The empty file that stands for it.
    fn file(self) -> &'static str {
        match self {
            Remark::Pinned => "pinned",
            Remark::Rejected => "rejected",
        }
    }
}

/// What a run keeps of what recorded clients and their servers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// All of it.
    Bodies,
    /// Lengths, and what is equal; the journal has no text either.
    Shapes,
}

/// What keeps it.
#[derive(Clone, Debug)]
pub enum Keeper {
    /// Nothing is kept.
    Nobody,
    /// Whole bodies are.
    Bodies(BodyWriter),
    /// Shapes are.
    Shapes(ShapeWriter),
}

impl Keeper {
    /// Whether no text may be written down, here or elsewhere in the run directory.
    #[must_use]
    pub fn leaves_out_text(&self) -> bool {
        matches!(self, Keeper::Shapes(_))
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
        // The start is shown to people, who have no use for fractions of a second.
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .unwrap_or_else(|_| OffsetDateTime::now_utc());
        // Not every file system takes colons in names.
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
            version: formats::MANIFEST.version,
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
        let in_it = |name| unfinished.path().join(name);
        manifest
            .write(&in_it(formats::MANIFEST.name))
            .map_err(making())?;
        Writer::create(&in_it(formats::JOURNAL.name), &run_id).map_err(making())?;
        make_readable(unfinished.path()).map_err(making())?;
        std::fs::rename(unfinished.keep(), &path).map_err(making())?;
        let directory = RunDirectory(path);
        directory.point_latest(parent);
        Ok((directory, manifest))
    }

    /// Writes down again what was planned: of a recording some of it is known only afterwards.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = self.file(formats::MANIFEST.name);
        let writing = Error::system(format!("cannot write {}", path.display()));
        manifest.write(&path).map_err(writing)
    }

    /// Writes down the instrument's own error.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn write_calibration(&self, calibration: &Calibration) -> Result<(), Error> {
        let path = self.file(formats::CALIBRATION.name);
        let writing = Error::system(format!("cannot write {}", path.display()));
        calibration.write(&path).map_err(writing)
    }

    /// The instrument's own error, when it was taken.
    ///
    /// # Errors
    /// [`Error::File`] when what is there cannot be read.
    pub fn read_calibration(&self) -> Result<Option<Calibration>, Error> {
        Ok(Calibration::read(&self.file(formats::CALIBRATION.name))?)
    }

    /// What happened in the run, as far as it is written, to be read trial by trial.
    ///
    /// # Errors
    /// [`Error::Journal`] when the journal has no header, [`Error::Invalid`] when it belongs to
    /// another run.
    pub fn read_journal(&self, manifest: &Manifest) -> Result<Journal, Error> {
        let path = self.journal();
        let journal = Journal::open(&path)?;
        if journal.run_id() == manifest.run_id {
            return Ok(journal);
        }
        let problem = format!(
            "belongs to run {}, but {} says {}",
            journal.run_id(),
            formats::MANIFEST.name,
            manifest.run_id
        );
        Err(Error::Invalid { path, problem })
    }

    /// Opens an existing directory and reads its manifest.
    ///
    /// # Errors
    /// [`Error::File`] when it is not a run directory, or of a newer version.
    pub fn open(path: &Path) -> Result<(Self, Manifest), Error> {
        let file = path.join(formats::MANIFEST.name);
        let manifest = Manifest::read(&file)?;
        let path = std::fs::canonicalize(path).map_err(|error| Error::Invalid {
            path: file,
            problem: error.to_string(),
        })?;
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
        self.file(formats::JOURNAL.name)
    }

    /// Begins what keeps what is said.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be made.
    pub fn keep(&self, keep: Keep) -> Result<Keeper, Error> {
        Ok(match keep {
            Keep::Nothing => Keeper::Nobody,
            Keep::Bodies => Keeper::Bodies(self.opened(&formats::BODIES, BodyWriter::open)?),
            Keep::Shapes => Keeper::Shapes(self.opened(&formats::SHAPES, ShapeWriter::open)?),
        })
    }

    /// Goes on with what keeps what is said.
    ///
    /// # Errors
    /// [`Error::Invalid`] when what is there cannot be read.
    pub fn keep_on(&self) -> Result<Keeper, Error> {
        let files = [
            (&formats::SHAPES, Keep::Shapes),
            (&formats::BODIES, Keep::Bodies),
        ];
        let mut files = files.into_iter();
        let kept = files.find(|(format, _)| self.file(format.name).exists());
        self.keep(kept.map_or(Keep::Nothing, |(_, keep)| keep))
    }

    fn opened<T>(
        &self,
        format: &formats::FileFormat,
        open: impl Fn(&Path) -> std::io::Result<T>,
    ) -> Result<T, Error> {
        let path = self.file(format.name);
        open(&path).map_err(|error| Error::Invalid {
            path,
            problem: error.to_string(),
        })
    }

    /// The bodies of requests and responses; `None` where none were kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] when what is there cannot be read.
    pub fn read_bodies(&self) -> Result<Option<BodyReader>, Error> {
        let path = self.file(formats::BODIES.name);
        match BodyReader::open(&path) {
            Ok(bodies) => Ok(Some(bodies)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Invalid {
                path,
                problem: error.to_string(),
            }),
        }
    }

    /// True emission times of a simulated endpoint.
    ///
    /// # Errors
    /// [`Error::System`] when the folder cannot be made.
    pub fn emissions(&self, endpoint: &str) -> Result<PathBuf, Error> {
        self.file_in(
            formats::EMISSIONS.name,
            &format!("{}.jsonl", file_name(endpoint)),
        )
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
        self.file_in(
            formats::TRAJECTORIES.name,
            &format!("{name}--{attempt}.json"),
        )
    }

    /// Whether a remark is set. Remarks are kept here and not in the history, which can be
    /// made again from run directories.
    #[must_use]
    pub fn is(&self, remark: Remark) -> bool {
        self.file(remark.file()).exists()
    }

    /// Sets a remark or takes it back.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn remark(&self, remark: Remark, holds: bool) -> Result<(), Error> {
        let path = self.file(remark.file());
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
        self.file_in(formats::PREDICTIONS.name, &name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
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
    /// [`Error::Invalid`] when another process has it.
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.journal();
        let file = File::open(&path).map_err(|error| Error::Invalid {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Invalid {
                path,
                problem: "another timeslip is writing this run; wait for it to end".into(),
            }),
            Err(TryLockError::Error(error)) => Err(Error::Invalid {
                path,
                problem: error.to_string(),
            }),
        }
    }

    /// Points the link `latest` here. Where links cannot be made there is none.
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

/// A temporary directory is private to its maker; a run may be read by everybody.
fn make_readable(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
