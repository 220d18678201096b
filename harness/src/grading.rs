//! Grades patches that somebody else made.

mod folder;
mod score;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use timeslip_datasets::swebench::Prediction;
use timeslip_suites::{Grade, Sandbox, Suite, Task, grade_patch};

pub use folder::Folder;
pub use score::{ScoreOutcome, TaskScore};
pub use table::table;

use crate::error::Error;

/// Whose changes are graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The reference solutions.
    Gold,
    /// No change at all.
    Base,
    /// Predictions, at most one for each task.
    Predictions(Vec<Prediction>),
}

/// One task to be graded.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The task.
    pub task: &'a Task,
    /// Whose change it is.
    pub model: String,
    /// What is graded.
    pub change: Change,
}

/// What is graded of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing was predicted.
    Missing,
    /// The repository as it is.
    Untouched,
    /// A patch, which may be empty.
    Patch(String),
}

impl Change {
    fn patch(&self) -> Option<&str> {
        match self {
            Change::Missing | Change::Untouched => None,
            Change::Patch(patch) => Some(patch),
        }
    }
}

impl Subject {
    /// An entry for every task of a suite.
    ///
    /// # Errors
    /// [`Error::Config`] when a task has no reference solution that is a patch.
    pub fn entries<'a>(&self, suite: &'a Suite) -> Result<Vec<Entry<'a>>, Error> {
        let mut predictions: BTreeMap<&str, &Prediction> = match self {
            Subject::Predictions(predictions) => predictions
                .iter()
                .map(|prediction| (prediction.instance_id.as_str(), prediction))
                .collect(),
            Subject::Gold | Subject::Base => BTreeMap::new(),
        };
        let first = predictions.values().next();
        let someone = first.map_or_else(|| "unnamed".to_owned(), |first| first.model_folder());
        suite
            .tasks
            .iter()
            .map(|task| {
                let (model, change) = match self {
                    Subject::Gold => {
                        let patch = task.gold_patch().ok_or_else(|| Error::Config {
                            place: format!("task {}", task.id),
                            problem:
                                "has no solution that is a patch; --gold grades SWE-bench tasks"
                                    .into(),
                        })?;
                        ("gold".to_owned(), Change::Patch(patch.to_owned()))
                    }
                    Subject::Base => ("base".to_owned(), Change::Untouched),
                    Subject::Predictions(_) => match predictions.remove(task.id.as_str()) {
                        Some(prediction) => (
                            prediction.model_folder(),
                            Change::Patch(prediction.patch().unwrap_or_default().to_owned()),
                        ),
                        None => (someone.clone(), Change::Missing),
                    },
                };
                Ok(Entry {
                    task,
                    model,
                    change,
                })
            })
            .collect()
    }

    /// The ids of predictions for tasks that `suite` does not have.
    #[must_use]
    pub fn strangers(&self, suite: &Suite) -> Vec<String> {
        let known: BTreeSet<&str> = suite.tasks.iter().map(|task| task.id.as_str()).collect();
        match self {
            Subject::Predictions(predictions) => predictions
                .iter()
                .map(|prediction| prediction.instance_id.clone())
                .filter(|id| !known.contains(id.as_str()))
                .collect(),
            Subject::Gold | Subject::Base => Vec::new(),
        }
    }
}

/// A verdict, and what it was made of.
#[derive(Clone, Debug)]
pub struct Graded {
    /// The verdict.
    pub score: TaskScore,
    /// What the verifier gave; `None` where nothing had to be graded.
    grade: Option<Grade>,
}

/// Grades an entry. A verdict that is in `folder` already is taken over if nothing that
/// it depends on has changed since; a task that cannot be graded has a verdict that says
/// so.
#[must_use]
pub fn grade(
    entry: &Entry<'_>,
    sandbox: &Sandbox,
    scratch: &Path,
    folder: Option<&Folder>,
) -> Graded {
    let without = |score| Graded { score, grade: None };
    let patch = match &entry.change {
        Change::Missing => return without(TaskScore::missing(entry)),
        Change::Untouched | Change::Patch(_) => entry.change.patch(),
    };
    let key = score::key(entry.task, patch);
    if let Some(kept) = folder.and_then(|folder| folder.kept(entry, &key)) {
        return without(kept);
    }
    let started = Instant::now();
    let graded = grade_patch(entry.task, patch, sandbox, scratch);
    let seconds = started.elapsed().as_secs_f64();
    let grade = graded.unwrap_or_else(|error| {
        // Whoever reads it sees the task's name beside it.
        let text = error.to_string();
        let own = text.strip_prefix(&format!("{}: ", entry.task.id));
        Grade {
            detail: Some(own.unwrap_or(&text).to_owned()),
            ..Grade::default()
        }
    });
    let score = TaskScore::new(entry, key, &grade, seconds);
    Graded {
        score,
        grade: Some(grade),
    }
}
