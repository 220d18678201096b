//! What the harness costs: what each agent asks beside the work, what lies between an answer
//! and the next request, and what it takes of the machine.

use askama::Template;

use super::Section;
use crate::render::arms::{self, Column};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "harness",
    title: "What the harness costs",
    nav: Some("Harness"),
    body: |data| {
        let section = Harness {
            asks: arms::table(data.summary, &ASKS),
            takes: arms::table(data.summary, &TAKES),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/harness.html")]
struct Harness {
    asks: Table,
    takes: Table,
}

/// What goes to the server.
const ASKS: [Column; 9] = [
    Column::Text("Transport used", |endpoint| {
        endpoint.transports_used.join(", ")
    }),
    Column::Metric("turns"),
    Column::Metric("requests"),
    Column::Metric("side_requests"),
    Column::Metric("connections"),
    Column::Metric("request_bytes"),
    Column::Metric("prompt_tokens"),
    Column::Metric("cached_share"),
    Column::Metric("tool_calls"),
];

/// What it takes of the time and of the machine.
const TAKES: [Column; 8] = [
    Column::Metric("agent_start"),
    Column::Metric("between_turns"),
    Column::Metric("turn_overhead"),
    Column::Metric("overhead_before_tools"),
    Column::Metric("overhead_after_tools"),
    Column::Metric("harness_share"),
    Column::Metric("cpu_time"),
    Column::Metric("peak_memory"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::arms::tests::are_metrics;

    #[test]
    fn every_column_is_a_metric() {
        assert!(are_metrics(&ASKS) && are_metrics(&TAKES));
    }
}
