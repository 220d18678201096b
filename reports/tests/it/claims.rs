//! Answers to vendors' claims, on runs whose truth is known.

use timeslip_datasets::options::EndpointOptions;
use timeslip_datasets::run::journal::Outcome;
use timeslip_datasets::run::plan::PlannedEndpoint;

use crate::support;
use timeslip_reports::claims::{Answer, ClaimsFile, Quantity, Ruling, answer};
use timeslip_reports::data::{Role, RunData};
use timeslip_reports::side::{Side, side_by_side};
use timeslip_reports::summary::Summary;

/// The run as if its endpoints were real ones.
fn real(mut run: RunData) -> RunData {
    for endpoint in &mut run.endpoints {
        endpoint.simulated = false;
    }
    run
}

fn one(run: &RunData, claim: &str) -> Answer {
    let text = format!("[[claim]]\nid = \"a\"\ntext = \"t\"\nsource = \"s\"\n{claim}");
    let mut answers = answer(&ClaimsFile::parse(&text).unwrap(), run);
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The same model over two transports; the second path is slower in everything.
fn transports() -> RunData {
    let sides = [
        ("socket-sim", Role::Candidate, support::FAST),
        ("plain-sim", Role::Baseline, support::SLOW),
    ];
    let mut run = real(support::run_with(&sides, 24, 1));
    for endpoint in &mut run.endpoints {
        endpoint.model = "one".to_owned();
    }
    run
}

const PAIR: &str = "endpoint = { transport = \"websocket\" }\nagainst = { transport = \"http\" }\nsame_model = true";

#[test]
fn a_claim_holds_fails_or_stays_open_by_its_whole_interval() {
    let run = real(support::run());
    let median = one(&run, "metric = \"ttft_ms\"\nat_most = 1").measured;
    let ((low, high), point) = (median.interval().unwrap(), median.point.unwrap());
    assert!(low <= point && point <= high);
    for (bound, value, expected) in [
        ("at_most", high, Ruling::Confirmed),
        ("at_most", low - 0.01, Ruling::Refuted),
        ("at_most", point, Ruling::Undecided),
        ("at_least", low, Ruling::Confirmed),
        ("at_least", high + 0.01, Ruling::Refuted),
        ("at_least", point, Ruling::Undecided),
    ] {
        let answer = one(&run, &format!("metric = \"ttft_ms\"\n{bound} = {value}"));
        assert_eq!(answer.ruling, expected, "{bound} {value}: {}", answer.why);
        assert!(!answer.simulated);
    }
}

#[test]
fn the_median_rate_is_the_one_of_the_endpoint_table() {
    let run = support::run();
    let summary = Summary::from_run(&run);
    let rate = one(&run, "metric = \"output_tokens_per_second\"\nat_least = 1");
    let expected = summary.endpoints["spark-sim"].output_tokens_per_second.p50;
    assert!((rate.measured.point.unwrap() - expected.unwrap()).abs() < 1e-9);
    let ratio = one(
        &run,
        "metric = \"output_token_rate_ratio\"\nat_least = 1\nendpoint = { role = \"candidate\" }\nagainst = { role = \"baseline\" }",
    );
    let expected = summary.comparison.unwrap().token_rate_ratio;
    assert!((ratio.measured.point.unwrap() - expected.unwrap()).abs() < 1e-9);
}

#[test]
fn an_answer_that_was_not_streamed_leaves_the_rate_undecided() {
    let mut run = real(support::run());
    let claim = "metric = \"output_tokens_per_second\"\nat_least = 1";
    assert_eq!(one(&run, claim).ruling, Ruling::Confirmed);
    for trial in &mut run.trials {
        let exchange = &mut trial.exchanges[0];
        exchange.streamed = false;
        exchange.decode_ns = None;
        exchange.inter_event_ns = Default::default();
    }
    let answer = one(&run, claim);
    assert_eq!(answer.ruling, Ruling::Undecided, "{}", answer.why);
    assert!(answer.why.contains("not as a stream"), "{}", answer.why);
}

#[test]
fn a_reduction_is_the_part_that_is_gone() {
    let mut run = transports();
    // A path with a fifth of the other's network time.
    for trial in &mut run.trials {
        for stage in &mut trial.stages {
            let slow = trial.endpoint == "plain-sim";
            if stage.stage.group().name() == "network" {
                stage.ns = if slow { 500 } else { 100 };
            }
        }
    }
    let network = |trial: &timeslip_reports::data::TrialData| -> f64 {
        let stages = trial.stages.iter();
        let own = stages.filter(|s| s.stage.group().name() == "network");
        own.map(|s| s.ns as f64).sum()
    };
    let per_exchange = |name: &str| {
        let own: Vec<_> = run.trials.iter().filter(|t| t.endpoint == name).collect();
        let exchanges: usize = own.iter().map(|t| t.exchanges.len()).sum();
        own.iter().map(|t| network(t)).sum::<f64>() / exchanges as f64
    };
    let expected = 1.0 - per_exchange("socket-sim") / per_exchange("plain-sim");
    assert!((expected - 0.8).abs() < 1e-9);
    let answer = one(
        &run,
        &format!("metric = \"round_trip_overhead_reduction\"\nat_least = 0.7\n{PAIR}"),
    );
    assert!((answer.measured.point.unwrap() - expected).abs() < 1e-9);
    // Every task has the same part, so there is no interval and no answer.
    assert_eq!(answer.ruling, Ruling::Undecided, "{}", answer.why);
    let ttft = one(
        &run,
        &format!("metric = \"ttft_reduction\"\nat_least = 0.5\n{PAIR}"),
    );
    assert_eq!(ttft.ruling, Ruling::Confirmed, "{}", ttft.why);
    assert_eq!(
        (ttft.endpoint.as_deref(), ttft.against.as_deref()),
        (Some("socket-sim"), Some("plain-sim"))
    );
}

#[test]
fn time_per_token_needs_the_servers_own() {
    let claim = format!("metric = \"token_overhead_reduction\"\nat_least = 0.3\n{PAIR}");
    let mut run = transports();
    let without = one(&run, &claim);
    assert_eq!(without.ruling, Ruling::Undecided);
    assert!(without.why.contains("Not measurable"), "{}", without.why);
    for (index, trial) in run.trials.iter_mut().enumerate() {
        let share = if trial.endpoint == "plain-sim" {
            0.5
        } else {
            0.9
        };
        for exchange in &mut trial.exchanges {
            let noise = 1.0 + 0.01 * (index % 7) as f64;
            exchange.reported.decode_ns = exchange
                .decode_ns
                .map(|ns| (ns as f64 * share * noise) as u64);
        }
    }
    let with = one(&run, &claim);
    assert_eq!(with.ruling, Ruling::Confirmed, "{}", with.why);
}

#[test]
fn what_the_run_cannot_tell_stays_undecided_with_the_reason() {
    let run = support::run();
    for (claim, why) in [
        (
            format!("metric = \"ttft_reduction\"\nat_least = 0.5\n{PAIR}"),
            "two endpoints of one model",
        ),
        (
            "metric = \"ttft_ms\"\nat_most = 50\nendpoint = { transport = \"http2-sse\" }"
                .to_owned(),
            "over http2-sse, which this run does not have",
        ),
        (
            "metric = \"resolve_rate\"\nat_least = 0.5\nsuite = \"other\"".to_owned(),
            "It needs the suite other",
        ),
        (
            "not_measurable = \"nobody knows\"".to_owned(),
            "nobody knows",
        ),
    ] {
        let answer = one(&run, &claim);
        assert_eq!(answer.ruling, Ruling::Undecided, "{claim}");
        assert!(answer.why.contains(why), "{claim}: {}", answer.why);
        assert_eq!(answer.measured.point, None);
    }
    let claim = "metric = \"ttft_ms\"\nat_most = 500\nendpoint = { model = \"other\" }";
    assert!(
        one(&real(run.clone()), claim)
            .why
            .contains("the model other")
    );
    let simulated = one(&run, claim);
    assert!(simulated.simulated && simulated.measured.interval().is_some());
    assert_eq!(
        (simulated.ruling, simulated.why.as_str()),
        (
            Ruling::Undecided,
            "Measured on a simulated endpoint, spark-sim, which decides nothing about a real one"
        )
    );

    let claim = "metric = \"ttft_ms\"\nat_most = 500";
    let few = real(support::run_with(
        &[("spark-sim", Role::Candidate, support::FAST)],
        9,
        2,
    ));
    assert!(one(&few, claim).why.contains("9 tasks are too few"));
    let mut invalid = real(run);
    invalid.invalid.push("the client was too slow".into());
    assert!(one(&invalid, claim).why.contains("the client was too slow"));
}

#[test]
fn an_endpoint_against_itself_decides_nothing() {
    let mut run = transports();
    let claim = format!("metric = \"ttft_reduction\"\nat_least = 0.5\n{PAIR}");
    assert_eq!(one(&run, &claim).ruling, Ruling::Confirmed);
    for (endpoint, name) in run.endpoints.iter_mut().zip(["a", "b"]) {
        endpoint.identity = Some(planned(name).identity());
    }
    let told = |run: &RunData| {
        let warnings = Summary::from_run(run).warnings;
        warnings.iter().any(|text| text.contains("really the same"))
    };
    let undecided = |run: &RunData| {
        let itself = one(run, &claim);
        assert_eq!((itself.ruling, itself.endpoint), (Ruling::Undecided, None));
        assert!(itself.why.contains("really the same"), "{}", itself.why);
        assert!(told(run));
    };
    undecided(&run);
    // The same of two runs, where each has a name and a price of its own.
    let mut other = run.clone();
    other.run_id = "20261122-093000-mini".to_owned();
    let across = |other: &RunData| {
        let side = |run, endpoint| Side { run, endpoint };
        side_by_side(side(&run, "socket-sim"), side(other, "plain-sim"))
    };
    undecided(&across(&other));
    let mut moved = planned("b");
    moved.base_url = Some("https://example.com/v1".to_owned());
    other.endpoints[1].identity = Some(moved.identity());
    assert_eq!(one(&across(&other), &claim).ruling, Ruling::Confirmed);
    assert!(!told(&across(&other)));
}

/// An endpoint of a plan; its name, price and the slash at its end say nothing of what it is.
fn planned(name: &str) -> PlannedEndpoint {
    let slash = if name == "a" { "" } else { "/" };
    let mut planned = serde_json::json!({
        "name": name,
        "base_url": format!("https://example.org/v1{slash}"),
        "model": "one",
        "protocol": "responses",
        "transport": "http-sse",
        "headers": {},
        "body": {},
        "price": { "input": 1.0, "output": 2.0, "priced_at": "2026" },
    });
    let options = serde_json::to_value(EndpointOptions::default()).unwrap();
    let fields = planned.as_object_mut().unwrap();
    fields.extend(options.as_object().unwrap().clone());
    if name == "b" {
        fields.remove("price");
    }
    serde_json::from_value(planned).unwrap()
}

#[test]
fn a_transport_that_fell_back_does_not_count() {
    let mut run = support::run();
    for trial in run.trials.iter_mut().filter(|t| t.endpoint == "spark-sim") {
        trial.exchanges[0].transport = "http-sse".to_owned();
    }
    let claim = "metric = \"ttft_ms\"\nat_most = 500\nendpoint = { transport = \"websocket\" }";
    let answer = one(&run, claim);
    assert_eq!((answer.ruling, answer.measured.n), (Ruling::Undecided, 0));
}

#[test]
fn no_data_is_no_answer_and_no_panic() {
    let mut errors = support::run();
    for trial in &mut errors.trials {
        trial.outcome = Outcome::Error;
        trial.exchanges.clear();
        trial.stages.clear();
    }
    let mut empty = support::run();
    empty.trials.clear();
    let mut nobody = empty.clone();
    nobody.endpoints.clear();
    for run in [errors, empty, nobody] {
        for answer in Summary::from_run(&run).claims {
            assert_eq!(answer.ruling, Ruling::Undecided, "{}", answer.id);
            assert!(!answer.why.is_empty());
        }
    }
}

#[test]
fn the_published_claims_on_the_standard_run() {
    let lines: Vec<String> = Summary::from_run(&support::run())
        .claims
        .iter()
        .map(|answer| format!("{}: {} — {}", answer.id, answer.ruling.name(), answer.why))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_quantity_is_measured_where_the_run_can_tell() {
    let run = support::full_run();
    for quantity in Quantity::all() {
        let against = if quantity.compares() {
            "endpoint = { role = \"candidate\" }\nagainst = { role = \"baseline\" }"
        } else {
            ""
        };
        let name = quantity.name();
        let answer = one(
            &run,
            &format!("metric = \"{name}\"\nat_least = 0\n{against}"),
        );
        assert!(
            answer.measured.interval().is_some(),
            "{name}: {}",
            answer.why
        );
        let definition = answer.measured_as.as_deref().unwrap_or_default();
        assert!(!definition.is_empty(), "{name}");
    }
}
