//! Runs of one baseline and several candidates: each is compared as if it were alone, and
//! what is said takes the number of candidates into account.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use timeslip_datasets::run::journal::Outcome;
use timeslip_reports::charts;
use timeslip_reports::conclusion::Conclusion;
use timeslip_reports::data::{Role, RunData};
use timeslip_reports::gate::{self, Rules, Verdict};
use timeslip_reports::headline;
use timeslip_reports::render::{changes, csv_tables, html, terminal};
use timeslip_reports::side::{Side, side_by_side};
use timeslip_reports::summary::{Comparison, Summary};

use crate::support::{self, Speed, Uniform};

const NAMES: [&str; 4] = ["spark-sim", "batch-sim", "edge-sim", "copy-sim"];

/// `candidates` of falling speed, the last one as slow as the baseline, and the baseline.
pub fn run(candidates: usize) -> RunData {
    let speeds = [
        support::FAST,
        Speed {
            tokens_per_second: 400.0,
            ..support::FAST
        },
        Speed {
            tokens_per_second: 150.0,
            resolves: 0.7,
            ..support::SLOW
        },
        support::SLOW,
    ];
    let mut endpoints: Vec<(&str, Role, Speed)> = std::iter::zip(NAMES, speeds)
        .take(candidates)
        .map(|(name, speed)| (name, Role::Candidate, speed))
        .collect();
    endpoints.push(("gpu-sim", Role::Baseline, support::SLOW));
    support::run_with(&endpoints, 24, 1)
}

fn without_holm(comparison: &Comparison) -> Comparison {
    Comparison {
        task_time_p: None,
        resolve_rate_p: None,
        ..comparison.clone()
    }
}

#[test]
fn each_candidate_is_compared_as_if_it_were_alone() {
    let run = run(4);
    let summary = Summary::from_run(&run);
    let compared: Vec<&Comparison> = summary.comparisons().collect();
    let names: Vec<&str> = compared.iter().map(|one| one.candidate.as_str()).collect();
    assert_eq!(names, NAMES);
    for comparison in compared {
        let side = |endpoint| Side {
            run: &run,
            endpoint,
        };
        let alone = side_by_side(side(&comparison.candidate), side("gpu-sim"));
        let alone = Summary::from_run(&alone);
        assert_eq!(alone.comparison, Some(without_holm(comparison)));
        assert_eq!(
            alone.decision.routing.as_ref(),
            summary.decision.routing_of(&comparison.candidate)
        );
    }
}

#[test]
fn what_spoils_one_candidate_says_nothing_of_the_others() {
    let whole = run(3);
    let mut spoilt = whole.clone();
    for trial in &mut spoilt.trials {
        if trial.endpoint == "batch-sim" {
            trial.outcome = Outcome::Error;
        }
    }
    spoilt.invalid = headline::too_many_errors(&spoilt.endpoints, &spoilt.trials);
    let (before, after) = (Summary::from_run(&whole), Summary::from_run(&spoilt));
    for (before, after) in before.comparisons().zip(after.comparisons()) {
        if before.candidate == "batch-sim" {
            assert!(after.lacks[0].contains("24 of 24 trials on batch-sim"));
        } else {
            assert_eq!(without_holm(before), without_holm(after));
        }
    }
    let conclusion = Conclusion::of(&after);
    assert!(
        conclusion
            .headline
            .starts_with("Of 3 candidates, spark-sim finishes tasks soonest"),
        "{}",
        conclusion.headline
    );
    assert!(
        conclusion.reasons[1].starts_with("How much sooner tasks finish on batch-sim is not told"),
        "{}",
        conclusion.reasons[0]
    );

    // The baseline is part of every comparison.
    for trial in &mut spoilt.trials {
        if trial.endpoint == "gpu-sim" {
            trial.outcome = Outcome::Error;
        }
    }
    spoilt.invalid = headline::too_many_errors(&spoilt.endpoints, &spoilt.trials);
    let conclusion = Conclusion::of(&Summary::from_run(&spoilt));
    assert!(
        conclusion.headline.starts_with("This run is invalid"),
        "{}",
        conclusion.headline
    );
}

#[test]
fn a_gate_judges_every_candidate_and_shares_its_level_among_them() {
    let mut run = run(3);
    for trial in &mut run.trials {
        if trial.endpoint == "batch-sim" {
            trial.outcome = Outcome::Error;
        }
    }
    run.invalid = headline::too_many_errors(&run.endpoints, &run.trials);
    let text = "[[rule]]\nname = \"time\"\nmetric = \"task_time\"\nstatistic = \"typical\"\nmax_regress = \"10%\"\n";
    let judge = |rules: &str| {
        let rules = Rules::parse(rules, Path::new("gate.toml")).unwrap();
        gate::judge(&rules, &run, &gate::within(&run), &|_| None)
    };
    let result = judge(text);
    let verdicts: Vec<(&str, Verdict)> = result
        .findings
        .iter()
        .map(|finding| (finding.endpoint.as_str(), finding.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("spark-sim", Verdict::Pass),
            ("batch-sim", Verdict::Invalid),
            ("edge-sim", Verdict::Pass)
        ]
    );
    let only = judge(&format!("{text}endpoint = \"edge-sim\"\n"));
    assert_eq!(only.findings.len(), 1);
    // Alone a rule has the whole level; beside another candidate's it has half.
    let detectable = |index: usize, result: &gate::GateResult| {
        let measured = result.findings[index].measured.as_ref().unwrap();
        measured.detectable.unwrap()
    };
    assert!(detectable(2, &result) > detectable(0, &only));
}

/// Whatever is claimed of candidates that are the baseline itself is wrong: in time and in
/// quality at most the level of runs may claim anything, however many candidates they have.
#[test]
fn equal_candidates_seldom_differ_in_any_claim() {
    const RUNS: u64 = 600;
    let candidates = NAMES.map(|name| (name, Role::Candidate, support::SLOW));
    let baseline = [("gpu-sim", Role::Baseline, support::SLOW)];
    let mut run = support::run_with(&[&candidates[..], &baseline].concat(), 24, 1);
    for trial in &mut run.trials {
        (trial.exchanges, trial.stages, trial.spans) = Default::default();
    }
    let (mut time, mut quality, mut uncorrected) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut chance = Uniform::new(seed);
        for trials in run.trials.chunks_mut(NAMES.len() + 1) {
            let (seconds, solvable) = (chance.between(5.0, 200.0), chance.between(0.2, 1.0));
            for trial in trials {
                let noise: f64 = (0..4).map(|_| chance.between(-0.4, 0.4)).sum();
                trial.wall_ns = (seconds * noise.exp() * 1e9) as u64;
                trial.outcome = match chance.next() < solvable {
                    true => Outcome::Resolved,
                    false => Outcome::Unresolved,
                };
            }
        }
        let compared = Comparison::all(&run);
        let any = |claims: fn(&Comparison) -> bool| u64::from(compared.iter().any(claims));
        time += any(Comparison::shows_time);
        quality += any(Comparison::shows_quality);
        uncorrected += any(|one| !one.task_time_ratio.may_be(1.0));
    }
    let level = RUNS / 20;
    println!("of {RUNS}: {time} in time ({uncorrected} without Holm), {quality} in quality");
    assert!(time <= level && quality <= level, "{time}, {quality}");
    // The simulation could tell: without the correction twice as many claim something.
    assert!(uncorrected > 2 * level && time > 0, "{uncorrected}, {time}");
}

#[test]
fn words_take_the_number_of_candidates_into_account() {
    let mut summary = Summary::from_run(&run(3));
    let first = summary.comparison.as_mut().unwrap();
    assert!(first.shows_time() && first.task_time_p.unwrap() < 0.001);
    // An interval of its own leaves 1 out, and among three candidates that may be chance.
    (first.task_time_ratio.low, first.task_time_ratio.point) = (Some(1.01), Some(1.2));
    first.task_time_ratio.high = Some(1.4);
    first.task_time_p = Some(0.09);
    assert!(!first.shows_time());
    let conclusion = Conclusion::of(&summary);
    assert!(
        conclusion
            .headline
            .contains("batch-sim finishes tasks soonest")
    );
    assert!(
        conclusion.reasons[1].starts_with(
            "No difference in task time is shown between spark-sim and gpu-sim among so many candidates: ratio 1.2"
        ),
        "{}",
        conclusion.reasons[0]
    );
}

#[test]
fn texts_and_page_have_a_part_for_each_candidate() {
    for candidates in [2, 4] {
        let run = run(candidates);
        let summary = Summary::from_run(&run);
        let drawn = charts::all(&run, &summary).unwrap();
        let names: BTreeSet<&str> = drawn.iter().map(|chart| &*chart.name).collect();
        assert_eq!(
            names.len(),
            drawn.len(),
            "every chart has a name of its own"
        );
        let page = html(&summary, &drawn).unwrap();
        for (index, name) in NAMES.iter().take(candidates).enumerate() {
            for kind in ["bridge", "policies", "waterfall"] {
                let id = format!("id=\"chart-{kind}-{}\"", index + 1);
                assert_eq!(page.matches(&id).count(), 1, "{id}");
            }
            let part = format!("<summary>{name} against gpu-sim</summary>");
            assert_eq!(page.matches(&part).count(), 2, "{part}");
            assert!(changes(&summary).contains(&format!("{name} against gpu-sim\n")));
        }
        let tables = csv_tables(&run, &summary);
        let rows_of = |name: &str| {
            let table = tables.iter().find(|table| table.name == name).unwrap();
            let content = support::csv(table);
            let mut reader = csv::Reader::from_reader(content.as_slice());
            reader
                .deserialize()
                .map(Result::unwrap)
                .collect::<Vec<HashMap<String, String>>>()
        };
        let comparisons = rows_of("comparisons");
        assert_eq!(comparisons.len(), candidates);
        for (row, comparison) in comparisons.iter().zip(summary.comparisons()) {
            assert_eq!(
                (&*row["candidate"], &*row["baseline"]),
                (&*comparison.candidate, "gpu-sim")
            );
            let ratio = comparison
                .task_time_ratio
                .point
                .map_or_else(String::new, |point| point.to_string());
            assert_eq!(row["task_time_ratio"], ratio);
        }
        let all = summary
            .comparisons()
            .map(|comparison| comparison.changes.len());
        assert_eq!(rows_of("changes").len(), all.sum::<usize>());
        let text = terminal(&summary);
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }
    insta::assert_snapshot!(terminal(&Summary::from_run(&run(4))));
}
