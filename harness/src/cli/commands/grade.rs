//! `timeslip grade`: anyone's predictions, scored.

use std::path::{Path, PathBuf};

use timeslip_datasets::swebench::{Prediction, Predictions, read_predictions};
use timeslip_datasets::text::plural;
use timeslip_suites::{Sandbox, Suite};

use crate::cli::isolation::{self, Chosen};
use crate::cli::tasks::{self, Work};
use crate::console::{one_line, say};
use crate::error::Error;
use crate::exit;
use crate::grading::{self, Folder, Graded, ScoreOutcome, Subject, TaskScore};
use crate::run::config::Config;
use crate::run::plan;

/// Score predictions, reference solutions or untouched tasks of a suite
#[derive(Debug, clap::Parser)]
#[command(group(clap::ArgGroup::new("subject").required(true)))]
pub(super) struct Arguments {
    /// Suite that the predictions are for: a name or a suite file
    #[arg(long, value_name = "SUITE")]
    suite: String,
    /// Predictions: JSON Lines, or JSON with a list or an object of them
    #[arg(long, value_name = "FILE", group = "subject")]
    predictions: Option<PathBuf>,
    /// Grade the reference solutions; all should pass
    #[arg(long, group = "subject")]
    gold: bool,
    /// Grade the untouched repositories; all should fail
    #[arg(long, group = "subject")]
    base: bool,
    /// Take only this task (repeatable)
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// Where reports, logs and a summary are written; verdicts found there are kept if
    /// neither patch nor task has changed
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    concurrency: usize,
    /// What keeps tasks away from this machine: auto, bubblewrap, docker or process
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let subject = match &arguments.predictions {
        Some(file) => Subject::Predictions(predictions(file)?),
        None if arguments.gold => Subject::Gold,
        None => Subject::Base,
    };
    let scratch = Sandbox::scratch()?;
    let config = Config::load(arguments.config.as_deref())?;
    let mut file = plan::suite_file(&config, &arguments.suite)?;
    if !arguments.tasks.is_empty() {
        file.include = Some(arguments.tasks.clone());
    }
    let mut suite = Suite::load(&file, scratch.path())?;
    suite.tasks = suite
        .tasks
        .into_iter()
        .map(timeslip_suites::Task::without_history)
        .collect();
    let strangers = subject.strangers(&suite);
    if let [first, ..] = strangers.as_slice() {
        say(&format!(
            "warning: among those to grade there is no task for {}, {first} for one",
            plural(strangers.len(), "prediction")
        ));
    }
    let entries = subject.entries(&suite)?;
    let name = arguments.sandbox.clone().or(config.run.sandbox.clone());
    let Chosen { sandbox, warnings } =
        isolation::choose(name.as_deref().unwrap_or(isolation::AUTO))?;
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    let folder = arguments.output.as_deref().map(Folder::open).transpose()?;
    let conclude = |verdicts: &[TaskScore]| {
        super::print(&grading::table(verdicts, folder.as_ref()))?;
        match &folder {
            Some(folder) => {
                for file in folder.summarise(verdicts)? {
                    super::print(&format!("summary: {}\n", file.display()))?;
                }
            }
            None if verdicts.iter().any(is_to_be_explained) => {
                say("with `--output DIR` the logs and reports are kept");
            }
            None => {}
        }
        Ok(())
    };
    let scores = |graded: Vec<Graded>| graded.into_iter().map(|graded| graded.score).collect();
    let graded = tasks::each(
        &entries,
        Work {
            concurrency: arguments.concurrency,
            name: |entry| &entry.task.id,
            one: &|entry| grading::grade(entry, &sandbox, scratch.path(), folder.as_ref()),
            took: &mut |entry, graded| {
                if let Some(folder) = &folder {
                    folder.keep(entry, graded)?;
                }
                if graded.score.outcome != ScoreOutcome::Missing {
                    say(&format!("{}: {}", entry.task.id, graded.score.line()));
                }
                Ok(())
            },
            interrupted: &|done| {
                let done: Vec<TaskScore> = scores(done);
                conclude(&done)
            },
        },
    )?;
    let verdicts: Vec<TaskScore> = scores(graded);
    conclude(&verdicts)?;
    let missing = |verdict: &TaskScore| verdict.outcome == ScoreOutcome::Missing;
    if verdicts.iter().all(missing) {
        return Err(Error::Empty(format!(
            "no prediction is for a task of {}",
            suite.name
        )));
    }
    Ok(if as_expected(&subject, &verdicts) {
        exit::PASS
    } else {
        exit::INVALID
    })
}

/// Whether somebody will want to know what the tests printed.
fn is_to_be_explained(verdict: &TaskScore) -> bool {
    !matches!(
        verdict.outcome,
        ScoreOutcome::Resolved | ScoreOutcome::EmptyPatch | ScoreOutcome::Missing
    )
}

/// Whether the verdicts can be trusted: all were reached, and where it is known what
/// they should be, they are.
fn as_expected(subject: &Subject, verdicts: &[TaskScore]) -> bool {
    verdicts.iter().all(|verdict| match subject {
        Subject::Gold => verdict.outcome == ScoreOutcome::Resolved,
        Subject::Base => verdict.outcome == ScoreOutcome::Unresolved,
        Subject::Predictions(_) => !matches!(
            verdict.outcome,
            ScoreOutcome::Error | ScoreOutcome::NoVerdict
        ),
    })
}

/// The predictions of a file that can be graded; the others are told.
fn predictions(file: &Path) -> Result<Vec<Prediction>, Error> {
    let Predictions { usable, unusable } =
        read_predictions(file).map_err(timeslip_suites::Error::from)?;
    for why in &unusable {
        say(&format!(
            "warning: left out: {}",
            one_line(&why.to_string())
        ));
    }
    if usable.is_empty() {
        return Err(Error::Empty(format!(
            "{} holds no prediction that can be graded",
            file.display()
        )));
    }
    Ok(usable)
}
