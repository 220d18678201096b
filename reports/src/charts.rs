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
mod solved_within;
mod stage_bars;
mod task_times;
mod ttft;
mod waterfall;

use std::convert::Infallible;

use plotters::drawing::DrawingAreaErrorKind;

use crate::data::{EndpointData, RunData, TrialData};
use crate::summary::Summary;
use crate::svg::Document;
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
    /// `None` where the run has nothing to draw.
    draw: fn(ChartData) -> Result<Option<Drawing>, ChartError>,
}

impl ChartKind {
    fn heading<'a>(&self, subtitle: &'a str, description: &'a str) -> Heading<'a> {
        Heading {
            id: self.name,
            title: self.title,
            subtitle,
            description,
        }
    }
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
}

impl<'a> ChartData<'a> {
    /// Endpoints with finished trials, candidate first.
    fn endpoints(&self) -> Vec<&'a EndpointData> {
        let mut endpoints: Vec<&EndpointData> = self
            .run
            .endpoints
            .iter()
            .filter(|endpoint| self.trials(&endpoint.name).next().is_some())
            .collect();
        endpoints.sort_by_key(|endpoint| endpoint.role);
        endpoints
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
    let source = ChartData { run, summary };
    let drawn = CHARTS.iter().map(|kind| {
        let drawing = (kind.draw)(source)?;
        Ok(drawing.map(|Drawing { document, table }| Chart {
            kind,
            document,
            table,
        }))
    });
    drawn.filter_map(Result::transpose).collect()
}
