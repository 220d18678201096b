//! What the embedded server says on the wire, read without our own client.

use std::io::{Read, Write};
use std::net::TcpStream;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use timeslip_simulator::Running;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::quick::start;

/// The tools of the recordings.
fn tools() -> Value {
    let tool = |name: &str| {
        let parameters = json!({ "properties": { "command": { "type": "string" } } });
        json!({ "type": "function", "name": name, "parameters": parameters })
    };
    json!(["shell", "edit_file", "submit"].map(tool))
}

fn post(server: &Running, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// Event types with runs of equal ones shown once.
fn outline(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    types.dedup();
    types
}

const ORDER: [&str; 14] = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "responsesapi.websocket_timing",
    "response.completed",
];

fn check_consistency(events: &[Value]) {
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index, "{event}");
    }
    let deltas = |kind: &str| -> String {
        events
            .iter()
            .filter(|event| event["type"] == kind)
            .map(|event| event["delta"].as_str().unwrap())
            .collect()
    };
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(
        response["output"][0]["content"][0]["text"],
        deltas("response.output_text.delta")
    );
    assert_eq!(
        response["output"][1]["arguments"],
        deltas("response.function_call_arguments.delta")
    );
    assert_eq!(response["output"][1]["name"], "submit");
    let usage = &response["usage"];
    let count = events
        .iter()
        .filter(|event| !event["delta"].is_null())
        .count();
    assert_eq!(usage["output_tokens"], count, "one token an event");
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    );
}

#[test]
fn http_events_come_in_the_protocols_order() {
    let server = start();
    let body = json!({ "model": "m", "stream": true, "input": "hello", "tools": tools() });
    let text = post(&server, "/v1/responses", &body.to_string());
    assert!(
        text.starts_with("HTTP/1.1 200") && text.contains("text/event-stream"),
        "{text}"
    );
    assert!(
        text.to_lowercase().contains("server-timing: queue;dur="),
        "{text}"
    );
    let events = events(&text);
    let expected: Vec<&str> = ORDER
        .into_iter()
        .filter(|kind| !kind.contains("websocket"))
        .collect();
    assert_eq!(outline(&events), expected);
    check_consistency(&events);
}

#[test]
fn http_without_a_stream_is_the_last_events_response() {
    let server = start();
    let body = json!({ "model": "m", "input": "hello", "tools": tools() });
    let text = post(&server, "/v1/responses", &body.to_string());
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    let response: Value = serde_json::from_str(body).unwrap();
    assert_eq!(response["status"], "completed");
    assert_eq!(response["output"][1]["name"], "submit");
    assert!(response["usage"]["output_tokens"].as_u64().unwrap() > 20);
}

/// Two responses side by side on one connection, spoken as HTTP/2 from its first byte.
#[tokio::test]
async fn http_2_carries_several_responses_at_once() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let server = start();
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let ask = async || {
        let body = json!({ "model": "m", "stream": true, "input": "hello", "tools": tools() });
        let request = hyper::Request::post(format!("http://{}/v1/responses", server.address))
            .body(Full::new(hyper::body::Bytes::from(body.to_string())))
            .unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        assert_eq!(response.version(), hyper::Version::HTTP_2);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        check_consistency(&events(std::str::from_utf8(&body).unwrap()));
    };
    tokio::join!(ask(), ask());
}

#[test]
fn http_requests_it_cannot_serve_are_refused() {
    let server = start();
    for (path, body, status, code) in [
        ("/v1/responses", "{", "400", "invalid_json"),
        (
            "/v1/responses",
            r#"{"stream":true}"#,
            "400",
            "missing_required_parameter",
        ),
        (
            "/v1/responses",
            r#"{"model":"m","stream":true}"#,
            "400",
            "missing_required_parameter",
        ),
        (
            "/v1/responses",
            r#"{"model":"m","stream":true,"input":"x","previous_response_id":"resp_1"}"#,
            "400",
            "previous_response_not_found",
        ),
        ("/v1/nothing", "{}", "404", "not_found"),
    ] {
        let text = post(&server, path, body);
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}")) && text.contains(code),
            "{body}: {text}"
        );
    }
}

#[tokio::test]
async fn a_websocket_chains_warms_up_and_forgets_after_an_error() {
    let server = start();
    let url = format!("ws://{}/v1/responses", server.address);
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let mut request = url.into_client_request().unwrap();
    let timing = "x-responsesapi-include-timing-metrics";
    request
        .headers_mut()
        .insert(timing, "true".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let mut ask = async |request: Value| -> Vec<Value> {
        socket
            .send(Message::text(request.to_string()))
            .await
            .unwrap();
        let mut events: Vec<Value> = Vec::new();
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                events.push(serde_json::from_str(&text).unwrap());
                let kind = events.last().unwrap()["type"].as_str().unwrap();
                if kind == "response.completed" || kind == "error" {
                    return events;
                }
            }
        }
    };
    let create = |extra: Value| {
        let mut request = json!({
            "type": "response.create", "model": "m", "input": "hello", "tools": tools(),
        });
        for (name, value) in extra.as_object().unwrap() {
            request[name.as_str()] = value.clone();
        }
        request
    };
    let id = |events: &[Value]| events.last().unwrap()["response"]["id"].clone();

    let warm = ask(create(json!({ "generate": false }))).await;
    assert_eq!(warm.last().unwrap()["response"]["output"], json!([]));
    let first = ask(create(json!({ "previous_response_id": id(&warm) }))).await;
    assert_eq!(outline(&first), ORDER);
    check_consistency(&first);
    let second = ask(create(json!({ "previous_response_id": id(&first) }))).await;
    let tokens = |events: &[Value]| {
        events.last().unwrap()["response"]["usage"]["input_tokens"]
            .as_u64()
            .unwrap()
    };
    assert!(
        tokens(&second) > tokens(&first),
        "the chain carries what came before"
    );

    let lost = ask(create(json!({ "previous_response_id": id(&first) }))).await;
    assert_eq!(lost[0]["status"], 400);
    assert_eq!(lost[0]["error"]["code"], "previous_response_not_found");
    let evicted = ask(create(json!({ "previous_response_id": id(&second) }))).await;
    assert_eq!(
        evicted[0]["error"]["code"], "previous_response_not_found",
        "an error evicts the parent"
    );

    let lane = ask(create(json!({ "stream_id": "lane.1" }))).await;
    assert!(lane.iter().all(|event| event["stream_id"] == "lane.1"));
    let bad = ask(create(json!({ "stream_id": "no spaces" }))).await;
    assert_eq!(bad[0]["error"]["code"], "invalid_stream_id");
    let other = ask(json!({ "type": "response.steer" })).await;
    assert_eq!(other[0]["type"], "error");
}
