//! The endpoints side by side, figure by figure.

use askama::Template;

use super::{PageData, Section};
use crate::format::{
    capitalised, count, measured, milliseconds, one_line, or_absent, or_beyond, percent,
    percent_range,
};
use crate::metrics::{INTER_EVENT, Metric, OUTPUT_RATE, TASK_TIME, TTFT};
use crate::render::figures;
use crate::stats::{Distribution, Estimate};
use crate::summary::{EndpointSummary, RepeatedSummary, Summary};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "endpoints",
    title: "Endpoints",
    nav: Some("Endpoints"),
    body: |data| {
        let summary = data.summary;
        let notes = summary
            .endpoints
            .iter()
            .flat_map(|(name, e)| e.notes.iter().map(|note| (one_line(name), one_line(note))));
        let section = Endpoints {
            table: endpoints(summary),
            notes: notes.collect(),
            unusual: unusual(summary),
            compared: summary.comparison.is_some(),
            figures: figures(data),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/endpoints.html")]
struct Endpoints {
    /// Figures side by side, one column per endpoint.
    table: Table,
    /// (endpoint, note) on where simulated figures come from.
    notes: Vec<(String, String)>,
    /// What was unusual in the exchanges of each endpoint, and how often.
    unusual: Option<Table>,
    compared: bool,
    /// Every metric of the table of metrics: one table, or one for each of several
    /// candidates with what it is called.
    figures: Vec<(Option<String>, Table)>,
}

fn figures(data: &PageData) -> Vec<(Option<String>, Table)> {
    let comparisons = data.summary.comparisons();
    let names = comparisons.map(|comparison| data.against(comparison));
    let tables = figures::figures(data.summary).into_iter();
    names.chain(std::iter::repeat(None)).zip(tables).collect()
}

/// The instrument's errors, in milliseconds, where they are known.
#[derive(Clone, Copy)]
struct Errors {
    /// Of a time from one mark to another.
    mark: Option<f64>,
    /// Of a gap between events.
    gap: Option<f64>,
}

/// What a row is called.
enum Name {
    Plain(&'static str),
    /// A quantile of a metric.
    Of(&'static Metric, &'static str),
}

impl Name {
    fn words(&self) -> String {
        match self {
            Name::Plain(name) => (*name).to_owned(),
            Name::Of(metric, quantile) => format!("{}, {quantile}", capitalised(&metric.label())),
        }
    }
}

/// A figure of an endpoint.
type Cell = fn(&EndpointSummary, Errors) -> String;

const ROWS: [(Name, Cell); 31] = [
    (Name::Plain("Role"), |e, _| e.role.name().to_owned()),
    (Name::Plain("Simulated"), |e, _| {
        if e.simulated { "yes" } else { "no" }.to_owned()
    }),
    (Name::Plain("Model"), |e, _| one_line(&e.model)),
    (Name::Plain("Protocol"), |e, _| one_line(&e.protocol)),
    (Name::Plain("Transport asked for"), |e, _| {
        one_line(&e.transport)
    }),
    (Name::Plain("Transport used"), |e, _| {
        let used = one_line(&e.transports_used.join(", "));
        or_absent(Some(used).filter(|used| !used.is_empty()), |used| used)
    }),
    (Name::Plain("Trials"), |e, _| count(e.trials as u64)),
    (Name::Plain("Resolved"), |e, _| {
        let share = or_absent(e.resolve_rate.point, percent);
        let range = e.resolve_rate.interval();
        let interval = range.map_or_else(String::new, |r| format!(", {}", percent_range(r)));
        format!("{} ({share}{interval})", e.resolved)
    }),
    (Name::Plain("One of k attempts succeeds, pass@k"), |e, _| {
        repeated(e, |repeated| &repeated.pass_at_k)
    }),
    (Name::Plain("All of k attempts succeed, pass^k"), |e, _| {
        repeated(e, |repeated| &repeated.pass_hat_k)
    }),
    (Name::Plain("Errors"), |e, _| count(e.errors as u64)),
    (Name::Of(&TASK_TIME, "p50"), |e, error| {
        p50(&e.wall_ms, error.mark)
    }),
    (Name::Of(&TASK_TIME, "p95"), |e, _| p95(&e.wall_ms)),
    (Name::Plain("Task time, error-adjusted, p50"), |e, _| {
        or_absent(e.wall_error_adjusted_ms.median(), or_beyond)
    }),
    (Name::Plain("Task time, error-adjusted, p95"), |e, _| {
        or_absent(e.wall_error_adjusted_ms.tail(), or_beyond)
    }),
    (Name::Plain("Task time without waiting, p50"), |e, error| {
        p50(&e.wall_without_wait_ms, error.mark)
    }),
    (Name::Of(&TTFT, "p50"), |e, error| {
        p50(&e.ttft_ms, error.mark)
    }),
    (Name::Of(&TTFT, "p95"), |e, _| p95(&e.ttft_ms)),
    (Name::Plain("Request taken, p50"), |e, error| {
        p50(&e.first_of_kind_ms.admitted, error.mark)
    }),
    (Name::Plain("First reasoning, p50"), |e, error| {
        p50(&e.first_of_kind_ms.reasoning, error.mark)
    }),
    (Name::Plain("First text, p50"), |e, error| {
        p50(&e.first_of_kind_ms.text, error.mark)
    }),
    (Name::Plain("First tool arguments, p50"), |e, error| {
        p50(&e.first_of_kind_ms.tool_arguments, error.mark)
    }),
    (Name::Of(&INTER_EVENT, "p50"), |e, error| {
        p50(&e.inter_event_ms, error.gap)
    }),
    (Name::Of(&OUTPUT_RATE, "p50"), |e, _| {
        or_absent(e.output_tokens_per_second.p50, |rate| {
            OUTPUT_RATE.show(rate)
        })
    }),
    (
        Name::Plain("TTFT beyond the server's own times, p50"),
        |e, error| {
            or_absent(e.reconciliation.as_ref(), |server| {
                p50(&server.ttft_beyond_server_ms, error.mark)
            })
        },
    ),
    (
        Name::Plain("Decode beyond the server's own time, p50"),
        |e, error| {
            or_absent(e.reconciliation.as_ref(), |server| {
                p50(&server.decode_beyond_server_ms, error.mark)
            })
        },
    ),
    (
        Name::Plain("Exchanges that contradict the server"),
        |e, _| {
            or_absent(e.reconciliation.as_ref(), |server| {
                count(server.contradictions as u64)
            })
        },
    ),
    (Name::Plain("Output tokens per event"), |e, _| {
        or_absent(e.stream.tokens_per_event, |value| format!("{value:.2}"))
    }),
    (Name::Plain("Output events per read"), |e, _| {
        or_absent(e.stream.events_per_read, |value| format!("{value:.2}"))
    }),
    (Name::Plain("Answers not streamed"), |e, _| {
        count(e.stream.not_streamed as u64)
    }),
    (Name::Plain("Output tokens"), |e, _| {
        or_absent(e.output_tokens, count)
    }),
];

fn unusual(summary: &Summary) -> Option<Table> {
    let endpoints = summary.endpoints.iter();
    let rows: Vec<Vec<String>> = endpoints
        .flat_map(|(name, e)| {
            let kinds = e.unusual.iter();
            kinds.map(|(what, times)| vec![one_line(name), one_line(what), count(*times)])
        })
        .collect();
    let headings = ["Endpoint", "What", "Times"].map(str::to_owned);
    (!rows.is_empty()).then(|| Table::new(headings, rows))
}

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

fn endpoints(summary: &Summary) -> Table {
    let errors = Errors {
        mark: summary.error_ms(&TTFT),
        gap: summary.error_ms(&INTER_EVENT),
    };
    let names = summary.endpoints.keys().map(|name| one_line(name));
    let headings = std::iter::once("Figure".to_owned()).chain(names);
    let rows = ROWS.iter().map(|(name, cell)| {
        let cells = summary.endpoints.values().map(|e| cell(e, errors));
        std::iter::once(name.words()).chain(cells).collect()
    });
    Table::new(headings, rows)
}
