//! `timeslip verify`: whether the tasks of a suite can be relied on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use timeslip_datasets::text::plural;
use timeslip_suites::verify::{Soundness, Verified, verify};
use timeslip_suites::{Quarantined, Sandbox, Suite, Task};

use crate::cli::caveats;
use crate::cli::isolation::{self, Chosen};
use crate::cli::tasks::{self, Work};
use crate::console::{indented, say};
use crate::error::Error;
use crate::exit;
use crate::run::config::Config;
use crate::run::plan;

/// Check that every task fails untouched and passes with its author's solution
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Suite to check: a name or a suite file
    #[arg(value_name = "SUITE")]
    suite: String,
    /// How often every task is tried, untouched and with its solution
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Take only this task (repeatable)
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    /// Tasks at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    concurrency: u32,
    /// Write what is broken or flaky to this file, which a suite names as `quarantine`
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Where what verifiers and solutions printed is kept, of tasks that are not sound
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What keeps tasks away from this machine: auto, bubblewrap, docker or process
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let config = Config::load(arguments.config.as_deref())?;
    let mut file = plan::suite_file(&config, &arguments.suite)?;
    // What is in quarantine is tried again: it may have been repaired.
    file.quarantine = None;
    let scratch = Sandbox::scratch()?;
    let (suite, problems) = Suite::open(&file, scratch.path())?;
    let wanted =
        |id: &str| arguments.tasks.is_empty() || arguments.tasks.iter().any(|task| task == id);
    let known =
        |id: &String| suite.task(id).is_some() || problems.iter().any(|(known, _)| known == id);
    if let Some(unknown) = arguments.tasks.iter().find(|id| !known(id)) {
        return Err(Error::Config {
            place: format!("--task {unknown}"),
            problem: format!("{} has no such task", suite.name),
        });
    }
    let name = arguments.sandbox.clone().or(config.run.sandbox.clone());
    let Chosen { sandbox, warnings } =
        isolation::choose(name.as_deref().unwrap_or(isolation::AUTO))?;
    for warning in warnings {
        say(&format!("warning: {warning}"));
    }
    let tasks: Vec<&Task> = suite.tasks.iter().filter(|task| wanted(&task.id)).collect();
    for caveat in caveats::of(tasks.iter().copied(), &sandbox.capabilities()) {
        say(&format!("warning: {caveat}"));
    }
    let mut found: Vec<(String, Soundness)> = problems
        .iter()
        .filter(|(id, _)| wanted(id))
        .map(|(id, error)| (id.clone(), Soundness::Broken(error.to_string())))
        .collect();
    for (id, soundness) in &found {
        report(id, soundness)?;
    }
    let tried = |task: &&Task| {
        let verified = verify(task, &sandbox, arguments.times, scratch.path());
        let folder = arguments.output.as_deref();
        let logs = folder.map_or_else(Vec::new, |folder| keep(folder, &task.id, &verified));
        (task.id.clone(), verified.soundness, logs)
    };
    let without_logs = |(id, soundness, _)| (id, soundness);
    let unusable = &found;
    let tried = tasks::each(
        &tasks,
        Work {
            concurrency: arguments.concurrency as usize,
            name: |task| &task.id,
            one: &tried,
            took: &mut |_, (id, soundness, logs): &(_, _, Vec<PathBuf>)| {
                report(id, soundness)?;
                for log in logs {
                    super::print(&indented(&format!("log: {}", log.display())))?;
                }
                Ok(())
            },
            interrupted: &|done| {
                let done = done.into_iter().map(without_logs);
                let found: Vec<_> = unusable.iter().cloned().chain(done).collect();
                conclude(&suite.name, arguments.times, &found).map(|_| ())
            },
        },
    )?;
    found.extend(tried.into_iter().map(without_logs));
    let unsound = conclude(&suite.name, arguments.times, &found)?;
    if let Some(list) = &arguments.quarantine {
        let tried: BTreeSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let count = unsound.len();
        Quarantined::update(list, &tried, unsound)?;
        say(&format!(
            "{}: {} of this suite",
            list.display(),
            plural(count, "task")
        ));
        return Ok(if count == 0 {
            exit::PASS
        } else {
            exit::INVALID
        });
    }
    Ok(if unsound.is_empty() {
        exit::PASS
    } else {
        exit::INVALID
    })
}

fn report(id: &str, soundness: &Soundness) -> Result<u8, Error> {
    super::print(&match soundness {
        Soundness::Sound => format!("sound   {id}\n"),
        Soundness::Flaky(why) => format!("FLAKY   {id}\n{}", indented(why)),
        Soundness::Broken(why) => format!("BROKEN  {id}\n{}", indented(why)),
    })
}

/// Keeps what was printed where a task is not sound; returns the files.
fn keep(folder: &Path, id: &str, verified: &Verified) -> Vec<PathBuf> {
    let logs = [
        ("untouched.txt", &verified.untouched_log),
        ("solved.txt", &verified.solved_log),
    ];
    let mut kept = Vec::new();
    for (name, log) in logs {
        let Some(log) = log else { continue };
        let place = folder.join(id);
        let file = place.join(name);
        match fs::create_dir_all(&place).and_then(|()| fs::write(&file, log)) {
            Ok(()) => kept.push(file),
            Err(error) => say(&format!(
                "warning: cannot write {}: {error}",
                file.display()
            )),
        }
    }
    kept
}

/// A verifier's words on one line; of very many the first, which say what was tried, and
/// the last, which say why it failed.
fn one_line(text: &str) -> String {
    const SHOWN: usize = 300;
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: Vec<char> = words.join(" ").chars().collect();
    match line.len().checked_sub(2 * SHOWN) {
        Some(left_out) if left_out > 0 => {
            let (first, last) = (&line[..SHOWN], &line[SHOWN + left_out..]);
            let ends = [first, last].map(|end| end.iter().collect::<String>());
            ends.join(" … ")
        }
        _ => line.into_iter().collect(),
    }
}

/// Prints the sum, and gives what cannot be relied on.
fn conclude(
    suite: &str,
    times: u32,
    found: &[(String, Soundness)],
) -> Result<Vec<Quarantined>, Error> {
    let when = OffsetDateTime::now_utc().date().to_string();
    let entry = |id: &str, word: &str, why: &str| Quarantined {
        task: id.to_owned(),
        why: format!("{word}: {}", one_line(why)),
        when: when.clone(),
    };
    let unsound: Vec<Quarantined> = found
        .iter()
        .filter_map(|(id, soundness)| match soundness {
            Soundness::Sound => None,
            Soundness::Flaky(why) => Some(entry(id, "flaky", why)),
            Soundness::Broken(why) => Some(entry(id, "broken", why)),
        })
        .collect();
    let sound = found.len() - unsound.len();
    super::print(&format!(
        "{suite}: sound: {sound} of {}; each was tried {times}× untouched and {times}× with its solution\n",
        plural(found.len(), "task")
    ))?;
    Ok(unsound)
}
