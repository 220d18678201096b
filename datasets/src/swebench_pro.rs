//! SWE-bench Pro: rows, and beside them `run_scripts/<id>/{run_script.sh,parser.py}` and,
//! where they are, `dockerfiles/{base_dockerfile,instance_dockerfile}/<id>/Dockerfile`.

use std::path::Path;

use serde::Deserialize;

use crate::fields::{Names, Text};
use crate::swebench::check_repository;
use crate::{Error, Result, dockerfile, files, table};

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProTask {
    /// `owner/name` of the repository.
    pub repo: String,
    /// The unique name of the task.
    pub instance_id: String,
    /// The commit the work starts from, a full hash.
    pub base_commit: String,
    /// The reference fix.
    pub patch: String,
    /// What the agent is told.
    pub problem_statement: String,
    /// What the solution has to fulfil; may be empty.
    pub requirements: String,
    /// The names that the hidden tests use; may be empty.
    pub interface: String,
    /// The main language; may be empty.
    pub language: String,
    /// Tests that the fix turns green.
    pub fail_to_pass: Vec<String>,
    /// Tests that must stay green.
    pub pass_to_pass: Vec<String>,
    /// The command that puts the hidden tests in place, taken from the fix's commit.
    pub set_up_tests: String,
    /// What the run script is told to run.
    pub test_files: Vec<String>,
    /// Runs the tests.
    pub run_script: String,
    /// Turns what they print into `{"tests": [{"name": …, "status": …}]}`.
    pub parser: String,
    /// What the Dockerfiles of its image set, as far as they are there: flags of the test
    /// runner among it.
    pub environment: Vec<(String, String)>,
}

/// Where the images have the repository.
pub const APP: &str = "/app";

/// The longest tag of an image.
const LONGEST_TAG: usize = 128;

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Raw {
    repo: String,
    instance_id: String,
    base_commit: String,
    patch: String,
    problem_statement: Text,
    #[serde(default)]
    requirements: Text,
    #[serde(default)]
    interface: Text,
    #[serde(default)]
    repo_language: Text,
    #[serde(alias = "FAIL_TO_PASS")]
    fail_to_pass: Names,
    #[serde(alias = "PASS_TO_PASS", default)]
    pass_to_pass: Names,
    #[serde(default)]
    before_repo_set_cmd: Text,
    selected_test_files_to_run: Names,
}

/// Reads a file of rows and the scripts beside it. Every row is given with its task's id,
/// and a row that cannot be used with the reason.
///
/// # Errors
/// When the file of rows itself cannot be read.
pub fn read_tasks(file: &Path) -> Result<Vec<(String, Result<ProTask>)>> {
    let rows = table::read::<Raw>(file, "it should hold SWE-bench Pro rows")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (id, raw) = row.split();
            (id, raw.and_then(|raw| raw.task(file)))
        })
        .collect())
}

impl Raw {
    fn task(self, file: &Path) -> Result<ProTask> {
        check_repository(file, &self.instance_id, &self.repo, &self.base_commit)?;
        if self.fail_to_pass.0.is_empty() {
            return Err(Error::invalid(
                file,
                format!("{}: fail_to_pass is empty", self.instance_id),
            ));
        }
        let own = file.with_file_name("run_scripts").join(&self.instance_id);
        let script =
            |name: &str, purpose: &str| files::read_text(&files::member(&own, name)?, purpose);
        Ok(ProTask {
            fail_to_pass: self.fail_to_pass.0,
            pass_to_pass: self.pass_to_pass.0,
            test_files: self.selected_test_files_to_run.0,
            // The lines before it set the repository up, which is done.
            set_up_tests: last_line(&self.before_repo_set_cmd.0),
            run_script: script("run_script.sh", "it runs the tests")?,
            parser: script("parser.py", "it reads what the tests print")?,
            environment: environment(&file.with_file_name("dockerfiles"), &self.instance_id)?,
            repo: self.repo,
            instance_id: self.instance_id,
            base_commit: self.base_commit,
            patch: self.patch,
            problem_statement: self.problem_statement.0,
            requirements: self.requirements.0,
            interface: self.interface.0,
            language: self.repo_language.0,
        })
    }
}

/// The variables of an image that is built in two stages.
fn environment(dockerfiles: &Path, id: &str) -> Result<Vec<(String, String)>> {
    let mut environment = Vec::new();
    for stage in ["base_dockerfile", "instance_dockerfile"] {
        let file = files::member(&dockerfiles.join(stage).join(id), "Dockerfile")?;
        if file.exists() {
            let text = files::read_text(&file, "it sets variables of the tests")?;
            environment.extend(dockerfile::environment(&text, &file)?);
        }
    }
    Ok(environment)
}

fn last_line(text: &str) -> String {
    text.trim().lines().last().unwrap_or_default().to_owned()
}

impl ProTask {
    /// The image its environment is published in.
    #[must_use]
    pub fn image_name(&self) -> String {
        let repo = self.repo.to_lowercase();
        let (owner, name) = repo.split_once('/').unwrap_or((&repo, ""));
        let id = self.instance_id.replace("instance_", "");
        let short = id.strip_suffix("-vnan").unwrap_or(&id).to_owned();
        // One image of this repository was published under its whole name.
        let whole = "element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan" == id;
        let (name, id) = match name {
            "element-web" if whole => ("element-web", id),
            "element-web" => ("element", short),
            name => (name, short),
        };
        let tag: String = format!("{owner}.{name}-{id}")
            .chars()
            .take(LONGEST_TAG)
            .collect();
        format!("jefzda/sweap-images:{tag}")
    }

    /// The commits that [`ProTask::set_up_tests`] takes files from.
    #[must_use]
    pub fn commits_of_tests(&self) -> Vec<String> {
        let is_commit =
            |word: &&str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.set_up_tests
            .split_whitespace()
            .filter(is_commit)
            .filter(|word| *word != self.base_commit)
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(repo: &str, instance_id: &str) -> ProTask {
        ProTask {
            repo: repo.to_owned(),
            instance_id: instance_id.to_owned(),
            base_commit: "0".repeat(40),
            patch: String::new(),
            problem_statement: String::new(),
            requirements: String::new(),
            interface: String::new(),
            language: String::new(),
            fail_to_pass: Vec::new(),
            pass_to_pass: Vec::new(),
            set_up_tests: String::new(),
            test_files: Vec::new(),
            run_script: String::new(),
            parser: String::new(),
            environment: Vec::new(),
        }
    }

    #[test]
    fn images_are_named_as_they_were_published() {
        let name = |repo: &str, id: &str| {
            let name = task(repo, id).image_name();
            name.trim_start_matches("jefzda/sweap-images:").to_owned()
        };
        assert_eq!(
            name("NodeBB/NodeBB", "instance_NodeBB__NodeBB-1a-vnan"),
            "nodebb.nodebb-NodeBB__NodeBB-1a"
        );
        assert_eq!(
            name(
                "element-hq/element-web",
                "instance_element-hq__element-web-1a-vnan"
            ),
            "element-hq.element-element-hq__element-web-1a"
        );
        let special =
            "instance_element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan";
        assert_eq!(
            name("element-hq/element-web", special),
            "element-hq.element-web-element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan"
        );
        assert_eq!(name("a/b", &"x".repeat(200)).len(), LONGEST_TAG);
    }

    #[test]
    fn the_tests_come_from_another_commit() {
        let (fix, base) = ("a".repeat(40), "0".repeat(40));
        let task = ProTask {
            set_up_tests: format!("git checkout {fix} -- test/{fix}.js; git show {base}"),
            ..task("a/b", "x")
        };
        assert_eq!(task.commits_of_tests(), [fix]);
    }
}
