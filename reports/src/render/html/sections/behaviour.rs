//! How agents and models work: what their tool calls are for, whether they run tests, and how
//! much they change.

use askama::Template;

use super::Section;
use crate::render::arms::{self, Column};
use crate::table::Table;

pub(super) static SECTION: Section = Section {
    id: "behaviour",
    title: "How it works",
    nav: Some("Work"),
    body: |data| {
        let section = Behaviour {
            calls: arms::table(data.summary, &CALLS),
            changes: arms::table(data.summary, &CHANGES),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/behaviour.html")]
struct Behaviour {
    calls: Table,
    changes: Table,
}

const CALLS: [Column; 12] = [
    Column::Metric("turns"),
    Column::Metric("tool_calls"),
    Column::Metric("read_calls"),
    Column::Metric("search_calls"),
    Column::Metric("edit_calls"),
    Column::Metric("test_calls"),
    Column::Metric("run_calls"),
    Column::Metric("delegate_calls"),
    Column::Metric("plan_calls"),
    Column::Metric("web_calls"),
    Column::Metric("other_calls"),
    Column::Metric("ran_tests"),
];

const CHANGES: [Column; 5] = [
    Column::Metric("files_changed"),
    Column::Metric("lines_changed"),
    Column::Metric("files_against_solution"),
    Column::Metric("lines_against_solution"),
    Column::Metric("output_tokens"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::arms::tests::are_metrics;

    #[test]
    fn every_column_is_a_metric() {
        assert!(are_metrics(&CALLS) && are_metrics(&CHANGES));
    }
}
