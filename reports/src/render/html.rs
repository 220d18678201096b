//! `report.html`: one file, no outside resources, readable without scripts.

mod claims;
mod figures;
mod instrument;
mod meaning;
mod overhead;
mod tables;
mod tasks;

use askama::Template;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::charts::{Chart, Table};
use crate::conclusion::Conclusion;
use crate::format::{ABSENT, one_line, plural};
use crate::input::RunData;
use crate::summary::{Fact, Summary};
use crate::svg::{Paint, css_variables};
use claims::ClaimRow;
use figures::Figure;
use meaning::Meaning;
use overhead::OverheadTable;
use tables::{EndpointTable, StageTable};
use tasks::TaskTable;

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    summary: &'a Summary,
    title: String,
    policy: String,
    style: String,
    script: &'static str,
    progress: String,
    conclusion: Conclusion,
    figures: Vec<Figure>,
    /// The charts of "What it means for you".
    bridge: Option<ChartView<'a>>,
    solved_within: Option<ChartView<'a>>,
    policies: Option<ChartView<'a>>,
    meaning: Meaning,
    claims: Vec<ClaimRow>,
    /// All others.
    charts: Vec<ChartView<'a>>,
    endpoints: EndpointTable,
    changes: Option<Table>,
    stages: Vec<StageTable>,
    overhead: Option<OverheadTable>,
    tasks: TaskTable,
    instrument: Vec<Fact>,
    environment: Vec<Fact>,
}

/// One chart with its data table.
struct ChartView<'a> {
    name: &'static str,
    title: &'static str,
    svg: String,
    table: &'a Table,
}

impl<'a> ChartView<'a> {
    fn of(chart: &'a Chart) -> Self {
        ChartView {
            name: chart.name,
            title: chart.title,
            svg: chart.document.to_svg(Paint::Variables),
            table: &chart.table,
        }
    }
}

/// Renders the page. Every text in it may be hostile: askama escapes all of
/// them, and the charts' SVG escapes its own.
///
/// # Errors
///
/// When the template cannot be rendered.
pub fn html(run: &RunData, summary: &Summary, charts: &[Chart]) -> Result<String, askama::Error> {
    let style = style();
    let mut views: Vec<ChartView> = charts.iter().map(ChartView::of).collect();
    let mut take = |name: &str| {
        let index = views.iter().position(|view| view.name == name)?;
        Some(views.remove(index))
    };
    let policies = take("policies");
    let mut meaning = meaning::meaning(summary);
    // Words about a chart need the chart.
    meaning.routing = meaning.routing.filter(|_| policies.is_some());
    let page = Page {
        summary,
        title: title(summary),
        policy: policy(&style),
        style,
        script: SCRIPT,
        progress: progress(summary),
        conclusion: Conclusion::of(summary),
        figures: figures::key_figures(summary),
        bridge: take("bridge"),
        solved_within: take("solved-within"),
        policies,
        meaning,
        claims: claims::claims(summary),
        charts: views,
        endpoints: tables::endpoints(summary),
        changes: tables::changes(summary),
        stages: tables::stages(summary),
        overhead: overhead::overhead(summary),
        tasks: tasks::tasks(run, summary),
        instrument: instrument::facts(summary),
        environment: environment(summary),
    };
    // No control character has a meaning in the page, and untrusted text may hold some.
    Ok(page
        .render()?
        .replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"))
}

fn style() -> String {
    let (light, dark) = (css_variables(false), css_variables(true));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{STYLE}"
    )
}

/// Only this page's own style and script may act; nothing is fetched.
fn policy(style: &str) -> String {
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'",
        digest(style),
        digest(SCRIPT)
    )
}

fn digest(text: &str) -> String {
    BASE64.encode(&Sha256::digest(text))
}

fn title(summary: &Summary) -> String {
    let names: Vec<String> = summary
        .endpoints_in_order()
        .into_iter()
        .map(|(name, _)| one_line(name))
        .collect();
    match (&summary.comparison, names.as_slice()) {
        (Some(comparison), _) => format!(
            "{} against {}",
            one_line(&comparison.candidate),
            one_line(&comparison.baseline)
        ),
        (None, []) => "A run without endpoints".to_owned(),
        (None, names) => names.join(" and "),
    }
}

fn progress(summary: &Summary) -> String {
    if summary.complete {
        format!("{}, all finished", plural(summary.planned_trials, "trial"))
    } else {
        format!(
            "{} of {} finished",
            summary.finished_trials,
            plural(summary.planned_trials, "trial")
        )
    }
}

fn environment(summary: &Summary) -> Vec<Fact> {
    let own = [
        ("Run", summary.run_id.clone()),
        ("Started", summary.started_at.clone()),
        ("timeslip", summary.timeslip_version.clone()),
        ("Seed", summary.seed.to_string()),
        ("Sandbox", summary.sandbox.clone()),
        ("Trials at once", summary.concurrency.to_string()),
    ];
    own.into_iter()
        .map(|(name, value)| Fact {
            name: name.to_owned(),
            value,
        })
        .chain(summary.environment.iter().cloned())
        .collect()
}
