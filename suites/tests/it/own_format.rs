//! A format unlike any that is known, by the public traits alone: a task is a line, its
//! workspace an empty directory, and its verifier one command.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{LIMITS, edit, sandboxes};
use timeslip_suites::formats::{FORMATS, Format, FormatName, LoadedTask, TaskSource};
use timeslip_suites::steps::grade_patch;
use timeslip_suites::task::{Solution, Step, StepAttempt, Verifier};
use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::workspace::{CommandVariables, Draft, Ground, Start, WorkspaceLayout};
use timeslip_suites::{Error, Grade, Result, Suite, SuiteFile, Task, Workspace, grade};

/// A file with lines `id: instruction: command that succeeds once it is done: solution`.
struct Lines;

/// A directory with a single file.
#[derive(Debug)]
struct OneFile;

/// Solved once a command succeeds in the workspace.
#[derive(Debug)]
struct Command(String);

impl Format for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn load(&self, source: &TaskSource<'_>) -> Result<Vec<LoadedTask>> {
        let text = fs::read_to_string(source.path).unwrap();
        let task = |line: &str| {
            let [id, instruction, test, solution] = line.splitn(4, ": ").collect::<Vec<_>>()[..]
            else {
                let error = Error::Unsupported {
                    task: line.to_owned(),
                    message: "is no task".to_owned(),
                };
                return (line.to_owned(), Err(error));
            };
            let verifier = Command(test.to_owned());
            let mut step = Step::new(instruction.to_owned(), Duration::from_secs(9), verifier);
            step.solution = Some(Solution::Command {
                command: solution.to_owned(),
                files: None,
                variables: Vec::new(),
            });
            let task = Task::new(source.suite, id, OneFile, step);
            (id.to_owned(), Ok(task))
        };
        Ok(text.lines().map(task).collect())
    }
}

impl Start for OneFile {
    fn identity(&self) -> String {
        "one file".to_owned()
    }

    fn layout(&self, _: &Ground<'_>) -> Result<WorkspaceLayout> {
        Ok(WorkspaceLayout {
            mount: "/given".to_owned(),
            working_directory: "/given/deep".to_owned(),
        })
    }

    fn fill(&self, draft: &Draft<'_>) -> Result<CommandVariables> {
        fs::create_dir(draft.tree.join("deep")).unwrap();
        fs::write(draft.tree.join("deep/given"), "given\n").unwrap();
        Ok(vec![("SET".to_owned(), "by the start".to_owned())])
    }
}

impl Verifier for Command {
    fn identity(&self) -> String {
        self.0.clone()
    }

    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade> {
        let invocation = attempt.workspace.invocation(&self.0, LIMITS);
        let execution = attempt.sandbox.run(&invocation)?;
        Ok(Grade {
            resolved: execution.succeeded(),
            detail: Some(execution.exit.to_string()),
            ..Grade::default()
        })
    }
}

const TASKS: &str = "copy: copy it: cmp given copied: cp given copied\n\
    never: do what cannot be done: false: true\n\
    nonsense\n";

/// The tasks above, with what a suite file adds.
fn suite(directory: &Path) -> (Suite, Vec<(String, Error)>) {
    fs::write(directory.join("tasks"), TASKS).unwrap();
    let text =
        "name = 'own'\nformat = 'harbor'\nsource = 'tasks'\nprompt = 'Please {instruction}.'\n";
    fs::write(directory.join("suite.toml"), text).unwrap();
    let mut file = SuiteFile::read(&directory.join("suite.toml")).unwrap();
    file.format = FormatName(&Lines);
    Suite::open(&file, directory).unwrap()
}

#[test]
fn its_tasks_are_tried_and_judged_like_any_others() {
    let scratch = tempfile::tempdir().unwrap();
    let (suite, problems) = suite(scratch.path());
    assert_eq!(problems.len(), 1);
    let task = suite.task("copy").unwrap();
    assert_eq!(task.steps[0].instruction, "Please copy it.");
    for sandbox in sandboxes() {
        let place = tempfile::tempdir_in(scratch.path()).unwrap();
        let trial = place.path().join("trial");
        let workspace = Workspace::prepare(&task.workspace, &sandbox, &trial).unwrap();
        assert!(!grade(task, &workspace, &sandbox).unwrap().resolved);
        let set = sandbox.run(&workspace.invocation("echo $SET; ls", LIMITS));
        assert_eq!(set.unwrap().text(), "by the start\ngiven\n");
        edit(&workspace, "copied", "", "given\n").unwrap();
        assert!(grade(task, &workspace, &sandbox).unwrap().resolved);
        let patched = grade_patch(task, Some("x"), &sandbox, scratch.path()).unwrap_err();
        assert!(patched.to_string().contains("is not solved by a patch"));

        let sound =
            |id: &str| verify(suite.task(id).unwrap(), &sandbox, 1, scratch.path()).soundness;
        assert_eq!(sound("copy"), Soundness::Sound);
        assert!(matches!(sound("never"), Soundness::Broken(_)));
    }
}

#[test]
fn every_format_has_a_name_of_its_own_and_is_found_by_it() {
    for format in FORMATS {
        let found = FormatName::find(format.name()).unwrap();
        assert!(std::ptr::eq(
            std::ptr::from_ref(found.0).cast::<u8>(),
            std::ptr::from_ref(*format).cast::<u8>()
        ));
        let nowhere = Path::new("/nonexistent/source");
        let source = TaskSource {
            suite: "none",
            path: nowhere,
            cache: &std::env::temp_dir().join("nowhere"),
            pass_env: &[],
            whole_environments: false,
            find_clone: &|_| Ok(None),
        };
        assert!(format.load(&source).is_err(), "{}", format.name());
    }
    let unknown = FormatName::find("lines").unwrap_err();
    for format in FORMATS {
        assert!(unknown.contains(format.name()), "{unknown}");
    }
}
