//! The command line.

mod ad_hoc;
mod calibrate;
mod caveats;
mod claims;
mod compare;
mod conformance;
mod datasets;
mod doctor;
mod error;
mod gate;
mod grade;
mod history;
mod isolation;
mod presets;
mod probe;
mod report;
mod run;
mod sandbox_times;
mod serve;
mod suites;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::console::say;
use crate::error::Error;
use crate::{config, exit, transports};

/// Measures how much sooner coding tasks are done when the model is faster, where
/// every millisecond goes, and at what quality.
#[derive(Debug, Parser)]
#[command(name = "timeslip", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run suites on endpoints and report where the time went
    Run(Box<run::Arguments>),
    /// Render the report of a run again from its journal
    Report(report::Arguments),
    /// Compare two runs, or two endpoints, metric by metric
    Compare(compare::Arguments),
    /// Judge a run by rules, with an exit code for CI
    Gate(gate::Arguments),
    /// Score predictions, reference solutions or untouched tasks of a suite
    Grade(grade::Arguments),
    /// Measure the instrument's own error on this machine
    Calibrate(calibrate::Arguments),
    /// Check the first-token policy against known truth, or explain another tool's number
    Conformance(conformance::Arguments),
    /// Find out what an endpoint is like and write a profile that `serve` plays back
    Probe(probe::Arguments),
    /// Keep runs over time: what they are compared with, and how much figures move by themselves
    History(history::Arguments),
    /// Run a simulated endpoint alone
    Serve(serve::Arguments),
    /// List suites with their tasks, or check suite files
    Suites(suites::Arguments),
    /// Check that every task fails untouched and passes with its author's solution
    Verify(verify::Arguments),
    /// List, fetch and check public datasets
    Datasets(datasets::Arguments),
    /// List the ready-made endpoints
    Presets,
    /// Say what this machine lacks and how to get it
    Doctor(doctor::Arguments),
    /// Print the JSON Schema of summary.json, or of what `gate --json` writes
    Schema {
        /// Which one
        #[arg(value_enum, default_value = "summary")]
        of: Layout,
    },
    /// Print the commented default configuration
    Config,
}

/// A JSON layout of timeslip.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Layout {
    Summary,
    Gate,
}

/// Parses the command line, runs the command and turns errors into exit codes.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Gate(arguments) => gate::run(&arguments),
        Command::Grade(arguments) => grade::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Suites(arguments) => suites::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Datasets(arguments) => datasets::run(&arguments),
        Command::Presets => presets::run(),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Schema { of } => schema(of),
        Command::Config => print(config::DEFAULT),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("timeslip: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn schema(of: Layout) -> Result<u8, Error> {
    let schema = match of {
        Layout::Summary => timeslip_reports::summary::json_schema(),
        Layout::Gate => timeslip_reports::gate::json_schema(),
    };
    print(&format!("{schema:#}\n"))
}

/// Prints a result. A reader that closes the pipe early has seen enough.
fn print(text: &str) -> Result<u8, Error> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::system("cannot write to standard output")(error))
        }
        _ => Ok(exit::PASS),
    }
}

/// Reads the name of a transport.
fn transport(text: &str) -> Result<transports::Kind, String> {
    transports::by_name(text).ok_or_else(|| {
        let known = transports::Kind::ALL.map(transports::Kind::name);
        format!("known are {}", known.join(", "))
    })
}

/// A runtime for measuring: one thread reads everything. A second one would take no
/// load off it, for an event costs microseconds, but waking one another costs more than
/// the event, and on a small machine it takes the core that the tools need. Whatever
/// takes long (tools, graders, the disk) is on threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::system("cannot start the runtime"))
}
