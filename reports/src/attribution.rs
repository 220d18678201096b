//! Attribution: from the marks in the journal to stages that sum to the wall time.
//!
//! Pure functions over finished trials, so that a better attribution can be applied
//! to an old run. Every instant of a trial is given to exactly one stage: the exchanges
//! and tool calls that it waited for are laid on a line, and the gaps are the harness's own.

pub(crate) mod client_cost;
pub(crate) mod contention;
pub(crate) mod cost;
mod critical_path;
mod exchange;
mod line;
mod merged;
mod prefill_fit;
pub(crate) mod prompt_cache;
pub(crate) mod streaming;
pub(crate) mod validity;

pub(crate) use exchange::contradicts;
pub use exchange::{Context, Segment, segments};
pub use line::Attribution;
pub(crate) use merged::too_late;
pub(crate) use prefill_fit::PrefillPoints;
pub use prefill_fit::{PrefillModel, fit_prefill};
pub use validity::every_endpoint_measured;

use std::sync::Arc;

use timeslip_datasets::run::journal::{Act, ActKind, Exchange, Tool, Trial};

use crate::stages::{Provenance, Stage};
use critical_path::{Work, critical_path};
use line::{lay, line_up};

/// Longest name of a tool that a span keeps, in characters: it comes from the model.
const MAX_LABEL: usize = 40;

/// Attributes a trial.
#[must_use]
pub fn attribute(trial: &Trial, prefill: Option<PrefillModel>) -> Attribution {
    let exchanges = || trial.exchanges.iter();
    let context = Context {
        ping_ns: exchanges().filter_map(|exchange| exchange.ping_ns).min(),
        prefill,
        proxied: exchanges().any(|exchange| exchange.marks.proxy.is_some()),
    };
    let (mut works, mut parts) = (Vec::new(), Vec::new());
    for run in &trial.agent_runs {
        // One that asks for nothing starts up until it ends.
        let end = run.first_request.unwrap_or(run.end);
        let start = run.command_start.unwrap_or(run.start);
        works.push(Work::start_up(start, end));
        parts.push((0, Arc::default(), vec![measured(end, Stage::AgentStart)]));
    }
    for exchange in &trial.exchanges {
        let segments = segments(exchange, context);
        let end = segments
            .last()
            .map_or(exchange.marks.start, |last| last.end);
        works.push(Work::exchange(exchange, end));
        parts.push((exchange.turn, exchange.transport.as_str().into(), segments));
    }
    for tool in &trial.tools {
        let label: String = tool.name.chars().take(MAX_LABEL).collect();
        works.push(Work::tool(tool));
        parts.push((tool.turn, label.into(), tool_segments(tool)));
    }
    let lengths = parts.iter().map(|(_, _, segments)| segments.len());
    let mut pieces = Vec::with_capacity(lengths.sum());
    for window in critical_path(&works, trial.finished.wall_ns) {
        let (turn, label, segments) = &parts[window.work];
        lay(
            &mut pieces,
            works[window.work].start,
            window.to,
            segments,
            *turn,
            label,
        );
    }
    line_up(
        pieces,
        trial.finished.wall_ns,
        &unavailable(&trial.exchanges, context),
        &developers_time(&trial.acts),
    )
}

/// When the developer of a session typed or read, in order.
fn developers_time(acts: &[Act]) -> Vec<(u64, u64)> {
    let own = |act: &Act| match act.kind {
        ActKind::Type => Some((act.marks.began, act.marks.last_keystroke?)),
        ActKind::Wait => Some((act.marks.began, act.marks.ended)),
        _ => None,
    };
    let mut times: Vec<(u64, u64)> = acts.iter().filter_map(own).collect();
    times.sort_unstable();
    // He does one thing at a time; a journal of others may say else.
    times.dedup_by(|next, before| next.0 < before.1);
    times
}

/// What the client's own marks say.
fn measured(end: u64, stage: Stage) -> Segment {
    Segment {
        end,
        stage,
        provenance: Provenance::Measured,
        error_ns: None,
    }
}

fn tool_segments(tool: &Tool) -> Vec<Segment> {
    let length = tool.end.saturating_sub(tool.start);
    match tool.command_start {
        Some(start) => {
            // A recorded client's tool runs in no sandbox of its own: the rest is the client's.
            let around = match tool.agent {
                None => Stage::ToolSandbox,
                Some(_) => Stage::Harness,
            };
            vec![
                measured(start, around),
                // A killed command ran until the end.
                measured(tool.command_end.unwrap_or(tool.end), Stage::ToolCommand),
                measured(tool.end, around),
            ]
        }
        // Of a recorded client it is not known what of it was the client's own.
        None if tool.agent.is_some() => vec![Segment {
            provenance: Provenance::Estimated,
            error_ns: tool.reported_ns.map(|own| length.saturating_sub(own)),
            ..measured(tool.end, Stage::ToolCommand)
        }],
        None => vec![measured(tool.end, Stage::ToolSandbox)],
    }
}

/// Stages that are known of no exchange: shown as unavailable rather than as zero.
fn unavailable(exchanges: &[Exchange], context: Context) -> Vec<Stage> {
    let answered = exchanges.iter().filter(|exchange| {
        exchange.marks.first_token.is_some() && exchange.backoff_until.is_none()
    });
    answered
        .map(|exchange| exchange::unknown_parts(exchange, context).collect::<Vec<Stage>>())
        .reduce(|all, own| {
            all.into_iter()
                .filter(|stage| own.contains(stage))
                .collect()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
