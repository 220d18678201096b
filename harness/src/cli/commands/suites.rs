//! `timeslip suites`: which suites there are, and whether they can be used.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use timeslip_datasets::text::plural;
use timeslip_suites::{Capabilities, Sandbox, Suite, SuiteFile, Task, Workspace};

use crate::cli::{caveats, isolation};
use crate::console::one_line;
use crate::error::Error;
use crate::exit;
use crate::run::config::Config;
use crate::run::plan;

/// List suites with their tasks, or check suite files
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Suites to look at: names or suite files [default: all that are shipped or configured]
    #[arg(value_name = "SUITE")]
    suites: Vec<String>,
    /// What is to keep tasks away from this machine: auto, bubblewrap, docker or process
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Tags that are shown of a suite: the most frequent ones.
const TAGS: usize = 8;

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let config = Config::load(arguments.config.as_deref())?;
    let names: Vec<String> = if arguments.suites.is_empty() {
        let shipped = SuiteFile::SHIPPED.iter().map(|name| (*name).to_owned());
        shipped.chain(config.suites.keys().cloned()).collect()
    } else {
        arguments.suites.clone()
    };
    let scratch = Sandbox::scratch()?;
    let name = arguments.sandbox.clone().or(config.run.sandbox.clone());
    let chosen = isolation::choose(name.as_deref().unwrap_or(isolation::AUTO))?;
    let capabilities = chosen.sandbox.capabilities();
    let mut usable = true;
    for name in &names {
        let file = plan::suite_file(&config, name)?;
        let (suite, problems) = Suite::open(&file, scratch.path())?;
        let (suite, unprepared) = preparable(suite, &capabilities);
        super::print(&describe(&file, &suite))?;
        for caveat in caveats::of(&suite.tasks, &capabilities) {
            super::print(&format!("  {caveat}\n"))?;
        }
        let problems = problems.into_iter().map(|(_, problem)| problem);
        for problem in problems.chain(unprepared) {
            super::print(&format!("  UNUSABLE {problem}\n"))?;
            usable = false;
        }
    }
    Ok(if usable { exit::PASS } else { exit::USAGE })
}

/// The suite without the tasks that this machine cannot prepare, and why not.
fn preparable(suite: Suite, capabilities: &Capabilities) -> (Suite, Vec<timeslip_suites::Error>) {
    let mut problems = Vec::new();
    let check = |task: &Task| match Workspace::check_start(&task.workspace, capabilities) {
        Ok(()) => true,
        Err(problem) => {
            problems.push(problem);
            false
        }
    };
    let tasks = suite.tasks.into_iter().filter(check).collect();
    (Suite { tasks, ..suite }, problems)
}

fn describe(file: &SuiteFile, suite: &Suite) -> String {
    let mut text = format!(
        "{}: {}",
        one_line(&suite.name),
        plural(suite.tasks.len(), "task")
    );
    // Writing to a string cannot fail.
    let mut add = |words: std::fmt::Arguments<'_>| {
        let _ = text.write_fmt(words);
    };
    if let Some(attempts) = file.attempts {
        add(format_args!(
            ", {} each",
            plural(attempts as usize, "attempt")
        ));
    }
    add(format_args!(", from {}\n", file.source));
    if !suite.description.is_empty() {
        add(format_args!("  {}\n", one_line(&suite.description)));
    }
    let tags = frequent_tags(suite);
    if !tags.is_empty() {
        add(format_args!("  tags: {}\n", one_line(&tags.join(", "))));
    }
    for entry in &suite.excluded {
        add(format_args!(
            "  quarantined {}: {}\n",
            one_line(&entry.task),
            one_line(&entry.why)
        ));
    }
    text
}

/// `debugging 4`, the most frequent first.
fn frequent_tags(suite: &Suite) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for tag in suite.tasks.iter().flat_map(|task| &task.tags) {
        *counts.entry(tag.clone()).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let left = counts.len().saturating_sub(TAGS);
    let mut shown: Vec<String> = counts
        .into_iter()
        .take(TAGS)
        .map(|(tag, count)| format!("{tag} {count}"))
        .collect();
    if left > 0 {
        shown.push(format!("{left} more"));
    }
    shown
}
