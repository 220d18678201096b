//! `timeslip serve`: a simulated endpoint on its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use timeslip_simulator::Profile;
use timeslip_suites::{Suite, SuiteFile};
use timeslip_wire::protocols::PROTOCOLS;
use timeslip_wire::transports::TRANSPORTS;

use crate::error::Error;
use crate::exit;
use crate::run::endpoints;

/// Run a simulated endpoint alone
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Profile: spark-sim, gpu-sim, or a TOML file
    #[arg(long, default_value = "spark-sim", value_name = "PROFILE")]
    profile: String,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8321", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Append true emission times to this file, one JSON object a response
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Seed of jitter and of which tasks are solved
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let profile = Profile::load(&arguments.profile)?;
    let scratch =
        tempfile::tempdir().map_err(Error::system("cannot make a temporary directory"))?;
    let mut suites = Vec::new();
    for name in SuiteFile::SHIPPED {
        suites.push(Suite::load(&SuiteFile::shipped(name)?, scratch.path())?);
    }
    let log = arguments.log.as_deref();
    let server = endpoints::simulate(
        arguments.listen,
        &arguments.profile,
        profile,
        arguments.seed,
        &suites,
        log,
    )?;
    let address = server.address;
    let mut text = format!("simulated endpoint, profile {}\n", arguments.profile);
    for protocol in PROTOCOLS {
        let name = protocol.name();
        let url = endpoints::simulated_url(address, name);
        let ways = TRANSPORTS.iter().filter(|one| one.carries(*protocol));
        let ways: Vec<&str> = ways.map(|one| one.name()).collect();
        text.push_str(&format!("  {name:<20}{url} ({})\n", ways.join(", ")));
    }
    super::print(&(text + "Ctrl-C ends it\n"))?;
    super::runtime()?
        .block_on(tokio::signal::ctrl_c())
        .map_err(Error::system("cannot wait for Ctrl-C"))?;
    Ok(exit::PASS)
}
