//! Conversations that share one WebSocket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::protocols::Item;
use timeslip_wire::{Endpoint, Failure, Session};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::scripted;
use crate::support::endpoint;

/// What a connection does with its requests.
#[derive(Clone, Copy)]
enum Does {
    /// Waits for so many, answers them interleaved, and then each as it comes.
    Interleave(usize),
    /// Waits for so many, begins to answer, and is gone.
    Vanish(usize),
    /// Says that it has reached its limit to the first of so many, and answers the others.
    Limit(usize),
    /// Answers so many, naming no lane.
    Nameless(usize),
}

type Seen = Arc<Mutex<Vec<(usize, Value)>>>;

async fn server(script: Vec<Does>) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        for (number, does) in script.into_iter().enumerate() {
            let (stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                let mut waiting = Vec::new();
                let (Does::Interleave(mut first)
                | Does::Vanish(mut first)
                | Does::Limit(mut first)
                | Does::Nameless(mut first)) = does;
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else {
                        continue;
                    };
                    let request: Value = serde_json::from_str(&text).unwrap();
                    log.lock().unwrap().push((number, request.clone()));
                    waiting.push(request);
                    if waiting.len() < first {
                        continue;
                    }
                    if matches!(does, Does::Limit(_)) && first > 0 {
                        let lane = waiting.remove(0)["stream_id"].clone();
                        let mut limit = scripted::error("websocket_connection_limit_reached");
                        limit[0]["stream_id"] = lane;
                        let limit = Message::text(limit[0].to_string());
                        socket.send(limit).await.unwrap();
                    }
                    first = 0;
                    for step in 0..3 {
                        for request in &waiting {
                            let mut event = event(request, step);
                            if !matches!(does, Does::Nameless(_)) {
                                event["stream_id"] = request["stream_id"].clone();
                            }
                            let event = Message::text(event.to_string());
                            socket.send(event).await.unwrap();
                        }
                        if matches!(does, Does::Vanish(_)) {
                            return;
                        }
                    }
                    waiting.clear();
                }
            });
        }
    });
    (port, seen)
}

/// The steps of an answer that says what the request said last.
fn event(request: &Value, step: usize) -> Value {
    let said = request["input"].as_array().unwrap().last().unwrap();
    let said = said["content"][0]["text"].as_str().unwrap();
    let mut events = scripted::answer(&format!("to {said}"));
    events[1]["delta"] = json!(said);
    events[2]["response"]["output"][0]["content"][0]["text"] = json!(said);
    events.swap_remove(step)
}

/// Two turns of one conversation; what it said and what it was told.
async fn talk(endpoint: &Endpoint, name: usize) -> (Result<Vec<String>, Failure>, Vec<Exchange>) {
    let mut session = Session::new(endpoint, format!("key#{name}"), clock::now());
    let mut items = Vec::new();
    let mut exchanges = Vec::new();
    let mut told = Vec::new();
    for turn in 1..=2 {
        items.push(Item::User(format!("{name}.{turn}")));
        let deadline = Instant::now() + Duration::from_secs(20);
        let asked = session.ask(turn, "i", &[], &items, deadline, |exchange| {
            exchanges.push(exchange);
        });
        match asked.await {
            Ok(answer) => {
                told.push(answer.text);
                items.extend(answer.items.into_iter().map(Item::Output));
            }
            Err(failure) => return (Err(failure), exchanges),
        }
    }
    (Ok(told), exchanges)
}

fn shared(port: u16) -> Endpoint {
    let mut endpoint = endpoint(port, "websocket");
    endpoint.shared = endpoint.transport.pool(endpoint.protocol);
    endpoint.options.retries = 0;
    endpoint
}

/// Runs conversations at once and checks that each was told its own words.
async fn talks(endpoint: &Endpoint, count: usize) -> Vec<Vec<Exchange>> {
    let talks = join_all((0..count).map(|name| talk(endpoint, name))).await;
    let check = |(name, (told, exchanges)): (usize, (Result<Vec<String>, _>, Vec<Exchange>))| {
        assert_eq!(told.unwrap(), [format!("{name}.1"), format!("{name}.2")]);
        for exchange in &exchanges {
            // What another conversation opened has no place in this one's time.
            let marks = &exchange.marks;
            let steps = [marks.tcp, marks.upgraded, marks.sent, marks.first_byte];
            let steps = [Some(marks.start)].into_iter().chain(steps).flatten();
            assert!(steps.chain([marks.done]).is_sorted(), "{marks:?}");
        }
        exchanges
    };
    talks.into_iter().enumerate().map(check).collect()
}

#[tokio::test]
async fn conversations_share_connections_and_keep_to_their_lanes() {
    let (port, seen) = server(vec![Does::Interleave(16), Does::Interleave(4)]).await;
    let talks = talks(&shared(port), 20).await;
    let mut lanes: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (connection, request) in seen.lock().unwrap().iter() {
        let lane = request["stream_id"].as_str().unwrap().to_owned();
        lanes.entry(*connection).or_default().insert(lane);
    }
    let counts: Vec<usize> = lanes.values().map(BTreeSet::len).collect();
    assert_eq!(counts, [16, 4]);
    for exchanges in &talks {
        let [first, second] = &exchanges[..] else {
            panic!("{exchanges:?}")
        };
        assert!(first.reused_connection != first.marks.upgraded.is_some());
        assert!(second.reused_connection && second.incremental);
        assert_eq!(first.lane, second.lane);
        assert!(first.lane.is_some() && first.transport == "websocket");
        assert!(first.tcp.is_none() && first.request_bytes.is_none());
        assert!(first.marks.sent.is_some() && first.marks.first_byte.is_some());
    }
    let pinged = talks
        .iter()
        .flatten()
        .filter(|exchange| exchange.ping_ns.is_some());
    assert!(pinged.count() > 0);
}

#[tokio::test]
async fn a_lost_connection_fails_all_its_lanes_and_each_recovers_by_itself() {
    let (port, seen) = server(vec![Does::Vanish(5), Does::Interleave(5)]).await;
    let mut endpoint = shared(port);
    endpoint.options.retries = 1;
    for exchanges in talks(&endpoint, 5).await {
        let errors: Vec<bool> = exchanges.iter().map(|e| e.error.is_some()).collect();
        assert_eq!(errors, [true, false, false]);
        assert!(!exchanges[1].incremental && exchanges[2].incremental);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|(number, _)| *number == 1).count(), 10);
}

#[tokio::test]
async fn a_connection_at_its_limit_answers_what_it_has_and_is_left_by_all() {
    let (port, seen) = server(vec![Does::Limit(3), Does::Interleave(1)]).await;
    let talks = talks(&shared(port), 3).await;
    let failed: usize = talks
        .iter()
        .flatten()
        .filter(|exchange| exchange.error.is_some())
        .count();
    assert_eq!(failed, 1, "only the lane that was told so");
    let seen = seen.lock().unwrap();
    let on_first = seen.iter().filter(|(number, _)| *number == 0).count();
    assert!(
        on_first == 3,
        "{on_first} requests on the connection at its limit"
    );
    for (_, request) in seen.iter().filter(|(number, _)| *number == 1) {
        let items = request["input"].as_array().unwrap().len();
        assert_eq!(
            request["previous_response_id"].is_null(),
            items > 1 || items == 1 && first(request)
        );
    }
}

/// Whether it is the first thing said in its conversation.
fn first(request: &Value) -> bool {
    let said = request["input"][0]["content"][0]["text"].as_str().unwrap();
    said.ends_with(".1")
}

#[tokio::test]
async fn events_without_a_lane_are_for_the_only_conversation_or_an_error() {
    let (port, _) = server(vec![Does::Nameless(1)]).await;
    talks(&shared(port), 1).await;
    let (port, _) = server(vec![Does::Nameless(2)]).await;
    let endpoint = shared(port);
    for (told, _) in join_all((0..2).map(|name| talk(&endpoint, name))).await {
        let error = told.unwrap_err().to_string();
        assert!(error.contains("names no lane"), "{error}");
    }
}

/// What is left of an answer nobody waits for must not reach the next conversation.
#[tokio::test]
async fn a_lane_left_in_the_middle_is_not_used_again() {
    let (port, seen) = server(vec![Does::Interleave(2)]).await;
    let endpoint = shared(port);
    let items = [Item::User("late".into())];
    let mut session = Session::new(&endpoint, "key#0".into(), clock::now());
    let deadline = Instant::now() + Duration::from_millis(200);
    let late = session.ask(1, "i", &[], &items, deadline, |_| {}).await;
    assert_eq!(late.unwrap_err(), Failure::Deadline);
    talks(&endpoint, 1).await;
    let lanes: Vec<Value> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(_, r)| r["stream_id"].clone())
        .collect();
    assert_eq!(lanes, ["lane-0", "lane-1", "lane-1"]);
}
