//! What every page must be, whatever the run.

use timeslip_datasets::run::journal::Outcome;

use crate::{several, support};
use std::collections::BTreeSet;

use resvg::tiny_skia::Pixmap;
use timeslip_reports::charts::{self, CHARTS};
use timeslip_reports::data::{Role, RunData};
use timeslip_reports::render::{SECTIONS, html};
use timeslip_reports::summary::Summary;
use timeslip_reports::svg::{Paint, to_png};

fn page(run: &RunData) -> String {
    let summary = Summary::from_run(run);
    html(&summary, &charts::all(run, &summary).unwrap()).unwrap()
}

/// Runs that differ in what they lack.
fn situations() -> Vec<(&'static str, RunData)> {
    let candidate = [("spark-sim", Role::Candidate, support::FAST)];
    let mut errors = support::run_with(&candidate, 4, 1);
    for trial in &mut errors.trials {
        trial.outcome = Outcome::Error;
        trial.detail = Some("connection refused".to_owned());
        trial.exchanges.clear();
        trial.spans.clear();
        trial.stages.clear();
        trial.wall_ns = 0;
    }
    let mut empty = support::run();
    empty.trials.clear();
    let mut nobody = support::run();
    nobody.trials.clear();
    nobody.endpoints.clear();
    nobody.calibration = None;
    let sides = [
        ("spark-sim", Role::Candidate, support::FAST),
        ("gpu-sim", Role::Baseline, support::SLOW),
    ];
    let ended = |outcome: Outcome| {
        let mut run = support::run();
        for trial in &mut run.trials {
            trial.outcome = outcome;
        }
        run
    };
    vec![
        ("sessions", support::full_run()),
        ("one task", support::run_with(&sides, 1, 1)),
        ("several attempts", support::run_with(&sides, 6, 3)),
        ("all solved", ended(Outcome::Resolved)),
        ("none solved", ended(Outcome::Unresolved)),
        ("two sides", support::run()),
        ("three endpoints", several::run(2)),
        ("five endpoints", several::run(4)),
        ("one side", support::run_with(&candidate, 5, 1)),
        ("errors only", errors),
        ("no trials", empty),
        ("no endpoints", nobody),
    ]
}

#[test]
fn one_heading_and_nothing_fetched() {
    for (name, run) in situations() {
        let page = page(&run);
        assert_eq!(page.matches("<h1").count(), 1, "{name}");
        let local = page.replace("http://www.w3.org/2000/svg", "");
        for outside in [
            "http:", "https:", "url(", "@import", "<link", "<iframe", "src=",
        ] {
            assert!(!local.contains(outside), "{name}: {outside}");
        }
        assert!(
            page.contains("default-src &#39;none&#39;") || page.contains("default-src &#x27;none"),
            "{name}"
        );
        assert!(
            !page.contains(" style="),
            "{name}: the policy forbids style attributes"
        );
        for broken in ["NaN", ">inf", "inf ", "inf×", ">-0", " -0 %"] {
            assert!(!page.contains(broken), "{name}: {broken}");
        }
    }
}

#[test]
fn ids_are_unique_and_links_lead_somewhere() {
    for (name, run) in situations() {
        let page = page(&run);
        let values = |attribute: &str| -> Vec<String> {
            page.split(attribute)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .map(str::to_owned)
                .collect()
        };
        let ids = values(" id=\"");
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{name}: {ids:?}");
        for target in values("href=\"#") {
            assert!(distinct.contains(&target), "{name}: #{target}");
        }
    }
}

#[test]
fn simulated_is_said_on_the_page_and_in_every_chart() {
    let run = support::run();
    assert!(page(&run).contains("<strong>Simulated</strong>"));
    for chart in charts::all(&run, &Summary::from_run(&run)).unwrap() {
        assert!(
            chart
                .document
                .to_svg(Paint::Light)
                .contains("· simulated</text>"),
            "{}",
            chart.kind.name
        );
    }
    let mut real = support::run();
    for endpoint in &mut real.endpoints {
        endpoint.simulated = false;
        endpoint.name = endpoint.name.replace("-sim", "");
        endpoint.notes.clear();
    }
    for trial in &mut real.trials {
        trial.endpoint = trial.endpoint.replace("-sim", "");
    }
    assert!(!page(&real).contains("<strong>Simulated</strong>"));
}

#[test]
fn a_large_run_stays_small_to_draw() {
    let sides = [
        ("spark-sim", Role::Candidate, support::FAST),
        ("gpu-sim", Role::Baseline, support::SLOW),
    ];
    let run = support::run_with(&sides, 120, 2);
    for chart in charts::all(&run, &Summary::from_run(&run)).unwrap() {
        let size = chart.document.to_svg(Paint::Variables).len();
        assert!(size < 60_000, "{}: {size} bytes", chart.kind.name);
    }
}

#[test]
fn a_page_of_a_large_run_shows_a_part_of_it_and_says_so() {
    let sides = [
        ("spark-sim", Role::Candidate, support::FAST),
        ("gpu-sim", Role::Baseline, support::SLOW),
    ];
    let page = page(&support::run_with(&sides, 1_010, 1));
    assert!(page.contains("The first 1,000 of 1,010 attempts"));
    assert!(page.contains("Left out: 510 more rows."));
    let rows = page.matches("<tr><th scope=\"row\">").count();
    assert!(rows < 2_000, "{rows}");
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[test]
fn images_carry_no_variables() {
    let run = support::run();
    for chart in charts::all(&run, &Summary::from_run(&run)).unwrap() {
        assert!(chart.document.to_svg(Paint::Variables).contains("var(--"));
        assert!(!chart.document.to_svg(Paint::Light).contains("var(--"));
    }
}

#[test]
fn every_chart_is_drawn_and_stands_once_in_its_section() {
    let run = support::full_run();
    let page = page(&run);
    let drawn = charts::all(&run, &Summary::from_run(&run)).unwrap();
    assert_eq!(drawn.len(), CHARTS.len());
    for (chart, kind) in drawn.iter().zip(CHARTS) {
        assert!(std::ptr::eq(chart.kind, *kind), "{}", kind.name);
        let id = format!("id=\"chart-{}\"", kind.name);
        assert_eq!(page.matches(&id).count(), 1, "{id}");
        let section = format!("<section id=\"{}\"", kind.section);
        let start = page.find(&section).unwrap();
        let end = start + page[start..].find("</section>").unwrap();
        assert!(page[start..end].contains(&id), "{id} in {section}");
        assert!(chart.document.to_svg(Paint::Variables).starts_with("<svg"));
        assert!(!chart.table.rows.is_empty(), "{}", kind.name);
    }
    // Each is made into an image in the report that is written; one is enough here.
    assert!(Pixmap::decode_png(&to_png(&drawn[0].document).unwrap()).is_ok());
}

#[test]
fn nothing_is_drawn_of_nothing() {
    let mut empty = support::run();
    empty.trials.clear();
    let drawn = charts::all(&empty, &Summary::from_run(&empty)).unwrap();
    assert!(drawn.is_empty());
}

#[test]
fn every_section_is_on_every_page_and_in_its_navigation() {
    for (name, run) in situations() {
        let page = page(&run);
        for section in SECTIONS {
            let there = page.contains(&format!("<section id=\"{}\"", section.id));
            // What a run has none of has no section.
            if section.id == "real-time" && !there {
                assert!(
                    run.trials.iter().all(|trial| trial.acts.is_empty()),
                    "{name}"
                );
                continue;
            }
            let Some(nav) = section.nav else { continue };
            assert!(there, "{name}: {}", section.id);
            let link = format!("<a href=\"#{}\">{nav}</a>", section.id);
            assert_eq!(page.matches(&link).count(), 1, "{name}: {link}");
            assert!(page.contains(section.title), "{name}: {}", section.title);
        }
    }
}
