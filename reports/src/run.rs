//! From a run directory to what reports are computed from.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use timeslip_datasets::run::calibration::Calibration;
use timeslip_datasets::run::journal::{EventKind, Exchange, Tool, ToolKind, Trial, Warmth};
use timeslip_datasets::run::manifest::Manifest;
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};
use timeslip_datasets::run::{Error, RunDirectory};

use crate::attribution::client_cost::client_cost;
use crate::attribution::contention::Contention;
use crate::attribution::prompt_cache::{self, FirstPrompts};
use crate::attribution::streaming::Decode;
use crate::attribution::validity::{self, ClientLag};
use crate::attribution::{self, PrefillModel, PrefillPoints, cost};
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
/// The journal is read twice: what a trial's time went into rests on a fit over all exchanges of
/// its endpoint. So no more is ever held than what reports are computed from.
///
/// # Errors
/// [`Error`], naming the file of the directory that is not what it should be.
pub fn open(path: &Path) -> Result<Run, Error> {
    let (directory, manifest) = RunDirectory::open(path)?;
    let calibration = directory.read_calibration()?;
    let mut seen = Seen::default();
    for trial in directory.read_journal(&manifest)? {
        seen.take(&trial?, manifest.plan.limits.client_lag_ms);
    }
    let plan = &manifest.plan;
    let fits = seen.fits(plan);
    let mut trials = Vec::new();
    for trial in directory.read_journal(&manifest)?.take(seen.trials) {
        let trial = trial?;
        let fit = fits.get(trial.key.endpoint.as_str()).copied();
        trials.push(trial_data(plan, &trial, fit));
    }
    let data = run_data(&manifest, calibration, &seen, trials);
    Ok(Run {
        directory,
        manifest,
        data,
    })
}

/// What is seen only in all trials together.
#[derive(Default)]
struct Seen {
    trials: usize,
    exchanges: usize,
    /// Exchanges whose server reports more time than there was.
    contradicted: usize,
    /// Connections that were opened through a proxy.
    proxied: usize,
    /// By endpoint.
    endpoints: BTreeMap<String, SeenOfEndpoint>,
}

#[derive(Default)]
struct SeenOfEndpoint {
    prefill: PrefillPoints,
    lag: ClientLag,
    first_prompts: FirstPrompts,
    contention: Contention,
}

impl Seen {
    fn take(&mut self, trial: &Trial, lag_ms: f64) {
        self.trials += 1;
        self.exchanges += trial.exchanges.len();
        let exchanges = || trial.exchanges.iter();
        self.contradicted += exchanges().filter(|e| attribution::contradicts(e)).count();
        self.proxied += exchanges().filter(|e| e.marks.proxy.is_some()).count();
        let name = &trial.key.endpoint;
        if !self.endpoints.contains_key(name) {
            self.endpoints
                .insert(name.clone(), SeenOfEndpoint::default());
        }
        if let Some(endpoint) = self.endpoints.get_mut(name) {
            endpoint.first_prompts.add(trial);
            endpoint.contention.add(trial);
            for exchange in &trial.exchanges {
                endpoint.lag.add(exchange, lag_ms);
                if !validity::is_spoilt(exchange, lag_ms) {
                    endpoint.prefill.add(exchange);
                }
            }
        }
    }

    fn fits<'a>(&self, plan: &'a Plan) -> HashMap<&'a str, PrefillModel> {
        let names = plan.endpoints.iter().map(|endpoint| endpoint.name.as_str());
        let fits = names.filter_map(|name| Some((name, self.endpoints.get(name)?.prefill.fit()?)));
        fits.collect()
    }
}

fn run_data(
    manifest: &Manifest,
    calibration: Option<Calibration>,
    seen: &Seen,
    trials: Vec<TrialData>,
) -> RunData {
    let plan = &manifest.plan;
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
    warnings.extend(contradictions(seen));
    warnings.extend(proxied(seen));
    for (name, seen) in &seen.endpoints {
        warnings.extend(seen.lag.left_out(name));
        warnings.extend(seen.contention.warning(name));
    }
    let firsts = |name: &str| Some(&seen.endpoints.get(name)?.first_prompts);
    warnings.extend(prompt_cache::known_before(plan, firsts));
    let client_lag = ClientLag::quantiles(seen.endpoints.values().map(|endpoint| &endpoint.lag));
    if client_lag.is_none() && seen.exchanges > 0 {
        warnings.push("This platform does not say when bytes arrived, only when they were read: whether the client was the bottleneck is not known.".into());
    }
    let mut invalid = objections(plan, seen);
    let starved = |calibration| validity::starved(calibration, plan.limits.client_lag_ms);
    invalid.extend(calibration.as_ref().and_then(starved).map(|why| Objection {
        endpoint: None,
        why,
    }));
    invalid.extend(headline::too_many_errors(&endpoints, &trials));
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
        trials,
    }
}

fn proxied(seen: &Seen) -> Option<String> {
    (seen.proxied > 0).then(|| {
        format!(
            "{} went through a proxy, as the environment asks: the path is not the direct one, and the TCP round trip ends at the proxy",
            plural(seen.proxied, "connection")
        )
    })
}

/// Each endpoint by itself: the fast one is late first, and the slow one must not hide it.
fn objections(plan: &Plan, seen: &Seen) -> Vec<Objection> {
    let objection = |endpoint: &PlannedEndpoint| {
        let own = seen.endpoints.get(&endpoint.name)?;
        let limit_ms = plan.limits.client_lag_ms;
        let why = own.lag.objection(&endpoint.name, limit_ms)?;
        Some(Objection {
            endpoint: Some(endpoint.name.clone()),
            why,
        })
    };
    plan.endpoints.iter().filter_map(objection).collect()
}

fn contradictions(seen: &Seen) -> Option<String> {
    let count = seen.contradicted;
    (count > 0).then(|| {
        format!(
            "{count} of {}: the server reports more time than the client measured in all; its figures were cut to what the marks leave room for",
            plural(seen.exchanges, "exchange")
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
    let told = || {
        let exchanges = trial.exchanges.iter();
        exchanges.filter(|exchange| {
            exchange.backoff_until.is_none() && !exchange.warm_up && exchange.side.is_none()
        })
    };
    let mut exchanges = Vec::with_capacity(told().count());
    let lag_ms = plan.limits.client_lag_ms;
    exchanges.extend(told().map(|exchange| exchange_data(exchange, lag_ms)));
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
        exchanges,
        unusual: unusual(&trial.exchanges),
        tool_sum_ns: trial
            .tools
            .iter()
            .map(|tool| tool.end.saturating_sub(tool.start))
            .fold(0, u64::saturating_add),
        tool_calls: u32::try_from(trial.tools.len()).unwrap_or(u32::MAX),
        calls_by_kind: calls_by_kind(&trial.tools),
        changes: finished.changes,
        solution_changes: finished.solution_changes,
        client: client_cost(trial),
        acts: trial.acts.clone(),
        cost_usd: price.and_then(|price| cost::cost_usd(price, &trial.exchanges)),
    }
}

fn calls_by_kind(tools: &[Tool]) -> Option<BTreeMap<ToolKind, u32>> {
    let mut counts = BTreeMap::new();
    for tool in tools {
        *counts.entry(tool.kind?).or_default() += 1;
    }
    Some(counts)
}

/// Failures, remarks and events of unknown kinds, counted. What follows a colon is of one
/// case.
fn unusual(exchanges: &[Exchange]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for exchange in exchanges {
        let kind = |remark: &String| remark.split(": ").next().unwrap_or_default().to_owned();
        let failures = exchange.error.iter();
        let failures = failures.map(|error| (format!("failed: {}", kind(error)), 1));
        let remarks = exchange.remarks.iter().map(|remark| (kind(remark), 1));
        let events = exchange.unknown.iter();
        let events = events.map(|(name, n)| (format!("unknown: {name}"), u64::from(*n)));
        for (what, times) in failures.chain(remarks).chain(events) {
            let count: &mut u64 = counts.entry(what).or_default();
            *count = count.saturating_add(times);
        }
    }
    counts
}

fn exchange_data(exchange: &Exchange, lag_ms: f64) -> ExchangeData {
    let marks = &exchange.marks;
    let spoilt = validity::is_spoilt(exchange, lag_ms);
    let between = |from: Option<u64>, to: Option<u64>| {
        let between = to?.saturating_sub(from?);
        (!spoilt).then_some(between)
    };
    let events = exchange.events.as_slice();
    let first = |kind| {
        let event = events.iter().find(|event| event.kind == kind);
        between(marks.sent, event.map(|event| event.at))
    };
    let decode = match spoilt {
        true => Decode::unknown(),
        false => Decode::of(exchange),
    };
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
        spoilt,
        too_late_by_ns: attribution::too_late(exchange).map(|bounds| bounds.most),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_remarks_are_counted_by_kind() {
        let exchange = |error: Option<&str>, remark: &str| Exchange {
            error: error.map(str::to_owned),
            remarks: vec![remark.to_owned()],
            unknown: BTreeMap::from([("ping2".to_owned(), 2)]),
            ..Exchange::default()
        };
        let empty = "the answer is empty: no reasoning, no text and no call";
        let counts = unusual(&[
            exchange(Some(empty), "the usage contradicts itself: 9 cached of 8"),
            exchange(Some(empty), "the usage contradicts itself: 7 cached of 6"),
            exchange(Some("HTTP 429: slow down"), "odd"),
            exchange(None, "odd"),
        ]);
        let expected = [
            ("failed: the answer is empty", 2),
            ("failed: HTTP 429", 1),
            ("the usage contradicts itself", 2),
            ("odd", 2),
            ("unknown: ping2", 8),
        ];
        assert_eq!(
            counts,
            BTreeMap::from(expected.map(|(what, times)| (what.to_owned(), times)))
        );
    }
}
