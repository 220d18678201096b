//! `timeslip agents`: the real agents that can be measured, and installing them.

use timeslip_datasets::text::plural;

use crate::agents::{self, Adapter, Layers};
use crate::console::say;
use crate::error::Error;
use crate::exit;

/// List and install the real coding agents that tasks can be given to
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what there is, in which version, what it speaks, and whether it is installed
    List,
    /// Install agents by name; a run does so by itself for those that it needs
    Install {
        /// What to install: a name, or a file of one's own
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let layers = Layers::of_user()?;
    match &arguments.command {
        None | Some(Command::List) => list(&layers),
        Some(Command::Install { names }) => {
            let named = names.iter().map(|name| agents::find(name));
            let named = named.collect::<Result<Vec<_>, Error>>()?;
            for adapter in named.into_iter().flatten() {
                install(&adapter, &layers)?;
            }
            Ok(exit::PASS)
        }
    }
}

fn list(layers: &Layers) -> Result<u8, Error> {
    let mut lines = vec![[
        agents::BUILT_IN.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
        "part of timeslip".to_owned(),
        "every protocol".to_owned(),
    ]];
    for adapter in agents::shipped()? {
        let state = match layers.find(&adapter) {
            Some(_) => "installed",
            None => "not installed",
        };
        lines.push([
            adapter.name.clone(),
            adapter.version.clone(),
            state.to_owned(),
            ways(&adapter),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
    let widths = [0, 1, 2].map(|column| width(column).unwrap_or_default());
    for [name, version, state, speaks] in &lines {
        super::print(&format!(
            "{name:0$}  {version:1$}  {state:2$}  {speaks}\n",
            widths[0], widths[1], widths[2]
        ))?;
    }
    Ok(exit::PASS)
}

/// `responses (websocket, http-sse), gemini (http-sse); driven by acp`.
fn ways(adapter: &Adapter) -> String {
    let protocols = adapter.protocols().into_iter().map(|protocol| {
        let ways = adapter.speaks.iter();
        let ways = ways.filter(|way| way.protocol == protocol);
        let transports: Vec<&str> = ways.map(|way| way.transport.as_str()).collect();
        format!("{protocol} ({})", transports.join(", "))
    });
    let ways = protocols.collect::<Vec<_>>().join(", ");
    match (&adapter.control, adapter.command.is_empty()) {
        (None, _) => ways,
        (Some(control), false) => format!("{ways}; driven by {}", control.protocol),
        (Some(control), true) => format!("{ways}; driven by {} alone", control.protocol),
    }
}

fn install(adapter: &Adapter, layers: &Layers) -> Result<u8, Error> {
    let layer = layers.install(adapter, || say(&installing(adapter)))?;
    let place = layer.path.map(|path| format!(" in {}", path.display()));
    super::print(&format!(
        "{}: {}{}\n",
        adapter.name,
        layer.version,
        place.unwrap_or_default()
    ))
}

/// What is said while people wait.
pub(super) fn installing(adapter: &Adapter) -> String {
    let packages = adapter.install.iter().map(|install| 1 + install.with.len());
    format!(
        "installing {} {} ({}), once …",
        adapter.name,
        adapter.version,
        plural(packages.sum(), "package")
    )
}
