//! What the time of unusual exchanges is put down to.

use serde_json::{Value, json};
use timeslip_datasets::run::journal::Exchange;
use timeslip_reports::attribution::{Context, Segment, segments};
use timeslip_reports::stages::Stage;

use crate::scripted::{Connection, Say, answer, error, scripted};
use crate::server::{canned, endpoint, events, http};
use crate::talk::Talk;

/// The stages fill an exchange without gap or overlap.
fn whole(exchange: &Exchange) -> Vec<Segment> {
    let found = segments(exchange, Context::default());
    let mut at = exchange.marks.start;
    for segment in &found {
        assert!(segment.end > at);
        at = segment.end;
    }
    assert_eq!(at, exchange.backoff_until.unwrap_or(exchange.marks.done));
    found
}

/// The stages of a warm-up whose message is answered by `events`.
async fn warm_up(events: Vec<Value>) -> Vec<Stage> {
    let script = vec![Connection::Socket(vec![Say::Events(events)])];
    let (port, _) = scripted(script).await;
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.prewarm = true;
    let mut talk = Talk::new(&endpoint);
    talk.warm_up().await;
    let segments = whole(&talk.exchanges[0]);
    segments.iter().map(|segment| segment.stage).collect()
}

#[tokio::test]
async fn a_warm_up_has_stages_of_its_own() {
    let stages = warm_up(vec![
        json!({ "type": "response.created", "response": { "id": "w" } }),
        json!({ "type": "response.completed", "response": { "id": "w", "output": [] } }),
    ]);
    assert_eq!(
        stages.await,
        [
            Stage::ConnectTcp,
            Stage::ConnectUpgrade,
            Stage::Send,
            Stage::Network,
            Stage::Residue
        ]
    );
}

#[tokio::test]
async fn a_warm_up_that_fails_is_waiting() {
    let stages = warm_up(error("invalid_request")).await;
    assert!(stages.iter().all(|stage| *stage == Stage::Wait));
}

#[tokio::test]
async fn a_chain_that_is_lost_and_taken_up_again_leaves_no_gap() {
    let lost = error("previous_response_not_found");
    let (port, _) = scripted(vec![
        Connection::Socket(vec![Say::Events(answer("r1")), Say::Events(lost)]),
        Connection::Socket(vec![Say::Events(answer("r2"))]),
    ])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    talk.turn().await.unwrap();
    assert_eq!(talk.exchanges.len(), 3);
    for exchange in &talk.exchanges {
        whole(exchange);
    }
}

#[tokio::test]
async fn the_time_of_a_refused_upgrade_is_not_lost() {
    let refusal = http("426 Upgrade Required", "content-length: 0\r\n", "");
    let words: Vec<String> = answer("r1").iter().map(Value::to_string).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for prewarm in [false, true] {
        let (port, _) = canned(vec![refusal.clone(), events(&words)]);
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.prewarm = prewarm;
        let mut talk = Talk::new(&endpoint);
        if prewarm {
            talk.warm_up().await;
            whole(&talk.exchanges[0]);
        } else {
            talk.turn().await.unwrap();
            let stages = whole(&talk.exchanges[0]);
            assert_eq!(stages[0].stage, Stage::ConnectUpgrade);
            let refused = talk.exchanges[0].marks.upgrade_refused;
            assert_eq!(Some(stages[0].end), refused);
            assert_eq!(stages[1].stage, Stage::ConnectTcp);
        }
    }
}
