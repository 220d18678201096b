//! Responses over a WebSocket: chains, their loss and their recovery.

use std::time::Duration;

use futures_util::StreamExt;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::scripted::{self, Connection, Say, answer, error, requests, scripted};
use crate::support::{endpoint, events, http};
use crate::talk::Talk;

fn id(id: &str) -> Option<String> {
    Some(id.to_owned())
}

#[tokio::test]
async fn a_lost_chain_is_sent_whole_on_a_new_socket_and_then_chained_again() {
    for code in [
        "previous_response_not_found",
        "websocket_connection_limit_reached",
        "websocket_stream_limit_reached",
    ] {
        let (port, seen) = scripted(vec![
            Connection::Socket(vec![Say::Events(answer("r1")), Say::Events(error(code))]),
            Connection::Socket(vec![Say::Events(answer("r2")), Say::Events(answer("r3"))]),
        ])
        .await;
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.retries = 0;
        let mut talk = Talk::new(&endpoint);
        for _ in 0..3 {
            talk.turn().await.unwrap();
        }
        let expected = [
            (0, None, 1),
            (0, id("r1"), 1),
            (1, None, 3),
            (1, id("r2"), 1),
        ];
        assert_eq!(requests(&seen), expected, "{code}");
        let tries: Vec<_> = talk.exchanges.iter().map(|e| (e.turn, e.retry)).collect();
        assert_eq!(tries, [(1, 0), (2, 0), (2, 1), (3, 0)]);
        assert!(talk.exchanges[1].error.as_ref().unwrap().contains(code));
        assert!(talk.exchanges[3].incremental && talk.exchanges[3].reused_connection);
        assert!(talk.waited_ns() < 50_000_000, "{}", talk.waited_ns());
    }
}

#[tokio::test]
async fn a_server_that_keeps_losing_the_state_is_given_up() {
    let lost = || {
        Connection::Socket(vec![Say::Events(error(
            "websocket_connection_limit_reached",
        ))])
    };
    let (port, seen) = scripted(vec![lost(), lost(), lost(), lost()]).await;
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.retries = 0;
    let mut talk = Talk::new(&endpoint);
    let failure = talk.turn().await.unwrap_err();
    assert!(failure.lost_state(), "{failure}");
    assert_eq!(requests(&seen).len(), 3);
}

#[tokio::test]
async fn a_socket_closed_while_tools_run_costs_no_failed_try() {
    let (port, seen) = scripted(vec![
        Connection::Socket(vec![Say::Last(answer("r1"))]),
        Connection::Socket(vec![Say::Events(answer("r2"))]),
    ])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    talk.pause().await;
    talk.turn().await.unwrap();
    assert_eq!(requests(&seen), [(0, None, 1), (1, None, 3)]);
    assert!(
        talk.exchanges
            .iter()
            .all(|exchange| exchange.error.is_none())
    );
    assert!(!talk.exchanges[1].reused_connection);
}

#[tokio::test]
async fn a_socket_found_closed_only_when_used_is_replaced_at_once() {
    let (port, seen) = scripted(vec![
        Connection::Socket(vec![Say::Last(answer("r1"))]),
        Connection::Socket(vec![Say::Events(answer("r2"))]),
    ])
    .await;
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.retries = 0;
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    talk.turn().await.unwrap();
    assert_eq!(requests(&seen).last(), Some(&(1, None, 3)));
    assert!(talk.waited_ns() < 50_000_000, "{}", talk.waited_ns());
}

#[tokio::test]
async fn pings_are_answered_while_tools_run() {
    let (port, _) = scripted(vec![Connection::Socket(vec![
        Say::Ping(answer("r1")),
        Say::Events(answer("r2")),
    ])])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    talk.pause().await;
    talk.turn().await.unwrap();
    assert!(talk.exchanges[1].incremental, "the connection lasted");
}

#[tokio::test]
async fn a_warm_up_is_an_exchange_outside_any_turn_and_starts_the_chain() {
    let (port, seen) = scripted(vec![Connection::Socket(vec![
        Say::Events(vec![
            json!({ "type": "response.created", "response": { "id": "w" } }),
            json!({ "type": "response.completed", "response": { "id": "w", "output": [] } }),
        ]),
        Say::Events(answer("r1")),
        Say::Events(answer("r2")),
    ])])
    .await;
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.prewarm = true;
    let mut talk = Talk::new(&endpoint);
    talk.warm_up().await;
    talk.turn().await.unwrap();
    talk.turn().await.unwrap();
    let expected = [(0, None, 0), (0, id("w"), 1), (0, id("r1"), 1)];
    assert_eq!(requests(&seen), expected);
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].1["generate"], json!(false));
        assert_eq!(seen[0].1["instructions"], json!("instructions"));
        assert!(seen[1].1["generate"].is_null());
    }
    let warm_up = &talk.exchanges[0];
    assert!(warm_up.warm_up && warm_up.turn == 0 && warm_up.error.is_none());
    assert!(warm_up.marks.upgraded.is_some() && warm_up.marks.first_token.is_none());
    let first = &talk.exchanges[1];
    assert!(first.reused_connection && first.incremental && !first.warm_up);
}

#[tokio::test]
async fn a_warm_up_that_fails_costs_only_its_time() {
    let (port, seen) = scripted(vec![
        Connection::Socket(vec![Say::Events(error("invalid_request"))]),
        Connection::Socket(vec![Say::Events(answer("r1"))]),
    ])
    .await;
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.prewarm = true;
    let mut talk = Talk::new(&endpoint);
    talk.warm_up().await;
    talk.turn().await.unwrap();
    assert_eq!(requests(&seen), [(0, None, 0), (1, None, 1)]);
}

#[tokio::test]
async fn the_time_of_a_refused_upgrade_is_not_lost_and_http_stays() {
    let refusal = http("426 Upgrade Required", "content-length: 0\r\n", "");
    let plain = |text: &str| {
        let words = answer(text);
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        events(&words)
    };
    for prewarm in [false, true] {
        let (port, _) = crate::support::canned(vec![refusal.clone(), plain("r1"), plain("r2")]);
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.prewarm = prewarm;
        let mut talk = Talk::new(&endpoint);
        if !prewarm {
            talk.turn().await.unwrap();
            talk.turn().await.unwrap();
            let marks = &talk.exchanges[0].marks;
            assert!(marks.start < marks.upgrade_refused.unwrap());
            assert!(marks.upgrade_refused < marks.tcp && marks.upgraded.is_none());
            assert!(talk.exchanges[1].marks.upgrade_refused.is_none());
        } else {
            talk.warm_up().await;
            assert!(talk.exchanges[0].marks.upgrade_refused.is_some());
            assert!(talk.exchanges[0].error.is_some());
        }
        assert!(talk.exchanges.iter().all(|e| e.transport == "http-sse"));
    }
}

#[tokio::test]
async fn a_refused_upgrade_says_how_long_to_wait() {
    let busy = http(
        "503 Service Unavailable",
        "retry-after-ms: 700\r\ncontent-length: 0\r\n",
        "",
    );
    let (port, _) = scripted(vec![
        Connection::Refuse(busy),
        Connection::Socket(vec![Say::Events(answer("r1"))]),
    ])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    assert!((700_000_000..1_500_000_000).contains(&talk.waited_ns()));
    let error = talk.exchanges[0].error.as_deref().unwrap();
    assert_eq!(error, "HTTP 503: the server refuses the WebSocket upgrade");
}

/// The bodies hold bytes that look like compressed frames.
#[tokio::test]
async fn a_refusal_is_the_same_with_compression_on_offer() {
    let said = r#"{"error":{"message":"Rate limit reached for gpt-5.3-codex in organization org-x on tokens per min"}}"#;
    let html = "<html><body>Upgrade Required: what was asked for is not known here</body></html>";
    let sized = |body: &str| format!("content-length: {}\r\nretry-after: 7\r\n", body.len());
    let chunked = format!("{:x}\r\n{html}\r\n0\r\n\r\n", html.len());
    for (response, status, expected) in [
        (
            http("429 Too Many Requests", &sized(said), said),
            429,
            "HTTP 429: Rate limit reached for gpt-5.3-codex in organization org-x on tokens per min",
        ),
        (http("401 Unauthorized", &sized(html), html), 401, html),
        (
            http(
                "503 Unavailable",
                "transfer-encoding: chunked\r\n",
                &chunked,
            ),
            503,
            html,
        ),
    ] {
        let (port, _) = scripted(vec![Connection::Refuse(response)]).await;
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.retries = 0;
        endpoint.options.deflate = true;
        let failure = Talk::new(&endpoint).turn().await.unwrap_err();
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(failure.retryable(), status != 401);
        let asked = (status != 503).then_some(Duration::from_secs(7));
        assert_eq!(failure.retry_after(), asked);
    }
    let (port, _) = crate::support::canned(vec![
        http("426 Upgrade Required", &sized(said), said),
        events(&[
            &answer("r1")[1].to_string(),
            &scripted::completed("r1").to_string(),
        ]),
    ]);
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.deflate = true;
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    assert_eq!(talk.exchanges[0].transport, "http-sse");
}

// The type of a refused upgrade is the library's.
#[allow(clippy::result_large_err)]
#[tokio::test]
async fn an_extension_that_was_not_offered_is_not_asked_about_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upgrades = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let extend = |_: &Request, mut response: Response| {
            let extension = HeaderValue::from_static("x-other");
            response
                .headers_mut()
                .insert("sec-websocket-extensions", extension);
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, extend)
            .await
            .unwrap();
        while socket.next().await.is_some() {}
    });
    let mut endpoint = endpoint(port, "websocket");
    endpoint.options.deflate = true;
    let failure = Talk::new(&endpoint).turn().await.unwrap_err();
    assert!(failure.to_string().contains("x-other"), "{failure}");
    assert!(!failure.retryable());
    upgrades.abort();
}

#[tokio::test]
async fn an_error_event_says_how_long_to_wait() {
    let busy = json!({ "type": "error", "status": 429, "headers": { "Retry-After": 1 },
        "error": { "code": "rate_limit_exceeded", "message": "slow down" } });
    let (port, seen) = scripted(vec![
        Connection::Socket(vec![Say::Events(vec![busy])]),
        Connection::Socket(vec![Say::Events(answer("r1"))]),
    ])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    talk.turn().await.unwrap();
    assert!((1_000_000_000..2_000_000_000).contains(&talk.waited_ns()));
    assert_eq!(requests(&seen).len(), 2);
}

#[tokio::test]
async fn times_of_a_whole_turn_are_told_apart_by_response() {
    let timed = |id: &str, queue: f64, ttft: f64, total: f64| {
        let mut events = answer(id);
        let timing = json!({ "type": "responsesapi.websocket_timing", "timing_metrics": {
            "engine_queue_max_ms": queue, "engine_service_ttft_total_ms": ttft,
            "engine_service_total_ms": total, "critical_path": { "scope": "turn" } } });
        events.insert(2, timing);
        Say::Events(events)
    };
    let (port, _) = scripted(vec![
        Connection::Socket(vec![
            timed("r1", 2.0, 50.0, 80.0),
            timed("r2", 2.0, 70.0, 130.5),
            Say::Events(answer("untimed")),
            timed("r3", 3.0, 90.0, 150.0),
            timed("r4", 4.0, 95.0, 165.0),
            Say::Events(error("websocket_connection_limit_reached")),
        ]),
        Connection::Socket(vec![timed("r5", 7.0, 75.0, 140.0)]),
    ])
    .await;
    let endpoint = endpoint(port, "websocket");
    let mut talk = Talk::new(&endpoint);
    for _ in 0..6 {
        talk.turn().await.unwrap();
    }
    let reported: Vec<_> = talk
        .exchanges
        .iter()
        .filter(|exchange| exchange.error.is_none())
        .map(|exchange| &exchange.reported)
        .map(|reported| (reported.queue_ns, reported.ttft_ns, reported.total_ns))
        .collect();
    let ms = |ms: u64| Some(ms * 1_000_000);
    let expected = [
        (ms(2), ms(50), ms(80)),
        (None, ms(20), Some(50_500_000)),
        (None, None, None),
        // Of its own or of the response before it: nobody can tell.
        (None, None, None),
        (ms(4), ms(5), ms(15)),
        (ms(7), ms(75), ms(140)),
    ];
    assert_eq!(reported, expected);
}

#[tokio::test]
async fn a_servers_pings_keep_a_silent_model_from_being_given_up() {
    let ping = Message::Ping(b"still here".to_vec().into());
    let said = answer("r1").into_iter();
    let mut messages = vec![ping; 5];
    messages.extend(said.map(|event| Message::text(event.to_string())));
    for shared in [false, true] {
        let pause = Duration::from_millis(200);
        let script = vec![Say::Slowly(pause, messages.clone())];
        let (port, _) = scripted(vec![Connection::Socket(script)]).await;
        let mut endpoint = endpoint(port, "websocket");
        endpoint.options.retries = 0;
        endpoint.idle_timeout = Duration::from_millis(900);
        endpoint.shared = endpoint
            .transport
            .pool(endpoint.protocol)
            .filter(|_| shared);
        let mut talk = Talk::new(&endpoint);
        talk.turn().await.unwrap();
        assert_eq!(talk.exchanges[0].shape.keep_alives, 5, "{shared}");
    }
}

#[tokio::test]
async fn every_bad_ending_has_a_name() {
    let close = |code: u16, reason: &str| {
        Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        }))
    };
    let frame = |opcode: Data, payload: &[u8], last: bool| {
        let frame = Frame::message(payload.to_vec(), OpCode::Data(opcode), last);
        Message::Frame(frame)
    };
    for (messages, expected) in [
        (vec![Message::text("{not json")], "broken event"),
        (vec![Message::Binary(vec![0xff; 9].into())], "broken event"),
        (
            vec![close(1011, "overheated")],
            "closed by the server: 1011 overheated",
        ),
        (vec![close(1000, "")], "the stream ended early"),
        (vec![Message::Close(None)], "the stream ended early"),
        (vec![Message::text("x".repeat(5 << 20))], "exceeds 4 MiB"),
        (vec![frame(Data::Text, b"\xff\xfe", true)], "UTF-8"),
        (
            vec![frame(Data::Continue, b"{}", true)],
            "the stream ended early",
        ),
        (vec![frame(Data::Text, b"{\"type\":", false)], "no byte for"),
        (vec![], "no byte for"),
    ] {
        for shared in [false, true] {
            let script = vec![Connection::Socket(vec![Say::Messages(messages.clone())])];
            let (port, _) = scripted(script).await;
            let mut endpoint = endpoint(port, "websocket");
            endpoint.options.retries = 0;
            endpoint.idle_timeout = Duration::from_secs(1);
            endpoint.shared = endpoint
                .transport
                .pool(endpoint.protocol)
                .filter(|_| shared);
            let mut talk = Talk::new(&endpoint);
            let error = talk.turn().await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
            assert_eq!(talk.exchanges[0].error.as_deref(), Some(error.as_str()));
        }
    }
}
