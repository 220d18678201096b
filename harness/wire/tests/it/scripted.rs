//! A WebSocket server that does what a script says.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// One connection of the script.
pub enum Connection {
    /// The upgrade is answered by these bytes.
    Refuse(Vec<u8>),
    /// The nth message is answered by the nth entry.
    Socket(Vec<Say>),
}

/// What a message is answered by.
pub enum Say {
    /// These events.
    Events(Vec<Value>),
    /// These events, then the end of the connection.
    Last(Vec<Value>),
    /// These messages as they are.
    Messages(Vec<Message>),
    /// The same, a while before each.
    Slowly(Duration, Vec<Message>),
    /// These events; then a ping, whose pong has to come within two seconds.
    Ping(Vec<Value>),
}

/// What the server was sent: number of the connection and message.
pub type Seen = Arc<Mutex<Vec<(usize, Value)>>>;

/// Starts a server that plays one entry of the script for each connection.
pub async fn scripted(script: Vec<Connection>) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        for (number, connection) in script.into_iter().enumerate() {
            let (stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                match connection {
                    Connection::Refuse(response) => refuse(stream, &response).await,
                    Connection::Socket(script) => play(stream, number, script, &log).await,
                }
            });
        }
    });
    (port, seen)
}

async fn refuse(mut stream: TcpStream, response: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(response).await.unwrap();
}

async fn play(stream: TcpStream, number: usize, script: Vec<Say>, log: &Seen) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    for say in script {
        let request = loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => break text,
                Some(Ok(_)) => {}
                _ => return,
            }
        };
        let request = serde_json::from_str(&request).unwrap();
        log.lock().unwrap().push((number, request));
        let messages: Vec<Message> = match &say {
            Say::Messages(messages) | Say::Slowly(_, messages) => messages.clone(),
            Say::Events(events) | Say::Last(events) | Say::Ping(events) => events
                .iter()
                .map(|event| Message::text(event.to_string()))
                .collect(),
        };
        for message in messages {
            if let Say::Slowly(pause, _) = say {
                tokio::time::sleep(pause).await;
            }
            // The client may leave before it has read everything.
            if socket.send(message).await.is_err() {
                return;
            }
        }
        match say {
            Say::Events(_) | Say::Messages(_) | Say::Slowly(..) => {}
            Say::Last(_) => {
                socket.close(None).await.unwrap();
                return;
            }
            Say::Ping(_) => {
                let ping = Message::Ping(b"still there?".to_vec().into());
                socket.send(ping).await.unwrap();
                let pong = async {
                    while !matches!(
                        socket.next().await.unwrap().unwrap(),
                        Message::Pong(data) if *data == *b"still there?"
                    ) {}
                };
                tokio::time::timeout(Duration::from_secs(2), pong)
                    .await
                    .expect("the client answers pings while it is idle");
            }
        }
    }
    // Stays open until the client leaves.
    while socket.next().await.is_some() {}
}

/// A whole answer: one word of text.
pub fn answer(id: &str) -> Vec<Value> {
    vec![
        json!({ "type": "response.created", "response": { "id": id } }),
        json!({ "type": "response.output_text.delta", "delta": "word" }),
        completed(id),
    ]
}

/// The terminal event of an answer with one message.
pub fn completed(id: &str) -> Value {
    json!({ "type": "response.completed", "response": {
        "id": id,
        "output": [{ "type": "message", "role": "assistant",
                     "content": [{ "type": "output_text", "text": "word" }] }],
        "usage": { "input_tokens": 9, "output_tokens": 2 },
    }})
}

/// An error event.
pub fn error(code: &str) -> Vec<Value> {
    vec![json!({ "type": "error", "status": 400, "error": { "code": code, "message": "no" } })]
}

/// Connection, response it builds on, and number of input items of every request.
pub fn requests(seen: &Seen) -> Vec<(usize, Option<String>, usize)> {
    let seen = seen.lock().unwrap();
    let previous = |body: &Value| body["previous_response_id"].as_str().map(str::to_owned);
    seen.iter()
        .map(|(connection, body)| {
            let items = body["input"].as_array().unwrap().len();
            (*connection, previous(body), items)
        })
        .collect()
}
