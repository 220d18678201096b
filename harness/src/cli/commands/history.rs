//! `timeslip history`: runs over time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use timeslip_datasets::run::{Remark, RunDirectory};
use timeslip_reports::format::{one_line, plural};
use timeslip_reports::history::{Added, Filter, Floors, History, Overview, Record, RunRef};

use crate::console::say;
use crate::error::Error;
use crate::exit;

/// Where the history is unless said otherwise.
pub(super) const DEFAULT: &str = "runs/history.sqlite";

/// Keep runs over time: what they are compared with, and how much figures move by themselves
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// The history: an index that can be made again from run directories
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT)]
    history_file: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add runs, or bring what is known of them up to date
    Add {
        /// Run directories
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
        /// A gate found a regression in them: nothing later is held against them
        #[arg(long)]
        rejected: bool,
    },
    /// Show the runs and how their figures moved
    Show(Choice),
    /// Show by how much figures move without a cause
    Floor(Choice),
    /// Make the history again from the run directories in some folders
    Rebuild {
        /// Folders of run directories
        #[arg(default_value = "runs", value_name = "DIR")]
        folders: Vec<PathBuf>,
    },
    /// Make a run what others of its setting are compared with, instead of the latest runs
    Pin {
        /// Run directory
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// Compare with the latest runs again
        #[arg(long)]
        remove: bool,
    },
}

/// Which figures to show.
#[derive(Debug, clap::Args)]
struct Choice {
    /// A metric or a family of them, e.g. `task_time` or `stage` [default: the key figures]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// A suite [default: all together]
    #[arg(long, value_name = "SUITE")]
    suite: Option<String>,
    /// An endpoint [default: every one]
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let path = &arguments.history_file;
    match &arguments.command {
        Command::Add { runs, rejected } => add(path, runs, *rejected),
        Command::Show(choice) => {
            let overview = Overview::of(&History::open(path)?, &choice.filter())?;
            choice.print(&overview, Overview::terminal)
        }
        Command::Floor(choice) => {
            let floors = Floors::of(&History::open(path)?, &choice.filter())?;
            choice.print(&floors, Floors::terminal)
        }
        Command::Rebuild { folders } => rebuild(path, folders),
        Command::Pin { run, remove } => pin(path, run, !remove),
    }
}

impl Choice {
    fn filter(&self) -> Filter {
        Filter {
            metric: self.metric.clone(),
            suite: self.suite.clone(),
            endpoint: self.endpoint.clone(),
        }
    }

    fn print<T: Serialize>(&self, found: &T, terminal: fn(&T) -> String) -> Result<u8, Error> {
        if !self.json {
            return super::print(&terminal(found));
        }
        let text = serde_json::to_string_pretty(found)
            .map_err(|error| Error::system("cannot write JSON")(error.into()))?;
        super::print(&(text + "\n"))
    }
}

fn read(run: &Path) -> Result<Record, Error> {
    Ok(Record::of(&timeslip_reports::open(run)?))
}

fn add(path: &Path, runs: &[PathBuf], rejected: bool) -> Result<u8, Error> {
    // All are read before any is added: a mistyped name adds nothing.
    let mut records = runs
        .iter()
        .map(|run| read(run))
        .collect::<Result<Vec<_>, _>>()?;
    let mut history = History::open_or_create(path)?;
    for record in &mut records {
        if rejected {
            let (directory, _) = RunDirectory::open(Path::new(&record.run.path))?;
            directory.remark(Remark::Rejected, true)?;
            record.run.rejected = true;
        }
        let done = match history.add(record)? {
            Added::New => "added",
            Added::Updated => "brought up to date",
            Added::Unchanged => "was there already",
        };
        super::print(&format!(
            "{}: {done}{}\n",
            one_line(&record.run.run_id),
            caveat(record)
        ))?;
    }
    Ok(exit::PASS)
}

/// What keeps a run out of baselines and floors.
fn caveat(record: &Record) -> &'static str {
    match &record.run {
        RunRef { valid: false, .. } => "; it is invalid and nothing is compared with it",
        RunRef {
            complete: false, ..
        } => "; it is incomplete and nothing is compared with it",
        RunRef { rejected: true, .. } => "; it was rejected and nothing is compared with it",
        _ => "",
    }
}

fn rebuild(path: &Path, folders: &[PathBuf]) -> Result<u8, Error> {
    let mut found = BTreeSet::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder).map_err(|error| Error::Run {
            path: folder.clone(),
            problem: format!("{error}; name the folders that hold run directories"),
        })?;
        for entry in entries {
            let entry = entry
                .map_err(Error::system(format!("cannot read {}", folder.display())))?
                .path();
            // `latest` is another name of a run.
            if entry.join("run.json").is_file()
                && let Ok(entry) = std::fs::canonicalize(entry)
            {
                found.insert(entry);
            }
        }
    }
    let mut records = Vec::new();
    let mut unread = 0;
    for run in &found {
        match read(run) {
            Ok(record) => records.push(record),
            Err(error) => {
                unread += 1;
                say(&format!("left out: {error}"));
            }
        }
    }
    History::rebuild(path, &records)?;
    super::print(&format!(
        "{}: {}\n",
        path.display(),
        plural(records.len(), "run")
    ))?;
    Ok(if unread == 0 {
        exit::PASS
    } else {
        exit::INVALID
    })
}

fn pin(path: &Path, run: &Path, pinned: bool) -> Result<u8, Error> {
    let run = timeslip_reports::open(run)?;
    let directory = &run.directory;
    let mut record = Record::of(&run);
    if pinned && !(record.run.valid && record.run.complete) {
        return Err(Error::Run {
            path: directory.path().to_owned(),
            problem: "is invalid or incomplete: nothing can be compared with it".into(),
        });
    }
    let mut history = History::open_or_create(path)?;
    directory.remark(Remark::Pinned, pinned)?;
    record.run.pinned = pinned;
    if !pinned {
        history.add(&record)?;
        return Ok(exit::PASS);
    }
    for other in history.pin(&record)? {
        say(&format!("{} is no longer the baseline", other.run_id));
        // What is there now may be something else.
        if let Ok((directory, manifest)) = RunDirectory::open(Path::new(&other.path))
            && manifest.run_id == other.run_id
        {
            directory.remark(Remark::Pinned, false)?;
        }
    }
    Ok(exit::PASS)
}
