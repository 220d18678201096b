//! From planned endpoints to endpoints that can be called: embedded servers are
//! started, keys are taken from the environment, real servers are asked for a word.

mod check;
mod secrets;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Map;
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};
use timeslip_datasets::session::{Does, ScriptedAct, Session};
use timeslip_proxy::Upstream;
use timeslip_simulator::{KnownTask, Model, Options, Profile, Running};
use timeslip_suites::Suite;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols;
use timeslip_wire::transports::{self, Transport};
use timeslip_wire::{Endpoint, Secret};

pub use check::check;

use crate::error::Error;
use secrets::{Secrets, secrets};

/// Starts the embedded servers of a plan. `log` names the file for an endpoint's
/// true emission times.
///
/// # Errors
/// [`Error::System`] when a server cannot start, [`Error::Suite`] when a recording
/// cannot be read.
pub fn start(
    plan: &Plan,
    suites: &[Suite],
    log: impl Fn(&str) -> Result<PathBuf, Error>,
) -> Result<(Vec<Endpoint>, Vec<Running>), Error> {
    let mut servers = Vec::new();
    let mut endpoints = Vec::new();
    for planned in &plan.endpoints {
        let log = planned
            .simulate
            .as_ref()
            .map(|_| log(&planned.name))
            .transpose()?;
        let (endpoint, server) = open(planned, plan.seed, suites, log.as_deref())?;
        endpoints.push(endpoint);
        servers.extend(server);
    }
    Ok((endpoints, servers))
}

/// Makes one endpoint ready to be called, with its embedded server if it has one.
///
/// # Errors
/// As [`start`].
pub fn open(
    planned: &PlannedEndpoint,
    seed: u64,
    suites: &[Suite],
    log: Option<&Path>,
) -> Result<(Endpoint, Option<Running>), Error> {
    let Some(simulation) = &planned.simulate else {
        let url = planned.base_url.as_deref().unwrap_or_default();
        return Ok((endpoint(planned, url)?, None));
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let profile = Profile::from_map(simulation.figures.clone()).map_err(|problem| {
        let place = format!("endpoint.{}.simulate.figures", planned.name);
        Error::Config { place, problem }
    })?;
    let server = simulate(address, &simulation.profile, profile, seed, suites, log)?;
    let url = simulated_url(server.address, &planned.protocol);
    Ok((endpoint(planned, &url)?, Some(server)))
}

/// Starts one simulated endpoint that plays the recordings of `suites`.
///
/// # Errors
/// [`Error::System`] when it cannot start, [`Error::Suite`] when a recording cannot
/// be read.
pub fn simulate(
    address: SocketAddr,
    name: &str,
    profile: Profile,
    seed: u64,
    suites: &[Suite],
    log: Option<&Path>,
) -> Result<Running, Error> {
    serve(simulated(address, name, profile, seed, suites, log)?)
}

/// Starts a simulated endpoint.
///
/// # Errors
/// [`Error::System`] when it cannot start.
pub fn serve(options: Options) -> Result<Running, Error> {
    let address = options.address;
    timeslip_simulator::start(options).map_err(Error::system(format!(
        "cannot start the simulated endpoint on {address}"
    )))
}

/// What one simulated endpoint that plays the recordings of `suites` is started with.
///
/// # Errors
/// [`Error::Suite`] when a recording cannot be read.
pub fn simulated(
    address: SocketAddr,
    name: &str,
    profile: Profile,
    seed: u64,
    suites: &[Suite],
    log: Option<&Path>,
) -> Result<Options, Error> {
    let mut tasks = Vec::new();
    for task in suites.iter().flat_map(|suite| &suite.tasks) {
        for (index, step) in task.steps.iter().enumerate() {
            if let Some(session) = &step.session {
                tasks.extend(acts(&format!("{}/{}", task.suite, task.id), session));
                continue;
            }
            let recordings = step.recordings()?;
            // A task without recordings is one the model does not know.
            if !recordings.is_empty() {
                let id = match index {
                    0 => format!("{}/{}", task.suite, task.id),
                    later => format!("{}/{}#{later}", task.suite, task.id),
                };
                tasks.push(KnownTask {
                    id,
                    instruction: step.instruction.clone(),
                    recordings,
                    continuation: None,
                });
            }
        }
    }
    let model = Model::new(tasks, name, seed, profile.resolve_rate);
    Ok(Options {
        address,
        seed,
        log: log.map(Path::to_owned),
        ..Options::new(profile, model)
    })
}

/// The acts of a session as the simulated model knows them: all are solved, or not, together.
fn acts(id: &str, session: &Session) -> Vec<KnownTask> {
    let known = |act: &ScriptedAct| {
        let continuation = match &act.does {
            Does::Type(typed) => Some(format!("{}{}{}", typed.after, typed.text, typed.suggestion)),
            _ => None,
        };
        Some(KnownTask {
            id: id.to_owned(),
            instruction: act.recognised_by()?,
            recordings: act.recordings(),
            continuation,
        })
    };
    session.acts.iter().filter_map(known).collect()
}

/// The base URL of a protocol on an embedded server.
#[must_use]
pub fn simulated_url(address: SocketAddr, protocol: &str) -> String {
    let path = protocols::by_name(protocol).map_or("", |protocol| protocol.base_path());
    format!("http://{address}{path}")
}

/// An endpoint as a proxy asks it, for a client that has neither its key nor its headers.
#[must_use]
pub fn upstream(endpoint: &Endpoint) -> Upstream {
    let headers = |key| endpoint.protocol.headers(key, &Map::new());
    let of_protocol = headers(None);
    let key = endpoint.key.as_ref().map(|Secret(key)| key.as_str());
    let of_key = headers(key).into_iter();
    let of_key = of_key.filter(|header| !of_protocol.contains(header));
    let of_key = of_key.map(|(name, value)| (name.to_owned(), Secret(value)));
    Upstream {
        target: endpoint.target.clone(),
        mount: endpoint.protocol.base_path().to_owned(),
        headers: Some(of_key.chain(endpoint.headers.clone()).collect()),
    }
}

fn endpoint(planned: &PlannedEndpoint, url: &str) -> Result<Endpoint, Error> {
    let Secrets {
        key,
        headers,
        query,
        values,
    } = secrets(planned)?;
    let protocol = protocols::by_name(&planned.protocol).ok_or_else(|| Error::Config {
        place: format!("endpoint.{}.protocol", planned.name),
        problem: format!("'{}' is not known", planned.protocol),
    })?;
    let transport = transport(planned)?;
    Ok(Endpoint {
        name: planned.name.clone(),
        target: target(planned, url, &query)?,
        model: planned.model.clone(),
        protocol,
        transport,
        options: planned.options.clone(),
        shared: transport
            .pool(protocol)
            .filter(|_| planned.options.shared_connection),
        key,
        headers,
        secrets: values,
        extra: planned.body.clone(),
        idle_timeout: planned.idle_timeout(),
    })
}

fn transport(planned: &PlannedEndpoint) -> Result<&'static dyn Transport, Error> {
    transports::by_name(&planned.transport).ok_or_else(|| Error::Config {
        place: format!("endpoint.{}.transport", planned.name),
        problem: format!("'{}' is not known", planned.transport),
    })
}

fn target(
    planned: &PlannedEndpoint,
    url: &str,
    query: &[(String, Secret)],
) -> Result<Target, Error> {
    let target = Target::parse(url).map_err(|problem| Error::Config {
        place: format!("endpoint.{}.base_url", planned.name),
        problem,
    })?;
    let query = query.iter();
    Ok(Target {
        ca_file: planned.ca_file.clone(),
        ..target.with_query(query.map(|(name, Secret(value))| (name.as_str(), value.as_str())))
    })
}
