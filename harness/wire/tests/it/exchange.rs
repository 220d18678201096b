//! One exchange against servers that behave well, oddly, or badly.

use std::io::Write;
use std::time::Duration;

use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::protocols::{Answer, Item};
use timeslip_wire::{Endpoint, Failure, Secret, Session};
use tokio::time::Instant;

use crate::support::{canned, endpoint, events, http};

async fn ask_within(
    endpoint: &Endpoint,
    limit: Duration,
) -> (Result<Answer, Failure>, Vec<Exchange>) {
    let mut exchanges = Vec::new();
    let items = [Item::User("do it".into())];
    let mut session = Session::new(endpoint, "key#1".into(), clock::now());
    let deadline = Instant::now() + limit;
    let answer = session
        .ask(1, "instructions", &[], &items, deadline, |exchange| {
            exchanges.push(exchange)
        })
        .await;
    (answer, exchanges)
}

async fn ask(endpoint: &Endpoint) -> (Result<Answer, Failure>, Vec<Exchange>) {
    ask_within(endpoint, Duration::from_secs(20)).await
}

const DELTA: &str = r#"{"type":"response.output_text.delta","delta":"hello"}"#;
const DONE: &str = r#"{"type":"response.completed","response":{"id":"r1","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hello"}]}],"usage":{"input_tokens":7,"output_tokens":2}}}"#;

#[tokio::test]
async fn a_server_that_leaves_fields_out_is_understood() {
    let (port, _) = canned(vec![events(&[
        r#"{"type":"response.created"}"#,
        DELTA,
        DONE,
    ])]);
    let (answer, exchanges) = ask(&endpoint(port, "http-sse")).await;
    let answer = answer.unwrap();
    assert_eq!(
        (
            answer.id.as_deref(),
            answer.items.len(),
            answer.usage.unwrap().output_tokens
        ),
        (Some("r1"), 1, 2)
    );
    let marks = exchanges[0].marks;
    assert!(marks.start < marks.sent.unwrap());
    assert!(marks.sent.unwrap() <= marks.first_byte.unwrap());
    assert!(marks.admitted.unwrap() <= marks.first_token.unwrap());
    assert!(
        marks.first_token.unwrap() <= marks.last_token.unwrap()
            && marks.last_token.unwrap() <= marks.done
    );
}

#[tokio::test]
async fn a_refused_upgrade_falls_back_to_http_and_says_so() {
    let (port, requests) = canned(vec![
        http("426 Upgrade Required", "content-length: 0\r\n", ""),
        events(&[DELTA, DONE]),
    ]);
    let (answer, exchanges) = ask(&endpoint(port, "websocket")).await;
    answer.unwrap();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].transport, "http-sse");
    let requests = requests.join().unwrap();
    assert!(
        requests[0].starts_with("GET /v1/responses")
            && requests[1].starts_with("POST /v1/responses")
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_the_wait_is_recorded() {
    let busy = http(
        "429 Too Many Requests",
        "retry-after: 1\r\n",
        r#"{"error":{"message":"slow down"}}"#,
    );
    let (port, _) = canned(vec![busy, events(&[DELTA, DONE])]);
    let (answer, exchanges) = ask(&endpoint(port, "http-sse")).await;
    answer.unwrap();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].error.as_deref(), Some("HTTP 429: slow down"));
    assert!(exchanges[0].backoff_until.unwrap() - exchanges[0].marks.done >= 1_000_000_000);
    assert_eq!(exchanges[1].retry, 1);
}

/// The time is over while the rest of the previous answer is still awaited.
#[tokio::test]
async fn an_exchange_that_never_began_has_none_of_the_previous_ones_bytes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        crate::support::read_request(&stream);
        let body = format!("data: {DELTA}\n\ndata: {DONE}\n\n");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        write!(stream, "{head}{:x}\r\n{body}\r\n", body.len()).unwrap();
        let _ = held.recv();
    });
    let endpoint = endpoint(port, "http-sse");
    let mut session = Session::new(&endpoint, "key#1".into(), clock::now());
    let items = [Item::User("do it".into())];
    let mut exchanges = Vec::new();
    for limit in [Duration::from_secs(20), Duration::from_millis(1)] {
        let deadline = Instant::now() + limit;
        let record = |exchange| exchanges.push(exchange);
        let _ = session.ask(1, "", &[], &items, deadline, record).await;
    }
    drop(hold);
    server.join().unwrap();
    assert!(exchanges[0].error.is_none() && exchanges[0].request_bytes > Some(0));
    let cut = &exchanges[1];
    assert_eq!(
        cut.error.as_deref(),
        Some(Failure::Deadline.to_string().as_str())
    );
    assert_eq!((cut.request_bytes, cut.response_bytes), (Some(0), Some(0)));
    assert_eq!(cut.marks.sent, None);
}

#[tokio::test]
async fn every_bad_ending_has_a_name() {
    let huge = format!("{{\"type\":\"{}\"}}", "x".repeat(1000));
    for (response, expected) in [
        (events(&[DELTA]), "the stream ended early"),
        (events(&["{not json"]), "broken event"),
        (
            events(&[r#"{"type":"response.output_text.delta"}"#]),
            "no terminal event",
        ),
        (events(&[&huge]), "the stream ended early"),
        (
            events(&[
                r#"{"type":"response.failed","response":{"error":{"code":"bad_model","message":"no"}}}"#,
            ]),
            "bad_model: no",
        ),
        (
            events(&[r#"{"type":"error","code":"invalid_prompt","message":"bad"}"#]),
            "invalid_prompt: bad",
        ),
        (http("401 Unauthorized", "", "nope"), "HTTP 401: nope"),
        (
            b"\x00\x01garbage\r\n\r\n".to_vec(),
            "the stream ended early",
        ),
        (Vec::new(), "the stream ended early"),
    ] {
        let (port, _) = canned(vec![response.clone(), response.clone(), response]);
        let mut endpoint = endpoint(port, "http-sse");
        endpoint.options.retries = 0;
        let (answer, exchanges) = ask(&endpoint).await;
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
        assert_eq!(
            exchanges.last().unwrap().error.as_deref(),
            Some(error.as_str())
        );
    }
}

#[tokio::test]
async fn silence_and_the_trials_end_are_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut endpoint = endpoint(port, "http-sse");
    endpoint.options.retries = 0;
    endpoint.idle_timeout = Duration::from_millis(300);
    let (answer, _) = ask(&endpoint).await;
    assert_eq!(
        answer.unwrap_err(),
        Failure::Idle(Duration::from_millis(300))
    );
    endpoint.idle_timeout = Duration::from_secs(60);
    let (answer, exchanges) = ask_within(&endpoint, Duration::from_millis(300)).await;
    assert_eq!(answer.unwrap_err(), Failure::Deadline);
    assert!(exchanges[0].marks.sent.is_some(), "the request did go out");
}

#[tokio::test]
async fn nobody_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.retries = 1;
    let (answer, exchanges) = ask(&endpoint).await;
    assert!(matches!(answer.unwrap_err(), Failure::Connect(_)));
    assert_eq!(exchanges.len(), 2);
}

#[tokio::test]
async fn an_item_that_is_not_streamed_is_output_and_a_cut_answer_says_why() {
    let item = r#"{"type":"response.output_item.done","item":{"type":"function_call","call_id":"c","name":"shell","arguments":"{}"}}"#;
    let cut = r#"{"type":"response.incomplete","response":{"id":"r1","incomplete_details":{"reason":"max_output_tokens"}}}"#;
    let (port, _) = canned(vec![events(&[item, cut])]);
    let (answer, exchanges) = ask(&endpoint(port, "http-sse")).await;
    assert_eq!(answer.unwrap().calls.len(), 1);
    assert_eq!(exchanges[0].events.as_slice().len(), 1);
    assert!(exchanges[0].marks.first_token.is_some());
    assert_eq!(
        exchanges[0].incomplete.as_deref(),
        Some("max_output_tokens")
    );
}

#[tokio::test]
async fn a_server_that_echoes_the_key_does_not_get_it_into_the_journal() {
    let (port, _) = canned(vec![http(
        "401 Unauthorized",
        "",
        "bad authorization: Bearer sk-0123456789 for team blue-7",
    )]);
    let mut endpoint = endpoint(port, "http-sse");
    endpoint.key = Some(Secret("sk-0123456789".into()));
    endpoint.secrets = vec![Secret("blue-7".into())];
    endpoint.headers = vec![("x-tenant".into(), Secret("blue-7".into()))];
    let printed = format!("{endpoint:?}");
    assert!(
        !printed.contains("sk-0") && !printed.contains("blue-7"),
        "{printed}"
    );
    let (_, exchanges) = ask(&endpoint).await;
    assert_eq!(
        exchanges[0].error.as_deref(),
        Some("HTTP 401: bad authorization: Bearer *** for team ***")
    );
}

/// An error is cut to a length after the key was taken out of it, never through the key.
#[tokio::test]
async fn no_part_of_an_echoed_key_gets_into_the_journal() {
    const KEY: &str = "sk-0123456789abcdef";
    let stray = |before: usize| format!("{}{KEY} and more", "x".repeat(before));
    for before in [480, 490, 990, 1_985, 1_990, 16_370] {
        let said = stray(before);
        let in_stream = format!(r#"{{"type":"error","code":"invalid_prompt","message":"{said}"}}"#);
        for response in [
            http("401 Unauthorized", "", &said),
            events(&[in_stream.as_str()]),
            // The server itself stops in the middle of it.
            http("401 Unauthorized", "", &said[..before + KEY.len() / 2]),
        ] {
            let (port, _) = canned(vec![response]);
            let mut endpoint = endpoint(port, "http-sse");
            endpoint.options.retries = 0;
            endpoint.key = Some(Secret(KEY.into()));
            let (_, exchanges) = ask(&endpoint).await;
            let error = exchanges[0].error.as_deref().unwrap();
            assert!(error.contains("xxx") && error.len() < 1_100, "{error}");
            assert!(!error.contains(&KEY[..4]), "{before}: {error}");
        }
    }
}

#[tokio::test]
async fn no_name_that_a_server_gives_can_carry_the_key() {
    let done = r#"{"type":"response.incomplete","response":{"id":"r-sk-0123456789","model":"m-sk-0123456789","service_tier":"t-sk-0123456789","incomplete_details":{"reason":"i-sk-0123456789"},"output":[]}}"#;
    let (port, _) = canned(vec![events(&[done])]);
    let mut endpoint = endpoint(port, "http-sse");
    endpoint.key = Some(Secret("sk-0123456789".into()));
    let (_, exchanges) = ask(&endpoint).await;
    let exchange = &exchanges[0];
    let said = [
        &exchange.response_id,
        &exchange.served_model,
        &exchange.served_tier,
        &exchange.incomplete,
    ];
    let said = said.map(|said| said.as_deref().unwrap());
    assert_eq!(said, ["r-***", "m-***", "t-***", "i-***"]);
}

/// A connection that the server closed between two turns is opened anew at once.
#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_backoff() {
    let stream = String::from_utf8(events(&[DELTA, DONE])).unwrap();
    // Kept alive by its headers, closed nevertheless.
    let body = stream.split_once("\r\n\r\n").unwrap().1.to_owned();
    let head = format!(
        "content-type: text/event-stream\r\ncontent-length: {}\r\n",
        body.len()
    );
    let response = String::from_utf8(http("200 OK", &head, &body))
        .unwrap()
        .replace("connection: close\r\n", "");
    let (port, _) = canned(vec![response.clone().into_bytes(), response.into_bytes()]);
    let mut endpoint = endpoint(port, "http-sse");
    endpoint.options.retries = 0;
    let mut exchanges = Vec::new();
    let items = [Item::User("do it".into())];
    let mut session = Session::new(&endpoint, "key#1".into(), clock::now());
    for turn in 1..=2 {
        let deadline = Instant::now() + Duration::from_secs(20);
        session
            .ask(turn, "i", &[], &items, deadline, |exchange| {
                exchanges.push(exchange)
            })
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = exchanges.last().unwrap();
    assert!(!last.reused_connection && last.marks.tcp.is_some());
    let waited: u64 = exchanges
        .iter()
        .filter_map(|exchange| Some(exchange.backoff_until? - exchange.marks.done))
        .sum();
    assert!(waited < 200_000_000, "waited {waited} ns");
}
