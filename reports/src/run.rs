//! From a run directory to what reports are computed from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use timeslip_datasets::run::calibration::Calibration;
use timeslip_datasets::run::journal::{EventKind, Exchange, Trial, Warmth};
use timeslip_datasets::run::manifest::Manifest;
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};
use timeslip_datasets::run::{Error, RunDirectory};

use crate::attribution::streaming::Decode;
use crate::attribution::{self, PrefillModel, cost, prompt_cache, validity};
use crate::data::{
    ConnectionFacts, EndpointData, ExchangeData, FirstOfKind, Objection, Role, RunData, TrialData,
};
use crate::format::plural;
use crate::headline;

/// A run, read from its directory and attributed.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it is.
    pub directory: RunDirectory,
    /// What was planned, and where it ran.
    pub manifest: Manifest,
    /// What happened, given to stages.
    pub data: RunData,
}

/// Reads a run directory, of this version or an older one. Nothing else is needed.
///
/// # Errors
/// [`Error`], naming the file of the directory that is not what it should be.
pub fn open(path: &Path) -> Result<Run, Error> {
    let (directory, manifest) = RunDirectory::open(path)?;
    let journal = directory.read_journal(&manifest)?;
    let calibration = directory.read_calibration()?;
    let data = analyse(&manifest, calibration, &journal.trials);
    Ok(Run {
        directory,
        manifest,
        data,
    })
}

fn analyse(manifest: &Manifest, calibration: Option<Calibration>, trials: &[Trial]) -> RunData {
    let plan = &manifest.plan;
    let fits: HashMap<&str, PrefillModel> = plan
        .endpoints
        .iter()
        .filter_map(|endpoint| {
            let own = trials
                .iter()
                .filter(|trial| trial.key.endpoint == endpoint.name);
            let fit = attribution::fit_prefill(own.flat_map(|trial| &trial.exchanges))?;
            Some((endpoint.name.as_str(), fit))
        })
        .collect();
    let endpoints = plan
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| EndpointData {
            name: endpoint.name.clone(),
            role: if plan.is_baseline(index) {
                Role::Baseline
            } else {
                Role::Candidate
            },
            model: endpoint.model.clone(),
            protocol: endpoint.protocol.clone(),
            transport: endpoint.transport.clone(),
            simulated: endpoint.simulate.is_some(),
            identity: Some(endpoint.identity()),
            notes: endpoint
                .simulate
                .as_ref()
                .map_or_else(Vec::new, |simulate| {
                    simulate.notes().map(str::to_owned).collect()
                }),
        })
        .collect::<Vec<_>>();
    let mut warnings = manifest.warnings.clone();
    warnings.extend(contradictions(trials));
    warnings.extend(proxied(trials));
    warnings.extend(prompt_cache::known_before(plan, trials));
    let client_lag = validity::client_lag(trials.iter());
    if client_lag.is_none() && trials.iter().any(|trial| !trial.exchanges.is_empty()) {
        warnings.push("This platform does not say when bytes arrived, only when they were read: whether the client was the bottleneck is not known.".into());
    }
    let finished: Vec<TrialData> = trials
        .iter()
        .map(|trial| {
            let fit = fits.get(trial.key.endpoint.as_str()).copied();
            trial_data(plan, trial, fit)
        })
        .collect();
    let mut invalid = objections(plan, trials);
    invalid.extend(headline::too_many_errors(&endpoints, &finished));
    RunData {
        run_id: manifest.run_id.clone(),
        started_at: manifest.started_at.clone(),
        timeslip_version: manifest.timeslip_version.clone(),
        seed: plan.seed,
        sandbox: manifest.sandbox.clone(),
        concurrency: plan.concurrency,
        planned_trials: plan.trials.len(),
        trial_limit_ns: plan.longest_trial_seconds().saturating_mul(1_000_000_000),
        environment: manifest.environment.clone(),
        calibration,
        client_lag,
        invalid,
        warnings,
        endpoints,
        trials: finished,
    }
}

fn proxied(trials: &[Trial]) -> Option<String> {
    let exchanges = trials.iter().flat_map(|trial| &trial.exchanges);
    let opened = exchanges.filter(|exchange| exchange.marks.proxy.is_some());
    let count = opened.count();
    (count > 0).then(|| {
        format!(
            "{} went through a proxy, as the environment asks: the path is not the direct one, and the TCP round trip ends at the proxy",
            plural(count, "connection")
        )
    })
}

/// Each endpoint by itself: the fast one is late first, and the slow one must not hide it.
fn objections(plan: &Plan, trials: &[Trial]) -> Vec<Objection> {
    let objection = |endpoint: &PlannedEndpoint| {
        let own = trials
            .iter()
            .filter(|trial| trial.key.endpoint == endpoint.name);
        let lag = validity::client_lag(own);
        let why = validity::objection(&endpoint.name, lag, plan.limits.client_lag_ms)?;
        Some(Objection {
            endpoint: Some(endpoint.name.clone()),
            why,
        })
    };
    plan.endpoints.iter().filter_map(objection).collect()
}

fn contradictions(trials: &[Trial]) -> Option<String> {
    let exchanges = || trials.iter().flat_map(|trial| &trial.exchanges);
    let count = exchanges()
        .filter(|exchange| attribution::contradicts(exchange))
        .count();
    (count > 0).then(|| {
        format!(
            "{count} of {}: the server reports more time than the client measured in all; its figures were cut to what the marks leave room for",
            plural(exchanges().count(), "exchange")
        )
    })
}

fn trial_data(plan: &Plan, trial: &Trial, prefill: Option<PrefillModel>) -> TrialData {
    let attribution = attribution::attribute(trial, prefill);
    let finished = &trial.finished;
    let tags = plan
        .tags
        .get(&trial.key.suite)
        .and_then(|tasks| tasks.get(&trial.key.task));
    let mut endpoints = plan.endpoints.iter();
    let price = endpoints
        .find(|endpoint| endpoint.name == trial.key.endpoint)
        .and_then(|endpoint| endpoint.price.as_ref());
    TrialData {
        suite: trial.key.suite.clone(),
        task: trial.key.task.clone(),
        tags: tags.cloned().unwrap_or_default(),
        endpoint: trial.key.endpoint.clone(),
        attempt: trial.key.attempt,
        outcome: finished.outcome,
        ended_by: finished.ended_by,
        detail: finished.detail.clone(),
        wall_ns: finished.wall_ns,
        setup_ns: trial.started.setup_ns,
        warm: trial.started.warmth.map(|warmth| warmth == Warmth::Warm),
        grading_ns: finished.grading_ns,
        stages: attribution.stages,
        spans: attribution.spans,
        exchanges: trial
            .exchanges
            .iter()
            .filter(|exchange| exchange.backoff_until.is_none() && !exchange.warm_up)
            .map(exchange_data)
            .collect(),
        unusual: unusual(&trial.exchanges),
        tool_sum_ns: trial
            .tools
            .iter()
            .map(|tool| tool.end.saturating_sub(tool.start))
            .fold(0, u64::saturating_add),
        tool_calls: u32::try_from(trial.tools.len()).unwrap_or(u32::MAX),
        cost_usd: price.and_then(|price| cost::cost_usd(price, &trial.exchanges)),
    }
}

/// Remarks and events of unknown kinds, counted. What follows a colon is of one case.
fn unusual(exchanges: &[Exchange]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for exchange in exchanges {
        let kind = |remark: &String| remark.split(": ").next().unwrap_or_default().to_owned();
        let remarks = exchange.remarks.iter().map(|remark| (kind(remark), 1));
        let events = exchange.unknown.iter();
        let events = events.map(|(name, n)| (format!("unknown: {name}"), u64::from(*n)));
        for (what, times) in remarks.chain(events) {
            let count: &mut u64 = counts.entry(what).or_default();
            *count = count.saturating_add(times);
        }
    }
    counts
}

fn exchange_data(exchange: &Exchange) -> ExchangeData {
    let marks = &exchange.marks;
    let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    let events = exchange.events.as_slice();
    let first = |kind| {
        let event = events.iter().find(|event| event.kind == kind);
        between(marks.sent, event.map(|event| event.at))
    };
    let decode = Decode::of(exchange);
    ExchangeData {
        turn: exchange.turn,
        ttft_ns: between(marks.sent, marks.first_token),
        first: FirstOfKind {
            admitted_ns: between(marks.sent, marks.admitted),
            reasoning_ns: first(EventKind::Reasoning),
            text_ns: first(EventKind::Text),
            tool_arguments_ns: first(EventKind::ToolArguments),
        },
        output_events: events.len() as u64,
        stream: exchange.shape,
        connection: ConnectionFacts {
            reused: exchange.reused_connection,
            ping_ns: exchange.ping_ns,
            tcp: exchange.tcp,
            response_bytes: exchange.response_bytes,
        },
        reported: exchange.reported,
        contradicted: attribution::contradicts(exchange),
        streamed: decode.streamed,
        inter_event_ns: decode.gaps_ns,
        decode_ns: decode.ns,
        output_tokens: exchange.usage.and_then(|usage| usage.output()),
        streamed_tokens: exchange.streamed_tokens(),
        input_tokens: exchange.usage.and_then(|usage| usage.input()),
        cached_tokens: exchange.usage.and_then(|usage| usage.cached_tokens),
        request_bytes: exchange.request_bytes,
        cut_short: exchange.incomplete.is_some(),
        transport: exchange.transport.clone(),
    }
}
