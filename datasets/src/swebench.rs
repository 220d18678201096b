//! SWE-bench tasks: the task repository of swebench 5.x and classic row files.

mod eval_script;
mod predictions;
mod report;
mod repository;
mod rows;
mod specs;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, is_plain_name};

pub use eval_script::TESTBED;
pub use predictions::{Prediction, Predictions, append_prediction, read_predictions};
pub use report::{Entry, InstanceReport, Outcome, RunReport, Split, TestsStatus};
pub use repository::{read_repository, read_task, repository_stream};
pub use rows::read_rows;

/// One SWE-bench instance: the thirteen classic columns, and what swebench 5.x
/// added to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweTask {
    /// `owner/name` of the repository.
    pub repo: String,
    /// The unique name of the task.
    pub instance_id: String,
    /// The commit the work starts from, a full hash.
    pub base_commit: String,
    /// The reference fix.
    pub patch: String,
    /// The tests that grade it.
    pub test_patch: String,
    /// What the agent is told.
    pub problem_statement: String,
    /// Discussion from the issue; may be empty.
    pub hints_text: String,
    /// When the fix was proposed; may be empty.
    pub created_at: String,
    /// The version of the software.
    pub version: String,
    /// Tests that the fix turns green.
    pub fail_to_pass: Vec<String>,
    /// Tests that must stay green.
    pub pass_to_pass: Vec<String>,
    /// The commit the environment was built for; may be empty.
    pub environment_setup_commit: String,
    /// A person's estimate of the effort; may be empty.
    pub difficulty: String,
    /// The container image; absent in classic rows.
    pub image: Option<String>,
    /// The script that runs the tests; absent in classic rows.
    pub eval_script: Option<String>,
    /// The name of the parser of the script's output; absent in classic rows.
    pub log_parser: Option<String>,
    /// How test results are read.
    pub eval_type: EvalType,
}

/// How the results of an evaluation are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalType {
    /// A test counts only when the log says that it passed.
    #[default]
    PassAndFail,
    /// A test counts unless the log says that it failed.
    FailOnly,
}

/// Where the tests of a task are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// In the published image: the repository is installed in the conda environment
    /// `testbed`.
    Image,
    /// In a checkout of the repository; what it needs is found without activating
    /// anything.
    Checkout,
}

impl SweTask {
    /// The task with a script and a parser, which classic rows lack: those of its
    /// repository and version, as upstream has them.
    ///
    /// # Errors
    /// Completes "the task …": nothing is known of its repository.
    pub fn completed(self, environment: Environment) -> Result<Self, String> {
        if self.eval_script.is_some() && self.log_parser.is_some() {
            return Ok(self);
        }
        let (script, parser) = eval_script::build(&self, environment)?;
        Ok(Self {
            eval_script: Some(self.eval_script.unwrap_or(script)),
            log_parser: Some(self.log_parser.unwrap_or_else(|| parser.to_owned())),
            ..self
        })
    }

    /// The image its environment is published in.
    #[must_use]
    pub fn image_name(&self) -> String {
        self.image.clone().unwrap_or_else(|| {
            let id = self.instance_id.to_lowercase().replace("__", "_1776_");
            format!("swebench/sweb.eval.x86_64.{id}:latest")
        })
    }

    /// Checks what later ends up in paths and command lines; `file` names the
    /// source in errors.
    fn check(&self, file: &Path) -> Result<()> {
        check_repository(file, &self.instance_id, &self.repo, &self.base_commit)
    }

    /// Checks that something can grade the task; `file` holds the test lists.
    fn check_tests(&self, file: &Path) -> Result<()> {
        if self.fail_to_pass.is_empty() {
            return Err(Error::invalid(
                file,
                "FAIL_TO_PASS is empty; a task needs at least one test that the fix turns green",
            ));
        }
        Ok(())
    }
}

/// Checks what ends up in paths and command lines.
pub(crate) fn check_repository(
    file: &Path,
    instance_id: &str,
    repo: &str,
    base_commit: &str,
) -> Result<()> {
    let invalid = |message: String| Err(Error::invalid(file, message));
    if !is_plain_name(instance_id) {
        return invalid(format!(
            "instance_id {:?} is not a plain name; use letters, digits, '-', '_' and '.'",
            instance_id
        ));
    }
    if !repo
        .split_once('/')
        .is_some_and(|(owner, name)| is_plain_name(owner) && is_plain_name(name))
    {
        return invalid(format!("repo {:?} is not of the form owner/name", repo));
    }
    if !matches!(base_commit.len(), 40 | 64)
        || !base_commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return invalid(format!(
            "base_commit {:?} is not a full commit hash",
            base_commit
        ));
    }
    Ok(())
}

/// The rows of SWE-bench Verified, where they lie beside the project; tests that
/// need them say so and pass without.
#[cfg(test)]
fn verified() -> Option<Vec<SweTask>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/swe-bench-verified/rows.jsonl.gz");
    if !file.is_file() {
        eprintln!("SKIPPED: SWE-bench Verified is not at {}", file.display());
        return None;
    }
    let rows = read_rows(&file).unwrap().into_iter();
    Some(rows.map(|(_, task)| task.unwrap()).collect())
}

/// A task without anything to it.
#[cfg(test)]
fn example() -> SweTask {
    SweTask {
        repo: "a/b".to_owned(),
        instance_id: "a__b-1".to_owned(),
        base_commit: "0123456789012345678901234567890123456789".to_owned(),
        patch: String::new(),
        test_patch: String::new(),
        problem_statement: String::new(),
        hints_text: String::new(),
        created_at: String::new(),
        version: "1.0".to_owned(),
        fail_to_pass: vec!["t".to_owned()],
        pass_to_pass: Vec::new(),
        environment_setup_commit: String::new(),
        difficulty: String::new(),
        image: None,
        eval_script: None,
        log_parser: None,
        eval_type: EvalType::PassAndFail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_after_the_task() {
        let task = SweTask {
            instance_id: "Astropy__astropy-1".to_owned(),
            ..example()
        };
        let name = "swebench/sweb.eval.x86_64.astropy_1776_astropy-1:latest";
        assert_eq!(task.image_name(), name);
    }

    #[test]
    fn what_a_row_brings_is_kept() {
        let own = SweTask {
            repo: "sympy/sympy".to_owned(),
            eval_script: Some("mine".to_owned()),
            ..example()
        };
        let task = own.completed(Environment::Image).unwrap();
        assert_eq!(task.eval_script.as_deref(), Some("mine"));
        assert_eq!(task.log_parser.as_deref(), Some("parse_log_sympy"));
    }
}
