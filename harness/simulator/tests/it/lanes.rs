//! The embedded server's WebSocket: lanes, pings, limits; read without our own client.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use timeslip_simulator::{Model, Options, Profile, Running};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

fn options() -> Options {
    let profile = Profile {
        request_overhead_ms: 0.0,
        link_round_trip_ms: 0.0,
        decode_tokens_per_second: 500.0,
        ..Profile::load("spark-sim").unwrap()
    };
    Options::new(profile, Model::new(Vec::new(), "test", 1, 1.0))
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    _server: Running,
}

impl Client {
    async fn connect(options: Options) -> Self {
        let server = timeslip_simulator::start(options).unwrap();
        let url = format!("ws://{}/v1/responses", server.address);
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Client {
            socket,
            _server: server,
        }
    }

    async fn send(&mut self, request: Value) {
        let message = Message::text(request.to_string());
        self.socket.send(message).await.unwrap();
    }

    /// Asks for so many tokens in a lane.
    async fn ask(&mut self, lane: &str, tokens: u32) {
        self.send(json!({
            "type": "response.create", "model": "steady", "input": "x",
            "stream_id": lane, "max_output_tokens": tokens,
        }))
        .await;
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
        next.await.expect("an answer in time").unwrap().unwrap()
    }

    async fn event(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Events until so many responses are over, as (lane, type) with runs shown once.
    async fn outline(&mut self, ends: usize) -> Vec<(String, String)> {
        let mut outline = Vec::new();
        let mut ended = 0;
        while ended < ends {
            let event = self.event().await;
            let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
            ended += usize::from(matches!(
                event["type"].as_str(),
                Some("response.completed" | "error")
            ));
            outline.push((text("stream_id"), text("type")));
        }
        outline.dedup();
        outline
    }
}

fn place(outline: &[(String, String)], lane: &str, kind: &str) -> usize {
    let wanted = |(of, is): &(String, String)| of == lane && is == kind;
    outline.iter().position(wanted).unwrap()
}

#[tokio::test]
async fn lanes_are_answered_side_by_side() {
    let mut client = Client::connect(options()).await;
    client.ask("a", 100).await;
    client.ask("b", 20).await;
    let outline = client.outline(2).await;
    let ended = |lane| place(&outline, lane, "response.completed");
    assert!(
        ended("b") < ended("a"),
        "the shorter one ends first: {outline:?}"
    );
    let began = |lane| place(&outline, lane, "response.output_text.delta");
    assert!(began("a") < ended("b") && began("b") < ended("a"));
}

#[tokio::test]
async fn a_lane_answers_in_order() {
    let mut client = Client::connect(options()).await;
    client.ask("a", 30).await;
    client.ask("a", 1).await;
    let outline = client.outline(2).await;
    let kinds: Vec<&str> = outline.iter().map(|(_, kind)| kind.as_str()).collect();
    let of = |wanted: &str| -> Vec<usize> {
        let places = kinds.iter().enumerate();
        let matching = places.filter(|(_, kind)| **kind == wanted);
        matching.map(|(place, _)| place).collect()
    };
    let (created, completed) = (of("response.created"), of("response.completed"));
    assert_eq!((created.len(), completed.len()), (2, 2));
    assert!(completed[0] < created[1], "{kinds:?}");
}

#[tokio::test]
async fn a_ping_is_answered_while_a_response_streams() {
    let mut client = Client::connect(options()).await;
    client.ask("a", 200).await;
    while client.event().await["type"] != "response.output_text.delta" {}
    let ping = Message::Ping("now".into());
    client.socket.send(ping).await.unwrap();
    loop {
        match client.next().await {
            Message::Pong(echo) => return assert_eq!(&echo[..], b"now"),
            Message::Text(text) => assert!(!text.contains("response.completed"), "too late"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn there_is_a_limit_to_what_is_in_flight() {
    let mut client = Client::connect(options()).await;
    for _ in 0..17 {
        client.ask("a", 2).await;
    }
    let refused = loop {
        let event = client.event().await;
        if event["type"] == "error" {
            break event;
        }
    };
    assert_eq!(refused["error"]["code"], "websocket_stream_limit_reached");
    assert_eq!(refused["stream_id"], "a");
    let outline = client.outline(15).await;
    assert!(
        outline.iter().all(|(_, kind)| kind != "error"),
        "the others are answered"
    );
}

#[tokio::test]
async fn there_is_a_limit_to_lanes() {
    let mut client = Client::connect(options()).await;
    for lane in 0..33 {
        client.ask(&format!("lane-{lane}"), 1).await;
        let last = client.outline(1).await.pop().unwrap();
        let expected = if lane < 32 {
            "response.completed"
        } else {
            "error"
        };
        assert_eq!(last.1, expected, "{lane}");
    }
    client.ask("lane-3", 1).await;
    assert_eq!(
        client.outline(1).await.pop().unwrap().1,
        "response.completed"
    );
}

#[tokio::test]
async fn a_connection_has_its_time() {
    let mut client = Client::connect(Options {
        websocket_lifetime: Duration::from_millis(300),
        ..options()
    })
    .await;
    client.ask("a", 1).await;
    assert_eq!(
        client.outline(1).await.pop().unwrap().1,
        "response.completed"
    );
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.ask("a", 1).await;
    let event = client.event().await;
    assert_eq!(event["error"]["code"], "websocket_connection_limit_reached");
}

#[tokio::test]
async fn nothing_hostile_ends_the_connection() {
    let mut client = Client::connect(options()).await;
    for text in [
        "",
        "{",
        "[]",
        "null",
        "7",
        r#"{"stream_id":7}"#,
        r#"{"type":"response.create","input":{}}"#,
    ] {
        client.socket.send(Message::text(text)).await.unwrap();
        assert_eq!(client.event().await["type"], "error", "{text}");
    }
    client.ask("a", 1).await;
    assert_eq!(
        client.outline(1).await.pop().unwrap().1,
        "response.completed"
    );
}
