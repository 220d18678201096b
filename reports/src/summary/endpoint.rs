//! One endpoint's figures.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::journal::Outcome;

use super::levels::{MetricLevel, levels};
use super::reconciliation::Reconciliation;
use crate::data::{EndpointData, ExchangeData, FirstOfKind, Role, TrialData};
use crate::format::NS_PER_MS;
use crate::stages::{Provenance, Stage, StageGroup};
use crate::stats::{
    Distribution, Effect, ErrorAdjusted, Estimate, pass_at_k, pass_hat_k, resolve_rate,
};
use crate::trial::{exchange_rate, output_tokens, stage_totals};

/// What one endpoint did in the run.
///
/// Counts cover every trial. Times (`wall_ms`, `ttft_ms`, `inter_event_ms`,
/// rates, stages) leave out trials that ended in an error; `wall_error_adjusted_ms` beside
/// them does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSummary {
    /// Side of the comparison.
    pub role: Role,
    /// Model id sent on the wire.
    pub model: String,
    /// Wire protocol.
    pub protocol: String,
    /// Transport asked for.
    pub transport: String,
    /// Transports really used, sorted.
    pub transports_used: Vec<String>,
    /// True for the embedded endpoints.
    pub simulated: bool,
    /// Where a simulated profile's figures come from.
    pub notes: Vec<String>,
    /// Trials finished, errors included.
    pub trials: usize,
    /// Trials the grader accepted.
    pub resolved: usize,
    /// Trials in which the endpoint or the sandbox failed.
    pub errors: usize,
    /// `resolved / trials`, with its interval.
    pub resolve_rate: Estimate,
    /// Chance that one of `attempts` succeeds, pass@k, and that all do, pass^k, with
    /// k = `attempts`, the fewest that any task had; `null` with one attempt.
    pub repeated: Option<RepeatedSummary>,
    /// Task time, agent start to agent end.
    pub wall_ms: Distribution,
    /// Task time in which a trial that ended by the endpoint's fault is later than any
    /// other, infinitely late; the harness's own faults are left out.
    #[serde(default)]
    pub wall_error_adjusted_ms: ErrorAdjusted,
    /// Task time with backoff and fruitless tries taken out; equal to `wall_ms` when
    /// nothing waited.
    pub wall_without_wait_ms: Distribution,
    /// Time to first token of any kind, per exchange.
    pub ttft_ms: Distribution,
    /// Time to the first event of each kind, per exchange that had one.
    pub first_of_kind_ms: FirstOfKindSummary,
    /// What came in the streams.
    pub stream: StreamSummary,
    /// The server's own times against the client's marks; `null` when it reported none.
    pub reconciliation: Option<Reconciliation>,
    /// Gap between consecutive output events.
    pub inter_event_ms: Distribution,
    /// Output rate per exchange: `(streamed tokens − 1) ÷ decode`. Reasoning that the
    /// server keeps to itself is not streamed.
    pub output_tokens_per_second: RateSummary,
    /// Output tokens of all trials; `null` when no server reported any.
    pub output_tokens: Option<u64>,
    /// Exchanges without reported output tokens: not in the rate or the total.
    pub exchanges_without_usage: usize,
    /// What was unusual in its exchanges, and how often: kinds of failures, repeated tries
    /// included, remarks, and events and values of kinds that are not known. The most
    /// frequent ones.
    #[serde(default)]
    pub unusual: BTreeMap<String, u64>,
    /// Plain sum of tool calls, which may overlap: not the tool stages' total.
    pub tool_sum_ms: f64,
    /// Where the time went, by stage.
    pub stages: BTreeMap<Stage, StageSummary>,
    /// Where the time went, by stage group.
    pub groups: BTreeMap<StageGroup, GroupSummary>,
    /// Every metric of the table that its trials have.
    #[serde(default)]
    pub metrics: Vec<MetricLevel>,
}

/// Time to the first event of each kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstOfKindSummary {
    /// The server says that it took the request: no model output.
    pub admitted: Distribution,
    /// Reasoning.
    pub reasoning: Distribution,
    /// Text.
    pub text: Distribution,
    /// Arguments of a tool call.
    pub tool_arguments: Distribution,
}

/// What came in the response streams, as ratios of sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamSummary {
    /// Output tokens in one output event, over exchanges with reported usage.
    pub tokens_per_event: Option<f64>,
    /// Output events that one read brought.
    pub events_per_read: Option<f64>,
    /// Comments and pings that only keep the connection alive.
    pub keep_alives: u64,
    /// Answers whose output came in a few bursts, and not as it was generated: they have no
    /// rate and no gaps.
    #[serde(default)]
    pub not_streamed: usize,
}

/// What repeated attempts would give, averaged over tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatedSummary {
    /// k: the fewest attempts that any task had.
    pub attempts: u64,
    /// Share of tasks of which at least one of k attempts succeeds.
    pub pass_at_k: Estimate,
    /// Share of tasks of which all of k attempts succeed.
    pub pass_hat_k: Estimate,
}

/// A median rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateSummary {
    /// Exchanges a rate could be computed for.
    pub n: usize,
    /// Median over exchanges.
    pub p50: Option<f64>,
}

/// One stage, summed over an endpoint's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSummary {
    /// Total over trials.
    pub total_ms: f64,
    /// Its part of all stages: a ratio of sums.
    pub share: Option<f64>,
    /// The weakest provenance among its parts.
    pub provenance: Provenance,
    /// Bound on the error of `total_ms`, where every part has one.
    pub error_ms: Option<f64>,
}

/// One stage group, summed over an endpoint's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSummary {
    /// Total over trials.
    pub total_ms: f64,
    /// Mean per trial.
    pub mean_ms: f64,
    /// Its part of all groups: a ratio of sums.
    pub share: Option<f64>,
}

impl EndpointSummary {
    /// Computes the figures of one endpoint from the run's trials.
    #[must_use]
    pub fn of(endpoint: &EndpointData, trials: &[TrialData]) -> Self {
        let own: Vec<&TrialData> = trials
            .iter()
            .filter(|trial| trial.endpoint == endpoint.name)
            .collect();
        let timed: Vec<&TrialData> = timed(&own);
        let exchanges = || timed.iter().flat_map(|trial| &trial.exchanges);
        let rates = Distribution::of(exchanges().filter_map(exchange_rate));
        EndpointSummary {
            role: endpoint.role,
            model: endpoint.model.clone(),
            protocol: endpoint.protocol.clone(),
            transport: endpoint.transport.clone(),
            transports_used: own
                .iter()
                .flat_map(|trial| &trial.exchanges)
                .map(|exchange| exchange.transport.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            simulated: endpoint.simulated,
            notes: endpoint.notes.clone(),
            trials: own.len(),
            resolved: count(&own, Outcome::Resolved),
            errors: own.iter().filter(|trial| trial.failed()).count(),
            resolve_rate: resolve_rate(&results_by_task(&own)),
            repeated: repeated(&results_by_task(&own)),
            wall_ms: distribution_ms(timed.iter().map(|trial| trial.wall_ns)),
            wall_error_adjusted_ms: ErrorAdjusted::of(
                timed.iter().map(|trial| trial.wall_ns as f64 / NS_PER_MS),
                own.iter().filter(|trial| trial.endpoint_failed()).count(),
            ),
            wall_without_wait_ms: distribution_ms(
                timed.iter().map(|trial| trial.wall_without_wait_ns()),
            ),
            ttft_ms: distribution_ms(exchanges().filter_map(|exchange| exchange.ttft_ns)),
            first_of_kind_ms: first_of_kind(exchanges()),
            stream: stream(exchanges()),
            reconciliation: Reconciliation::of(exchanges()),
            inter_event_ms: distribution_ms(
                exchanges().flat_map(|exchange| exchange.inter_event_ns.iter()),
            ),
            output_tokens_per_second: RateSummary {
                n: rates.n,
                p50: rates.p50,
            },
            output_tokens: output_tokens(own.iter().copied()),
            exchanges_without_usage: own
                .iter()
                .flat_map(|trial| &trial.exchanges)
                .filter(|exchange| exchange.output_tokens.is_none())
                .count(),
            unusual: unusual(&own),
            tool_sum_ms: timed
                .iter()
                .map(|trial| trial.tool_sum_ns)
                .fold(0, u64::saturating_add) as f64
                / NS_PER_MS,
            stages: stages(&timed),
            groups: groups(&timed),
            metrics: levels(own.iter().copied()),
        }
    }
}

/// Most kinds of unusual things that are listed.
const MAX_UNUSUAL: usize = 32;

fn unusual(trials: &[&TrialData]) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, times) in trials.iter().flat_map(|trial| &trial.unusual) {
        let count = counts.entry(what).or_default();
        *count = count.saturating_add(*times);
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let listed = counts.into_iter().take(MAX_UNUSUAL);
    listed
        .map(|(what, times)| (what.to_owned(), times))
        .collect()
}

fn first_of_kind<'a>(
    exchanges: impl Iterator<Item = &'a ExchangeData> + Clone,
) -> FirstOfKindSummary {
    let firsts = exchanges.map(|exchange| exchange.first);
    let of =
        |kind: fn(FirstOfKind) -> Option<u64>| distribution_ms(firsts.clone().filter_map(kind));
    FirstOfKindSummary {
        admitted: of(|first| first.admitted_ns),
        reasoning: of(|first| first.reasoning_ns),
        text: of(|first| first.text_ns),
        tool_arguments: of(|first| first.tool_arguments_ns),
    }
}

fn stream<'a>(exchanges: impl Iterator<Item = &'a ExchangeData> + Clone) -> StreamSummary {
    let sum = |of: fn(&ExchangeData) -> u64| exchanges.clone().map(of).fold(0, u64::saturating_add);
    let with_usage = exchanges
        .clone()
        .filter(|exchange| exchange.streamed_tokens.is_some());
    let told = with_usage
        .map(|exchange| exchange.output_events)
        .fold(0, u64::saturating_add);
    StreamSummary {
        tokens_per_event: share(sum(|exchange| exchange.streamed_tokens.unwrap_or(0)), told),
        events_per_read: share(
            sum(|exchange| exchange.output_events),
            sum(|exchange| exchange.stream.output_reads.into()),
        ),
        keep_alives: sum(|exchange| exchange.stream.keep_alives.into()),
        not_streamed: exchanges.filter(|exchange| !exchange.streamed).count(),
    }
}

fn timed<'a>(trials: &[&'a TrialData]) -> Vec<&'a TrialData> {
    trials
        .iter()
        .copied()
        .filter(|trial| !trial.failed())
        .collect()
}

fn count(trials: &[&TrialData], outcome: Outcome) -> usize {
    trials
        .iter()
        .filter(|trial| trial.outcome == outcome)
        .count()
}

fn repeated(results: &[Vec<bool>]) -> Option<RepeatedSummary> {
    let tallies: Vec<(u64, u64)> = results
        .iter()
        .map(|attempts| {
            let successes = attempts.iter().filter(|resolved| **resolved).count();
            (successes as u64, attempts.len() as u64)
        })
        .collect();
    let attempts = tallies.iter().map(|(_, attempts)| *attempts).min()?;
    let estimate = |pass: Result<Effect, String>| {
        pass.map_or_else(Estimate::absent, |effect| effect.estimate())
    };
    (attempts > 1).then(|| RepeatedSummary {
        attempts,
        pass_at_k: estimate(pass_at_k(&tallies, attempts)),
        pass_hat_k: estimate(pass_hat_k(&tallies, attempts)),
    })
}

fn results_by_task(trials: &[&TrialData]) -> Vec<Vec<bool>> {
    let mut tasks: BTreeMap<(&str, &str), Vec<bool>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.judged()) {
        tasks
            .entry((&trial.suite, &trial.task))
            .or_default()
            .push(trial.outcome == Outcome::Resolved);
    }
    tasks.into_values().collect()
}

fn distribution_ms(ns: impl IntoIterator<Item = u64>) -> Distribution {
    Distribution::of(ns.into_iter().map(|ns| ns as f64 / NS_PER_MS))
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn stages(trials: &[&TrialData]) -> BTreeMap<Stage, StageSummary> {
    let totals = stage_totals(trials.iter().copied());
    let whole = totals.values().copied().fold(0, u64::saturating_add);
    totals
        .into_iter()
        .map(|(stage, total)| {
            let parts: Vec<_> = trials
                .iter()
                .flat_map(|trial| &trial.stages)
                .filter(|value| value.stage == stage)
                .collect();
            let bounded = parts
                .iter()
                .all(|part| part.provenance == Provenance::Measured || part.error_ns.is_some());
            let error = parts
                .iter()
                .filter_map(|part| part.error_ns)
                .reduce(u64::saturating_add);
            let summary = StageSummary {
                total_ms: total as f64 / NS_PER_MS,
                share: share(total, whole),
                provenance: parts
                    .iter()
                    .map(|part| part.provenance)
                    .max()
                    .unwrap_or(Provenance::Unavailable),
                error_ms: error.filter(|_| bounded).map(|ns| ns as f64 / NS_PER_MS),
            };
            (stage, summary)
        })
        .collect()
}

/// Totals by group. A group that is not known is absent, not zero: its time is inside
/// `residue`.
fn groups(trials: &[&TrialData]) -> BTreeMap<StageGroup, GroupSummary> {
    let known = |stage: Stage| {
        let mut parts = trials.iter().flat_map(|trial| &trial.stages);
        parts.any(|part| part.stage == stage && part.provenance != Provenance::Unavailable)
    };
    let mut totals: BTreeMap<StageGroup, u64> = BTreeMap::new();
    let stages = stage_totals(trials.iter().copied()).into_iter();
    for (stage, ns) in stages.filter(|(stage, _)| known(*stage)) {
        let total = totals.entry(stage.group()).or_default();
        *total = total.saturating_add(ns);
    }
    let whole = totals.values().copied().fold(0, u64::saturating_add);
    totals
        .into_iter()
        .map(|(group, total)| {
            let total_ms = total as f64 / NS_PER_MS;
            let summary = GroupSummary {
                total_ms,
                mean_ms: total_ms / trials.len() as f64,
                share: share(total, whole),
            };
            (group, summary)
        })
        .collect()
}
