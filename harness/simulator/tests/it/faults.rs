//! Faults that a profile plans, over real sockets, and what the log says of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use timeslip_simulator::{Emission, Fault, Faults, Model, Options, Profile, Running};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::plain_http::post;

struct Server {
    running: Running,
    log: tempfile::TempDir,
}

fn start(faults: Faults, link_round_trip_ms: f64, seed: u64) -> Server {
    let profile = Profile {
        request_overhead_ms: 0.0,
        link_round_trip_ms,
        decode_tokens_per_second: 5_000.0,
        faults,
        ..Profile::load("spark-sim").unwrap()
    };
    let log = tempfile::tempdir().unwrap();
    let running = timeslip_simulator::start(Options {
        log: Some(log.path().join("log.jsonl")),
        seed,
        ..Options::new(profile, Model::new(Vec::new(), "test", 1, 1.0))
    });
    Server {
        running: running.unwrap(),
        log,
    }
}

impl Server {
    /// What was logged; the server ends.
    fn log(self) -> Vec<Emission> {
        drop(self.running);
        let log = std::fs::read_to_string(self.log.path().join("log.jsonl")).unwrap();
        let lines = log.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

const PATHS: [&str; 5] = [
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/messages",
    "/api/chat",
    "/v1beta/models/m:streamGenerateContent?alt=sse",
];

/// A request of every protocol at once.
fn body(stream: bool) -> Value {
    let messages = json!([{ "role": "user", "content": "x" }]);
    let contents = json!([{ "parts": [{ "text": "x" }] }]);
    json!({ "model": "m", "stream": stream, "max_tokens": 1000, "input": "x", "messages": messages, "contents": contents })
}

fn faults_of(log: &[Emission]) -> Vec<Option<Fault>> {
    log.iter().map(|emission| emission.fault).collect()
}

#[test]
fn refusals_are_the_providers_own() {
    let busy = |rate_limit, overloaded| Faults {
        rate_limit,
        retry_after_seconds: 7,
        overloaded,
        ..Faults::default()
    };
    let statuses = |server: &Server, pointer: [&str; 5]| -> Vec<(u16, bool, Value)> {
        let ask = |(path, pointer): (&str, &str)| {
            let reply = post(server.running.address, path, &body(true));
            let said = reply.json().pointer(pointer).cloned();
            let waits = reply.head.contains("\r\nretry-after: 7");
            (
                reply.status,
                waits,
                said.unwrap_or_else(|| panic!("{}", reply.body)),
            )
        };
        std::iter::zip(PATHS, pointer).map(ask).collect()
    };
    let pointers = [
        "/error/code",
        "/error/code",
        "/error/type",
        "/error",
        "/error/status",
    ];
    let server = start(busy(1.0, 0.0), 0.0, 1);
    let message = "Rate limit reached. Please try again in 7s.";
    let said = [
        "rate_limit_exceeded",
        "rate_limit_exceeded",
        "rate_limit_error",
        message,
        "RESOURCE_EXHAUSTED",
    ];
    let expected = said.map(|said| (429, true, json!(said)));
    assert_eq!(statuses(&server, pointers), expected);
    let log = server.log();
    assert_eq!(faults_of(&log), [Some(Fault::RateLimit); 5]);
    assert!(
        log.iter()
            .all(|one| !one.complete && one.events_ns.is_empty())
    );

    let server = start(busy(0.0, 1.0), 0.0, 1);
    let message = "The server is overloaded. Please try again later.";
    let code = "server_is_overloaded";
    let said = [
        (503, code),
        (503, code),
        (529, "overloaded_error"),
        (503, message),
        (503, "UNAVAILABLE"),
    ];
    let expected = said.map(|(status, said)| (status, false, json!(said)));
    assert_eq!(statuses(&server, pointers), expected);
    assert_eq!(faults_of(&server.log()), [Some(Fault::Overloaded); 5]);
}

#[test]
fn a_cut_answer_ends_without_its_end() {
    let faults = Faults {
        cut: 1.0,
        ..Faults::default()
    };
    let server = start(faults, 0.0, 1);
    let address = server.running.address;
    for path in PATHS {
        let reply = post(address, path, &body(true));
        assert_eq!((reply.status, reply.error), (200, None), "{path}");
        for end in [
            "response.completed",
            "[DONE]",
            "message_stop",
            "\"done\":true",
            "finishReason",
        ] {
            assert!(!reply.body.contains(end), "{path}: {}", reply.body);
        }
    }
    let reply = post(address, "/v1/responses", &body(false));
    assert!(reply.status == 200 && reply.body.starts_with('{'));
    assert!(
        serde_json::from_str::<Value>(&reply.body).is_err(),
        "half of it"
    );

    // The body itself is whole: a proxy or a client sees nothing wrong with it.
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body(true).to_string();
    let length = body.len();
    write!(stream, "POST /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    let log = server.log();
    assert_eq!(faults_of(&log), [Some(Fault::Cut); 7]);
    assert!(log.iter().all(|one| !one.complete && one.done_ns.is_none()));
}

#[test]
fn a_reset_answer_ends_with_a_reset() {
    for link in [0.0, 20.0] {
        let faults = Faults {
            reset: 1.0,
            ..Faults::default()
        };
        let server = start(faults, link, 1);
        for (path, stream) in PATHS
            .map(|path| (path, true))
            .into_iter()
            .chain([(PATHS[0], false)])
        {
            let reply = post(server.running.address, path, &body(stream));
            assert_eq!(
                reply.error,
                Some(ErrorKind::ConnectionReset),
                "{path}: {}",
                reply.body
            );
            assert!(!reply.body.contains("response.completed"), "{}", reply.body);
        }
        let log = server.log();
        assert_eq!(faults_of(&log), [Some(Fault::Reset); 6]);
        assert!(log.iter().all(|one| !one.complete));
    }
}

#[tokio::test]
async fn a_websocket_is_refused_reset_and_cut_too() {
    for fault in [Fault::RateLimit, Fault::Reset, Fault::Cut] {
        let rate = |wanted| f64::from(u8::from(fault == wanted));
        let faults = Faults {
            rate_limit: rate(Fault::RateLimit),
            reset: rate(Fault::Reset),
            cut: rate(Fault::Cut),
            ..Faults::default()
        };
        let server = start(faults, 0.0, 1);
        let url = format!("ws://{}/v1/responses", server.running.address);
        let stream = tokio::net::TcpStream::connect(server.running.address);
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream.await.unwrap())
            .await
            .unwrap();
        let request = json!({ "type": "response.create", "model": "m", "input": "x" });
        socket
            .send(Message::text(request.to_string()))
            .await
            .unwrap();
        let end = loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains(r#""type":"error""#) => {
                    break serde_json::from_str::<Value>(&text).unwrap();
                }
                Some(Ok(_)) => {}
                Some(Err(Error::Io(error))) => break json!(error.kind().to_string()),
                Some(Err(_)) | None => break json!("gone without a word"),
            }
        };
        match fault {
            Fault::RateLimit => {
                assert_eq!(
                    (&end["status"], &end["headers"]["retry-after"]),
                    (&json!(429), &json!("1"))
                );
            }
            Fault::Reset => assert_eq!(end, json!(ErrorKind::ConnectionReset.to_string())),
            _ => assert_eq!(end, json!("gone without a word")),
        }
        drop(socket);
        assert_eq!(faults_of(&server.log()), [Some(fault)]);
    }
}

#[test]
fn a_stalled_answer_is_late_and_whole() {
    let faults = Faults {
        stall: 1.0,
        stall_seconds: 0.5,
        ..Faults::default()
    };
    let server = start(faults, 0.0, 1);
    for (path, stream) in [(PATHS[0], true), (PATHS[3], true), (PATHS[1], false)] {
        let begun = Instant::now();
        let reply = post(server.running.address, path, &body(stream));
        assert!(begun.elapsed() >= Duration::from_millis(500), "{path}");
        assert_eq!((reply.status, reply.error), (200, None), "{path}");
    }
    let log = server.log();
    assert_eq!(faults_of(&log), [Some(Fault::Stall); 3]);
    assert!(log.iter().all(|one| one.complete));
    let gaps = log[0].events_ns.windows(2).map(|pair| pair[1] - pair[0]);
    let before = log[0].events_ns[0] - log[0].received_ns;
    let longest = gaps.max().unwrap().max(before);
    // The event before the silence may itself have left late.
    assert!(longest >= 400_000_000, "{longest}");
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let outcomes = |seed, own| {
        let faults = Faults {
            seed: own,
            rate_limit: 0.2,
            overloaded: 0.1,
            cut: 0.1,
            reset: 0.1,
            ..Faults::default()
        };
        let server = start(faults, 0.0, seed);
        for _ in 0..40 {
            post(server.running.address, "/v1/messages", &body(true));
        }
        faults_of(&server.log())
    };
    let first = outcomes(1, None);
    assert_eq!(outcomes(1, None), first);
    assert_eq!(outcomes(2, Some(1)), first);
    assert_ne!(outcomes(2, None), first);
    let spoilt = first.iter().flatten().count();
    assert!((8..=32).contains(&spoilt), "{spoilt} of 40");
}
