//! The charts that no other section shows.

use askama::Template;

use super::{ChartView, Section};

pub(super) static SECTION: Section = Section {
    id: "charts",
    title: "Charts",
    nav: Some("Charts"),
    body: |data| {
        let charts = data.charts_of(&SECTION);
        Charts { charts }.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/charts.html")]
struct Charts<'a> {
    charts: Vec<ChartView<'a>>,
}
