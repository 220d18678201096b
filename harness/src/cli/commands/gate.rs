//! `timeslip gate`: rules over a run and its baseline, for CI.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};

use timeslip_datasets::atomic;
use timeslip_datasets::text::plural;
use timeslip_reports::Run;
use timeslip_reports::data::RunData;
use timeslip_reports::gate::{self, FloorKey, GateResult, Rules, Verdict, output};
use timeslip_reports::history::{self, Noise, RunRef};

use crate::console::say;
use crate::error::Error;
use crate::exit;
use crate::read;

/// Judge a run by rules, with an exit code for CI
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Run to judge
    #[arg(long, value_name = "RUN", default_value = "runs/latest")]
    candidate: PathBuf,
    /// Earlier run to hold every endpoint against; without it every candidate of the run is
    /// held against its baseline endpoint
    #[arg(long, value_name = "RUN", conflicts_with = "history")]
    baseline: Option<PathBuf>,
    /// Hold every endpoint against the pinned or the latest comparable runs of the history
    #[arg(long)]
    history: bool,
    /// History: where baselines and noise floors are looked up
    #[arg(long, value_name = "FILE", default_value = super::history::DEFAULT)]
    history_file: PathBuf,
    /// Rules [default: built in, --print-rules shows them]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// A run that measured again: a regression that it does not show is a warning
    #[arg(long, value_name = "RUN")]
    confirm: Option<PathBuf>,
    /// Write the findings as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write JUnit XML, one test case a rule and endpoint
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write Bencher Metric Format JSON
    #[arg(long, value_name = "FILE")]
    bencher: Option<PathBuf>,
    /// Append a step summary to $GITHUB_STEP_SUMMARY and print annotations
    #[arg(long)]
    github: bool,
    /// Print the built-in rules and do nothing
    #[arg(long, exclusive = true)]
    print_rules: bool,
    /// Read the rules and do nothing
    #[arg(long)]
    check_rules: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.print_rules {
        return super::print(gate::DEFAULT);
    }
    let rules = match &arguments.rules {
        Some(file) => {
            let text = read::text(file)?;
            Rules::parse(&text, file)?
        }
        None => Rules::parse(gate::DEFAULT, Path::new("default gate.toml"))?,
    };
    if arguments.check_rules {
        return super::print(&format!("{}\n", plural(rules.rules.len(), "rule")));
    }
    let candidate = loaded(&arguments.candidate)?;
    let baselines = match &arguments.baseline {
        Some(path) => Some(vec![loaded(path)?.data]),
        None if arguments.history => Some(remembered(&arguments.history_file, &candidate)?),
        None => None,
    };
    let noise = Noise::of(&arguments.history_file, &candidate)?;
    let judge = |run: &RunData| {
        let subjects = match &baselines {
            Some(baselines) => gate::against(run, baselines),
            None => gate::within(run),
        };
        // The reports know nothing of what a database can refuse.
        let refused = RefCell::new(None);
        let floor = |key: FloorKey| {
            noise.floor(key).unwrap_or_else(|error| {
                refused.replace(Some(error));
                None
            })
        };
        let result = gate::judge(&rules, run, &subjects, &floor);
        refused.into_inner().map_or(Ok(result), Err)
    };
    let mut result = judge(&candidate.data)?;
    if let Some(again) = &arguments.confirm {
        result = result.confirmed_by(&judge(&loaded(again)?.data)?);
    }
    tell(arguments, &result)?;
    Ok(match result.verdict {
        Verdict::Regression => exit::REGRESSION,
        Verdict::Invalid | Verdict::Inconclusive => exit::INVALID,
        Verdict::Warn | Verdict::Pass => exit::PASS,
    })
}

/// A run with something to judge in it.
fn loaded(path: &Path) -> Result<Run, Error> {
    let run = timeslip_reports::open(path)?;
    if run.data.trials.is_empty() {
        let path = path.display();
        return Err(Error::Empty(format!("{path} holds no finished trial")));
    }
    Ok(run)
}

/// The baselines that the history names, as far as they are still there.
fn remembered(file: &Path, candidate: &Run) -> Result<Vec<RunData>, Error> {
    let found = history::baselines(file, candidate)?;
    let (there, gone): (Vec<&RunRef>, Vec<&RunRef>) =
        found.iter().partition(|run| Path::new(&run.path).exists());
    for run in gone {
        say(&format!(
            "{} is in the history, but its directory is gone; it is left out",
            run.run_id
        ));
    }
    let read = |run: &RunRef| Ok(timeslip_reports::open(Path::new(&run.path))?.data);
    there.into_iter().map(read).collect()
}

fn tell(arguments: &Arguments, result: &GateResult) -> Result<(), Error> {
    let text = output::terminal(result);
    // On GitHub a line may hold commands; a name must not be one.
    let text = if arguments.github {
        text.replace("##[", "# #[")
    } else {
        text
    };
    super::print(&text)?;
    if let Some(file) = &arguments.json {
        write_json(file, result)?;
    }
    if let Some(file) = &arguments.bencher {
        write_json(file, &output::bencher(result))?;
    }
    if let Some(file) = &arguments.junit {
        let xml = output::junit(result)
            .map_err(|error| Error::system("cannot write JUnit")(std::io::Error::other(error)))?;
        write(file, xml.as_bytes())?;
    }
    if arguments.github {
        super::print(&output::annotations(result))?;
        if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY") {
            append(Path::new(&file), &output::step_summary(result))?;
        }
    }
    Ok(())
}

fn write_json(file: &Path, value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::system("cannot write JSON")(error.into()))?;
    write(file, (text + "\n").as_bytes())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    atomic::write(file, bytes).map_err(Error::system(format!("cannot write {}", file.display())))
}

/// Other steps wrote to the same file.
fn append(file: &Path, text: &str) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::system(format!("cannot write {}", file.display())))
}
