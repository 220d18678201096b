//! `report.html`: one file, no outside resources, readable without scripts.

mod sections;

use askama::Template;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::charts::Chart;
use crate::conclusion::Conclusion;
use crate::format::{listed, one_line, plural};
use crate::summary::Summary;
use crate::svg::css_variables;
use sections::{PageData, Rendered};
pub use sections::{SECTIONS, Section};

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
    sections: Vec<Rendered>,
}

/// Renders the page. Every text in it may be hostile: askama escapes all of
/// them, and the charts' SVG escapes its own.
///
/// # Errors
///
/// When the template cannot be rendered.
pub fn html(summary: &Summary, charts: &[Chart]) -> Result<String, askama::Error> {
    let style = style();
    let data = PageData { summary, charts };
    let sections = SECTIONS.iter().map(|section| section.render(&data));
    let page = Page {
        summary,
        title: title(summary),
        policy: policy(&style),
        style,
        script: SCRIPT,
        progress: progress(summary),
        conclusion: Conclusion::of(summary),
        sections: sections
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?,
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
        .endpoints
        .keys()
        .map(|name| one_line(name))
        .collect();
    let candidates: Vec<String> = summary
        .comparisons()
        .map(|comparison| one_line(&comparison.candidate))
        .collect();
    match (&summary.comparison, names.as_slice()) {
        (Some(comparison), _) => format!(
            "{} against {}",
            listed(&candidates),
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
