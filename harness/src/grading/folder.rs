//! Where verdicts are kept, laid out as upstream's logs are:
//! `<model>/<task>/{patch.diff, test_output.txt, report.json}`, a summary
//! `<model>.<folder>.json`, and a `verdict.json` beside each report.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use timeslip_datasets::atomic;
use timeslip_datasets::swebench::RunReport;

use super::{Entry, Graded, ScoreOutcome, TaskScore};
use crate::error::Error;

/// A folder of verdicts.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

const VERDICT: &str = "verdict.json";
const LOG: &str = "test_output.txt";

/// A verdict lists the failed tests of one task.
const LARGEST_VERDICT: u64 = 64 * 1024 * 1024;

impl Folder {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path)
            .map_err(Error::system(format!("cannot make {}", path.display())))?;
        Ok(Self(path.to_owned()))
    }

    fn place(&self, entry: &Entry<'_>) -> PathBuf {
        self.0.join(&entry.model).join(&entry.task.id)
    }

    /// What the tests of a change that is not resolved printed, if anything.
    pub(super) fn log(&self, score: &TaskScore) -> Option<PathBuf> {
        let log = self.0.join(&score.model).join(&score.task).join(LOG);
        let has_any = log.metadata().is_ok_and(|found| found.len() > 0);
        (score.outcome != ScoreOutcome::Resolved && has_any).then_some(log)
    }

    /// The verdict of that key, unless grading failed.
    pub(super) fn kept(&self, entry: &Entry<'_>, key: &str) -> Option<TaskScore> {
        let file = self.place(entry).join(VERDICT);
        if file.metadata().ok()?.len() > LARGEST_VERDICT {
            return None;
        }
        let verdict: TaskScore = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        let usable = verdict.key == key && verdict.outcome != ScoreOutcome::Error;
        usable.then_some(TaskScore {
            reused: true,
            ..verdict
        })
    }

    /// Keeps a verdict and what it was made of, unless it comes from here.
    ///
    /// # Errors
    /// [`Error::System`] and [`Error::Suite`] when it cannot be written.
    pub fn keep(&self, entry: &Entry<'_>, graded: &Graded) -> Result<(), Error> {
        let Some(grade) = &graded.grade else {
            return Ok(());
        };
        let place = self.place(entry);
        // What an earlier patch left does not belong to this one.
        if place.exists() {
            fs::remove_dir_all(&place)
                .map_err(Error::system(format!("cannot remove {}", place.display())))?;
        }
        fs::create_dir_all(&place)
            .map_err(Error::system(format!("cannot make {}", place.display())))?;
        let write = |name: &str, text: &str| {
            let file = place.join(name);
            atomic::write(&file, text.as_bytes())
                .map_err(Error::system(format!("cannot write {}", file.display())))
        };
        write("patch.diff", entry.change.patch().unwrap_or_default())?;
        write(LOG, &grade.log)?;
        if let Some(report) = &grade.report {
            report
                .write(&entry.task.id, &place.join("report.json"))
                .map_err(timeslip_suites::Error::from)?;
        }
        let text = serde_json::to_string_pretty(&graded.score)
            .map_err(std::io::Error::other)
            .map_err(Error::system("cannot write a verdict"))?;
        write(VERDICT, &text)
    }

    /// Writes a summary for each model; returns the files.
    ///
    /// # Errors
    /// [`Error::Suite`] when one cannot be written.
    pub fn summarise(&self, verdicts: &[TaskScore]) -> Result<Vec<PathBuf>, Error> {
        let mut models: BTreeMap<&str, BTreeMap<String, _>> = BTreeMap::new();
        for verdict in verdicts {
            let of_model = models.entry(&verdict.model).or_default();
            of_model.insert(verdict.task.clone(), verdict.entry());
        }
        let run = fs::canonicalize(&self.0).ok();
        let run = run.as_deref().and_then(Path::file_name).unwrap_or_default();
        let mut files = Vec::new();
        for (model, entries) in models {
            let name = format!("{model}.{}.json", run.to_string_lossy());
            let file = self.0.join(name);
            RunReport::new(&entries)
                .write(&file)
                .map_err(timeslip_suites::Error::from)?;
            files.push(file);
        }
        Ok(files)
    }
}
