use proptest::prelude::*;
use timeslip_datasets::run::journal::{
    AgentRun, EventColumns, EventKind, Marks, Outcome, Reported, StreamEvent, TcpSample,
    TrialFinished, TrialKey, TrialStarted, Usage,
};

use super::*;

pub(super) fn trial(wall_ns: u64, exchanges: Vec<Exchange>, tools: Vec<Tool>) -> Trial {
    Trial {
        key: TrialKey {
            suite: "s".into(),
            task: "t".into(),
            endpoint: "e".into(),
            attempt: 1,
        },
        started: TrialStarted {
            at: String::new(),
            setup_ns: 0,
            warmth: None,
        },
        exchanges,
        tools,
        agent_runs: Vec::new(),
        acts: Vec::new(),
        finished: TrialFinished {
            outcome: Outcome::Resolved,
            ended_by: None,
            detail: None,
            wall_ns,
            grading_ns: 0,
            reward: None,
            failed_tests: Vec::new(),
            changes: None,
            solution_changes: None,
        },
    }
}

fn value(attribution: &Attribution, stage: Stage) -> u64 {
    attribution
        .stages
        .iter()
        .find(|value| value.stage == stage)
        .map_or(0, |value| value.ns)
}

/// Start 100, connect to 160, sent 170, first token 570, text until 700, done 710.
fn example() -> Exchange {
    let mut events = EventColumns::default();
    for (at, kind) in [
        (570, EventKind::Reasoning),
        (600, EventKind::Reasoning),
        (700, EventKind::Text),
    ] {
        events.push(StreamEvent {
            at,
            kind,
            bytes: 4,
            tokens: None,
            lag_ns: None,
        });
    }
    Exchange {
        turn: 1,
        marks: Marks {
            start: 100,
            tcp: Some(120),
            upgraded: Some(160),
            sent: Some(170),
            first_token: Some(570),
            last_token: Some(700),
            done: 710,
            ..Marks::default()
        },
        events,
        ping_ns: Some(40),
        reported: Reported {
            queue_ns: Some(10),
            prefill_ns: Some(300),
            ..Reported::default()
        },
        ..Exchange::default()
    }
}

#[test]
fn an_exchange_is_taken_apart() {
    let tool = Tool {
        turn: 1,
        call_id: "c".into(),
        name: "shell".into(),
        start: 720,
        command_start: Some(730),
        command_end: Some(790),
        end: 800,
        status: "exit 0".into(),
        ..Tool::default()
    };
    let attribution = attribute(&trial(1000, vec![example()], vec![tool]), None);
    let expected = [
        (Stage::ConnectTcp, 20),
        (Stage::ConnectUpgrade, 40),
        (Stage::Send, 10),
        (Stage::Network, 40),
        (Stage::Queue, 10),
        (Stage::Prefill, 300),
        (Stage::Residue, 50),
        (Stage::DecodeReasoning, 30),
        (Stage::DecodeText, 100),
        (Stage::Tail, 10),
        (Stage::ToolSandbox, 20),
        (Stage::ToolCommand, 60),
        (Stage::Harness, 310),
    ];
    let found: Vec<_> = attribution
        .stages
        .iter()
        .map(|value| (value.stage, value.ns))
        .collect();
    assert_eq!(found, expected);
    let provenance = |stage| {
        attribution
            .stages
            .iter()
            .find(|value| value.stage == stage)
            .unwrap()
    };
    assert_eq!(provenance(Stage::Network).provenance, Provenance::Measured);
    assert_eq!(provenance(Stage::Prefill).provenance, Provenance::Reported);
    assert_eq!(provenance(Stage::Prefill).error_ns, Some(50));
}

#[test]
fn a_report_that_does_not_fit_is_cut_and_told() {
    let mut exchange = example();
    // Clocks may differ by a little, not by that much.
    exchange.reported.prefill_ns = Some(50_000);
    assert!(!contradicts(&exchange));
    exchange.reported.prefill_ns = Some(500_000);
    assert!(contradicts(&exchange));
    let attribution = attribute(&trial(710, vec![exchange], Vec::new()), None);
    assert_eq!(value(&attribution, Stage::Prefill), 350);
    assert_eq!(value(&attribution, Stage::Residue), 0);
}

#[test]
fn what_exceeds_the_unloaded_fit_is_a_queue_and_what_hardly_does_is_not() {
    let model = PrefillModel {
        ns_per_token: 1.0,
        slope_error: 0.1,
        unloaded_ns: 50,
        busy_ns: 110,
        error_ns: 20,
    };
    let queue = |input_tokens| {
        let mut exchange = example();
        exchange.reported = Reported::default();
        exchange.usage = Some(Usage {
            input_tokens,
            output_tokens: 3,
            ..Usage::default()
        });
        let attribution = attribute(&trial(710, vec![exchange], Vec::new()), Some(model));
        let found = attribution.stages.into_iter();
        found
            .filter(|value| value.stage == Stage::Queue)
            .map(|value| (value.ns, value.provenance))
            .collect::<Vec<_>>()
    };
    // TTFT is 400: 50 fixed, the prompt, and what is left.
    assert_eq!(queue(200), [(150, Provenance::Estimated)]);
    assert_eq!(queue(300), []);
}

#[test]
fn a_repeated_try_is_waiting_and_an_unknown_queue_is_unavailable() {
    let mut failed = example();
    failed.backoff_until = Some(900);
    let mut second = example();
    second.reported = Reported::default();
    second.marks = Marks {
        start: 900,
        sent: Some(905),
        first_token: Some(950),
        done: 960,
        ..Marks::default()
    };
    second.events = EventColumns::default();
    let attribution = attribute(&trial(960, vec![failed, second], Vec::new()), None);
    assert_eq!(value(&attribution, Stage::Wait), 800);
    let queue = attribution
        .stages
        .iter()
        .find(|value| value.stage == Stage::Queue)
        .unwrap();
    assert_eq!((queue.ns, queue.provenance), (0, Provenance::Unavailable));
}

#[test]
fn an_end_that_does_not_come_is_waiting_and_no_decode() {
    let mut exchange = example();
    exchange.marks.done += 2_000;
    exchange.marks.whole = Some(exchange.marks.done - 2_000);
    let attribution = attribute(&trial(2_710, vec![exchange], Vec::new()), None);
    assert_eq!(value(&attribution, Stage::Wait), 2_000);
    assert_eq!(value(&attribution, Stage::Tail), 10);
}

#[test]
fn the_fit_finds_the_slope_in_spite_of_outliers() {
    let exchange = |tokens: u64, extra: u64| {
        let mut exchange = example();
        exchange.reported = Reported::default();
        exchange.usage = Some(Usage {
            input_tokens: tokens,
            ..Usage::default()
        });
        exchange.marks.sent = Some(0);
        exchange.marks.first_token = Some(40_000 + tokens * 125 + extra);
        exchange
    };
    let exchanges: Vec<Exchange> = (0..40)
        .map(|n| exchange(500 + 97 * n, if n % 7 == 0 { 900_000 } else { n % 3 }))
        .collect();
    let model = fit_prefill(exchanges.iter()).unwrap();
    assert!((model.ns_per_token - 125.0).abs() < 2.0, "{model:?}");
    assert!(fit_prefill(exchanges[..5].iter()).is_none());
    let contradicted = exchanges.into_iter().map(|mut exchange| {
        exchange.usage.as_mut().unwrap().cached_tokens = Some(18_901);
        exchange
    });
    let contradicted: Vec<Exchange> = contradicted.collect();
    assert!(fit_prefill(contradicted.iter()).is_none());
}

fn any_exchange() -> impl Strategy<Value = Exchange> {
    let mark = || proptest::option::of(0_u64..5_000);
    let reported = || proptest::option::of(0_u64..2_000);
    (
        (
            0_u64..5_000,
            mark(),
            mark(),
            mark(),
            mark(),
            mark(),
            mark(),
            0_u64..5_000,
        ),
        proptest::collection::vec((0_u64..300, 0_usize..3), 0..8),
        (reported(), reported(), reported(), reported(), mark()),
    )
        .prop_map(
            |((start, dns, tcp, tls, upgraded, sent, first_token, done), steps, extra)| {
                let (link_ns, queue_ns, prefill_ns, ping_ns, backoff_until) = extra;
                let mut events = EventColumns::default();
                let mut at = first_token.unwrap_or(0);
                for (step, kind) in steps {
                    at += step;
                    let kind = [
                        EventKind::Reasoning,
                        EventKind::Text,
                        EventKind::ToolArguments,
                    ][kind];
                    events.push(StreamEvent {
                        at,
                        kind,
                        bytes: 1,
                        tokens: None,
                        lag_ns: None,
                    });
                }
                Exchange {
                    turn: 1,
                    marks: Marks {
                        start,
                        dns,
                        tcp,
                        tls,
                        upgraded,
                        sent,
                        first_token,
                        done,
                        ..Marks::default()
                    },
                    events,
                    ping_ns,
                    tcp: ping_ns.map(|min_rtt_ns| TcpSample {
                        min_rtt_ns,
                        rtt_ns: 9,
                        ..TcpSample::default()
                    }),
                    reported: Reported {
                        link_ns,
                        queue_ns,
                        prefill_ns,
                        ..Reported::default()
                    },
                    backoff_until,
                    ..Exchange::default()
                }
            },
        )
}

fn any_tool() -> impl Strategy<Value = Tool> {
    let mark = || proptest::option::of(0_u64..6_000);
    (0_u64..6_000, mark(), mark(), 0_u64..6_000).prop_map(
        |(start, command_start, command_end, end)| Tool {
            turn: 1,
            call_id: "c".into(),
            name: "shell".into(),
            start,
            command_start,
            command_end,
            end,
            ..Tool::default()
        },
    )
}

proptest! {
    /// The contract: whatever the marks, however they overlap or run backwards, the
    /// stages sum to the wall time to the nanosecond and the spans have no gap.
    #[test]
    fn stages_sum_to_the_wall_time(
        wall in 0_u64..8_000,
        exchanges in proptest::collection::vec(any_exchange(), 0..5),
        tools in proptest::collection::vec(any_tool(), 0..5),
        slope in proptest::option::of(0.0_f64..10.0),
    ) {
        let prefill = slope.map(|ns_per_token| PrefillModel { ns_per_token, slope_error: 0.1, unloaded_ns: 20, busy_ns: 30, error_ns: 3 });
        let attribution = attribute(&trial(wall, exchanges, tools), prefill);
        prop_assert_eq!(attribution.stages.iter().map(|value| value.ns).sum::<u64>(), wall);
        let mut at = 0;
        for span in &attribution.spans {
            prop_assert_eq!(span.start_ns, at);
            prop_assert!(span.end_ns > span.start_ns);
            at = span.end_ns;
        }
        prop_assert_eq!(at, wall);
    }
}

#[test]
fn an_agent_starts_up_until_its_first_request() {
    let run = AgentRun {
        start: 10,
        command_start: Some(30),
        first_request: Some(90),
        command_end: Some(750),
        end: 760,
        status: "exit 0".into(),
        ..AgentRun::default()
    };
    let of = |run: AgentRun| {
        let mut trial = trial(800, vec![example()], Vec::new());
        trial.agent_runs.push(run);
        let attribution = attribute(&trial, None);
        let sum: u64 = attribution.stages.iter().map(|stage| stage.ns).sum();
        assert_eq!(sum, 800);
        [Stage::AgentStart, Stage::Harness].map(|stage| value(&attribution, stage))
    };
    // Before it, after it, and after the answer.
    assert_eq!(of(run.clone()), [60, 30 + 10 + 90]);
    let late = AgentRun {
        first_request: Some(5_000),
        ..run
    };
    assert!(of(late)[0] <= 70 + 90);
}
