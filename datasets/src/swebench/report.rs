//! What a grading says: `report.json` of one task, and the summary of all.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One task in a `report.json`, which holds one object with this under the task's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// There is no patch.
    #[serde(rename = "patch_is_None")]
    pub patch_is_none: bool,
    /// There is a patch, which may be empty.
    pub patch_exists: bool,
    /// The patch was applied, and the tests gave results.
    pub patch_successfully_applied: bool,
    /// Every test is as it should be.
    pub resolved: bool,
    /// The log says that the environment broke; advisory.
    #[serde(default)]
    pub infra_failure: bool,
    /// What of the environment broke, if anything is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra_failure_reason: Option<String>,
    /// How the tests went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_status: Option<TestsStatus>,
}

/// The tests of a task, by what they should do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TestsStatus {
    /// Those that the fix turns green.
    pub fail_to_pass: Split,
    /// Those that stay green.
    pub pass_to_pass: Split,
    /// Always empty.
    pub fail_to_fail: Split,
    /// Always empty.
    pub pass_to_fail: Split,
}

/// Tests, by whether they did what they should.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Those that did.
    pub success: Vec<String>,
    /// Those that did not.
    pub failure: Vec<String>,
}

/// The summary of a run, `<model>.<run>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "counts and lists of the ids below")]
pub struct RunReport {
    pub total_instances: usize,
    pub submitted_instances: usize,
    pub completed_instances: usize,
    pub resolved_instances: usize,
    pub unresolved_instances: usize,
    pub infra_failure_instances: usize,
    pub ambiguous_failure_instances: usize,
    pub empty_patch_instances: usize,
    pub error_instances: usize,
    /// The tests ran to their end.
    pub completed_ids: Vec<String>,
    /// No prediction was made.
    pub incomplete_ids: Vec<String>,
    /// The prediction changes nothing.
    pub empty_patch_ids: Vec<String>,
    /// A prediction was made.
    pub submitted_ids: Vec<String>,
    pub resolved_ids: Vec<String>,
    /// Completed and not resolved.
    pub unresolved_ids: Vec<String>,
    /// Of the unresolved and the errors, those whose log shows a broken environment.
    pub infra_failure_ids: Vec<String>,
    /// The same, where a bad patch can show itself so, too.
    pub ambiguous_failure_ids: Vec<String>,
    /// What the log shows, by id.
    pub failure_reasons: BTreeMap<String, String>,
    /// The patch does not apply, or the tests did not end.
    pub error_ids: Vec<String>,
    pub schema_version: u32,
}

/// The version of [`RunReport`] that is written.
const SCHEMA_VERSION: u32 = 2;

/// One task's part of a [`RunReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whether a prediction was made, and what it came to.
    pub outcome: Outcome,
    /// What the log shows of a broken environment, and whether only that can be the
    /// reason.
    pub failure: Option<(String, bool)>,
}

/// What became of a task's prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// There is none.
    #[default]
    Missing,
    /// It changes nothing.
    Empty,
    /// It could not be graded.
    Error,
    /// It was graded.
    Completed {
        /// And solves the task.
        resolved: bool,
    },
}

impl RunReport {
    /// Sums up the tasks of a dataset.
    #[must_use]
    pub fn new(entries: &BTreeMap<String, Entry>) -> Self {
        let ids = |keep: &dyn Fn(&Entry) -> bool| -> Vec<String> {
            let kept = entries.iter().filter(|(_, entry)| keep(entry));
            kept.map(|(id, _)| id.clone()).collect()
        };
        let of = |outcome: Outcome| ids(&|entry| entry.outcome == outcome);
        let failing = |entry: &Entry| {
            use Outcome::{Completed, Error};
            matches!(entry.outcome, Error | Completed { resolved: false })
        };
        let failed = |certain: bool| {
            ids(&|entry| {
                failing(entry) && entry.failure.as_ref().is_some_and(|(_, is)| *is == certain)
            })
        };
        let completed_ids = ids(&|entry| matches!(entry.outcome, Outcome::Completed { .. }));
        let submitted_ids = ids(&|entry| entry.outcome != Outcome::Missing);
        let resolved_ids = of(Outcome::Completed { resolved: true });
        let unresolved_ids = of(Outcome::Completed { resolved: false });
        let (empty_patch_ids, error_ids) = (of(Outcome::Empty), of(Outcome::Error));
        let (infra_failure_ids, ambiguous_failure_ids) = (failed(true), failed(false));
        let reasons = entries.iter().filter(|(_, entry)| failing(entry));
        Self {
            total_instances: entries.len(),
            submitted_instances: submitted_ids.len(),
            completed_instances: completed_ids.len(),
            resolved_instances: resolved_ids.len(),
            unresolved_instances: unresolved_ids.len(),
            infra_failure_instances: infra_failure_ids.len(),
            ambiguous_failure_instances: ambiguous_failure_ids.len(),
            empty_patch_instances: empty_patch_ids.len(),
            error_instances: error_ids.len(),
            completed_ids,
            incomplete_ids: of(Outcome::Missing),
            empty_patch_ids,
            submitted_ids,
            resolved_ids,
            unresolved_ids,
            infra_failure_ids,
            ambiguous_failure_ids,
            failure_reasons: reasons
                .filter_map(|(id, entry)| Some((id.clone(), entry.failure.clone()?.0)))
                .collect(),
            error_ids,
            schema_version: SCHEMA_VERSION,
        }
    }

    /// Writes the summary.
    pub fn write(&self, file: &Path) -> Result<()> {
        write_json(file, self)
    }
}

impl InstanceReport {
    /// Writes the `report.json` of the task `id`.
    pub fn write(&self, id: &str, file: &Path) -> Result<()> {
        write_json(file, &BTreeMap::from([(id, self)]))
    }
}

fn write_json(file: &Path, value: &impl Serialize) -> Result<()> {
    let write_error = |source| Error::Write {
        file: file.to_path_buf(),
        source,
    };
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| write_error(std::io::Error::other(error)))?;
    std::fs::write(file, text + "\n").map_err(write_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_counted_once() {
        let entry = |outcome, failure: Option<(&str, bool)>| Entry {
            outcome,
            failure: failure.map(|(reason, certain)| (reason.to_owned(), certain)),
        };
        let unresolved = Outcome::Completed { resolved: false };
        let entries = [
            ("a", entry(Outcome::Missing, None)),
            ("b", entry(Outcome::Empty, None)),
            ("c", entry(Outcome::Error, Some(("out_of_memory", true)))),
            (
                "d",
                entry(
                    Outcome::Completed { resolved: true },
                    Some(("missing_module", false)),
                ),
            ),
            ("e", entry(unresolved, Some(("missing_module", false)))),
            ("f", entry(unresolved, None)),
        ]
        .map(|(id, entry)| (id.to_owned(), entry));
        insta::assert_json_snapshot!(RunReport::new(&entries.into()));
    }

    #[test]
    fn a_report_has_the_names_of_the_format() {
        let report = InstanceReport {
            patch_exists: true,
            tests_status: Some(TestsStatus::default()),
            ..InstanceReport::default()
        };
        insta::assert_json_snapshot!(report);
    }
}
