//! What came of grading one task.

use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};
use timeslip_datasets::swebench::{self, Split};
use timeslip_suites::task::digest;
use timeslip_suites::{Grade, Image, PatchStatus, Task, TaskEnvironment};

use super::Entry;
use crate::console::one_line;

/// What came of grading one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// The task.
    pub task: String,
    /// Whose change it is.
    pub model: String,
    /// What a verdict depends on, hashed: the patch, the task, the environment.
    pub key: String,
    /// The verdict.
    pub outcome: ScoreOutcome,
    /// Why it is not resolved, for a person.
    pub detail: Option<String>,
    /// The hidden tests that did not do what they should.
    pub failed_tests: Vec<String>,
    /// Tests that the fix turns green: how many are, of how many.
    pub fail_to_pass: Option<(usize, usize)>,
    /// Tests that stay green: how many are, of how many.
    pub pass_to_pass: Option<(usize, usize)>,
    /// What the log shows of a broken environment, and whether it can be nothing else.
    pub infrastructure: Option<(String, bool)>,
    /// The tests ran to their end, so that there is a `report.json`.
    pub reported: bool,
    /// How long grading took.
    pub seconds: f64,
    /// It was found where verdicts are kept.
    #[serde(skip)]
    pub reused: bool,
}

/// How a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreOutcome {
    /// Every test is as it should be.
    Resolved,
    /// Some test is not.
    Unresolved,
    /// The change is empty.
    EmptyPatch,
    /// The change does not apply to the repository.
    DoesNotApply,
    /// The tests gave no result, or took too long.
    NoVerdict,
    /// The task could not be graded.
    Error,
    /// There is no prediction.
    Missing,
}

impl ScoreOutcome {
    /// For a person.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ScoreOutcome::Resolved => "resolved",
            ScoreOutcome::Unresolved => "unresolved",
            ScoreOutcome::EmptyPatch => "empty patch",
            ScoreOutcome::DoesNotApply => "does not apply",
            ScoreOutcome::NoVerdict => "no verdict",
            ScoreOutcome::Error => "error",
            ScoreOutcome::Missing => "no prediction",
        }
    }
}

/// Everything that a verdict on `patch` depends on, hashed.
pub(super) fn key(task: &Task, patch: Option<&str>) -> String {
    let environment = task.workspace.environment.as_ref();
    let verifiers = task.steps.iter().map(|step| step.verifier.identity());
    let mut parts = vec![
        GRADING.to_owned(),
        patch.map_or("untouched".to_owned(), |patch| format!("patch {patch}")),
        format!("{environment:?}"),
        environment.map_or_else(String::new, state),
    ];
    parts.extend(verifiers);
    digest(parts)
}

/// Changed with what verdicts mean, so that older ones are not taken over.
const GRADING: &str = "grading 4";

/// Tells a root file system from one that was made anew in its place.
fn state(environment: &TaskEnvironment) -> String {
    let (Image::Directory(path) | Image::Archive(path)) = &environment.image else {
        return String::new();
    };
    // What installs packages changes one of these; what is not there is its own state.
    let places = ["", "usr/bin", "usr/lib", "usr/local/lib", "var/lib/dpkg"];
    let state = |place: &str| {
        let found = match place {
            "" => std::fs::metadata(path),
            place => std::fs::metadata(path.join(place)),
        };
        let found = found.ok()?;
        Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
    };
    format!("{:?}", places.map(state))
}

impl TaskScore {
    pub(super) fn missing(entry: &Entry<'_>) -> Self {
        let mut verdict = Self::new(entry, String::new(), &Grade::default(), 0.0);
        verdict.outcome = ScoreOutcome::Missing;
        verdict
    }

    pub(super) fn new(entry: &Entry<'_>, key: String, grade: &Grade, seconds: f64) -> Self {
        let tests = grade
            .report
            .as_ref()
            .and_then(|report| report.tests_status.as_ref());
        let count = |split: &Split| {
            let passed = split.success.len();
            (passed, passed + split.failure.len())
        };
        Self {
            task: entry.task.id.clone(),
            model: entry.model.clone(),
            key,
            outcome: outcome(grade),
            detail: grade.detail.clone(),
            failed_tests: grade.failed_tests.clone(),
            fail_to_pass: tests.map(|tests| count(&tests.fail_to_pass)),
            pass_to_pass: tests.map(|tests| count(&tests.pass_to_pass)),
            infrastructure: grade
                .infrastructure
                .map(|found| (found.reason.to_owned(), found.certain)),
            reported: grade.report.is_some(),
            seconds,
            reused: false,
        }
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let name = self.outcome.name();
        let end = if self.reused { " (kept)" } else { "" };
        match (&self.outcome, &self.detail) {
            (ScoreOutcome::Error, Some(why)) => format!("{name}{end}: {}", one_line(why)),
            _ => format!("{name}{end}"),
        }
    }

    /// As the summary of a run counts it.
    #[must_use]
    pub fn entry(&self) -> swebench::Entry {
        use swebench::Outcome as Counted;
        let outcome = match self.outcome {
            ScoreOutcome::Missing => Counted::Missing,
            ScoreOutcome::EmptyPatch => Counted::Empty,
            // As upstream: a run whose log is worth nothing was still completed.
            _ if self.reported => Counted::Completed {
                resolved: self.outcome == ScoreOutcome::Resolved,
            },
            _ => Counted::Error,
        };
        let failure = match self.outcome {
            ScoreOutcome::DoesNotApply => Some(("patch_does_not_apply".to_owned(), false)),
            _ => self.infrastructure.clone(),
        };
        swebench::Entry { outcome, failure }
    }
}

fn outcome(grade: &Grade) -> ScoreOutcome {
    match grade.change {
        PatchStatus::Empty => ScoreOutcome::EmptyPatch,
        PatchStatus::DoesNotApply => ScoreOutcome::DoesNotApply,
        _ if grade.resolved => ScoreOutcome::Resolved,
        _ if grade.verifier_failed => ScoreOutcome::NoVerdict,
        // One whose tests gave no result, though those of the untouched task do, too.
        PatchStatus::Applied => ScoreOutcome::Unresolved,
        _ if grade.report.is_some() => ScoreOutcome::Unresolved,
        _ => ScoreOutcome::Error,
    }
}
