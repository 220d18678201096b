//! SWE-bench tasks: the task repository of swebench 5.x and classic row files.

mod repository;
mod rows;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, is_plain_name};

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

impl SweTask {
    /// Checks what later ends up in paths and command lines; `file` names the
    /// source in errors.
    fn check(&self, file: &Path) -> Result<()> {
        let invalid = |message: String| Err(Error::invalid(file, message));
        if !is_plain_name(&self.instance_id) {
            return invalid(format!(
                "instance_id {:?} is not a plain name; use letters, digits, '-', '_' and '.'",
                self.instance_id
            ));
        }
        if !self
            .repo
            .split_once('/')
            .is_some_and(|(owner, name)| is_plain_name(owner) && is_plain_name(name))
        {
            return invalid(format!(
                "repo {:?} is not of the form owner/name",
                self.repo
            ));
        }
        if !matches!(self.base_commit.len(), 40 | 64)
            || !self
                .base_commit
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
        {
            return invalid(format!(
                "base_commit {:?} is not a full commit hash",
                self.base_commit
            ));
        }
        Ok(())
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
