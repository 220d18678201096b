//! The figures and the words, in several situations.

use timeslip_datasets::run::journal::{EndedBy, Outcome};

use crate::support;
use proptest::prelude::*;
use serde_json::Value;
use timeslip_reports::charts;
use timeslip_reports::conclusion::Conclusion;
use timeslip_reports::data::{Role, RunData, StageValue, TrialData};
use timeslip_reports::headline;
use timeslip_reports::render::{csv_tables, html, terminal};
use timeslip_reports::stages::{Provenance, Stage, StageGroup};
use timeslip_reports::summary::{Summary, json_schema};

const FAST: (&str, Role, support::Speed) = ("spark-sim", Role::Candidate, support::FAST);
const SLOW: (&str, Role, support::Speed) = ("gpu-sim", Role::Baseline, support::SLOW);

/// Seven significant digits: the last ones depend on the platform's `ln`.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = format!("{:.6e}", number.as_f64().unwrap());
            short.parse::<f64>().unwrap().into()
        }
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(k, v)| (k, rounded(v))).collect(),
        other => other,
    }
}

fn json(run: &RunData) -> String {
    let value = serde_json::to_value(Summary::from_run(run)).unwrap();
    serde_json::to_string_pretty(&rounded(value)).unwrap()
}

fn verdict(run: &RunData) -> String {
    Conclusion::of(&Summary::from_run(run))
        .sentences()
        .join("\n")
}

fn errors_only() -> RunData {
    let mut run = support::run_with(&[FAST, SLOW], 3, 1);
    for trial in &mut run.trials {
        trial.outcome = Outcome::Error;
        trial.detail = Some("connection refused".to_owned());
        trial.exchanges.clear();
        trial.spans.clear();
        trial.stages.clear();
        trial.wall_ns = 0;
    }
    run
}

#[test]
fn summary_of_a_small_run() {
    insta::assert_snapshot!(json(&support::run_with(&[FAST, SLOW], 2, 1)));
}

#[test]
fn summary_figures_of_the_standard_run() {
    let mut value = serde_json::to_value(Summary::from_run(&support::run())).unwrap();
    value.as_object_mut().unwrap().remove("trials");
    insta::assert_snapshot!(serde_json::to_string_pretty(&rounded(value)).unwrap());
}

#[test]
fn overhead_is_of_the_trials_that_began() {
    let mut run = support::run_with(&[FAST], 4, 1);
    let whole = Summary::from_run(&run).overhead;
    assert_eq!((whole.cold_setup_ms.n, whole.warm_setup_ms.n), (2, 2));
    assert_eq!(whole.cold_setup_ms.p50, Some(180.0));
    assert_eq!(whole.warm_setup_ms.p50, Some(20.0));
    let [setup, task, grading] = run.trials.iter().fold([0, 0, 0], |sums, trial| {
        let parts = [trial.setup_ns, trial.wall_ns, trial.grading_ns];
        std::array::from_fn(|part| sums[part] + parts[part])
    });
    let share = setup as f64 / (setup + task + grading) as f64;
    assert!((whole.setup_share.unwrap() - share).abs() < 1e-12);
    // One whose environment could not be made, and one of an older journal.
    run.trials[0].wall_ns = 0;
    run.trials[1].warm = None;
    let part = Summary::from_run(&run).overhead;
    assert_eq!((part.cold_setup_ms.n, part.warm_setup_ms.n), (1, 1));
    assert_eq!(part.grading_ms.n, 3);
    run.trials.clear();
    let none = Summary::from_run(&run).overhead;
    assert_eq!(none.setup_share.or(none.sandbox_ms_per_tool_call), None);
}

#[test]
fn terminal_of_the_standard_run() {
    insta::assert_snapshot!(terminal(&Summary::from_run(&support::run())));
}

#[test]
fn terminal_of_one_side() {
    insta::assert_snapshot!(terminal(&Summary::from_run(&support::run_with(
        &[FAST],
        8,
        1
    ))));
}

#[test]
fn terminal_of_errors_only() {
    insta::assert_snapshot!(terminal(&Summary::from_run(&errors_only())));
}

#[test]
fn a_sum_of_nothing_is_no_negative_zero() {
    let summary = Summary::from_run(&errors_only());
    let mut endpoints = summary.endpoints.values();
    assert!(endpoints.all(|endpoint| endpoint.tool_sum_ms.is_sign_positive()));
}

#[test]
fn verdict_sooner() {
    insta::assert_snapshot!(verdict(&support::run()));
}

#[test]
fn verdict_later() {
    let slow = ("spark-sim", Role::Candidate, support::SLOW);
    let fast = ("gpu-sim", Role::Baseline, support::FAST);
    insta::assert_snapshot!(verdict(&support::run_with(&[slow, fast], 24, 1)));
}

#[test]
fn verdict_no_clear_difference() {
    let twin = ("twin-sim", Role::Baseline, support::FAST);
    insta::assert_snapshot!(verdict(&support::run_with(&[FAST, twin], 24, 1)));
}

#[test]
fn verdict_worse_quality() {
    let mut run = support::run();
    for trial in &mut run.trials {
        trial.outcome = match trial.endpoint.as_str() {
            "spark-sim" if trial.task.contains("__") => Outcome::Unresolved,
            _ => Outcome::Resolved,
        };
    }
    insta::assert_snapshot!(verdict(&run));
}

/// Fewer seconds for giving up are no speed.
#[test]
fn verdict_of_nothing_solved() {
    let mut run = support::run();
    for trial in &mut run.trials {
        trial.outcome = Outcome::Unresolved;
    }
    let neither = verdict(&run);
    for trial in &mut run.trials {
        if trial.endpoint == "gpu-sim" {
            trial.outcome = Outcome::Resolved;
        }
    }
    let summary = Summary::from_run(&run);
    let said = format!("{neither}\n\n{}\n\n{}", verdict(&run), terminal(&summary));
    let claims_speed = said.contains("sooner on") || said.contains("measured");
    assert!(!claims_speed, "{said}");
    assert_eq!(summary.headline_lacks.len(), 1);
    insta::assert_snapshot!(said);
}

#[test]
fn verdict_of_too_many_errors() {
    let mut run = support::run();
    let mut trials = run.trials.iter_mut();
    let mut own = trials
        .by_ref()
        .filter(|trial| trial.endpoint == "spark-sim");
    for trial in own.by_ref().take(9) {
        trial.outcome = Outcome::Error;
    }
    run.invalid = headline::too_many_errors(&run.endpoints, &run.trials);
    insta::assert_snapshot!(verdict(&run));
}

/// Whoever ended a trial, its verdict counts; only the harness's own fault leaves quality.
#[test]
fn faults_leave_times_and_the_harness_leaves_quality() {
    let mut run = support::run_with(&[FAST], 4, 1);
    for trial in &mut run.trials {
        trial.outcome = Outcome::Resolved;
    }
    let ended = |run: &mut RunData, index: usize, outcome, by| {
        run.trials[index].outcome = outcome;
        run.trials[index].ended_by = Some(by);
    };
    ended(&mut run, 0, Outcome::Resolved, EndedBy::Endpoint);
    ended(&mut run, 1, Outcome::Error, EndedBy::Endpoint);
    ended(&mut run, 2, Outcome::Error, EndedBy::Harness);
    let endpoint = &Summary::from_run(&run).endpoints["spark-sim"];
    let counted = (endpoint.trials, endpoint.resolved, endpoint.errors);
    assert_eq!(counted, (4, 2, 3));
    assert_eq!(endpoint.wall_ms.n, 1);
    assert_eq!(endpoint.resolve_rate.point, Some(2.0 / 3.0));
    let adjusted = &endpoint.wall_error_adjusted_ms;
    assert_eq!((adjusted.n, adjusted.failures, adjusted.p50), (3, 2, None));
}

/// Half of the trials fail at once: plain times are of the others, adjusted ones of all.
#[test]
fn failing_fast_never_looks_fast() {
    let mut run = support::run_with(&[FAST, SLOW], 24, 1);
    let own = |trial: &&mut TrialData| trial.endpoint == FAST.0;
    for trial in run.trials.iter_mut().filter(own).take(13) {
        trial.outcome = Outcome::Error;
        trial.ended_by = Some(EndedBy::Endpoint);
        trial.wall_ns = 1;
    }
    let of_slow = run.trials.iter_mut().find(|trial| !own(trial));
    of_slow.unwrap().ended_by = Some(EndedBy::TimeLimit);
    let summary = Summary::from_run(&run);
    let text = terminal(&summary);
    let row = text.lines().find(|line| line.contains("error-adjusted"));
    assert!(row.unwrap().contains("beyond / beyond"), "{text}");
    let tables = csv_tables(&run, &summary);
    let table = |name| support::csv(tables.iter().find(|of| of.name == name).unwrap());
    let column = |name, column: &str| -> Vec<String> {
        let content: Vec<u8> = table(name);
        let mut reader = csv::Reader::from_reader(content.as_slice());
        let at = reader.headers().unwrap().iter().position(|c| c == column);
        let records = reader.records().map(Result::unwrap);
        records
            .map(|record| record[at.unwrap()].to_owned())
            .collect()
    };
    let p50 = column("endpoints", "wall_error_adjusted_p50_ms");
    assert_eq!(p50[0], "inf");
    assert!(p50[1].parse::<f64>().unwrap().is_finite(), "{p50:?}");
    assert_eq!(column("trials", "ended_by")[0], "endpoint");
    let page = html(&summary, &charts::all(&run, &summary).unwrap()).unwrap();
    assert!(page.contains("ended by endpoint") && page.contains("ended by time limit"));
    assert!(page.contains("beyond"));
    // Nothing failed: no row of its own.
    assert!(!terminal(&Summary::from_run(&support::run())).contains("error-adjusted"));
}

#[test]
fn verdict_incomplete_and_few() {
    let mut run = support::run_with(&[FAST, SLOW], 24, 1);
    run.trials.truncate(6);
    run.trials[0].outcome = Outcome::Error;
    insta::assert_snapshot!(verdict(&run));
}

#[test]
fn verdict_of_one_side() {
    insta::assert_snapshot!(verdict(&support::run_with(&[FAST], 12, 1)));
}

#[test]
fn verdict_of_errors_only() {
    insta::assert_snapshot!(verdict(&errors_only()));
}

#[test]
fn verdict_of_nothing() {
    let mut run = support::run_with(&[FAST, SLOW], 3, 1);
    run.trials.clear();
    insta::assert_snapshot!(verdict(&run));
}

#[test]
fn a_summary_survives_its_own_json() {
    let summary = Summary::from_run(&support::run());
    let text = serde_json::to_string(&summary).unwrap();
    let again: Summary = serde_json::from_str(&text).unwrap();
    let value = |summary| rounded(serde_json::to_value(summary).unwrap());
    assert_eq!(value(&summary), value(&again));
}

#[test]
fn the_schema_names_every_top_level_field() {
    let schema = json_schema();
    let properties = schema["properties"].as_object().unwrap();
    let value = serde_json::to_value(Summary::from_run(&support::run())).unwrap();
    for field in value.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "{field}");
    }
}

#[test]
fn missing_values_are_null() {
    let value = serde_json::to_value(Summary::from_run(&errors_only())).unwrap();
    let endpoint = &value["endpoints"]["spark-sim"];
    for pointer in [
        "/wall_ms/p50",
        "/ttft_ms/p50",
        "/output_tokens_per_second/p50",
        "/output_tokens",
    ] {
        assert_eq!(endpoint.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    let comparison = &value["comparison"];
    for field in [
        "task_time_ratio_both_resolved",
        "token_rate_ratio",
        "amdahl_limit",
    ] {
        assert_eq!(comparison[field], Value::Null, "{field}");
    }
    assert!(comparison["task_time_ratio"]["reason"].is_string());
}

#[test]
fn terminal_lines_fit() {
    let long = "a-very-long-endpoint-name-that-nobody-would-choose-but-somebody-will";
    let sides = [
        (long, Role::Candidate, support::FAST),
        SLOW,
        ("third", Role::Baseline, support::SLOW),
        ("fourth", Role::Baseline, support::SLOW),
    ];
    let mut run = support::run_with(&sides, 4, 1);
    run.warnings.push("word ".repeat(90) + &"x".repeat(300));
    for line in terminal(&Summary::from_run(&run)).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shares_sum_to_one_and_the_bridge_to_the_difference(
        tasks in 1_usize..12, attempts in 1_u32..3,
    ) {
        let run = support::run_with(&[FAST, SLOW], tasks, attempts);
        let summary = Summary::from_run(&run);
        for endpoint in summary.endpoints.values() {
            let stages: f64 = endpoint.stages.values().filter_map(|s| s.share).sum();
            let groups: f64 = endpoint.groups.values().filter_map(|g| g.share).sum();
            prop_assert!((stages - 1.0).abs() < 1e-9 && (groups - 1.0).abs() < 1e-9);
        }
        let wall = |name: &str| -> i64 {
            let trials = run.trials.iter().filter(|t| t.endpoint == name);
            trials.map(|t| i64::try_from(t.wall_ns).unwrap()).sum()
        };
        let bridge = &summary.comparison.unwrap().stage_bridge;
        let delta: i64 = bridge.iter().map(|row| row.delta_ns).sum();
        prop_assert_eq!(delta, wall("spark-sim") - wall("gpu-sim"));
        let decode = bridge.iter().find(|row| row.group == StageGroup::Decode).unwrap();
        prop_assert!(decode.delta_ns < 0);
    }
}

#[test]
fn waiting_can_be_taken_out_of_task_times() {
    let still = support::run();
    let mut waiting = still.clone();
    let waited = StageValue {
        stage: Stage::Wait,
        ns: 7_000_000_000,
        provenance: Provenance::Measured,
        error_ns: None,
    };
    let candidate = waiting.endpoints[0].name.clone();
    for trial in &mut waiting.trials {
        if trial.endpoint == candidate {
            trial.wall_ns += waited.ns;
            trial.stages.push(waited.clone());
        }
    }
    let (still, waiting) = (Summary::from_run(&still), Summary::from_run(&waiting));
    let (before, after) = (still.comparison.unwrap(), waiting.comparison.unwrap());
    assert_eq!(before.task_time_ratio_without_wait, None);
    assert_eq!(
        after.task_time_ratio_without_wait,
        Some(before.task_time_ratio)
    );
    let endpoint = &waiting.endpoints[&candidate];
    assert_eq!(
        endpoint.wall_without_wait_ms,
        still.endpoints[&candidate].wall_ms
    );
    let trial = waiting
        .trials
        .iter()
        .find(|trial| trial.endpoint == candidate);
    assert_eq!(trial.unwrap().wait_ns, waited.ns);
}
