//! From a run directory to what reports are computed from.

use std::collections::HashMap;

use timeslip_datasets::journal::{self, EventKind, Exchange, Outcome, Trial, Warmth};
use timeslip_reports::input::{
    Calibration, ConnectionFacts, EndpointData, ExchangeData, FirstOfKind,
    Outcome as ReportedOutcome, ReportedTimes, Role, RunData, StreamCounts, TrialData,
};

use crate::config::Price;
use crate::error::Error;
use crate::plan::{Plan, PlannedEndpoint};
use crate::rundir::{Manifest, RunDirectory};
use crate::stages::{self, PrefillModel};
use crate::validity;

/// Reads and attributes a run.
///
/// # Errors
/// [`Error::Journal`] when the journal is broken, [`Error::Run`] when it belongs to
/// another run.
pub fn load(directory: &RunDirectory, manifest: &Manifest) -> Result<RunData, Error> {
    let journal = journal::read(&directory.journal())?;
    if journal.run_id != manifest.run_id {
        return Err(Error::Run {
            path: directory.journal(),
            problem: format!(
                "belongs to run {}, but run.json says {}",
                journal.run_id, manifest.run_id
            ),
        });
    }
    let calibration = directory.read_calibration()?;
    Ok(analyse(manifest, calibration, &journal.trials))
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
            let fit = stages::fit_prefill(own.flat_map(|trial| &trial.exchanges))?;
            Some((endpoint.name.as_str(), fit))
        })
        .collect();
    let endpoints = std::iter::zip([Role::Candidate, Role::Baseline], &plan.endpoints)
        .map(|(role, endpoint)| EndpointData {
            name: endpoint.name.clone(),
            role,
            model: endpoint.model.clone(),
            protocol: endpoint.protocol.clone(),
            transport: endpoint.transport.name().into(),
            simulated: endpoint.simulate.is_some(),
            notes: endpoint
                .simulate
                .as_ref()
                .map_or_else(Vec::new, |simulate| simulate.figures.notes.clone()),
        })
        .collect();
    let mut warnings = manifest.warnings.clone();
    warnings.extend(contradictions(trials));
    warnings.extend(proxied(trials));
    let client_lag = validity::client_lag(trials.iter());
    if client_lag.is_none() && trials.iter().any(|trial| !trial.exchanges.is_empty()) {
        warnings.push("This platform does not say when bytes arrived, only when they were read: whether the client was the bottleneck is not known.".into());
    }
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
        invalid: objections(plan, trials),
        warnings,
        endpoints,
        trials: trials
            .iter()
            .map(|trial| {
                let fit = fits.get(trial.key.endpoint.as_str()).copied();
                trial_data(plan, trial, fit)
            })
            .collect(),
    }
}

fn proxied(trials: &[Trial]) -> Option<String> {
    let exchanges = trials.iter().flat_map(|trial| &trial.exchanges);
    let opened = exchanges.filter(|exchange| exchange.marks.proxy.is_some());
    let count = opened.count();
    (count > 0).then(|| {
        format!(
            "{count} connections went through a proxy, as the environment asks: their path is not the direct one, and their TCP round trip ends at the proxy"
        )
    })
}

/// Each endpoint by itself: the fast one is late first, and the slow one must not hide it.
fn objections(plan: &Plan, trials: &[Trial]) -> Vec<String> {
    let objection = |endpoint: &PlannedEndpoint| {
        let own = trials
            .iter()
            .filter(|trial| trial.key.endpoint == endpoint.name);
        let lag = validity::client_lag(own);
        validity::objection(&endpoint.name, lag, plan.limits.client_lag_ms)
    };
    plan.endpoints.iter().filter_map(objection).collect()
}

fn contradictions(trials: &[Trial]) -> Option<String> {
    let exchanges = || trials.iter().flat_map(|trial| &trial.exchanges);
    let count = exchanges()
        .filter(|exchange| stages::contradicts(exchange))
        .count();
    (count > 0).then(|| {
        format!(
            "{count} of {} exchanges: the server reports more time than the client measured in all; its figures were cut to what the marks leave room for",
            exchanges().count()
        )
    })
}

fn trial_data(plan: &Plan, trial: &Trial, prefill: Option<PrefillModel>) -> TrialData {
    let attribution = stages::attribute(trial, prefill);
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
        outcome: match finished.outcome {
            Outcome::Resolved => ReportedOutcome::Resolved,
            Outcome::Unresolved => ReportedOutcome::Unresolved,
            Outcome::LimitReached => ReportedOutcome::LimitReached,
            Outcome::Error => ReportedOutcome::Error,
        },
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
        tool_sum_ns: trial
            .tools
            .iter()
            .map(|tool| tool.end.saturating_sub(tool.start))
            .fold(0, u64::saturating_add),
        tool_calls: u32::try_from(trial.tools.len()).unwrap_or(u32::MAX),
        cost_usd: price.and_then(|price| cost_usd(price, &trial.exchanges)),
    }
}

/// What the tokens of some exchanges cost. One that completed without saying how many
/// tokens it used, or that contradicts itself, makes the sum unknown.
fn cost_usd(price: &Price, exchanges: &[Exchange]) -> Option<f64> {
    let mut total = 0.0;
    for exchange in exchanges {
        let Some(usage) = exchange.usage else {
            exchange.error.as_ref()?;
            continue;
        };
        if usage.contradiction().is_some() {
            return None;
        }
        let (input, output) = (usage.input()?, usage.output()?);
        let cached = usage.cached_tokens.unwrap_or(0);
        let cached_price = if cached > 0 { price.cached_input? } else { 0.0 };
        total += input.saturating_sub(cached) as f64 * price.input
            + cached as f64 * cached_price
            + output as f64 * price.output;
    }
    Some(total / 1e6)
}

fn exchange_data(exchange: &Exchange) -> ExchangeData {
    let marks = &exchange.marks;
    let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    let events = exchange.events.as_slice();
    let first = |kind| {
        let event = events.iter().find(|event| event.kind == kind);
        between(marks.sent, event.map(|event| event.at))
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
        stream: StreamCounts {
            output_events: events.len() as u64,
            output_reads: exchange.shape.output_reads.into(),
            keep_alives: exchange.shape.keep_alives.into(),
        },
        connection: ConnectionFacts {
            reused: exchange.reused_connection,
            ping_ns: exchange.ping_ns,
            tcp_min_rtt_ns: exchange.tcp.map(|tcp| tcp.min_rtt_ns),
            retransmits: exchange.tcp.map(|tcp| tcp.retransmits),
            segments_in: exchange.tcp.map(|tcp| tcp.segments_in),
            segments_out: exchange.tcp.map(|tcp| tcp.segments_out),
            response_bytes: exchange.response_bytes,
        },
        reported: ReportedTimes {
            queue_ns: exchange.reported.queue_ns,
            prefill_ns: exchange.reported.prefill_ns,
            decode_ns: exchange.reported.decode_ns,
            ttft_ns: exchange.reported.ttft_ns,
            total_ns: exchange.reported.total_ns,
        },
        contradicted: stages::contradicts(exchange),
        inter_event_ns: events
            .windows(2)
            .map(|pair| pair[1].at.saturating_sub(pair[0].at))
            .collect(),
        decode_ns: between(marks.first_token, marks.last_token),
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
    use timeslip_datasets::journal::Usage;

    #[test]
    fn a_cost_is_the_sum_of_its_tokens_or_unknown() {
        let mut price = Price {
            input: 2.0,
            cached_input: Some(0.5),
            output: 10.0,
            priced_at: "2026".into(),
        };
        let used = Exchange {
            usage: Some(Usage {
                input_tokens: 1_000_000,
                cached_tokens: Some(400_000),
                output_tokens: 100_000,
                reasoning_tokens: None,
                missing: None,
            }),
            ..Exchange::default()
        };
        let refused = Exchange {
            error: Some("refused".into()),
            ..Exchange::default()
        };
        let cost = cost_usd(&price, &[used.clone(), refused]).unwrap();
        assert!((cost - (1.2 + 0.2 + 1.0)).abs() < 1e-12, "{cost}");
        assert_eq!(cost_usd(&price, &[used.clone(), Exchange::default()]), None);
        price.cached_input = None;
        assert_eq!(cost_usd(&price, &[used]), None);
    }
}
