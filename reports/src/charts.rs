//! The charts of a report, each drawn once and shown as SVG and as PNG.

mod axis;
mod bridge;
mod canvas;
mod distributions;
mod legend;
mod pareto;
mod plot;
mod solved_within;
mod stage_bars;
mod task_times;
mod waterfall;

use std::convert::Infallible;

use plotters::drawing::DrawingAreaErrorKind;

use crate::input::{EndpointData, Role, RunData, TrialData};
use crate::summary::Summary;
use crate::svg::Document;

/// Why a chart could not be drawn: plotters refused its layout.
#[derive(Debug, thiserror::Error)]
#[error("chart layout: {0}")]
pub struct ChartError(#[from] DrawingAreaErrorKind<Infallible>);

/// The numbers behind a chart, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Column headings; the first column names the row.
    pub headings: Vec<String>,
    /// Rows as long as `headings`.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<H: Into<String>>(
        headings: impl IntoIterator<Item = H>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Table {
            headings: headings.into_iter().map(Into::into).collect(),
            rows: rows.into_iter().collect(),
        }
    }
}

/// One chart with the numbers behind it.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Name of its file without extension, and id on the page.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The picture.
    pub document: Document,
    /// The numbers behind it.
    pub table: Table,
}

/// What the charts are drawn from.
#[derive(Clone, Copy)]
struct Source<'a> {
    run: &'a RunData,
    summary: &'a Summary,
}

impl<'a> Source<'a> {
    /// Endpoints with finished trials, candidate first.
    fn endpoints(&self) -> Vec<&'a EndpointData> {
        let mut endpoints: Vec<&EndpointData> = self
            .run
            .endpoints
            .iter()
            .filter(|endpoint| self.trials(&endpoint.name).next().is_some())
            .collect();
        endpoints.sort_by_key(|endpoint| endpoint.role != Role::Candidate);
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
    let source = Source { run, summary };
    let drawn = [
        stage_bars::chart(source)?,
        bridge::chart(source)?,
        solved_within::chart(source)?,
        pareto::chart(source)?,
        task_times::chart(source)?,
        distributions::ttft(source)?,
        distributions::inter_event(source)?,
        waterfall::chart(source)?,
    ];
    Ok(drawn.into_iter().flatten().collect())
}
