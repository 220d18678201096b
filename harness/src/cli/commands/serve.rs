//! `timeslip serve`: a simulated endpoint on its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use timeslip_simulator::{Options, Profile};
use timeslip_suites::{Sandbox, Suite};
use timeslip_wire::protocols::PROTOCOLS;
use timeslip_wire::transports::TRANSPORTS;

use crate::cli::interrupt::Interruption;
use crate::error::Error;
use crate::exit;
use crate::run::endpoints;

/// Run a simulated endpoint alone
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Profile: spark-sim, gpu-sim, heedless-sim, or a TOML file
    #[arg(long, default_value = "spark-sim", value_name = "PROFILE")]
    profile: String,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8321", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Append true emission times to this file, one JSON object a response
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Seed of jitter, of planned faults and of which tasks are solved
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Answer to every model name; without this, names other than the profile's are
    /// refused as providers do
    #[arg(long)]
    any_model: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let interrupted = Interruption::expect();
    let profile = Profile::load(&arguments.profile)?;
    let scratch = Sandbox::scratch()?;
    let suites = Suite::shipped(scratch.path())?;
    let model = profile.model.clone();
    let options = endpoints::simulated(
        arguments.listen,
        &arguments.profile,
        profile,
        arguments.seed,
        &suites,
        arguments.log.as_deref(),
    )?;
    let server = endpoints::serve(Options {
        any_model: arguments.any_model,
        ..options
    })?;
    let address = server.address;
    let name = &arguments.profile;
    let mut text = format!("simulated endpoint, profile {name}, model {model}\n");
    for protocol in PROTOCOLS {
        let name = protocol.name();
        let url = endpoints::simulated_url(address, name);
        let ways = TRANSPORTS.iter().filter(|one| one.carries(*protocol));
        let ways: Vec<&str> = ways.map(|one| one.name()).collect();
        text.push_str(&format!("  {name:<20}{url} ({})\n", ways.join(", ")));
    }
    super::print(&(text + "Ctrl-C ends it\n"))?;
    super::runtime()?.block_on(interrupted.wait());
    Ok(exit::PASS)
}
