//! The instrument's own error, against a server that logs when it truly sent what.
//!
//! A number of concurrent streams is opened, as a run would open them; every event's
//! arrival as the client marked it is held against the moment the server handed it to
//! the kernel. Both are read from one monotonic clock, which processes of one machine
//! share.

mod canary;
mod clocks;
mod emitted;
mod load;
mod tools;
mod truth;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles, StreamCalibration};
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};

pub use canary::Canary;
use clocks::clock_resolution_ns;
pub use emitted::emitted;
pub use load::{Load, Measured, drive, endpoint};
use timeslip_simulator::{Faults, Model, Options, Profile};
use timeslip_suites::Sandbox;
use timeslip_wire::{Endpoint, Measuring};
use tokio::runtime::Handle;
pub use tools::Tools;
pub use truth::{Differences, read_log};

use crate::error::Error;
use crate::run::endpoints;

/// Output tokens per second of a calibrating stream: the fast path's.
const TOKENS_PER_SECOND: f64 = 1_000.0;
/// What the calibrating server waits before a response, in milliseconds.
const OVERHEAD_MS: f64 = 20.0;
/// How long the log of another process may lag behind.
const MAX_LOG_LAG: Duration = Duration::from_secs(5);
/// Streams of the short form at most: it must not take long.
const MAX_SHORT_STREAMS: u32 = 32;

/// What an embedded server for calibration plays at: the fast path's rate, no link,
/// and no queue for `streams` at once.
#[must_use]
pub fn profile(streams: u32) -> Profile {
    Profile {
        model: "calibration".into(),
        decode_tokens_per_second: TOKENS_PER_SECOND,
        decode_slowdown_per_1k_context: 0.0,
        resolve_rate: 1.0,
        prefill_tokens_per_second: 1e9,
        cached_tokens_per_second: 1e9,
        tokens_per_event: 1,
        // Streams that start together must not stay in step.
        jitter: 0.1,
        queue_slots: streams,
        request_overhead_ms: OVERHEAD_MS,
        link_round_trip_ms: 0.0,
        stop_reaction_ms: 0.0,
        heeds_stops: true,
        notes: Vec::new(),
        faults: Faults::default(),
    }
}

/// Measures an endpoint's protocol and transport against an embedded server of its own.
/// Of `like`, only what is said and what carries it matter; with `deflate` messages are
/// compressed where it has any.
///
/// # Errors
/// [`Error::System`] when the server cannot start, [`Error::Unreachable`] when an
/// exchange with it fails, [`Error::Run`] when its log is not whole.
pub async fn embedded(
    like: (&str, &str),
    deflate: bool,
    load: &Load,
    tools: Option<&Tools>,
    measuring: &Handle,
) -> Result<StreamCalibration, Error> {
    let folder = Sandbox::scratch()?;
    let log = folder.path().join("emissions.jsonl");
    let model = Model::new(Vec::new(), "calibration", 1, 1.0);
    let running = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(profile(load.streams), model)
    })
    .map_err(Error::system("cannot start the calibrating server"))?;
    let url = endpoints::simulated_url(running.address, like.0);
    let mut endpoint = load::endpoint(like, &url, load)?;
    endpoint.options.deflate = deflate;
    let measured = drive(&endpoint, load, tools, measuring).await;
    // Ends the server, and with it the writer of its log.
    let ended = tokio::task::spawn_blocking(move || drop(running)).await;
    debug_assert!(ended.is_ok());
    let differences = compare(&measured?, &log)?;
    summarise(&endpoint, load, &differences, None)
}

/// Measures a simulated endpoint in another process of this machine, which writes its
/// log to `log`. What the client costs is known then, too.
///
/// # Errors
/// [`Error::Unreachable`] when an exchange fails, [`Error::Run`] when the log does not
/// tell of every exchange within a few seconds.
pub async fn beside(
    way: (&str, &str),
    base_url: &str,
    log: &Path,
    load: &Load,
    tools: Option<&Tools>,
    measuring: &Handle,
) -> Result<StreamCalibration, Error> {
    let endpoint = load::endpoint(way, base_url, load)?;
    let measured = drive(&endpoint, load, tools, measuring).await?;
    let give_up = tokio::time::Instant::now() + MAX_LOG_LAG;
    let differences = loop {
        // Its writer may be behind.
        match compare(&measured, log) {
            Err(_) if tokio::time::Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            compared => break compared?,
        }
    };
    summarise(&endpoint, load, &differences, Some(measured.cpu_ns))
}

/// The short form that every run begins with: each way its endpoints are spoken to, at
/// as many streams as there are trials at once.
///
/// # Errors
/// As [`embedded`].
pub async fn short(plan: &Plan, measuring: &Measuring) -> Result<Calibration, Error> {
    let load = Load {
        streams: plan.concurrency.min(MAX_SHORT_STREAMS),
        exchanges: 8,
        tokens: 128,
    };
    let mut ways: BTreeSet<(&str, &str)> = plan.endpoints.iter().map(way).collect();
    let mut settings = Vec::new();
    for endpoint in &plan.endpoints {
        let this = way(endpoint);
        if ways.remove(&this) {
            // Where endpoints differ in it, what costs more counts.
            let deflate = plan
                .endpoints
                .iter()
                .any(|other| other.options.deflate && way(other) == this);
            settings.push(embedded(this, deflate, &load, None, measuring.handle()).await?);
        }
    }
    Ok(taken(settings, measuring))
}

/// What was found at these settings, with what holds at all of them.
#[must_use]
pub fn taken(settings: Vec<StreamCalibration>, measuring: &Measuring) -> Calibration {
    Calibration {
        clock_resolution_ns: clock_resolution_ns(),
        priority: Some(measuring.priority().to_string()),
        arrivals: Some(measuring.arrivals()),
        during: Vec::new(),
        emitted: Vec::new(),
        settings,
    }
}

/// A canary that goes the way of the plan's first endpoint.
///
/// # Errors
/// [`Error::System`] when its server cannot start.
pub fn canary_of(plan: &Plan) -> Result<Canary, Error> {
    let first = plan.endpoints.first().map(way);
    // A plan without endpoints has no trials either.
    Canary::start(first.unwrap_or(("responses", "http-sse")))
}

/// How an endpoint is spoken to: its protocol and its transport.
fn way(endpoint: &PlannedEndpoint) -> (&str, &str) {
    (&endpoint.protocol, &endpoint.transport)
}

/// Holds what was measured against what was logged.
fn compare(measured: &Measured, log: &Path) -> Result<Differences, Error> {
    Differences::of(measured, &read_log(log)?).map_err(|problem| Error::Run {
        path: log.to_owned(),
        problem,
    })
}

fn summarise(
    endpoint: &Endpoint,
    load: &Load,
    differences: &Differences,
    cpu_ns: Option<u64>,
) -> Result<StreamCalibration, Error> {
    let quantiles = |values: &[u64]| {
        ErrorQuantiles::of(values.iter().copied()).ok_or_else(|| Error::Unreachable {
            endpoint: endpoint.name.clone(),
            problem: "no output event came".into(),
        })
    };
    Ok(StreamCalibration {
        protocol: endpoint.protocol.name().into(),
        transport: endpoint.transport.name().into(),
        streams: load.streams,
        events_per_second: differences.events_per_second(),
        ttft_ns: quantiles(&differences.measured_ttft)?,
        ttft_error: quantiles(&differences.ttft)?,
        inter_event_ns: quantiles(&differences.measured_gaps)?,
        inter_event_error: quantiles(&differences.inter_event)?,
        end_error: quantiles(&differences.end)?,
        client_lag: ErrorQuantiles::of(differences.lag.iter().copied()),
        loop_lag: ErrorQuantiles::of(differences.loop_lag.iter().copied()),
        cpu_ns_per_event: cpu_ns.map(|cpu| cpu / differences.events.max(1)),
    })
}
