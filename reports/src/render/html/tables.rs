//! The endpoint and stage tables.

use crate::charts::Table;
use crate::format::{
    count, measured, milliseconds, one_line, or_absent, percent, percent_range, rate,
};
use crate::render::changes::change;
use crate::stats::{Distribution, Estimate};
use crate::summary::{EndpointSummary, RepeatedSummary, Summary};

/// Figures side by side, one column per endpoint.
pub(super) struct EndpointTable {
    pub(super) table: Table,
    /// (endpoint, note) on where simulated figures come from.
    pub(super) notes: Vec<(String, String)>,
}

/// The stages of one endpoint.
pub(super) struct StageTable {
    pub(super) endpoint: String,
    pub(super) rows: Vec<StageRow>,
    pub(super) total: String,
    pub(super) tool_sum: String,
}

/// One stage; `group` is also the name of its swatch.
pub(super) struct StageRow {
    pub(super) group: &'static str,
    pub(super) group_label: &'static str,
    pub(super) stage: &'static str,
    pub(super) total: String,
    pub(super) mean: String,
    pub(super) share: String,
    pub(super) provenance: &'static str,
    pub(super) error: String,
}

/// The instrument's errors, in milliseconds, where they are known.
#[derive(Clone, Copy)]
struct Errors {
    /// Of a time from one mark to another.
    mark: Option<f64>,
    /// Of a gap between events.
    gap: Option<f64>,
}

/// A figure of an endpoint.
type Cell = fn(&EndpointSummary, Errors) -> String;

const ROWS: [(&str, Cell); 28] = [
    ("Role", |e, _| e.role.name().to_owned()),
    ("Simulated", |e, _| {
        if e.simulated { "yes" } else { "no" }.to_owned()
    }),
    ("Model", |e, _| one_line(&e.model)),
    ("Protocol", |e, _| one_line(&e.protocol)),
    ("Transport asked for", |e, _| one_line(&e.transport)),
    ("Transport used", |e, _| {
        let used = one_line(&e.transports_used.join(", "));
        or_absent(Some(used).filter(|used| !used.is_empty()), |used| used)
    }),
    ("Trials", |e, _| count(e.trials as u64)),
    ("Resolved", |e, _| {
        let share = or_absent(e.resolve_rate.point, percent);
        let range = e.resolve_rate.interval();
        let interval = range.map_or_else(String::new, |r| format!(", {}", percent_range(r)));
        format!("{} ({share}{interval})", e.resolved)
    }),
    ("One of k attempts succeeds, pass@k", |e, _| {
        repeated(e, |repeated| &repeated.pass_at_k)
    }),
    ("All of k attempts succeed, pass^k", |e, _| {
        repeated(e, |repeated| &repeated.pass_hat_k)
    }),
    ("Errors", |e, _| count(e.errors as u64)),
    ("Task time, p50", |e, error| p50(&e.wall_ms, error.mark)),
    ("Task time, p95", |e, _| p95(&e.wall_ms)),
    ("Task time without waiting, p50", |e, error| {
        p50(&e.wall_without_wait_ms, error.mark)
    }),
    ("TTFT, p50", |e, error| p50(&e.ttft_ms, error.mark)),
    ("TTFT, p95", |e, _| p95(&e.ttft_ms)),
    ("Request taken, p50", |e, error| {
        p50(&e.first_of_kind_ms.admitted, error.mark)
    }),
    ("First reasoning, p50", |e, error| {
        p50(&e.first_of_kind_ms.reasoning, error.mark)
    }),
    ("First text, p50", |e, error| {
        p50(&e.first_of_kind_ms.text, error.mark)
    }),
    ("First tool arguments, p50", |e, error| {
        p50(&e.first_of_kind_ms.tool_arguments, error.mark)
    }),
    ("Inter-event gap, p50", |e, error| {
        p50(&e.inter_event_ms, error.gap)
    }),
    ("Output tokens per second, p50", |e, _| {
        or_absent(e.output_tokens_per_second.p50, rate)
    }),
    ("TTFT beyond the server's own times, p50", |e, error| {
        or_absent(e.reconciliation.as_ref(), |server| {
            p50(&server.ttft_beyond_server_ms, error.mark)
        })
    }),
    ("Decode beyond the server's own time, p50", |e, error| {
        or_absent(e.reconciliation.as_ref(), |server| {
            p50(&server.decode_beyond_server_ms, error.mark)
        })
    }),
    ("Exchanges that contradict the server", |e, _| {
        or_absent(e.reconciliation.as_ref(), |server| {
            count(server.contradictions as u64)
        })
    }),
    ("Output tokens per event", |e, _| {
        or_absent(e.stream.tokens_per_event, |value| format!("{value:.2}"))
    }),
    ("Output events per read", |e, _| {
        or_absent(e.stream.events_per_read, |value| format!("{value:.2}"))
    }),
    ("Output tokens", |e, _| or_absent(e.output_tokens, count)),
];

fn p50(distribution: &Distribution, error_ms: Option<f64>) -> String {
    let value = or_absent(distribution.p50, |ms| measured(ms, error_ms));
    format!("{value} (n = {})", count(distribution.n as u64))
}

fn repeated(e: &EndpointSummary, of: fn(&RepeatedSummary) -> &Estimate) -> String {
    or_absent(e.repeated.as_ref(), |repeated| {
        let estimate = of(repeated);
        let range = estimate.interval();
        let interval = range.map_or_else(String::new, |r| format!(" ({})", percent_range(r)));
        let share = or_absent(estimate.point, percent);
        format!("{share}{interval}, k = {}", repeated.attempts)
    })
}

fn p95(distribution: &Distribution) -> String {
    match (distribution.p95, &distribution.note) {
        (Some(p95), _) => milliseconds(p95),
        (None, Some(note)) => note.clone(),
        (None, None) => or_absent(None, milliseconds),
    }
}

pub(super) fn endpoints(summary: &Summary) -> EndpointTable {
    let endpoints = summary.endpoints_in_order();
    let errors = Errors {
        mark: summary.ttft_error_ms(),
        gap: summary.gap_error_ms(),
    };
    let mut headings = vec!["Figure".to_owned()];
    headings.extend(endpoints.iter().map(|(name, _)| one_line(name)));
    let rows = ROWS
        .iter()
        .map(|(name, cell)| {
            let mut cells = vec![(*name).to_owned()];
            cells.extend(endpoints.iter().map(|(_, endpoint)| cell(endpoint, errors)));
            cells
        })
        .collect();
    let notes = endpoints
        .iter()
        .flat_map(|(name, e)| e.notes.iter().map(|note| (one_line(name), one_line(note))))
        .collect();
    EndpointTable {
        table: Table { headings, rows },
        notes,
    }
}

pub(super) fn stages(summary: &Summary) -> Vec<StageTable> {
    let error_ms = summary.ttft_error_ms();
    summary
        .endpoints_in_order()
        .into_iter()
        .filter(|(_, endpoint)| !endpoint.stages.is_empty())
        .map(|(name, endpoint)| StageTable {
            endpoint: one_line(name),
            rows: stage_rows(endpoint, error_ms),
            total: milliseconds(endpoint.stages.values().map(|stage| stage.total_ms).sum()),
            tool_sum: milliseconds(endpoint.tool_sum_ms),
        })
        .collect()
}

/// `error_ms` is that of one stretch between two marks. A trial's stage is the sum of one
/// for every exchange, and so is the bound on its error.
fn stage_rows(endpoint: &EndpointSummary, error_ms: Option<f64>) -> Vec<StageRow> {
    let trials = endpoint.wall_ms.n.max(1) as f64;
    let error_ms = error_ms.map(|error| error * endpoint.ttft_ms.n as f64 / trials);
    endpoint
        .stages
        .iter()
        .map(|(stage, summary)| StageRow {
            group: stage.group().name(),
            group_label: stage.group().label(),
            stage: stage.name(),
            total: milliseconds(summary.total_ms),
            mean: measured(summary.total_ms / trials, error_ms),
            share: or_absent(summary.share, percent),
            provenance: summary.provenance.name(),
            error: or_absent(summary.error_ms, |ms| format!("±{}", milliseconds(ms))),
        })
        .collect()
}

/// Every metric of the candidate against the baseline's.
pub(super) fn changes(summary: &Summary) -> Option<Table> {
    let comparison = summary.comparison.as_ref()?;
    let rows = comparison.changes.iter().map(|row| {
        let unit = row.unit();
        vec![
            format!("{} {}", row.metric, row.statistic),
            or_absent(row.baseline, |value| unit.show(value)),
            or_absent(row.candidate, |value| unit.show(value)),
            change(row),
            count(row.change.n as u64),
        ]
    });
    let headings = [
        "Metric".to_owned(),
        one_line(&comparison.baseline),
        one_line(&comparison.candidate),
        "Change (95 % interval)".to_owned(),
        "Tasks".to_owned(),
    ];
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| Table {
        headings: headings.to_vec(),
        rows,
    })
}
