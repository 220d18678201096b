//! Sessions of a developer: what the report says of how soon answers begin, how soon it is
//! quiet after a stop, and what waiting costs in a day.

use timeslip_datasets::run::journal::Race;
use timeslip_reports::conclusion::Conclusion;
use timeslip_reports::data::{RunData, TrialData};
use timeslip_reports::render::{html, terminal};
use timeslip_reports::summary::Summary;

use crate::support;

fn run() -> RunData {
    let mut run = support::run();
    support::hold_sessions(&mut run);
    run
}

#[test]
fn the_first_sentence_says_how_often_it_feels_instant_and_what_a_stop_costs() {
    let summary = Summary::from_run(&run());
    let conclusion = Conclusion::of(&summary);
    insta::assert_snapshot!(conclusion.text());
    let real_time = summary.real_time.as_ref().unwrap();
    let fast = &real_time.endpoints["spark-sim"];
    let slow = &real_time.endpoints["gpu-sim"];
    let within = |endpoint: &timeslip_reports::summary::RealTimeEndpoint, ms: f64| {
        let found = endpoint.within.iter().find(|one| one.ms == ms);
        found.unwrap().share.point.unwrap()
    };
    assert_eq!(within(fast, 400.0), 1.0);
    // Of the slow side's three answers only the suggestion and the redirection begin so soon.
    assert!((within(slow, 400.0) - 2.0 / 3.0).abs() < 0.02, "{slow:?}");
    assert_eq!(fast.quiet.len(), 2, "nobody confirms a closed connection");
    assert_eq!(fast.quiet[0].ms.p50, Some(4.0));
    assert_eq!(fast.quiet[1].ms.p50, Some(60.0));
    assert_eq!(fast.quiet[1].within[0].share.point, Some(1.0));
    assert_eq!(fast.outcomes[&Race::TooLate], 1);
    assert_eq!(fast.stale_tokens.n, 47, "what was too late stopped nothing");
}

#[test]
fn a_day_of_acts_saves_what_they_take_less() {
    let real_time = Summary::from_run(&run()).real_time.unwrap();
    let minutes = &real_time.saved[0].minutes;
    // 500, 300 and, from the last key, 500 ms, against eight times as much: 3.03 s an act.
    let expected = 7.0 * (0.5 + 0.3 + 0.5) / 3.0 * 100.0 / 60.0;
    assert!(
        (minutes.point.unwrap() - expected).abs() < 0.1,
        "{minutes:?}"
    );
    let (low, high) = minutes.interval().unwrap();
    assert!(low > 0.0 && low < high, "{minutes:?}");
}

#[test]
fn sessions_have_their_section_and_their_picture_and_other_runs_have_none() {
    let with = run();
    let summary = Summary::from_run(&with);
    let charts = timeslip_reports::charts::all(&with, &summary).unwrap();
    assert!(charts.iter().any(|chart| chart.kind.name == "session"));
    let page = html(&summary, &charts).unwrap();
    for words in ["id=\"real-time\"", "steer-3", "Until", "Too late"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(terminal(&summary).starts_with("An answer begins within 400 ms"));

    let without = support::run();
    let summary = Summary::from_run(&without);
    assert!(summary.real_time.is_none());
    let charts = timeslip_reports::charts::all(&without, &summary).unwrap();
    assert!(!html(&summary, &charts).unwrap().contains("real-time"));
}

#[test]
fn metrics_of_acts_can_be_gated_and_compared() {
    let summary = Summary::from_run(&run());
    let changes = &summary.comparison.as_ref().unwrap().changes;
    let change = |name: &str| {
        let found = changes.iter().find(|change| change.metric == name);
        found.unwrap_or_else(|| panic!("{name}"))
    };
    let first = change("first_output");
    assert!(first.change.high.unwrap() < 0.3, "{first:?}");
    assert_eq!(change("checks_passed").baseline, Some(0.75));
    assert!(change("redirect_time").change.high.unwrap() < 0.3);
    let none = |trial: &TrialData| trial.acts.is_empty();
    assert!(support::run().trials.iter().all(none));
}
