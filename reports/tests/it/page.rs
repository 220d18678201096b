//! What every page must be, whatever the run.

use crate::support;
use std::collections::BTreeSet;

use timeslip_reports::charts;
use timeslip_reports::input::{Outcome, Role, RunData};
use timeslip_reports::render::html;
use timeslip_reports::summary::Summary;
use timeslip_reports::svg::Paint;

fn page(run: &RunData) -> String {
    let summary = Summary::from_run(run);
    html(run, &summary, &charts::all(run, &summary).unwrap()).unwrap()
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
        ("one task", support::run_with(&sides, 1, 1)),
        ("several attempts", support::run_with(&sides, 6, 3)),
        ("all solved", ended(Outcome::Resolved)),
        ("none solved", ended(Outcome::Unresolved)),
        ("two sides", support::run()),
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
            chart.name
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
        assert!(size < 60_000, "{}: {size} bytes", chart.name);
    }
}

#[test]
fn images_carry_no_variables() {
    let run = support::run();
    for chart in charts::all(&run, &Summary::from_run(&run)).unwrap() {
        assert!(chart.document.to_svg(Paint::Variables).contains("var(--"));
        assert!(!chart.document.to_svg(Paint::Light).contains("var(--"));
    }
}
