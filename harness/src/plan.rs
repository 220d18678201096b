//! The resolved plan: everything a run will do, validated, printable, stored.

mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use timeslip_datasets::journal::TrialKey;
use timeslip_suites::{Format, Suite, SuiteFile};

use crate::config::{Config, EndpointTable, Price};
use crate::connection::Target;
use crate::error::Error;
use crate::server::Profile;
use crate::{protocols, transports};

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Suites, resolved.
    pub suites: Vec<SuiteFile>,
    /// Endpoints, the candidate first.
    pub endpoints: Vec<PlannedEndpoint>,
    /// Attempts of every task on every endpoint.
    pub attempts: u32,
    /// Trials at once.
    pub concurrency: u32,
    /// Seed of order and simulation.
    pub seed: u64,
    /// Limits of a trial.
    pub limits: Limits,
    /// Every trial, in the order they start.
    pub trials: Vec<TrialKey>,
}

/// Limits of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Model calls.
    pub turns: u32,
    /// Wall-clock seconds.
    pub trial_seconds: u64,
    /// Seconds of one command.
    pub command_seconds: u64,
    /// Kibibytes of output the model sees.
    pub output_kib: usize,
    /// Mebibytes of memory of one command.
    pub memory_mb: u64,
    /// Milliseconds that 99 of 100 output events may lie unread in a valid run.
    #[serde(default = "default_client_lag_ms")]
    pub client_lag_ms: f64,
}

/// What holds for runs planned before there was a limit.
fn default_client_lag_ms() -> f64 {
    5.0
}

/// An endpoint with every choice made. Holds names of variables, never keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedEndpoint {
    /// Name in the configuration.
    pub name: String,
    /// Profile of the embedded server; absent for a real endpoint.
    pub simulate: Option<Simulation>,
    /// Where a real server listens.
    pub base_url: Option<String>,
    /// Model id on the wire.
    pub model: String,
    /// Wire protocol.
    pub protocol: String,
    /// Transport.
    pub transport: transports::Kind,
    /// Have the server read instructions and tools ahead of the first turn.
    #[serde(default)]
    pub prewarm: bool,
    /// Offer to compress the messages of a WebSocket.
    #[serde(default)]
    pub deflate: bool,
    /// Put concurrent trials on one connection.
    #[serde(default)]
    pub shared_connection: bool,
    /// Variable that holds the key.
    pub api_key_env: Option<String>,
    /// Longest silence before a try is given up.
    pub idle_seconds: u64,
    /// Tries after the first.
    pub retries: u32,
    /// Extra headers; a value `$NAME` is read from the environment.
    pub headers: BTreeMap<String, String>,
    /// Extra top-level body fields.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// What its tokens cost; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// A simulated endpoint's profile and its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Name or path it was loaded by.
    pub profile: String,
    /// Its figures.
    pub figures: Profile,
}

/// What the command line says on top of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Suites instead of the configured ones.
    pub suites: Vec<String>,
    /// Endpoints instead of the configured ones.
    pub endpoints: Vec<String>,
    /// Only these tasks.
    pub tasks: Vec<String>,
    /// An endpoint named on the command line, in front of the others.
    pub ad_hoc: Option<EndpointTable>,
    /// Attempts.
    pub attempts: Option<u32>,
    /// Concurrency.
    pub concurrency: Option<u32>,
    /// Seed.
    pub seed: Option<u64>,
}

/// Name of the endpoint given by `--base-url`.
pub const AD_HOC: &str = "command-line";

/// Resolves configuration and command line into a plan, and loads its suites.
///
/// # Errors
/// [`Error::Config`] or [`Error::Suite`], naming file and field.
pub fn resolve(
    config: &Config,
    overrides: &Overrides,
    scratch: &Path,
) -> Result<(Plan, Vec<Suite>), Error> {
    let required = |field: &str| Error::Config {
        place: format!("[{field}]"),
        problem: "has no value, not even in the defaults".into(),
    };
    let (run, limits) = (&config.run, &config.limits);
    let limits = Limits {
        turns: limits.turns.ok_or_else(|| required("limits.turns"))?,
        trial_seconds: limits
            .trial_seconds
            .ok_or_else(|| required("limits.trial_seconds"))?,
        command_seconds: limits
            .command_seconds
            .ok_or_else(|| required("limits.command_seconds"))?,
        output_kib: limits
            .output_kib
            .ok_or_else(|| required("limits.output_kib"))?,
        memory_mb: limits
            .memory_mb
            .ok_or_else(|| required("limits.memory_mb"))?,
        client_lag_ms: limits
            .client_lag_ms
            .ok_or_else(|| required("limits.client_lag_ms"))?,
    };
    if !(limits.client_lag_ms > 0.0 && limits.client_lag_ms <= 60_000.0) {
        return Err(Error::Config {
            place: "limits.client_lag_ms".into(),
            problem: format!("{} is not between 0 and 60000", limits.client_lag_ms),
        });
    }
    let attempts = overrides
        .attempts
        .or(run.attempts)
        .ok_or_else(|| required("run.attempts"))?;
    let concurrency = overrides
        .concurrency
        .or(run.concurrency)
        .ok_or_else(|| required("run.concurrency"))?;
    let seed = overrides
        .seed
        .or(run.seed)
        .ok_or_else(|| required("run.seed"))?;
    for (name, value, highest) in [
        ("run.attempts", attempts, 10_000),
        ("run.concurrency", concurrency, 4_096),
        ("limits.turns", limits.turns, 10_000),
    ] {
        if value > highest {
            return Err(Error::Config {
                place: name.into(),
                problem: format!("{value} is more than {highest}"),
            });
        }
    }
    for (name, value) in [
        ("run.attempts", u64::from(attempts)),
        ("run.concurrency", u64::from(concurrency)),
        ("limits.turns", u64::from(limits.turns)),
        ("limits.trial_seconds", limits.trial_seconds),
        ("limits.command_seconds", limits.command_seconds),
        ("limits.output_kib", limits.output_kib as u64),
        ("limits.memory_mb", limits.memory_mb),
    ] {
        if value == 0 {
            return Err(Error::Config {
                place: name.into(),
                problem: "must be at least 1".into(),
            });
        }
    }
    let endpoints = endpoints(config, overrides)?;
    let suites = suite_files(config, overrides)?;
    let loaded = suites
        .iter()
        .map(|suite| Suite::load(suite, scratch))
        .collect::<Result<Vec<_>, _>>()?;
    let tasks = select_tasks(&loaded, &overrides.tasks)?;
    let names: Vec<&str> = endpoints
        .iter()
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    let trials = order::interleaved(&tasks, &names, attempts, seed);
    if trials.is_empty() {
        return Err(Error::Empty("the chosen suites hold no task".into()));
    }
    let plan = Plan {
        suites,
        endpoints,
        attempts,
        concurrency,
        seed,
        limits,
        trials,
    };
    Ok((plan, loaded))
}

/// The endpoints that configuration and command line name, one or two.
///
/// # Errors
/// [`Error::Config`], naming file and field.
pub fn endpoints(config: &Config, overrides: &Overrides) -> Result<Vec<PlannedEndpoint>, Error> {
    let mut planned = Vec::new();
    if let Some(table) = &overrides.ad_hoc {
        planned.push(endpoint(AD_HOC, Path::new("command line"), table)?);
    }
    // An endpoint given by its URL stands alone unless others are named beside it.
    let configured = config.run.endpoints.clone().unwrap_or_default();
    let names = match (&overrides.endpoints[..], &overrides.ad_hoc) {
        ([], Some(_)) => Vec::new(),
        ([], None) => configured,
        (named, _) => named.to_vec(),
    };
    for name in &names {
        let (name, path, table) = config.endpoint(name)?;
        planned.push(endpoint(&name, &path, &table)?);
    }
    let count = planned.len();
    if !(1..=2).contains(&count) {
        return Err(Error::Config {
            place: "run.endpoints".into(),
            problem: format!(
                "names {count} endpoints; a run takes one, or a candidate and a baseline"
            ),
        });
    }
    if count == 2 && planned[0].name == planned[1].name {
        return Err(Error::Config {
            place: "run.endpoints".into(),
            problem: format!(
                "names '{}' twice; give the second one a name of its own",
                planned[0].name
            ),
        });
    }
    Ok(planned)
}

fn endpoint(name: &str, path: &Path, table: &EndpointTable) -> Result<PlannedEndpoint, Error> {
    let bad = |field: &str, problem: String| Error::Config {
        place: format!("{}: endpoint.{name}.{field}", path.display()),
        problem,
    };
    let simulate = match (&table.simulate, &table.base_url) {
        (Some(profile), None) => Some(Simulation {
            profile: profile.clone(),
            figures: Profile::load(profile)?,
        }),
        (None, Some(url)) => {
            Target::parse(url).map_err(|problem| bad("base_url", problem))?;
            None
        }
        _ => {
            return Err(bad(
                "simulate",
                "give either `simulate` or `base_url`, and not both".into(),
            ));
        }
    };
    let model = match (&table.model, &simulate) {
        (Some(model), _) => model.clone(),
        (None, Some(simulation)) => simulation.figures.model.clone(),
        (None, None) => return Err(bad("model", "is missing: the model id to ask for".into())),
    };
    let protocol = table
        .protocol
        .clone()
        .or_else(|| protocols::names().next().map(str::to_owned))
        .unwrap_or_default();
    let Some(spoken) = protocols::by_name(&protocol) else {
        let known = protocols::names().collect::<Vec<_>>().join(", ");
        return Err(bad(
            "protocol",
            format!("'{protocol}' is not known; known are {known}"),
        ));
    };
    let transport = table.transport.unwrap_or(transports::Kind::HttpSse);
    if transport == transports::Kind::Websocket && !spoken.has_websocket() {
        return Err(bad(
            "transport",
            format!("{protocol} does not travel over a WebSocket; use http-sse"),
        ));
    }
    let of_websocket = |field: &str, choice: Option<bool>| {
        let chosen = choice.unwrap_or(false);
        if chosen && transport != transports::Kind::Websocket {
            let problem = format!(
                "exists over a websocket only, not over {}",
                transport.name()
            );
            return Err(bad(field, problem));
        }
        Ok(chosen)
    };
    let prewarm = of_websocket("prewarm", table.prewarm)?;
    let deflate = of_websocket("deflate", table.deflate)?;
    let shared_connection = of_websocket("shared_connection", table.shared_connection)?;
    for (header, value) in &table.headers {
        let secret = ["auth", "key", "token", "secret", "cookie"];
        let lower = header.to_ascii_lowercase();
        if secret.iter().any(|word| lower.contains(word)) && !value.starts_with('$') {
            return Err(bad(
                &format!("headers.{header}"),
                "looks like a secret; write \"$NAME\" to take it from the environment variable NAME".into(),
            ));
        }
    }
    Ok(PlannedEndpoint {
        name: name.to_owned(),
        simulate,
        base_url: table.base_url.clone(),
        model,
        protocol,
        transport,
        prewarm,
        deflate,
        shared_connection,
        api_key_env: table.api_key_env.clone(),
        idle_seconds: table.idle_seconds.unwrap_or(120),
        retries: table.retries.unwrap_or(3),
        headers: table.headers.clone(),
        body: table.body.clone(),
        price: table.price.clone(),
    })
}

fn suite_files(config: &Config, overrides: &Overrides) -> Result<Vec<SuiteFile>, Error> {
    let configured = config.run.suites.clone().unwrap_or_default();
    let names = if overrides.suites.is_empty() {
        configured
    } else {
        overrides.suites.clone()
    };
    let mut files: Vec<SuiteFile> = Vec::new();
    for name in &names {
        let mut file = if let Some((path, table)) = config.suites.get(name) {
            let format = match table.format.as_str() {
                "swe-bench" => Format::SweBench,
                "harbor" => Format::Harbor,
                other => {
                    return Err(Error::config(
                        path,
                        format!(
                            "suite.{name}.format: '{other}' is not known; known are swe-bench, harbor"
                        ),
                    ));
                }
            };
            SuiteFile {
                name: name.clone(),
                format,
                source: table.source.clone(),
                description: String::new(),
                include: table.include.clone(),
                exclude: table.exclude.clone().unwrap_or_default(),
                directory: path.parent().map(Path::to_owned).unwrap_or_default(),
            }
        } else if SuiteFile::SHIPPED.contains(&name.as_str()) {
            SuiteFile::shipped(name)?
        } else if name.ends_with(".toml") {
            SuiteFile::read(Path::new(name))?
        } else {
            let known = SuiteFile::SHIPPED
                .iter()
                .copied()
                .chain(config.suites.keys().map(String::as_str));
            return Err(Error::Config {
                place: format!("suite '{name}'"),
                problem: format!(
                    "is not known; known are {}. Add [suite.{name}] to timeslip.toml, or give the path of a suite file",
                    known.collect::<Vec<_>>().join(", ")
                ),
            });
        };
        // The plan is stored and may be resumed from elsewhere.
        if !file.source.starts_with("bundled:") {
            let source = file.directory.join(&file.source);
            file.source = std::path::absolute(&source)
                .unwrap_or(source)
                .display()
                .to_string();
            file.directory = PathBuf::new();
        }
        if files.iter().any(|other| other.name == file.name) {
            return Err(Error::Config {
                place: format!("suite '{}'", file.name),
                problem: "is named twice".into(),
            });
        }
        files.push(file);
    }
    Ok(files)
}

/// The named tasks, `TASK` or `SUITE/TASK`; all when none is named.
fn select_tasks<'a>(
    suites: &'a [Suite],
    wanted: &[String],
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let all: Vec<(&str, &str)> = suites
        .iter()
        .flat_map(|suite| {
            suite
                .tasks
                .iter()
                .map(|task| (suite.name.as_str(), task.id.as_str()))
        })
        .collect();
    let matches = |(suite, task): (&str, &str), wanted: &str| {
        wanted == task
            || wanted
                .split_once('/')
                .is_some_and(|pair| pair == (suite, task))
    };
    for name in wanted {
        if !all.iter().any(|task| matches(*task, name)) {
            return Err(Error::Config {
                place: format!("--task {name}"),
                problem: "no chosen suite has this task; `timeslip run --dry-run` lists them"
                    .into(),
            });
        }
    }
    let chosen =
        |task: &(&str, &str)| wanted.is_empty() || wanted.iter().any(|name| matches(*task, name));
    Ok(all.into_iter().filter(chosen).collect())
}

impl Plan {
    /// The plan as people read it.
    #[must_use]
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{words}");
        };
        for (role, endpoint) in std::iter::zip(["candidate", "baseline"], &self.endpoints) {
            let place = match (&endpoint.simulate, &endpoint.base_url) {
                (Some(simulation), _) => format!("simulated, profile {}", simulation.profile),
                (None, url) => url.clone().unwrap_or_default(),
            };
            line(format_args!(
                "{role:<10} {}: {} over {}, model {} ({place})",
                endpoint.name,
                endpoint.protocol,
                endpoint.transport.name(),
                endpoint.model
            ));
        }
        for suite in &self.suites {
            let tasks: BTreeSet<&str> = self
                .trials
                .iter()
                .filter(|trial| trial.suite == suite.name)
                .map(|trial| trial.task.as_str())
                .collect();
            line(format_args!(
                "suite      {}: {} tasks, from {}",
                suite.name,
                tasks.len(),
                suite.source
            ));
        }
        let Limits {
            turns,
            trial_seconds,
            command_seconds,
            output_kib,
            memory_mb,
            client_lag_ms,
        } = self.limits;
        line(format_args!(
            "limits     {turns} turns, {trial_seconds} s a trial, {command_seconds} s a command, {output_kib} KiB of output, {memory_mb} MiB, events unread for {client_lag_ms} ms"
        ));
        line(format_args!(
            "trials     {} ({} attempts, {} at once, seed {}), in this order:",
            self.trials.len(),
            self.attempts,
            self.concurrency,
            self.seed
        ));
        for trial in &self.trials {
            line(format_args!("             {trial}"));
        }
        text
    }
}

impl PlannedEndpoint {
    /// Longest silence before a try is given up.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.max(1))
    }
}
