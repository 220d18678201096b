//! Folders of terminal tasks that tests make up.

use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{Error, Suite, SuiteFile, Task, Workspace};

use super::files::write;
use super::sandbox;

/// A folder `source` of tasks and a suite file over it.
pub struct Source {
    pub scratch: tempfile::TempDir,
    lines: String,
}

impl Source {
    pub fn new(format: &str) -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            lines: format!("name = \"made\"\nformat = \"{format}\"\nsource = \"source\"\n"),
        }
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        write(&self.scratch.path().join(path), content);
        self
    }

    /// A Harbor task that is solved by a file `done` in its working directory.
    pub fn task(self, name: &str, toml: &str) -> Self {
        let at = |file: &str| format!("source/{name}/{file}");
        self.file(&at("task.toml"), toml)
            .file(&at("instruction.md"), "Make it so.\n")
            .file(&at("environment/Dockerfile"), "FROM x\nWORKDIR /app\n")
            .file(
                &at("tests/test.sh"),
                "test -f /app/done && r=1 || r=0; echo $r >/logs/verifier/reward.txt\n",
            )
            .file(&at("solution/solve.sh"), "touch done\n")
    }

    pub fn suite(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self
    }

    pub fn open(&self) -> Result<(Suite, Vec<(String, Error)>), String> {
        let file = self.scratch.path().join("suite.toml");
        write(&file, &self.lines);
        SuiteFile::read(&file)
            .and_then(|file| Suite::open(&file, self.scratch.path()))
            .map_err(|error| self.without_folder(&error.to_string()))
    }

    pub fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.scratch.path().display()), "")
    }

    pub fn ids(&self) -> Result<Vec<String>, String> {
        let (suite, problems) = self.open()?;
        assert!(problems.is_empty(), "{problems:?}");
        Ok(suite.tasks.into_iter().map(|task| task.id).collect())
    }

    pub fn only(&self) -> Task {
        let (mut suite, problems) = self.open().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(suite.tasks.len(), 1);
        suite.tasks.remove(0)
    }

    pub fn prepare(&self, task: &Task) -> Workspace {
        let directory = tempfile::tempdir_in(self.scratch.path()).unwrap().keep();
        Workspace::prepare(&task.workspace, &sandbox(), &directory.join("trial")).unwrap()
    }

    pub fn verify(&self, task: &Task) -> Soundness {
        verify(task, &sandbox(), 1, self.scratch.path()).soundness
    }
}
