//! The vendors' claims with their answers.

use askama::Template;

use super::Section;
use crate::claims::{Answer, Quantity};
use crate::format::{ABSENT, one_line, plural};

pub(super) static SECTION: Section = Section {
    id: "claims",
    title: "Claims",
    nav: Some("Claims"),
    body: |data| {
        let claims = data.summary.claims.iter().map(row).collect();
        Claims { claims }.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/claims.html")]
struct Claims {
    claims: Vec<ClaimRow>,
}

/// One claim as the page shows it.
struct ClaimRow {
    text: String,
    source: String,
    ruling: &'static str,
    simulated: bool,
    claimed: String,
    measured: String,
    on: String,
    why: String,
    measured_as: Option<String>,
}

fn row(answer: &Answer) -> ClaimRow {
    let bounds = [("≥", answer.at_least), ("≤", answer.at_most)];
    let shown = |metric: Quantity| {
        let mut claimed = bounds
            .into_iter()
            .filter_map(|(sign, value)| Some(format!("{sign} {}", metric.show(value?))));
        claimed.next()
    };
    let measured = answer.metric.zip(answer.measured.point);
    let tasks = plural(answer.measured.n, "task");
    let on = match (&answer.endpoint, &answer.against) {
        (Some(own), Some(other)) => {
            format!("{} against {}, {tasks}", one_line(own), one_line(other))
        }
        (Some(own), None) => format!("{}, {tasks}", one_line(own)),
        (None, _) => String::new(),
    };
    ClaimRow {
        text: one_line(&answer.text),
        source: one_line(&answer.source),
        ruling: answer.ruling.name(),
        simulated: answer.simulated,
        claimed: answer
            .metric
            .and_then(shown)
            .unwrap_or_else(|| ABSENT.to_owned()),
        measured: measured.map_or_else(|| ABSENT.to_owned(), |(metric, value)| metric.show(value)),
        on,
        why: one_line(&answer.why),
        measured_as: answer.measured_as.as_deref().map(one_line),
    }
}
