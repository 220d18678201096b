//! Conversations of our own client with the embedded server, as the proxy between them sees
//! them: the same answers, and every event when the server sent it.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;
use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::Exchange;
use timeslip_proxy::Seen;
use timeslip_simulator::{Emission, Faults, KnownTask, Model, Options, Profile, Running};
use timeslip_wire::protocols::{Answer, Item, PROTOCOLS, ToolSpec};
use timeslip_wire::{Endpoint, Session, transports};
use tokio::time::Instant;

use crate::support::{Proxy, post, read_chunks, read_exactly, read_head};
use crate::wire_support::endpoint_of;

/// How far off the kernel's stamps may be on our clock on a busy machine.
const STAMPS: u64 = 2_000_000;

fn task() -> KnownTask {
    let text = json!({
        "schema_version": "ATIF-v1.6",
        "agent": {"name": "a", "version": "1"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "task"},
            {
                "step_id": 2, "source": "agent", "message": "I look at the files first.",
                "reasoning_content": "The failing case mentions the parser, so I look there.",
                "tool_calls": [{"tool_call_id": "c", "function_name": "shell",
                                "arguments": {"command": "ls"}}],
            },
        ],
        "extra": {"resolves": true},
    });
    KnownTask {
        id: "s/t".into(),
        instruction: "Fix the parser.".into(),
        recordings: vec![Trajectory::parse(&text.to_string(), Path::new("test")).unwrap()],
        continuation: None,
    }
}

fn profile() -> Profile {
    Profile {
        model: "quick".into(),
        decode_tokens_per_second: 1000.0,
        resolve_rate: 1.0,
        prefill_tokens_per_second: 10_000.0,
        cached_tokens_per_second: 1e6,
        tokens_per_event: 1,
        jitter: 0.0,
        queue_slots: 8,
        request_overhead_ms: 2.0,
        link_round_trip_ms: 0.0,
        decode_slowdown_per_1k_context: 0.0,
        stop_reaction_ms: 0.0,
        heeds_stops: true,
        notes: Vec::new(),
        faults: Faults::default(),
    }
}

/// A server that tells what it sent.
fn server() -> (Running, Receiver<Emission>) {
    let (told, emissions) = channel();
    let model = Model::new(vec![task()], "quick", 1, 1.0);
    let running = timeslip_simulator::start(Options {
        told: Some(told),
        ..Options::new(profile(), model)
    });
    (running.unwrap(), emissions)
}

/// Asks once, and then again in another conversation over a connection of its own or not.
async fn ask(endpoint: &Endpoint, origin: u64, times: usize) -> Vec<(Exchange, Answer)> {
    let tools = [ToolSpec {
        name: "shell",
        description: "A tool.",
        parameters: json!({"type": "object", "properties": {"command": {"type": "string"}}}),
    }];
    let items = [Item::User("Please: Fix the parser.".into())];
    let mut session = Session::new(endpoint, "key#1".into(), origin);
    let mut found = Vec::new();
    for turn in 1..=times {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut exchange = None;
        let turn = u32::try_from(turn).unwrap();
        let answer = session.ask(turn, "Be brief.", &tools, &items, deadline, |one| {
            exchange = Some(one);
        });
        let answer = answer.await.unwrap();
        found.push((exchange.unwrap(), answer));
    }
    found
}

fn check(name: &str, seen: &Seen, client: &(Exchange, Answer), truth: &Emission, origin: u64) {
    let (own, answer) = client;
    let exchange = seen.exchange.as_ref().unwrap();
    assert_eq!(exchange.error, None, "{name}");
    assert_eq!(seen.problem, None, "{name}");
    assert_eq!(exchange.transport, own.transport, "{name}");
    assert_eq!(seen.protocol, Some(truth.protocol.as_str()), "{name}");
    assert_eq!(seen.answer.as_ref(), Some(answer), "{name}");
    assert_eq!(exchange.usage, own.usage, "{name}");
    assert_eq!(exchange.response_id, own.response_id, "{name}");
    assert_eq!(exchange.shape.payloads, own.shape.payloads, "{name}");
    assert_eq!(
        (exchange.compressed, &exchange.lane),
        (own.compressed, &own.lane),
        "{name}"
    );
    let events = exchange.events.as_slice();
    let kinds: String = events.iter().map(|event| event.kind.letter()).collect();
    assert_eq!(kinds, truth.kinds, "{name}");
    let (sent, read) = (&truth.events_ns, own.events.as_slice());
    for ((event, sent), read) in events.iter().zip(sent).zip(read) {
        assert!(
            event.at + origin + STAMPS >= *sent,
            "{name}: after it was sent"
        );
        assert!(
            event.at <= read.at + STAMPS,
            "{name}: before the client had it"
        );
    }
    let marks = exchange.marks;
    assert!(own.marks.start <= marks.start + STAMPS, "{name}");
    assert!(marks.start <= marks.sent.unwrap() + STAMPS, "{name}");
    assert!(
        marks.sent.unwrap() <= truth.received_ns - origin + STAMPS,
        "{name}"
    );
    assert!(
        marks.first_byte <= marks.first_token && marks.first_token.is_some(),
        "{name}"
    );
    assert!(marks.last_token.unwrap() <= marks.done + STAMPS, "{name}");
    let side = seen.client;
    assert!(
        side.request_came.unwrap() <= marks.sent.unwrap() + STAMPS,
        "{name}"
    );
    assert!(
        side.first_handed_on.unwrap() + STAMPS >= marks.first_byte.unwrap(),
        "{name}"
    );
    assert!(
        side.last_handed_on.unwrap() + STAMPS >= marks.last_token.unwrap(),
        "{name}"
    );
    assert_eq!(side.left, None, "{name}");
    assert!(
        seen.request.wire_bytes > 0 && seen.request.cut.is_none(),
        "{name}"
    );
    serde_json::from_slice::<serde_json::Value>(&seen.request.bytes).unwrap();
}

/// Twice over each transport of each protocol.
#[tokio::test]
async fn every_protocol_over_every_transport() {
    for protocol in PROTOCOLS {
        for transport in transports::TRANSPORTS {
            if !transport.carries(*protocol) {
                continue;
            }
            let name = format!("{} over {}", protocol.name(), transport.name());
            let (server, emissions) = server();
            let proxy = Proxy::before(server.address);
            let origin = proxy.origin;
            let port = proxy.address().port();
            let endpoint = endpoint_of(protocol.name(), port, transport.name());
            let talk = ask(&endpoint, origin, 2).await;
            let seen = proxy.stop();
            drop(server);
            let emissions: Vec<Emission> = emissions.iter().collect();
            let upgrades = seen.iter().filter(|seen| seen.upgrade.is_some()).count();
            assert_eq!(upgrades, usize::from(transport.keeps_state()), "{name}");
            let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.upgrade.is_none()).collect();
            assert_eq!((seen.len(), emissions.len()), (2, 2), "{name}");
            for ((seen, client), truth) in seen.iter().zip(&talk).zip(&emissions) {
                check(&name, seen, client, truth, origin);
                if transport.name() != "http2-sse" {
                    let bytes = seen.exchange.as_ref().unwrap().response_bytes;
                    assert!(
                        bytes.is_some_and(|bytes| bytes >= seen.response.wire_bytes),
                        "{name}"
                    );
                }
            }
            let reused = |at: usize| seen[at].exchange.as_ref().unwrap().reused_connection;
            assert!(reused(1), "{name}");
            assert_eq!(reused(0), transport.keeps_state(), "{name}");
        }
    }
}

#[tokio::test]
async fn compressed_messages_are_read_with_their_context() {
    let (server, emissions) = server();
    let proxy = Proxy::before(server.address);
    let origin = proxy.origin;
    let mut endpoint = endpoint_of("responses", proxy.address().port(), "websocket");
    endpoint.options.deflate = true;
    let talk = ask(&endpoint, origin, 3).await;
    let seen = proxy.stop();
    drop(server);
    let emissions: Vec<Emission> = emissions.iter().collect();
    assert_eq!((seen.len(), emissions.len()), (4, 3));
    for ((seen, client), truth) in seen[1..].iter().zip(&talk).zip(&emissions) {
        assert!(client.0.compressed);
        check("deflate", seen, client, truth, origin);
        assert!(seen.response.wire_bytes * 2 < seen.response.bytes.len() as u64);
    }
}

#[tokio::test]
async fn conversations_in_lanes_of_one_connection_are_told_apart() {
    let (server, emissions) = server();
    let proxy = Proxy::before(server.address);
    let origin = proxy.origin;
    let mut endpoint = endpoint_of("responses", proxy.address().port(), "websocket");
    endpoint.shared = endpoint.transport.pool(endpoint.protocol);
    let one = || ask(&endpoint, origin, 2);
    let talks = tokio::join!(one(), one(), one());
    let talks = [talks.0, talks.1, talks.2].concat();
    let seen = proxy.stop();
    drop(server);
    let emissions: Vec<Emission> = emissions.iter().collect();
    assert_eq!((seen.len(), emissions.len()), (7, 6), "one connection");
    for truth in &emissions {
        let id = Some(&truth.response_id);
        let of = |exchange: &Exchange| exchange.response_id.as_ref() == id;
        let seen = seen
            .iter()
            .find(|seen| seen.exchange.as_ref().is_some_and(of));
        let client = talks.iter().find(|(exchange, _)| of(exchange));
        check("lanes", seen.unwrap(), client.unwrap(), truth, origin);
    }
}

/// An answer that does not stream is read from its one document.
#[test]
fn answers_that_do_not_stream_are_read_at_their_end() {
    let (server, _emissions) = server();
    let proxy = Proxy::before(server.address);
    let client = proxy.connect();
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}]}"#;
    for (path, body) in [
        (
            "/v1/responses",
            r#"{"model":"steady","input":"x","max_output_tokens":20}"#,
        ),
        (
            "/v1/chat/completions",
            &*format!(r#"{{"model":"steady",{messages},"max_tokens":20}}"#),
        ),
        (
            "/v1/messages",
            &*format!(r#"{{"model":"steady",{messages},"max_tokens":20}}"#),
        ),
        ("/v1beta/models/steady:generateContent", contents),
        (
            "/api/chat",
            &*format!(r#"{{"model":"steady","stream":false,{messages}}}"#),
        ),
    ] {
        let mut writer = &client;
        writer.write_all(post(path, body).as_bytes()).unwrap();
        let head = read_head(&client);
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let answered = match length {
            Some(length) => read_exactly(&client, length.parse().unwrap()),
            None => read_chunks(&client),
        };
        let seen = proxy.next();
        assert_eq!(seen.response.bytes, answered, "{path}");
        let (exchange, answer) = (seen.exchange.unwrap(), seen.answer.unwrap());
        assert_eq!(exchange.error, None, "{path}");
        assert!(
            !answer.text.is_empty() && exchange.usage.is_some(),
            "{path}"
        );
        assert!(
            exchange.marks.done >= exchange.marks.first_byte.unwrap(),
            "{path}"
        );
    }
}
