//! Answers that are stopped in the middle, in every protocol and over every transport,
//! against the server's own log of when it learned of that and when it stopped decoding.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use timeslip_datasets::run::journal::{Exchange, ExchangeEnd, StopWay};
use timeslip_simulator::{DecodeStop, Emission, Options, Profile, Running, StopCause};
use timeslip_wire::live::{Heard, StopOrder, StopSeen, live};
use timeslip_wire::protocols::{Item, PROTOCOLS, Protocol};
use timeslip_wire::transports::TRANSPORTS;
use timeslip_wire::{Endpoint, Failure, Session, clock};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::endpoint_of;

/// Tokens of the answer that is asked for, and of what is read of it.
const ASKED: u64 = 1500;
const READ: usize = 40;
/// Stops of each way.
const STOPS: usize = 7;
/// Of the planted reaction, in nanoseconds and in tokens.
const REACTION_MS: f64 = 20.0;
const STEP_NS: u64 = 1_000_000;

fn profile() -> Profile {
    Profile {
        decode_tokens_per_second: 1e9 / STEP_NS as f64,
        request_overhead_ms: 0.0,
        link_round_trip_ms: 0.0,
        prefill_tokens_per_second: 1e9,
        cached_tokens_per_second: 1e9,
        jitter: 0.0,
        stop_reaction_ms: REACTION_MS,
        ..Profile::load("spark-sim").unwrap()
    }
}

struct Server {
    running: Running,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(profile: Profile) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            log: Some(folder.path().join("log.jsonl")),
            ..crate::quick::options(profile)
        };
        let running = timeslip_simulator::start(options).unwrap();
        Server { running, folder }
    }

    fn endpoint(&self, protocol: &dyn Protocol, transport: &str) -> Endpoint {
        endpoint_of(protocol.name(), self.running.address.port(), transport)
    }

    fn log(self) -> Vec<Emission> {
        let Server { running, folder } = self;
        drop(running);
        read(&folder.path().join("log.jsonl"))
    }
}

fn read(log: &Path) -> Vec<Emission> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What one stop came to.
struct Stopped {
    exchange: Exchange,
    /// When it was told, on the process's clock, which the server shares.
    told: u64,
    tokens_before: usize,
    seen: Option<StopSeen>,
    result: Result<(), Failure>,
}

/// Asks for a long answer, and stops it once some of it was read.
async fn stop_one(session: &mut Session, reads: usize) -> Stopped {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let (mut reader, end) = live(heard);
    session.read_along(end);
    let items = [Item::User(format!("Count, in {ASKED} tokens."))];
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut exchanges = Vec::new();
    let (mut told, mut tokens_before, mut seen) = (0, 0, None);
    let result = {
        let record = |exchange| exchanges.push(exchange);
        let mut asking = std::pin::pin!(session.ask(1, "Be long.", &[], &items, deadline, record));
        loop {
            tokio::select! {
                biased;
                Some(heard) = hearing.recv() => match heard {
                    Heard::Output { .. } if told == 0 => {
                        tokens_before += 1;
                        if tokens_before == reads {
                            told = clock::now();
                            reader.stop(StopOrder { end: ExchangeEnd::Interrupted, act: 3 });
                        }
                    }
                    Heard::Stopped(stopped) => seen = Some(stopped),
                    Heard::Output { .. } | Heard::Steered { .. } => {}
                },
                result = &mut asking => break result.map(drop),
            }
        }
    };
    while let Ok(heard) = hearing.try_recv() {
        if let Heard::Stopped(stopped) = heard {
            seen = Some(stopped);
        }
    }
    let exchange = exchanges.pop().unwrap();
    assert!(exchanges.is_empty(), "tried once");
    Stopped {
        exchange,
        told,
        tokens_before,
        seen,
        result,
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// The ways to reach a protocol.
fn transports(protocol: &'static dyn Protocol) -> impl Iterator<Item = &'static str> {
    let carrying = TRANSPORTS
        .iter()
        .filter(move |transport| transport.carries(protocol));
    carrying.map(|transport| transport.name())
}

/// Stops some answers, one after another in one session.
async fn stops(endpoint: &Endpoint) -> Vec<Stopped> {
    let mut session = Session::new(endpoint, "key#1".into(), 0);
    let mut stops = Vec::new();
    for _ in 0..STOPS {
        stops.push(stop_one(&mut session, READ).await);
    }
    stops
}

/// Each stop with the truth about its response.
fn with_truth(stops: Vec<Stopped>, log: Vec<Emission>) -> Vec<(Stopped, Emission)> {
    assert_eq!(stops.len(), log.len());
    // A session asks one after the other, and so does the log tell of it.
    std::iter::zip(stops, log).collect()
}

fn check(name: &str, way: StopWay, stops: &[(Stopped, Emission)]) {
    let (mut learned, mut quiet) = (Vec::new(), Vec::new());
    for (stopped, truth) in stops {
        let exchange = &stopped.exchange;
        assert_eq!(stopped.result, Err(Failure::Stopped), "{name}");
        assert_eq!(exchange.ended_by, Some(ExchangeEnd::Interrupted), "{name}");
        assert_eq!(
            (exchange.ended_by_act, &exchange.error),
            (Some(3), &None),
            "{name}"
        );
        assert_eq!(exchange.usage, None, "{name}");
        let seen = stopped.seen.as_ref().unwrap();
        assert_eq!((seen.way, seen.ended), (way, false), "{name}");
        let stop = truth.stop.unwrap_or_else(|| panic!("{name}: {truth:?}"));
        assert!(!truth.complete && truth.done_ns.is_none(), "{name}");
        // What was decoded is what was due: a token a step from the first on.
        let first_due = truth.received_ns + truth.prefill_ns + STEP_NS;
        let due = (stop.stopped_ns - first_due) / STEP_NS + 1;
        assert!(
            stop.decoded_tokens.abs_diff(due) <= 1,
            "{name}: {stop:?} against {due}"
        );
        assert_eq!(
            stop.stopped_ns - stop.told_ns,
            (REACTION_MS * 1e6) as u64,
            "{name}"
        );
        // Every token that came was sent, in its order.
        let events = exchange.events.as_slice();
        let sent: u64 = truth.tokens.iter().map(|tokens| u64::from(*tokens)).sum();
        assert!(events.len() <= truth.events_ns.len(), "{name}");
        assert!(stopped.tokens_before <= events.len(), "{name}");
        assert!(
            sent <= stop.decoded_tokens && stop.decoded_tokens < ASKED,
            "{name}: {stop:?}"
        );
        learned.push(stop.told_ns.saturating_sub(stopped.told));
        let last = events.last().unwrap().at;
        quiet.push(last.abs_diff(truth.events_ns[events.len() - 1]));
    }
    // What comes in between on a busy machine is not of the stop.
    let (learned, quiet) = (learned.into_iter().min().unwrap(), median(quiet));
    assert!(learned < 1_000_000, "{name}: learned after {learned} ns");
    assert!(
        quiet < 1_000_000,
        "{name}: the last event is dated {quiet} ns off"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_decoding_on_every_protocol_and_transport() {
    for &protocol in PROTOCOLS {
        for transport in transports(protocol) {
            let server = Server::start(profile());
            let stops = stops(&server.endpoint(protocol, transport)).await;
            let stops = with_truth(stops, server.log());
            let way = match transport {
                "http2-sse" => StopWay::Reset,
                "websocket" => StopWay::SocketClose,
                _ => StopWay::Close,
            };
            let name = format!("{} over {transport}", protocol.name());
            check(&name, way, &stops);
            for (stopped, truth) in &stops {
                assert_eq!(truth.stop.unwrap().by, StopCause::Disconnected, "{name}");
                let http2 = truth.transport.starts_with("http2");
                assert_eq!(
                    http2,
                    transport == "http2-sse",
                    "{name}: {}",
                    truth.transport
                );
                let confirmed = stopped.seen.as_ref().unwrap().confirmed;
                assert_eq!(confirmed.is_some(), transport != "http-sse", "{name}");
                // The stream alone is reset: the connection goes on.
                let again = stopped.exchange.reused_connection;
                let first = std::ptr::eq(stopped, &raw const stops[0].0);
                assert_eq!(again, http2 && !first, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_in_the_background_ends_when_it_is_cancelled() {
    let server = Server::start(profile());
    let mut endpoint = server.endpoint(PROTOCOLS[0], "http-sse");
    endpoint.extra = Map::from_iter([("background".to_owned(), json!(true))]);
    let stops = stops(&endpoint).await;
    let stops = with_truth(stops, server.log());
    check("in the background", StopWay::CancelRoute, &stops);
    for (stopped, truth) in &stops {
        assert_eq!(truth.stop.unwrap().by, StopCause::Cancelled);
        assert!(stopped.seen.as_ref().unwrap().confirmed.is_some());
        // What is decoded until the engine heeds it is sent, and is stale.
        assert!(stopped.exchange.events.as_slice().len() > stopped.tokens_before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_on_decoding_is_exposed() {
    let heedless = Profile {
        heeds_stops: false,
        ..profile()
    };
    let server = Server::start(heedless);
    let stops = stops(&server.endpoint(PROTOCOLS[0], "http-sse")).await;
    for (stopped, truth) in with_truth(stops, server.log()) {
        let DecodeStop {
            told_ns,
            stopped_ns,
            decoded_tokens,
            ..
        } = truth.stop.unwrap();
        assert_eq!(decoded_tokens, ASKED);
        assert!(stopped_ns - told_ns > 1_000_000_000);
        assert!(stopped.exchange.events.as_slice().len() < 500);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_stopped_wherever_it_is() {
    // In the queue, before the first token, and while it is tried again.
    let slow = Profile {
        request_overhead_ms: 200.0,
        ..profile()
    };
    for &protocol in PROTOCOLS {
        for transport in transports(protocol) {
            let server = Server::start(slow.clone());
            let endpoint = server.endpoint(protocol, transport);
            let mut session = Session::new(&endpoint, "key#1".into(), 0);
            let (heard, mut hearing) = mpsc::unbounded_channel();
            let (mut reader, end) = live(heard);
            session.read_along(end);
            let order = StopOrder {
                end: ExchangeEnd::Superseded,
                act: 1,
            };
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(60)).await;
                reader.stop(order);
            });
            let items = [Item::User("Count, in 99 tokens.".into())];
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut ended = Vec::new();
            let asked = session
                .ask(1, "", &[], &items, deadline, |exchange| {
                    ended.push(exchange.ended_by)
                })
                .await;
            assert_eq!(asked, Err(Failure::Stopped));
            assert_eq!(ended, [Some(ExchangeEnd::Superseded)]);
            let seen = hearing.try_recv();
            assert!(matches!(seen, Ok(Heard::Stopped(_))), "{seen:?}");
            drop(session);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let log = server.log();
            let decoded: Vec<_> = log
                .iter()
                .map(|truth| truth.stop.map(|stop| stop.decoded_tokens))
                .collect();
            assert_eq!(decoded, [Some(0)], "{} over {transport}", protocol.name());
        }
    }
}

/// The last message of a WebSocket that says this.
fn said<'a>(messages: &'a [Value], kind: &str) -> Option<&'a Value> {
    messages
        .iter()
        .rev()
        .find(|message| message["type"] == kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcomes_of_a_redirection() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let server = Server::start(profile());
    let url = format!("ws://{}/v1/responses", server.running.address);
    let stream = tokio::net::TcpStream::connect(server.running.address)
        .await
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let create =
        json!({ "type": "response.create", "model": "m", "input": "Count, in 400 tokens." });
    socket
        .send(Message::text(create.to_string()))
        .await
        .unwrap();
    let (mut messages, mut steered) = (Vec::new(), false);
    let mut old = String::new();
    while said(&messages, "response.completed").is_none() {
        let Some(Ok(Message::Text(text))) = socket.next().await else {
            panic!("closed");
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        if let (Some(id), false) = (message["response"]["id"].as_str(), steered) {
            old = id.to_owned();
        }
        if message["type"] == "response.output_text.delta" && !steered {
            steered = true;
            for id in [old.as_str(), old.as_str(), "resp_unknown"] {
                let steer = json!({ "type": "response.steer", "previous_response_id": id, "input": "Count, in 5 tokens." });
                socket.send(Message::text(steer.to_string())).await.unwrap();
            }
        }
        messages.push(message);
    }
    let accepted = said(&messages, "response.steer.accepted").unwrap();
    assert_eq!(accepted["previous_response_id"], old);
    let failed: Vec<_> = messages
        .iter()
        .filter(|message| message["type"] == "response.steer.failed")
        .map(|message| (message["error"]["code"].as_str(), &message["input"]))
        .collect();
    let not_found = Some("response_not_found");
    assert_eq!(failed, [(not_found, &json!("Count, in 5 tokens.")); 2]);
    let incomplete = said(&messages, "response.incomplete").unwrap();
    assert_eq!(
        incomplete["response"]["incomplete_details"]["reason"],
        "steered"
    );
    let completed = &said(&messages, "response.completed").unwrap()["response"];
    assert_eq!(completed["previous_response_id"], old);
    assert_eq!(completed["usage"]["output_tokens"], 5);
    let late =
        json!({ "type": "response.steer", "previous_response_id": completed["id"], "input": "x" });
    socket.send(Message::text(late.to_string())).await.unwrap();
    let Some(Ok(Message::Text(text))) = socket.next().await else {
        panic!("closed");
    };
    let late: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(late["error"]["code"], "response_not_active");
    drop(socket);
    let log = server.log();
    assert_eq!(log[0].stop.unwrap().by, StopCause::Steered);
    let (sent, stop) = (log[0].tokens.len() as u64, log[0].stop.unwrap());
    assert!(sent.abs_diff(stop.decoded_tokens) <= 1, "{sent} {stop:?}");
    assert!(log[0].complete && log[1].complete);
}

/// Reads along, and stops after so many milliseconds.
fn stopped_after(session: &mut Session, ms: u64) {
    let (heard, _) = mpsc::unbounded_channel();
    let (mut reader, end) = live(heard);
    session.read_along(end);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        reader.stop(StopOrder {
            end: ExchangeEnd::Interrupted,
            act: 1,
        });
    });
}

/// Asks, and gives what each try came to: its error, and whether it was stopped.
async fn tries(session: &mut Session) -> (Result<(), Failure>, Vec<(bool, bool)>) {
    let items = [Item::User("Count, in 9 tokens.".into())];
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut tries = Vec::new();
    let record = |exchange: Exchange| {
        tries.push((exchange.error.is_some(), exchange.ended_by.is_some()));
    };
    let asked = session.ask(1, "", &[], &items, deadline, record).await;
    (asked.map(drop), tries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_a_backoff_a_warm_up_and_an_upgrade() {
    let mut faulty = profile();
    faulty.faults.rate_limit = 1.0;
    faulty.faults.retry_after_seconds = 30;
    let server = Server::start(faulty);
    let mut session = Session::new(&server.endpoint(PROTOCOLS[0], "http-sse"), "k#1".into(), 0);
    stopped_after(&mut session, 150);
    let (asked, came) = tries(&mut session).await;
    assert_eq!(
        (asked, came),
        (Err(Failure::Stopped), vec![(true, false), (false, true)])
    );

    let slow = Profile {
        request_overhead_ms: 400.0,
        ..profile()
    };
    let server = Server::start(slow);
    let mut endpoint = server.endpoint(PROTOCOLS[0], "websocket");
    endpoint.options.prewarm = true;
    let mut session = Session::new(&endpoint, "k#1".into(), 0);
    stopped_after(&mut session, 100);
    let mut warmed = None;
    let deadline = Instant::now() + Duration::from_secs(60);
    session
        .warm_up("", &[], deadline, |exchange| warmed = Some(exchange))
        .await;
    let warmed = warmed.unwrap();
    assert!(warmed.warm_up && warmed.ended_by.is_some() && warmed.error.is_none());
    // What is asked then is asked anew, and answered.
    let (heard, _) = mpsc::unbounded_channel();
    let (_reader, end) = live(heard);
    session.read_along(end);
    assert_eq!(tries(&mut session).await, (Ok(()), vec![(false, false)]));

    // Somebody listens, and never answers the upgrade.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut session = Session::new(
        &endpoint_of("responses", port, "websocket"),
        "k#1".into(),
        0,
    );
    stopped_after(&mut session, 100);
    let (asked, came) = tries(&mut session).await;
    assert_eq!((asked, came), (Err(Failure::Stopped), vec![(false, true)]));
}
