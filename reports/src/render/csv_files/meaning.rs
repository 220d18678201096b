//! Policies and claims as CSV.

use super::{optional, table, text};
use crate::claims::Answer;
use crate::decision::PolicyFigures;
use crate::stats::Estimate;
use crate::summary::Summary;

/// Retries of each endpoint and, over the tasks tried on both, every way to use them.
pub(super) fn policies(summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "over",
        "policy",
        "up_to_attempts",
        "tasks",
        "solved",
        "solved_low",
        "solved_high",
        "time_per_task_ms",
        "time_per_task_low_ms",
        "time_per_task_high_ms",
        "time_per_solved_task_ms",
        "time_per_solved_task_low_ms",
        "time_per_solved_task_high_ms",
        "cost_per_task_usd",
        "cost_per_solved_task_usd",
        "cost_per_solved_task_low_usd",
        "cost_per_solved_task_high_usd",
        "on_front",
    ];
    let retries = summary.decision.retries.iter().flat_map(|(name, retries)| {
        retries.iter().map(move |retry| {
            let mut cells = vec![
                "all tasks of the endpoint".to_owned(),
                text(name),
                retry.up_to.to_string(),
                retry.tasks.to_string(),
            ];
            cells.extend(figures(&retry.figures));
            cells.push(String::new());
            cells
        })
    });
    let routing = summary.decision.routing.iter().flat_map(|routing| {
        routing.policies.iter().map(|policy| {
            let mut cells = vec![
                "tasks tried on both".to_owned(),
                text(&policy.name),
                String::new(),
                routing.tasks.to_string(),
            ];
            cells.extend(figures(&policy.figures));
            cells.push(policy.on_front.to_string());
            cells
        })
    });
    table(&headings, retries.chain(routing))
}

fn figures(figures: &PolicyFigures) -> Vec<String> {
    let all = |estimate: &Estimate| [estimate.point, estimate.low, estimate.high].map(optional);
    let unknown = Estimate::default();
    let cost = figures.cost_per_solved_task_usd.as_ref();
    let mut cells = Vec::new();
    cells.extend(all(&figures.solved));
    cells.extend(all(&figures.time_per_task_ms));
    cells.extend(all(&figures.time_per_solved_task_ms));
    let mean = figures.cost_per_task_usd.as_ref();
    cells.push(optional(mean.and_then(|cost| cost.point)));
    cells.extend(all(cost.unwrap_or(&unknown)));
    cells
}

/// Every claim with its answer.
pub(super) fn claims(summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let headings = [
        "id",
        "text",
        "source",
        "metric",
        "at_least",
        "at_most",
        "endpoint",
        "against",
        "measured",
        "measured_low",
        "measured_high",
        "tasks",
        "ruling",
        "why",
        "simulated",
    ];
    let name = |name: &Option<String>| name.as_deref().map_or_else(String::new, text);
    let row = |answer: &Answer| {
        vec![
            text(&answer.id),
            text(&answer.text),
            text(&answer.source),
            optional(answer.metric.map(|metric| metric.name())),
            optional(answer.at_least),
            optional(answer.at_most),
            name(&answer.endpoint),
            name(&answer.against),
            optional(answer.measured.point),
            optional(answer.measured.low),
            optional(answer.measured.high),
            answer.measured.n.to_string(),
            answer.ruling.name().to_owned(),
            text(&answer.why),
            answer.simulated.to_string(),
        ]
    };
    table(&headings, summary.claims.iter().map(row))
}
