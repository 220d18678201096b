//! The sections of the page below its head. A new section is one file here, its template
//! and one line of [`SECTIONS`]; the navigation follows.

mod behaviour;
mod charts;
mod claims;
mod endpoints;
mod harness;
mod key_figures;
mod meaning;
mod method;
mod real_time;
mod stages;
mod tasks;

use crate::charts::Chart;
use crate::format::{one_line, plural};
use crate::summary::{Comparison, Summary};
use crate::svg::Paint;
use crate::table::Table;

/// Every section, in the order of the page.
pub static SECTIONS: &[&Section] = &[
    &key_figures::SECTION,
    &real_time::SECTION,
    &meaning::SECTION,
    &charts::SECTION,
    &claims::SECTION,
    &endpoints::SECTION,
    &harness::SECTION,
    &behaviour::SECTION,
    &stages::SECTION,
    &tasks::SECTION,
    &method::SECTION,
];

/// One kind of section.
#[derive(Debug)]
pub struct Section {
    /// Its id on the page.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its name in the navigation; one without is not named there, and its heading is for
    /// those who listen to the page.
    pub nav: Option<&'static str>,
    /// Everything below the heading; `None` leaves the section out.
    body: fn(&PageData) -> askama::Result<Option<String>>,
}

impl Section {
    pub(super) fn render(&'static self, data: &PageData) -> askama::Result<Option<Rendered>> {
        let body = (self.body)(data)?;
        Ok(body.map(|body| Rendered {
            id: self.id,
            title: self.title,
            nav: self.nav,
            body,
        }))
    }
}

/// A section with its markup.
pub(super) struct Rendered {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) nav: Option<&'static str>,
    pub(super) body: String,
}

/// What sections are made from.
pub(super) struct PageData<'a> {
    pub(super) summary: &'a Summary,
    pub(super) charts: &'a [Chart],
}

impl<'a> PageData<'a> {
    /// What a candidate's part of a section is called; `None` where one candidate has the
    /// whole of it.
    fn against(&self, comparison: &Comparison) -> Option<String> {
        let (candidate, baseline) = (&comparison.candidate, &comparison.baseline);
        let words = || format!("{} against {}", one_line(candidate), one_line(baseline));
        self.summary.several().then(words)
    }

    /// The charts that a section shows.
    fn charts_of(&self, section: &Section) -> Vec<ChartView<'a>> {
        let charts = self.charts.iter();
        charts
            .filter(|chart| chart.kind.section == section.id)
            .map(ChartView::of)
            .collect()
    }
}

/// Most rows shown of the numbers behind a chart: some have one for each task.
const MAX_ROWS: usize = 500;

/// One chart with its data table.
struct ChartView<'a> {
    kind: &'static str,
    name: &'a str,
    /// The candidate that it is about, where each has one.
    candidate: Option<&'a str>,
    title: &'static str,
    svg: String,
    table: ShownTable<'a>,
}

/// As much of a table as the page shows.
struct ShownTable<'a> {
    headings: &'a [String],
    rows: &'a [Vec<String>],
    /// How many more there are.
    left_out: Option<String>,
}

impl<'a> ShownTable<'a> {
    fn of(table: &'a Table) -> Self {
        let rows = &table.rows[..table.rows.len().min(MAX_ROWS)];
        ShownTable {
            headings: &table.headings,
            rows,
            left_out: (rows.len() < table.rows.len())
                .then(|| plural(table.rows.len() - rows.len(), "more row")),
        }
    }
}

impl<'a> ChartView<'a> {
    fn of(chart: &'a Chart) -> Self {
        ChartView {
            kind: chart.kind.name,
            name: &chart.name,
            candidate: chart.candidate.as_deref(),
            title: chart.kind.title,
            svg: chart.document.to_svg(Paint::Variables),
            table: ShownTable::of(&chart.table),
        }
    }
}
