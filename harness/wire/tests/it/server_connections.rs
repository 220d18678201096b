//! Connections as users met them: streams that stall or do not end, answers that are no
//! stream, sockets that are refused, closed or flooded.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::scripted::{Connection, Say, scripted};
use crate::support::{canned, endpoint, endpoint_of, events, http};
use futures_util::StreamExt;
use serde_json::json;
use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{Answer, Item};
use timeslip_wire::{Endpoint, Failure, Session, clock};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// One conversation and what it recorded.
async fn turns(endpoint: &Endpoint, count: u32) -> (Vec<Result<Answer, Failure>>, Vec<Exchange>) {
    let mut exchanges = Vec::new();
    let mut answers = Vec::new();
    let items = [Item::User("do it".into())];
    let mut session = Session::new(endpoint, "key#1".into(), clock::now());
    for turn in 1..=count {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let record = |exchange| exchanges.push(exchange);
        answers.push(session.ask(turn, "i", &[], &items, deadline, record).await);
    }
    (answers, exchanges)
}

async fn ask(endpoint: &Endpoint) -> (Result<Answer, Failure>, Vec<Exchange>) {
    let (mut answers, exchanges) = turns(endpoint, 1).await;
    (answers.remove(0), exchanges)
}

fn chat(port: u16) -> Endpoint {
    let mut endpoint = endpoint_of("chat-completions", port, "http-sse");
    endpoint.options.retries = 0;
    endpoint
}

const TEXT: &str = r#"{"id":"c","choices":[{"delta":{"content":"hi"}}]}"#;
const STOP: &str = r#"{"id":"c","choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// A server that says something and then keeps its connection alive; the last bytes it
/// writes again and again.
fn kept_alive(said: String, again: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let said = said.clone();
            std::thread::spawn(move || keep_alive(stream.unwrap(), &said, again));
        }
    });
    port
}

fn keep_alive(mut stream: TcpStream, said: &str, again: &str) {
    let _ = stream.read(&mut [0; 64 << 10]);
    let _ = stream.write_all(format!("{HEAD}{said}").as_bytes());
    while stream.write_all(again.as_bytes()).is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_stall_behind_keep_alives_is_one_and_all_of_it_is_waiting() {
    let text = format!("data: {TEXT}\n\n");
    for again in [
        ": keep-alive\n\n",
        "data: {\"choices\":[{\"delta\":{}}]}\n\n",
        "data:\n\n",
    ] {
        let mut endpoint = chat(kept_alive(text.clone(), again));
        endpoint.idle_timeout = Duration::from_millis(400);
        let (answer, exchanges) = ask(&endpoint).await;
        assert_eq!(
            answer.unwrap_err(),
            Failure::Stalled(endpoint.idle_timeout),
            "{again}"
        );
        let [exchange] = exchanges.as_slice() else {
            panic!("{exchanges:?}")
        };
        assert_eq!(exchange.backoff_until, Some(exchange.marks.done));
        assert!(exchange.shape.keep_alives > 3);
    }
    // Before the first token the patience is longer.
    let mut endpoint = chat(kept_alive(String::new(), ": queued\n\n"));
    endpoint.idle_timeout = Duration::from_millis(200);
    let began = Instant::now();
    let (answer, _) = ask(&endpoint).await;
    assert_eq!(
        answer.unwrap_err(),
        Failure::Stalled(Duration::from_secs(1))
    );
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn after_a_reason_to_finish_the_end_is_not_awaited_for_ever() {
    let said = format!("data: {TEXT}\n\ndata: {STOP}\n\n");
    let endpoint = chat(kept_alive(said, ": keep-alive\n\n"));
    let began = Instant::now();
    let (answers, exchanges) = turns(&endpoint, 2).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().text == "hi")
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    // The first body never ends: waiting for it has a mark of its own.
    let marks = exchanges[1].marks;
    let waited = marks.done - marks.whole.unwrap();
    assert!(waited >= 1_900_000_000 && marks.whole >= marks.last_token);
    assert!(marks.settled.unwrap() >= marks.start && exchanges[0].marks.settled.is_none());
}

#[tokio::test]
async fn the_last_event_counts_at_a_clean_end_alone() {
    let body = format!("data: {TEXT}\n\ndata: {STOP}");
    let (port, _) = canned(vec![http("200 OK", "", &body)]);
    assert_eq!(ask(&chat(port)).await.0.unwrap().text, "hi");
    let cut = format!("content-length: {}\r\n", body.len() + 1);
    let (port, _) = canned(vec![http("200 OK", &cut, &body)]);
    assert!(matches!(ask(&chat(port)).await.0, Err(Failure::Closed(_))));
}

/// One arrival at the end of the body, of which the report then says that it was not streamed.
#[tokio::test]
async fn an_answer_that_is_not_streamed_is_one_all_the_same() {
    let text = "word ".repeat(10_000);
    let choice = json!({ "message": { "content": text }, "finish_reason": "stop" });
    let whole = json!({ "id": "c", "object": "chat.completion", "choices": [choice] });
    for body in [whole.to_string(), format!("{whole:#}")] {
        let (port, _) = canned(vec![http(
            "200 OK",
            "content-type: application/json\r\n",
            &body,
        )]);
        let (answer, exchanges) = ask(&chat(port)).await;
        assert_eq!(answer.unwrap().text, text);
        let exchange = &exchanges[0];
        assert_eq!((exchanges.len(), exchange.shape.output_reads), (1, 1));
        assert_eq!(exchange.marks.first_token, exchange.marks.last_token);
        assert!(
            exchange.remarks[0].contains("did not stream"),
            "{:?}",
            exchange.remarks
        );
    }
    // One that was cut off is none.
    let cut = &whole.to_string()[..1_000];
    let (port, _) = canned(vec![http("200 OK", "", cut)]);
    assert!(ask(&chat(port)).await.0.is_err());
}

#[tokio::test]
async fn what_is_no_stream_is_named_once() {
    let gzip = "content-encoding: gzip\r\n";
    for (response, expected) in [
        (
            http(
                "200 OK",
                "content-type: application/json\r\n",
                r#"{"id":"c"}"#,
            ),
            "one JSON document that is no answer",
        ),
        (
            http("200 OK", gzip, "\u{1f}\u{8b}binary"),
            "encoded as gzip",
        ),
        (
            http("400 Bad Request", gzip, "\u{1f}\u{8b}binary"),
            "encoded as gzip",
        ),
        (
            http("200 OK", "", r#"[{"error":{"code":400,"message":"boom"}}]"#),
            "400: boom",
        ),
        (
            http("403 Forbidden", "", r#"{"detail":"boom"}"#),
            "HTTP 403: boom",
        ),
    ] {
        let (port, _) = canned(vec![response]);
        let mut endpoint = chat(port);
        endpoint.options.retries = 2;
        let (answer, exchanges) = ask(&endpoint).await;
        let error = answer.unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("binary"),
            "{error}"
        );
        assert_eq!(exchanges.len(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_empty_answer_and_an_event_named_error_are_failures_that_may_pass() {
    let empty = events(&[STOP]);
    let error = http(
        "200 OK",
        "",
        "event: error\ndata: upstream connect error: 503\n\n",
    );
    let (port, requests) = canned(vec![empty, error, events(&[TEXT, STOP])]);
    let mut endpoint = chat(port);
    endpoint.options.retries = 2;
    endpoint.target = endpoint
        .target
        .with_query([("api-version", "1")].into_iter());
    let (answer, exchanges) = ask(&endpoint).await;
    assert_eq!(answer.unwrap().text, "hi");
    let errors: Vec<_> = exchanges.iter().map(|one| one.error.as_deref()).collect();
    assert_eq!(errors[0], Some(Failure::Empty.to_string().as_str()));
    assert!(errors[1].unwrap().contains("upstream connect error: 503"));
    let requests = requests.join().unwrap();
    assert!(requests[0].starts_with("POST /v1/chat/completions?api-version=1 HTTP"));
    assert!(requests[0].contains("accept-encoding: identity\r\n"));
}

#[tokio::test]
async fn a_contradiction_in_the_usage_is_said() {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":18901}}}"#;
    let (port, _) = canned(vec![events(&[TEXT, STOP, usage])]);
    let (_, exchanges) = ask(&chat(port)).await;
    assert_eq!(
        exchanges[0].remarks,
        ["the usage contradicts itself: 18901 cached of 8 prompt tokens"]
    );
}

fn close(code: u16) -> Say {
    let reason = "because".into();
    let frame = CloseFrame {
        code: code.into(),
        reason,
    };
    Say::Messages(vec![Message::Close(Some(frame))])
}

#[tokio::test]
async fn close_codes_decide_what_comes_next() {
    for (code, tries) in [(1008, 1), (1003, 1), (1011, 2), (1013, 2)] {
        let script = vec![
            Connection::Socket(vec![close(code)]),
            Connection::Socket(vec![close(code)]),
        ];
        let (port, _) = scripted(script).await;
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.retries = 1;
        let (answer, exchanges) = ask(&endpoint).await;
        assert!(
            answer
                .unwrap_err()
                .to_string()
                .contains(&format!("{code} because"))
        );
        assert_eq!(exchanges.len(), tries, "{code}");
        // A new socket is not one that was left open for too long: it waits.
        let waited = exchanges[0]
            .backoff_until
            .map(|until| until - exchanges[0].marks.done);
        assert!(waited.is_none_or(|waited| waited >= 200_000_000), "{code}");
    }
}

/// A port whose connections are passed on to one of these ports after the other.
fn in_turn(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for port in ports {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far, near),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    own
}

#[tokio::test]
async fn a_message_too_big_for_the_socket_goes_over_http_for_this_turn() {
    let stream = events(&[
        r#"{"type":"response.output_text.delta","delta":"hi"}"#,
        r#"{"type":"response.completed","response":{"id":"h"}}"#,
    ]);
    let (first, _) = scripted(vec![Connection::Socket(vec![close(1009)])]).await;
    let (second, _) = canned(vec![stream]);
    let said = vec![Say::Events(crate::scripted::answer("r2"))];
    let (third, _) = scripted(vec![Connection::Socket(said)]).await;
    let port = in_turn(vec![first, second, third]);
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.retries = 0;
    let (answers, exchanges) = turns(&endpoint, 2).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let used: Vec<&str> = exchanges.iter().map(|one| one.transport.as_str()).collect();
    assert_eq!(used, ["websocket", "http-sse", "websocket"]);
}

#[tokio::test]
async fn a_refused_socket_falls_back_to_http_and_says_so() {
    for (status, falls_back) in [
        ("404 Not Found", true),
        ("400 Bad Request", true),
        ("403 Forbidden", true),
        ("200 OK", true),
        ("401 Unauthorized", false),
        ("503 Busy", false),
    ] {
        let refusal = http(status, "content-length: 2\r\n", "no");
        let stream = events(&[
            r#"{"type":"response.output_text.delta","delta":"hi"}"#,
            r#"{"type":"response.completed","response":{"id":"h"}}"#,
        ]);
        let (port, _) = canned(vec![refusal, stream]);
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.retries = 0;
        let (answer, exchanges) = ask(&endpoint).await;
        assert_eq!(answer.is_ok(), falls_back, "{status}: {answer:?}");
        if falls_back {
            assert_eq!(exchanges[0].transport, "http-sse");
            assert!(
                exchanges[0].remarks[0].contains(&status[..3]),
                "{:?}",
                exchanges[0].remarks
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_said_again_is_not_the_next_ones() {
    let mut second = vec![crate::scripted::completed("r1")];
    second.extend(crate::scripted::answer("r2"));
    let script = vec![Connection::Socket(vec![
        Say::Events(crate::scripted::answer("r1")),
        Say::Events(second),
    ])];
    let (port, _) = scripted(script).await;
    let (answers, exchanges) = turns(&endpoint(port, "websocket"), 2).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(exchanges[1].response_id.as_deref(), Some("r2"));
    assert_eq!(exchanges[1].unknown["event of another response"], 1);
}

/// A WebSocket that answers with one frame again and again, until it is left.
async fn flood(frame: &'static [u8]) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let frames = frame.repeat(8 << 10);
        let mut stream = socket.into_inner();
        while stream.write_all(&frames).await.is_ok() {}
    });
    port
}

/// However much a server says that is no answer, memory and the trial's time are bounded.
#[tokio::test]
async fn floods_end_by_a_budget() {
    let (ping, pong, empty) = (b"\x89\0", b"\x8a\x09\0\0\0\0\0\0\0\0\0", b"\x81\0");
    for frame in [&ping[..], pong, empty] {
        for shared in [false, true] {
            let mut endpoint = endpoint(flood(frame).await, "websocket");
            endpoint.options.retries = 0;
            endpoint.shared = shared.then(|| endpoint.transport.pool(endpoint.protocol).unwrap());
            let (answer, exchanges) = ask(&endpoint).await;
            let failure = answer.unwrap_err();
            assert!(
                matches!(failure, Failure::TooLarge(_) | Failure::Deadline),
                "{shared}: {failure}"
            );
            // The trial's time is over when it is over, within what a busy machine adds.
            assert!(exchanges[0].marks.done < 23_000_000_000);
        }
    }
}

#[tokio::test]
async fn a_server_without_http2_says_so_and_is_asked_once() {
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "<!DOCTYPE HTML>"] {
        let (port, _) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let thread = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            });
            (port, thread)
        };
        let (answer, exchanges) = ask(&endpoint(port, "http2-sse")).await;
        let error = answer.unwrap_err().to_string();
        assert!(error.contains("does not speak HTTP/2"), "{error}");
        assert_eq!(exchanges.len(), 1);
    }
}

#[test]
fn a_base_url_may_have_a_query() {
    let target = Target::parse("https://x/v1?api-version=1").unwrap();
    assert_eq!(target.resource("/responses"), "/v1/responses?api-version=1");
}
