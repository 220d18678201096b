//! `timeslip schema`: the layout of what is written as JSON.

use crate::error::Error;

/// Print the JSON Schema of summary.json, or of what `gate --json` writes
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Which one
    #[arg(value_enum, default_value = "summary")]
    of: Layout,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Layout {
    Summary,
    Gate,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let schema = match arguments.of {
        Layout::Summary => timeslip_reports::summary::json_schema(),
        Layout::Gate => timeslip_reports::gate::json_schema(),
    };
    super::print(&format!("{schema:#}\n"))
}
