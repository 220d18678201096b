//! Every row of the table of metrics, without naming one: a new row is covered by being there.

use std::path::Path;

use crate::support;
use timeslip_reports::charts;
use timeslip_reports::compare::{Scale, change, level_of};
use timeslip_reports::data::RunData;
use timeslip_reports::format::capitalised;
use timeslip_reports::gate::{self, FloorKey, Rules, output};
use timeslip_reports::history::figures;
use timeslip_reports::metrics::{Metric, Unit};
use timeslip_reports::pairing::paired_tasks;
use timeslip_reports::render::{changes, csv_tables, html};
use timeslip_reports::summary::Summary;

fn page(run: &RunData, summary: &Summary) -> String {
    html(summary, &charts::all(run, summary).unwrap()).unwrap()
}

#[test]
fn every_metric_can_be_gated_and_every_output_names_it() {
    let run = support::full_run();
    for name in Metric::names() {
        let metric = Metric::find(&name).unwrap();
        let limit = match metric.unit {
            Unit::Share => "5 points",
            _ => "5%",
        };
        let text = format!("[[rule]]\nmetric = \"{name}\"\nmax_regress = \"{limit}\"");
        let rules = Rules::parse(&text, Path::new("gate.toml")).unwrap();
        let result = gate::judge(&rules, &run, &gate::within(&run), &|_: FloorKey| None);
        let finding = &result.findings[0];
        assert_eq!(finding.metric, name);
        assert!(!finding.reason.is_empty(), "{name}");
        assert!(output::terminal(&result).contains(&name));
        assert!(output::junit(&result).unwrap().contains(&name));
        let summary = output::step_summary(&result).replace('\\', "");
        assert!(summary.contains(&name), "{summary}");
        let bencher = output::bencher(&result).to_string();
        assert_eq!(bencher.contains(&name), finding.measured.is_some());
    }
}

#[test]
fn every_metric_that_a_run_has_is_in_every_output() {
    let run = support::full_run();
    let summary = Summary::from_run(&run);
    let (page, text) = (page(&run, &summary), changes(&summary));
    let tables = csv_tables(&run, &summary);
    let csv = tables.iter().find(|table| table.name == "metrics").unwrap();
    let csv = String::from_utf8(support::csv(csv)).unwrap();
    let kept = figures(&run);
    let names = [&run.endpoints[0].name, &run.endpoints[1].name];
    let tasks = paired_tasks(&run.trials, names[0], names[1]);
    let mut shown = 0;
    for metric in Metric::all() {
        let name = metric.name();
        for statistic in metric.statistics() {
            let own = run
                .trials
                .iter()
                .filter(|trial| trial.endpoint == *names[0]);
            let Some(level) = level_of(&metric, statistic, own) else {
                continue;
            };
            let figure = summary.endpoints[names[0]]
                .metrics
                .iter()
                .find(|f| f.metric == name && f.statistic == statistic.to_string());
            assert_eq!(figure.unwrap().value, level, "{name} {statistic}");
            let label = metric.figure_label(statistic);
            assert!(csv.contains(&format!(",{name},{statistic},")), "{name}");
            assert!(csv.contains(&label), "{label}");
            let is_kept = kept
                .iter()
                .any(|f| f.metric == name && f.statistic == statistic.to_string());
            assert_eq!(
                is_kept,
                metric.unit != Unit::Duration || level > 0.0,
                "{name}"
            );
            let scale = match metric.unit {
                Unit::Share => Scale::Difference,
                _ => Scale::Log,
            };
            if change(&metric, statistic, scale, &tasks).is_ok() {
                shown += 1;
                let rule = format!("{name} {statistic}");
                assert!(text.contains(&rule), "{rule} in the terminal");
                assert!(
                    page.contains(&format!("<td>{rule}</td>")),
                    "{rule} on the page"
                );
                let label = capitalised(&label).replace('\'', "&#39;");
                assert!(
                    page.contains(&format!("\">{label}</th>")),
                    "{label} on the page"
                );
            }
        }
    }
    assert!(shown >= 15, "{shown}");
}

#[test]
fn a_run_of_one_side_shows_its_metrics_too() {
    let mut run = support::full_run();
    run.endpoints.truncate(1);
    let own = run.endpoints[0].name.clone();
    run.trials.retain(|trial| trial.endpoint == own);
    let summary = Summary::from_run(&run);
    let page = page(&run, &summary);
    for figure in &summary.endpoints[&own].metrics {
        let rule = format!("{} {}", figure.metric, figure.statistic);
        assert!(page.contains(&format!("<td>{rule}</td>")), "{rule}");
    }
}
