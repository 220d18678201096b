//! The embedded server, spoken to by our own client in every protocol and over every
//! transport, and checked against its own log of true emission times.

use std::time::Duration;

use serde_json::json;
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::Exchange;
use timeslip_simulator::{Emission, Faults, KnownTask, Model, Options, Profile};
use timeslip_wire::clock;
use timeslip_wire::protocols::{Item, PROTOCOLS, ToolSpec};
use timeslip_wire::{Endpoint, Session};
use tokio::time::Instant;

use crate::support::endpoint_of;

fn recording() -> Trajectory {
    recording_that(true)
}

fn recording_that(resolves: bool) -> Trajectory {
    let step = |id: u32, command: &str| {
        json!({
            "step_id": id, "source": "agent", "message": "I look at the files first.",
            "reasoning_content": "The failing case mentions the parser, so that is where to look.",
            "tool_calls": [{"tool_call_id": "c", "function_name": "shell", "arguments": {"command": command}}],
        })
    };
    let text = json!({
        "schema_version": "ATIF-v1.6",
        "agent": {"name": "a", "version": "1"},
        "steps": [{"step_id": 1, "source": "user", "message": "task"}, step(2, if resolves { "ls" } else { "pwd" }), step(3, "make test")],
        "extra": {"resolves": resolves},
    });
    Trajectory::parse(&text.to_string(), std::path::Path::new("test")).unwrap()
}

/// The tools that recordings call.
fn specs() -> Vec<ToolSpec> {
    let tool = |name| ToolSpec {
        name,
        description: "A tool.",
        parameters: json!({
            "type": "object",
            "properties": { "command": { "type": "string" } },
        }),
    };
    ["shell", "edit_file", "submit"].map(tool).into()
}

fn quick() -> Profile {
    Profile {
        model: "quick".into(),
        decode_tokens_per_second: 1000.0,
        resolve_rate: 1.0,
        prefill_tokens_per_second: 10_000.0,
        cached_tokens_per_second: 1e6,
        tokens_per_event: 1,
        jitter: 0.0,
        queue_slots: 4,
        request_overhead_ms: 5.0,
        link_round_trip_ms: 20.0,
        decode_slowdown_per_1k_context: 0.0,
        notes: Vec::new(),
        stop_reaction_ms: 0.0,
        heeds_stops: true,
        faults: Faults::default(),
    }
}

/// Two turns of the recorded task; returns the exchanges and the server's log.
async fn two_turns(protocol: &str, kind: &str) -> (Vec<Exchange>, Vec<Emission>) {
    two_turns_at(|port| endpoint_of(protocol, port, kind)).await
}

async fn two_turns_at(endpoint: impl Fn(u16) -> Endpoint) -> (Vec<Exchange>, Vec<Emission>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let task = KnownTask {
        id: "s/t".into(),
        instruction: "Fix the parser.".into(),
        recordings: vec![recording()],
        continuation: None,
    };
    let model = Model::new(vec![task], "quick", 1, 1.0);
    let running = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(quick(), model)
    })
    .unwrap();
    let endpoint = endpoint(running.address.port());
    let mut exchanges = Vec::new();
    let mut session = Session::new(&endpoint, "key#1".into(), clock::now());
    let mut items = vec![Item::User("Please: Fix the parser.".into())];
    for turn in 1..=2 {
        let deadline = Instant::now() + Duration::from_secs(20);
        let answer = session
            .ask(turn, "Be brief.", &specs(), &items, deadline, |exchange| {
                exchanges.push(exchange)
            })
            .await
            .unwrap();
        let command = if turn == 1 { "ls" } else { "make test" };
        assert_eq!(
            answer.calls[0].arguments,
            json!({ "command": command }).to_string()
        );
        items.extend(answer.items.into_iter().map(Item::Output));
        items.push(Item::ToolResult {
            call_id: answer.calls[0].call_id.clone(),
            output: "ok".into(),
        });
    }
    drop(session);
    drop(running);
    let log = std::fs::read_to_string(&log).unwrap();
    (
        exchanges,
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn check_against_truth(exchanges: &[Exchange], log: &[Emission]) {
    assert_eq!((exchanges.len(), log.len()), (2, 2));
    for (exchange, truth) in std::iter::zip(exchanges, log) {
        // Ollama has no ids.
        if let Some(id) = exchange.response_id.as_deref() {
            assert_eq!(id, truth.response_id);
        }
        assert!(truth.complete && truth.done_ns >= truth.events_ns.last().copied());
        let events = exchange.events.as_slice();
        let times = &truth.events_ns;
        let kinds: String = events.iter().map(|event| event.kind.letter()).collect();
        assert_eq!(kinds, truth.kinds);
        assert_eq!(events.len(), times.len(), "every event arrives once");
        let tokens: u32 = truth.tokens.iter().sum();
        assert_eq!(exchange.usage.unwrap().output_tokens, u64::from(tokens));
        // The stream's own length is known to both sides; loopback adds little to it.
        let (sent, true_first) = (exchange.marks.sent.unwrap(), times[0] - truth.received_ns);
        let ttft = exchange.marks.first_token.unwrap() - sent;
        let link = 20_000_000;
        assert!(
            ttft >= true_first + link,
            "TTFT {ttft} is shorter than {true_first} and the link"
        );
        assert!(exchange.reported.prefill_ns.unwrap() == truth.prefill_ns);
        assert_eq!(exchange.reported.link_ns, Some(link));
    }
    assert!(!exchanges[0].reused_connection && exchanges[1].reused_connection);
    let cached = |exchange: &Exchange| exchange.usage.unwrap().cached_tokens;
    assert!(matches!(cached(&exchanges[0]), None | Some(0)));
    // Ollama's protocol does not say how much of a prompt it knew.
    if log[0].protocol != "ollama" {
        let found = cached(&exchanges[1]);
        assert!(
            found.is_some_and(|tokens| tokens > 0),
            "the second turn finds its prefix"
        );
    }
}

#[tokio::test]
async fn over_http_with_the_whole_context() {
    let (exchanges, log) = two_turns("responses", "http-sse").await;
    check_against_truth(&exchanges, &log);
    assert!(exchanges[1].request_bytes > exchanges[0].request_bytes);
    assert!(!exchanges[1].incremental);
}

#[tokio::test]
async fn over_a_websocket_with_new_input_only() {
    let (exchanges, log) = two_turns("responses", "websocket").await;
    check_against_truth(&exchanges, &log);
    assert!(exchanges[1].incremental);
    assert!(
        exchanges[1].ping_ns.unwrap() >= 20_000_000,
        "a ping crosses the link both ways"
    );
    let marks = exchanges[0].marks;
    assert!(
        marks.upgraded.unwrap() - marks.tcp.unwrap() >= 20_000_000,
        "so does the upgrade"
    );
}

#[tokio::test]
async fn compressed_messages_are_fewer_bytes_and_the_same_events() {
    let (plain, _) = two_turns("responses", "websocket").await;
    let (compressed, log) = two_turns_at(|port| {
        let mut endpoint = endpoint_of("responses", port, "websocket");
        endpoint.options.deflate = true;
        endpoint
    })
    .await;
    check_against_truth(&compressed, &log);
    for (plain, compressed) in std::iter::zip(&plain, &compressed) {
        assert!(compressed.compressed && !plain.compressed);
        assert!(compressed.response_bytes < plain.response_bytes.map(|bytes| bytes / 2));
        assert!(compressed.request_bytes < plain.request_bytes);
    }
}

#[tokio::test]
async fn in_every_protocol() {
    for protocol in PROTOCOLS.iter().map(|one| one.name()) {
        println!("{protocol}");
        let (exchanges, log) = two_turns(protocol, "http-sse").await;
        assert!(log.iter().all(|truth| truth.protocol == protocol));
        check_against_truth(&exchanges, &log);
    }
}

/// The first command of each of the first attempts at a task, which of two recordings a
/// model that solves half of its tasks plays to it.
async fn first_commands(protocol: &str, kind: &str) -> Vec<String> {
    let task = |name: &str| KnownTask {
        id: format!("s/{name}"),
        instruction: format!("Fix the {name}."),
        recordings: [true, false].map(recording_that).into(),
        continuation: None,
    };
    let model = Model::new(vec![task("parser"), task("printer")], "quick", 1, 0.5);
    let profile = Profile {
        decode_tokens_per_second: 1e5,
        link_round_trip_ms: 0.0,
        ..quick()
    };
    let running = timeslip_simulator::start(Options::new(profile, model)).unwrap();
    let endpoint = endpoint_of(protocol, running.address.port(), kind);
    let items = [Item::User("Please: Fix the parser.".into())];
    let tools = specs();
    let mut commands = Vec::new();
    for attempt in 1..=8 {
        let mut session = Session::new(&endpoint, format!("key#{attempt}"), clock::now());
        let deadline = Instant::now() + Duration::from_secs(20);
        let answer = session.ask(1, "Be brief.", &tools, &items, deadline, |_| {});
        commands.push(answer.await.unwrap().calls[0].arguments.clone());
    }
    commands
}

#[tokio::test]
async fn attempts_play_their_own_recordings_in_every_protocol() {
    let expected = first_commands("responses", "http-sse").await;
    assert!(
        expected.iter().any(|command| *command != expected[0]),
        "attempts that are all alike show nothing: {expected:?}"
    );
    for name in PROTOCOLS.iter().map(|one| one.name()) {
        for kind in ["http-sse", "http2-sse"] {
            let commands = first_commands(name, kind).await;
            assert_eq!(commands, expected, "{name} over {}", kind);
        }
    }
}
