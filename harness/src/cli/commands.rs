//! The commands: one file each, and one line in [`COMMANDS`].

mod agents;
mod calibrate;
mod compare;
mod completions;
mod config;
mod conformance;
mod datasets;
mod doctor;
mod door;
mod gate;
mod grade;
mod history;
mod man;
mod presets;
mod probe;
mod record;
mod report;
mod run;
mod schema;
mod serve;
mod suites;
mod verify;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

// What nearly every command needs.
use super::output::print;
use super::runtime::runtime;
use crate::error::Error;
use crate::exit;

/// A command.
struct Command {
    name: &'static str,
    /// Its help and its arguments.
    arguments: fn() -> clap::Command,
    /// Runs it; gives its exit code.
    run: fn(&ArgMatches) -> Result<u8, Error>,
}

macro_rules! command {
    ($name:ident) => {
        Command {
            name: stringify!($name),
            arguments: $name::Arguments::command,
            run: |matches| $name::run(&read::<$name::Arguments>(matches)),
        }
    };
}

/// Every command, in the order of the help.
static COMMANDS: &[Command] = &[
    command!(run),
    command!(report),
    command!(compare),
    command!(gate),
    command!(grade),
    command!(record),
    command!(calibrate),
    command!(conformance),
    command!(probe),
    command!(history),
    command!(serve),
    command!(suites),
    command!(verify),
    command!(agents),
    command!(datasets),
    command!(presets),
    command!(doctor),
    command!(schema),
    command!(config),
    command!(completions),
    command!(man),
    command!(door),
];

/// The whole command line.
#[must_use]
pub fn whole() -> clap::Command {
    let commands = COMMANDS.iter();
    clap::Command::new("timeslip")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Measures how much sooner coding tasks are done when the model is faster, where \
             every millisecond goes, and at what quality",
        )
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands.map(|command| (command.arguments)().name(command.name)))
}

/// Runs the command that was chosen; gives the exit code.
pub(super) fn run(matches: &ArgMatches) -> Result<u8, Error> {
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let command = COMMANDS.iter().find(|command| command.name == name)?;
        Some((command, matches))
    });
    match chosen {
        Some((command, matches)) => (command.run)(matches),
        // The parser lets nothing else through.
        None => Ok(exit::USAGE),
    }
}

/// What the parser has checked already.
fn read<A: FromArgMatches>(matches: &ArgMatches) -> A {
    A::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}
