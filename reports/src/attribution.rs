//! Attribution: from the marks in the journal to stages that sum to the wall time.
//!
//! Pure functions over finished trials, so that a better attribution can be applied
//! to an old run. Every instant of a trial is given to exactly one stage: the spans
//! of exchanges and tool calls are laid on a line in order of their start, what an
//! earlier span covers is cut from a later one, and the gaps are the harness's own.

pub(crate) mod contention;
pub(crate) mod cost;
mod exchange;
mod line;
mod prefill_fit;
pub(crate) mod prompt_cache;
pub(crate) mod streaming;
pub(crate) mod validity;

pub(crate) use exchange::contradicts;
pub use exchange::{Context, Segment, segments};
pub use line::Attribution;
pub(crate) use prefill_fit::PrefillPoints;
pub use prefill_fit::{PrefillModel, fit_prefill};
pub use validity::every_endpoint_measured;

use std::sync::Arc;

use timeslip_datasets::run::journal::{Exchange, Tool, Trial};

use crate::stages::{Provenance, Stage};
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
    let mut pieces = Vec::new();
    for run in &trial.agent_runs {
        // One that asks for nothing starts up until it ends.
        let end = run.first_request.unwrap_or(run.end);
        let segments = vec![measured(end, Stage::AgentStart)];
        let start = run.command_start.unwrap_or(run.start);
        lay(&mut pieces, start, segments, 0, &Arc::default());
    }
    for exchange in &trial.exchanges {
        lay(
            &mut pieces,
            exchange.marks.start,
            segments(exchange, context),
            exchange.turn,
            &exchange.transport.as_str().into(),
        );
    }
    for tool in &trial.tools {
        let label: String = tool.name.chars().take(MAX_LABEL).collect();
        let segments = tool_segments(tool);
        lay(&mut pieces, tool.start, segments, tool.turn, &label.into());
    }
    line_up(
        pieces,
        trial.finished.wall_ns,
        &unavailable(&trial.exchanges, context),
    )
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
    match tool.command_start {
        Some(start) => vec![
            measured(start, Stage::ToolSandbox),
            // A killed command ran until the end.
            measured(tool.command_end.unwrap_or(tool.end), Stage::ToolCommand),
            measured(tool.end, Stage::ToolSandbox),
        ],
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
