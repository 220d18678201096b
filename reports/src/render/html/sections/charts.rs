//! The charts that no other section shows.

use askama::Template;

use super::{ChartView, Section};

pub(super) static SECTION: Section = Section {
    id: "charts",
    title: "Charts",
    nav: Some("Charts"),
    body: |data| {
        let several = data.summary.several();
        let charts = data.charts_of(&SECTION);
        Charts { charts, several }.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/charts.html")]
struct Charts<'a> {
    charts: Vec<ChartView<'a>>,
    /// Whether several candidates have a chart each.
    several: bool,
}
