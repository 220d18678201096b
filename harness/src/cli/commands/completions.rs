//! `timeslip completions`: what a shell needs to complete command lines.

use clap_complete::Shell;

use crate::error::Error;

/// Print the completions of a shell
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::whole(),
        "timeslip",
        &mut script,
    );
    super::print(&String::from_utf8_lossy(&script))
}
