//! What a gate answers, on runs of which the right answer is known.

use timeslip_datasets::run::journal::Outcome;

use crate::support;
use std::path::Path;

use proptest::prelude::*;
use timeslip_reports::data::{Role, RunData, TrialData};
use timeslip_reports::gate::{self, FloorKey, GateResult, Rules, Verdict, output};
use timeslip_reports::stages::Stage;

const RULES: &str = r#"
alpha = 0.01
min_pairs = 10

[[rule]]
metric = "task_time"
max_regress = "5%"

[[rule]]
metric = "ttft"
max_regress = "5%"

[[rule]]
name = "prefill"
metric = "stage.prefill"
max_regress = "20ms"

[[rule]]
metric = "resolve_rate"
max_regress = "2 points"

[[rule]]
metric = "task_time"
slo = "p(50)<60s"
"#;

fn rules() -> Rules {
    Rules::parse(RULES, Path::new("gate.toml")).unwrap()
}

/// 72 tasks on one endpoint.
fn measured() -> RunData {
    support::run_with(&[("spark-sim", Role::Candidate, support::FAST)], 72, 1)
}

fn against(candidate: &RunData, baseline: &RunData) -> GateResult {
    judged(RULES, candidate, &[earlier(baseline, 0)])
}

/// The run under the name of an earlier one.
fn earlier(run: &RunData, number: usize) -> RunData {
    RunData {
        run_id: format!("20261120-09300{number}-mini"),
        ..run.clone()
    }
}

fn judged(rules: &str, candidate: &RunData, baselines: &[RunData]) -> GateResult {
    let subjects = gate::against(candidate, baselines);
    let rules = Rules {
        drift: 0.0,
        ..Rules::parse(rules, Path::new("gate.toml")).unwrap()
    };
    gate::judge(&rules, candidate, &subjects, &|_: FloorKey| None)
}

/// The verdict of one rule, and the sentence.
fn one(rule: &str, candidate: &RunData, baselines: &[RunData]) -> (Verdict, String) {
    let result = judged(&format!("[[rule]]\n{rule}"), candidate, baselines);
    let finding = result.findings.into_iter().next().unwrap();
    (finding.verdict, finding.reason)
}

fn verdict_of(result: &GateResult, rule: &str) -> Verdict {
    let mut findings = result.findings.iter();
    findings
        .find(|finding| finding.rule == rule)
        .unwrap()
        .verdict
}

/// Every exchange reads its prompt more slowly.
fn slow_prefill(run: &mut RunData, ns: u64) {
    run.trials
        .iter_mut()
        .for_each(|trial| slow_trial(trial, ns));
}

fn slow_trial(trial: &mut TrialData, ns: u64) {
    for exchange in &mut trial.exchanges {
        exchange.ttft_ns = exchange.ttft_ns.map(|ttft| ttft + ns);
    }
    let more = ns * trial.exchanges.len() as u64;
    let mut stages = trial.stages.iter_mut();
    let prefill = stages.find(|stage| stage.stage == Stage::Prefill);
    prefill.unwrap().ns += more;
    trial.wall_ns += more;
}

/// The same again, as another day gives it: every trial a little different.
fn another_day(seed: u64) -> RunData {
    let mut run = measured();
    let mut chance = support::Uniform::new(seed);
    for trial in &mut run.trials {
        slow_trial(trial, (chance.next() * 2e6) as u64);
    }
    run
}

fn regressed() -> GateResult {
    let baseline = measured();
    let mut candidate = measured();
    candidate.run_id = "20261122-093000-mini".to_owned();
    slow_prefill(&mut candidate, 60_000_000);
    against(&candidate, &baseline)
}

#[test]
fn a_slow_stage_is_found_and_named() {
    let result = regressed();
    assert_eq!(result.verdict, Verdict::Regression);
    assert_eq!(verdict_of(&result, "ttft typical"), Verdict::Regression);
    assert_eq!(verdict_of(&result, "prefill"), Verdict::Regression);
    assert_eq!(verdict_of(&result, "resolve_rate share"), Verdict::Pass);
    let ttft = &result.findings[1];
    assert!(ttft.reason.contains("mostly prefill"), "{}", ttft.reason);
}

#[test]
fn every_output_tells_it() {
    let result = regressed();
    insta::assert_snapshot!("terminal", output::terminal(&result));
    insta::assert_snapshot!("step_summary", output::step_summary(&result));
    insta::assert_snapshot!("annotations", output::annotations(&result));
    insta::assert_snapshot!("bencher", format!("{:#}", output::bencher(&result)));
    insta::assert_snapshot!("junit", output::junit(&result).unwrap());
    let json = serde_json::to_string(&result).unwrap();
    let read: GateResult = serde_json::from_str(&json).unwrap();
    assert_eq!(output::terminal(&read), output::terminal(&result));
}

#[test]
fn the_same_on_another_day_passes_and_says_what_it_would_have_seen() {
    let result = against(&another_day(1), &another_day(2));
    let text = output::terminal(&result);
    assert_eq!(result.verdict, Verdict::Pass, "{text}");
    for finding in &result.findings {
        let measured = finding.measured.as_ref().unwrap();
        assert!(measured.detectable.is_some(), "{text}");
    }
    // To the nanosecond the same is no change, and the run itself is no baseline.
    let result = against(&measured(), &measured());
    assert_eq!(verdict_of(&result, "ttft typical"), Verdict::Pass);
    let itself = judged(RULES, &measured(), &[measured()]);
    assert_eq!(itself.verdict, Verdict::Invalid);
}

#[test]
fn a_limit_is_at_least_what_nothing_differs_by() {
    let (baseline, mut candidate) = (measured(), measured());
    slow_prefill(&mut candidate, 20_000_000);
    let baselines = [earlier(&baseline, 0)];
    let subjects = gate::against(&candidate, &baselines);
    let with = |drift: f64, floor: Option<f64>| {
        let rules = Rules { drift, ..rules() };
        let result = gate::judge(&rules, &candidate, &subjects, &|_: FloorKey| floor);
        verdict_of(&result, "ttft typical")
    };
    assert_eq!(with(0.0, None), Verdict::Regression);
    assert_ne!(with(0.9, None), Verdict::Regression);
    assert_ne!(with(0.0, Some(0.9)), Verdict::Regression);
    assert_eq!(
        with(0.9, Some(0.02)),
        Verdict::Regression,
        "history knows better"
    );
}

#[test]
fn a_regression_that_does_not_come_again_is_a_warning() {
    let again = against(&another_day(1), &another_day(2));
    let result = regressed().confirmed_by(&again);
    assert_eq!(verdict_of(&result, "ttft typical"), Verdict::Warn);
    assert_ne!(result.verdict, Verdict::Regression);
    assert_eq!(
        regressed().confirmed_by(&regressed()).verdict,
        Verdict::Regression
    );
    // To the nanosecond the same is cleared as well.
    let again = against(&measured(), &measured());
    let result = regressed().confirmed_by(&again);
    assert_eq!(verdict_of(&result, "ttft typical"), Verdict::Warn);
    // What could not be judged clears nothing.
    let mut half = another_day(1);
    half.trials.truncate(36);
    let again = against(&half, &another_day(2));
    let result = regressed().confirmed_by(&again);
    assert_eq!(result.verdict, Verdict::Regression);
    assert!(result.findings[0].reason.contains("not confirmed"));
}

/// What a candidate must not look like, and what is said of it.
#[test]
fn what_must_not_be_judged_is_never_a_pass() {
    type Change = fn(&mut RunData);
    let cases: [(&str, Change, Verdict); 14] = [
        ("empty", |run| run.trials.clear(), Verdict::Invalid),
        (
            "nothing planned",
            |run| {
                run.trials.clear();
                run.planned_trials = 0;
            },
            Verdict::Invalid,
        ),
        ("half", |run| run.trials.truncate(36), Verdict::Invalid),
        (
            "invalid",
            |run| run.invalid.push("the client was slow".into()),
            Verdict::Invalid,
        ),
        (
            "uncalibrated",
            |run| run.calibration = None,
            Verdict::Invalid,
        ),
        (
            "other tasks",
            |run| {
                for trial in &mut run.trials {
                    trial.task.push('x');
                }
            },
            Verdict::Invalid,
        ),
        (
            "one task fewer",
            |run| {
                run.trials.pop();
                run.planned_trials -= 1;
            },
            Verdict::Invalid,
        ),
        (
            "all errors",
            |run| {
                for trial in &mut run.trials {
                    trial.outcome = Outcome::Error;
                }
            },
            Verdict::Invalid,
        ),
        (
            "real against simulated",
            |run| run.endpoints[0].simulated = false,
            Verdict::Invalid,
        ),
        (
            "unknown endpoint",
            |run| {
                run.endpoints[0].name = "b".into();
                for trial in &mut run.trials {
                    trial.endpoint = "b".into();
                }
            },
            Verdict::Invalid,
        ),
        (
            "stages that do not sum",
            |run| run.trials[0].wall_ns += 1,
            Verdict::Invalid,
        ),
        (
            "short outputs",
            |run| exchanges(run, |e| e.output_tokens = e.output_tokens.map(|n| n / 2)),
            Verdict::Invalid,
        ),
        (
            "cut short",
            |run| exchanges(run, |e| e.cut_short = true),
            Verdict::Invalid,
        ),
        (
            "no first token",
            |run| exchanges(run, |e| e.ttft_ns = None),
            Verdict::Inconclusive,
        ),
    ];
    for (name, change, expected) in cases {
        let mut candidate = measured();
        change(&mut candidate);
        let result = against(&candidate, &measured());
        let verdict = verdict_of(&result, "ttft typical");
        assert_eq!(verdict, expected, "{name}: {}", output::terminal(&result));
        assert!(result.verdict <= Verdict::Inconclusive, "{name}");
        // The baseline must not look like that either.
        let result = against(&measured(), &candidate);
        if !name.starts_with("short") && !name.starts_with("cut") {
            assert!(result.verdict <= Verdict::Inconclusive, "{name}, baseline");
        }
    }
}

fn exchanges(run: &mut RunData, change: fn(&mut timeslip_reports::data::ExchangeData)) {
    run.trials
        .iter_mut()
        .flat_map(|trial| &mut trial.exchanges)
        .for_each(change);
}

#[test]
fn one_task_or_nothing_to_compare_with_decides_nothing() {
    let one = support::run_with(&[("a", Role::Candidate, support::FAST)], 1, 1);
    let mut other = one.clone();
    other
        .trials
        .iter_mut()
        .for_each(|trial| slow_trial(trial, 1_000_000));
    let result = against(&one, &other);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    let alone = gate::judge(&rules(), &one, &gate::within(&one), &|_: FloorKey| None);
    assert_eq!(verdict_of(&alone, "ttft typical"), Verdict::Invalid);
}

#[test]
fn all_solved_and_none_solved_are_judged() {
    for (own, others, expected) in [
        (Outcome::Resolved, Outcome::Resolved, Verdict::Pass),
        (Outcome::Unresolved, Outcome::Unresolved, Verdict::Pass),
        (Outcome::Unresolved, Outcome::Resolved, Verdict::Regression),
        (Outcome::Resolved, Outcome::Unresolved, Verdict::Pass),
    ] {
        let with = |outcome| {
            let mut run = measured();
            run.trials
                .iter_mut()
                .for_each(|trial| trial.outcome = outcome);
            run
        };
        let result = against(&with(own), &with(others));
        assert_eq!(
            verdict_of(&result, "resolve_rate share"),
            expected,
            "{own:?} {others:?}"
        );
    }
}

#[test]
fn what_is_missing_where_it_is_slow_does_not_pass() {
    let rule = "metric = \"ttft\"\nmax_regress = \"5%\"";
    let baselines = [earlier(&another_day(1), 0)];
    let mut candidate = another_day(2);
    for trial in candidate.trials.iter_mut().take(60) {
        trial.exchanges.iter_mut().for_each(|e| e.ttft_ns = None);
    }
    let (verdict, reason) = one(rule, &candidate, &baselines);
    assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
    let slo = "metric = \"ttft\"\nslo = \"p(50)<10s\"";
    assert_eq!(one(slo, &candidate, &baselines).0, Verdict::Inconclusive);

    // A ratio to nothing is none, and must not be left out.
    let rule = "metric = \"tool_calls\"\nmax_regress = \"5%\"";
    let mut candidate = another_day(2);
    let mut baseline = another_day(1);
    for index in 0..36 {
        candidate.trials[index].tool_calls = 500;
        baseline.trials[index].tool_calls = 0;
    }
    let (verdict, reason) = one(rule, &candidate, &[earlier(&baseline, 0)]);
    assert_eq!(verdict, Verdict::Inconclusive, "{reason}");
    assert_eq!(
        one(rule, &another_day(2), &baselines).0,
        Verdict::Pass,
        "nothing changed"
    );
}

#[test]
fn answers_of_unknown_length_and_trials_that_failed_do_not_pass() {
    let baselines = [earlier(&another_day(1), 0)];
    let rule = "metric = \"ttft\"\nmax_regress = \"5%\"";
    let mut candidate = another_day(2);
    exchanges(&mut candidate, |e| e.output_tokens = None);
    assert_eq!(one(rule, &candidate, &baselines).0, Verdict::Invalid);
    exchanges(&mut candidate, |e| e.output_tokens = Some(0));
    assert_eq!(one(rule, &candidate, &baselines).0, Verdict::Invalid);
    for slo in ["p(50)<60s", "typical<60s"] {
        let rule = format!("metric = \"task_time\"\nslo = \"{slo}\"");
        let mut failing = another_day(2);
        for trial in failing.trials.iter_mut().take(60) {
            trial.outcome = Outcome::Error;
        }
        assert_eq!(one(&rule, &failing, &[]).0, Verdict::Invalid);
        let mut cut = another_day(2);
        exchanges(&mut cut, |e| e.cut_short = true);
        assert_eq!(one(&rule, &cut, &[]).0, Verdict::Invalid);
    }
    let all = "metric = \"resolve_rate\"\nslo = \"share>=100%\"";
    assert_eq!(one(all, &another_day(2), &[]).0, Verdict::Regression);
}

#[test]
fn a_limit_in_milliseconds_knows_of_drift_and_floor() {
    let (baseline, mut candidate) = (another_day(1), another_day(2));
    slow_prefill(&mut candidate, 10_000_000);
    let baselines = [earlier(&baseline, 0)];
    let subjects = gate::against(&candidate, &baselines);
    let text = "[[rule]]\nname = \"r\"\nmetric = \"ttft\"\nmax_regress = \"5ms\"";
    let with = |drift: f64, floor: Option<f64>| {
        let rules = Rules::parse(text, Path::new("gate.toml")).unwrap();
        let rules = Rules { drift, ..rules };
        let result = gate::judge(&rules, &candidate, &subjects, &|_: FloorKey| floor);
        verdict_of(&result, "r")
    };
    assert_eq!(with(0.0, None), Verdict::Regression);
    assert_eq!(with(0.2, None), Verdict::Pass);
    assert_eq!(with(0.0, Some(0.2)), Verdict::Pass);
}

#[test]
fn a_trial_counts_once_however_many_baselines_there_are() {
    let baselines: Vec<RunData> = (0..7)
        .map(|n| earlier(&another_day(n as u64 + 10), n))
        .collect();
    let pass = "metric = \"resolve_rate\"\nstatistic = \"pass@2\"\nmax_regress = \"9 points\"";
    let (verdict, reason) = one(pass, &another_day(2), &baselines);
    assert_eq!(
        verdict,
        Verdict::Inconclusive,
        "one attempt is not two: {reason}"
    );
    let few = |run: RunData| RunData {
        planned_trials: 12,
        trials: run.trials.into_iter().take(12).collect(),
        ..run
    };
    let baselines: Vec<RunData> = baselines.into_iter().map(few).collect();
    let tail = "metric = \"task_time\"\nstatistic = \"p95\"\nmax_regress = \"25%\"";
    assert_eq!(
        one(tail, &few(another_day(2)), &baselines).0,
        Verdict::Inconclusive
    );
}

#[test]
fn more_rules_than_resamples_can_tell_apart_do_not_decide() {
    let mut candidate = another_day(2);
    slow_prefill(&mut candidate, 500_000_000);
    let rule = |n| {
        format!(
            "[[rule]]\nname = \"{n}\"\nmetric = \"ttft\"\nstatistic = \"p95\"\nmax_regress = \"5%\"\n"
        )
    };
    let rules: String = (0..60).map(rule).collect();
    let result = judged(&rules, &candidate, &[earlier(&another_day(1), 0)]);
    assert!(
        result.verdict <= Verdict::Inconclusive,
        "{}",
        output::terminal(&result)
    );
}

#[test]
fn a_rule_that_warns_never_fails_the_gate() {
    let rule = "metric = \"cost\"\nmax_regress = \"5%\"\naction = \"warn\"";
    assert_eq!(
        one(rule, &another_day(2), &[earlier(&another_day(1), 0)]).0,
        Verdict::Warn
    );
}

#[test]
fn an_objective_is_about_the_candidate_alone() {
    let judge = |slo: &str, metric: &str| {
        let text = format!("[[rule]]\nname = \"r\"\nmetric = \"{metric}\"\nslo = \"{slo}\"");
        let rules = Rules::parse(&text, Path::new("gate.toml")).unwrap();
        let run = measured();
        let result = gate::judge(&rules, &run, &gate::within(&run), &|_: FloorKey| None);
        verdict_of(&result, "r")
    };
    assert_eq!(judge("p(95)<10ms", "ttft"), Verdict::Regression);
    assert_eq!(judge("p(95)<10s", "ttft"), Verdict::Pass);
    assert_eq!(
        judge("mean>10/s", "output_tokens_per_second"),
        Verdict::Pass
    );
    assert_eq!(
        judge("mean>5000/s", "output_tokens_per_second"),
        Verdict::Regression
    );
    assert_eq!(judge("share>99%", "resolve_rate"), Verdict::Regression);
    assert_eq!(judge("share>20%", "resolve_rate"), Verdict::Pass);
    assert_eq!(judge("pass@1>20%", "resolve_rate"), Verdict::Pass);
    assert_eq!(judge("pass^1>95%", "resolve_rate"), Verdict::Regression);
    assert_eq!(
        judge("pass@2>20%", "resolve_rate"),
        Verdict::Inconclusive,
        "one attempt"
    );
}

#[test]
fn hostile_names_stay_text() {
    let attack = "x|</td><img src=x>`\n::error::@team %0A";
    let mut run = measured();
    run.run_id = attack.to_owned();
    run.endpoints[0].name = attack.to_owned();
    run.trials
        .iter_mut()
        .for_each(|trial| trial.endpoint = attack.to_owned());
    let mut candidate = run.clone();
    slow_prefill(&mut candidate, 60_000_000);
    let result = against(&candidate, &run);
    let summary = output::step_summary(&result);
    assert!(
        !summary.contains("<img") && !summary.contains("@team"),
        "{summary}"
    );
    for line in output::annotations(&result).lines() {
        assert!(line.starts_with("::error title=timeslip"), "{line}");
        assert_eq!(line.matches("::error").count(), 1, "{line}");
    }
    assert!(!output::junit(&result).unwrap().contains("<img"));
    assert!(
        output::terminal(&result)
            .lines()
            .all(|line| !line.starts_with("::"))
    );
}

#[test]
fn a_thousand_rules_fit_into_a_step_summary() {
    let mut result = regressed();
    let long = "a".repeat(5_000);
    let finding = timeslip_reports::gate::Finding {
        reason: long,
        ..result.findings[0].clone()
    };
    result.findings = vec![finding; 3_000];
    let summary = output::step_summary(&result);
    assert!(summary.len() < 1024 * 1024 && summary.contains("more in the JSON"));
    assert!(output::annotations(&result).lines().count() <= 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_part_of_a_run_passes(kept in prop::collection::vec(any::<bool>(), 72)) {
        let mut candidate = measured();
        let mut keep = kept.iter();
        candidate.trials.retain(|_: &TrialData| *keep.next().unwrap());
        prop_assume!(candidate.trials.len() < candidate.planned_trials);
        let result = against(&candidate, &measured());
        prop_assert!(result.verdict == Verdict::Invalid);
    }
}
