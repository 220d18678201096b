//! The charts of a report, each drawn once and shown as SVG and as PNG. A new chart is one
//! file and one line of [`CHARTS`].

mod axis;
mod bridge;
mod canvas;
mod cumulative;
mod inter_event;
mod legend;
mod plot;
mod policies;
mod session;
mod solved_within;
mod stage_bars;
mod task_times;
mod ttft;
mod waterfall;

use std::borrow::Cow;
use std::convert::Infallible;

use plotters::drawing::DrawingAreaErrorKind;

use crate::data::{EndpointData, Role, RunData, TrialData};
use crate::summary::{Comparison, Summary};
use crate::svg::{Document, Slot};
use crate::table::Table;
use canvas::Heading;

/// Why a chart could not be drawn: plotters refused its layout.
#[derive(Debug, thiserror::Error)]
#[error("chart layout: {0}")]
pub struct ChartError(#[from] DrawingAreaErrorKind<Infallible>);

/// Every kind of chart, in the order of the page.
pub static CHARTS: &[&ChartKind] = &[
    &bridge::CHART,
    &solved_within::CHART,
    &policies::CHART,
    &stage_bars::CHART,
    &task_times::CHART,
    &ttft::CHART,
    &inter_event::CHART,
    &waterfall::CHART,
    &session::CHART,
];

/// One kind of chart.
#[derive(Debug)]
pub struct ChartKind {
    /// Name of its file without extension, and of its id on the page.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// Id of the page's section that it stands in.
    pub section: &'static str,
    /// Whether there is one for each candidate.
    pub per_candidate: bool,
    /// `None` where the run has nothing to draw.
    draw: fn(ChartData) -> Result<Option<Drawing>, ChartError>,
}

/// A picture and the numbers behind it.
struct Drawing {
    document: Document,
    table: Table,
}

/// One chart with the numbers behind it.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows, and where it stands.
    pub kind: &'static ChartKind,
    /// Name of its file without extension, and of its id on the page: the kind's, and where
    /// several candidates have one each, its number.
    pub name: Cow<'static, str>,
    /// The candidate that it is about, where each has one. Untrusted text.
    pub candidate: Option<String>,
    /// The picture.
    pub document: Document,
    /// The numbers behind it.
    pub table: Table,
}

/// What the charts are drawn from.
#[derive(Clone, Copy)]
struct ChartData<'a> {
    run: &'a RunData,
    summary: &'a Summary,
    /// Which candidate's chart is drawn, where each has one.
    candidate: usize,
}

/// An endpoint as charts show it.
#[derive(Clone, Copy)]
struct Arm<'a> {
    name: &'a str,
    /// Colour, dash and mark.
    slot: Slot,
}

impl<'a> ChartData<'a> {
    /// Endpoints with finished trials, candidates first.
    fn endpoints(&self) -> Vec<Arm<'a>> {
        let mut endpoints: Vec<&EndpointData> = self.run.endpoints.iter().collect();
        endpoints.sort_by_key(|endpoint| endpoint.role);
        let arms = endpoints
            .into_iter()
            .enumerate()
            .map(|(place, endpoint)| Arm {
                name: &endpoint.name,
                slot: match endpoint.role {
                    Role::Candidate => Slot::Candidate(place),
                    Role::Baseline => Slot::Baseline,
                },
            });
        arms.filter(|arm| self.trials(arm.name).next().is_some())
            .collect()
    }

    /// The comparison that a candidate's chart shows.
    fn comparison(&self) -> Option<&'a Comparison> {
        self.summary.comparisons().nth(self.candidate)
    }

    fn name(&self, kind: &ChartKind) -> Cow<'static, str> {
        if kind.per_candidate && self.summary.several() {
            format!("{}-{}", kind.name, self.candidate + 1).into()
        } else {
            kind.name.into()
        }
    }

    fn heading<'b>(
        &self,
        kind: &ChartKind,
        subtitle: &'b str,
        description: &'b str,
    ) -> Heading<'b> {
        Heading {
            id: self.name(kind),
            title: kind.title,
            subtitle,
            description,
        }
    }

    /// Finished trials of an endpoint.
    fn trials(&self, endpoint: &str) -> impl Iterator<Item = &'a TrialData> {
        self.run
            .trials
            .iter()
            .filter(move |trial| trial.endpoint == endpoint)
    }

    /// A subtitle that says when what it describes was simulated.
    fn subtitle(&self, text: &str) -> String {
        let endpoints = &self.run.endpoints;
        let simulated = endpoints
            .iter()
            .filter(|endpoint| endpoint.simulated)
            .count();
        match simulated {
            0 => text.to_owned(),
            all if all == endpoints.len() => format!("{text} · simulated"),
            _ => format!("{text} · partly simulated"),
        }
    }
}

/// Draws every chart the run has data for.
///
/// # Errors
///
/// When plotters refuses a layout; data never makes it fail.
pub fn all(run: &RunData, summary: &Summary) -> Result<Vec<Chart>, ChartError> {
    let candidates = summary.comparisons().count().max(1);
    let due = CHARTS.iter().flat_map(|kind| {
        let times = if kind.per_candidate { candidates } else { 1 };
        (0..times).map(move |candidate| (*kind, candidate))
    });
    let drawn = due.map(|(kind, candidate)| {
        let source = ChartData {
            run,
            summary,
            candidate,
        };
        let drawing = (kind.draw)(source)?;
        Ok(drawing.map(|Drawing { document, table }| Chart {
            kind,
            name: source.name(kind),
            candidate: source
                .comparison()
                .filter(|_| kind.per_candidate)
                .map(|comparison| comparison.candidate.clone()),
            document,
            table,
        }))
    });
    drawn.filter_map(Result::transpose).collect()
}
