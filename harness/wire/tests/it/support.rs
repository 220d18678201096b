//! Servers on local ports, and endpoints that speak to them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use timeslip_datasets::options::EndpointOptions;
use timeslip_wire::connection::Target;
use timeslip_wire::{Endpoint, protocols, transports};

/// An endpoint at a local port that speaks Responses.
pub fn endpoint(port: u16, transport: &str) -> Endpoint {
    endpoint_of("responses", port, transport)
}

/// An endpoint at a local port that speaks the given protocol.
pub fn endpoint_of(protocol: &str, port: u16, transport: &str) -> Endpoint {
    let protocol = protocols::by_name(protocol).unwrap();
    let url = format!("http://127.0.0.1:{port}{}", protocol.base_path());
    Endpoint {
        name: "test".into(),
        target: Target::parse(&url).unwrap(),
        model: "m".into(),
        protocol,
        transport: transports::by_name(transport).unwrap(),
        options: EndpointOptions {
            retries: 2,
            ..EndpointOptions::default()
        },
        shared: None,
        key: None,
        headers: Vec::new(),
        secrets: Vec::new(),
        extra: serde_json::Map::new(),
        idle_timeout: Duration::from_secs(5),
    }
}

/// A server that gives the `n`th request it reads the `n`th canned response, byte
/// for byte, each on a connection of its own. Returns its port.
pub fn canned(responses: Vec<Vec<u8>>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for response in responses {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            requests.push(read_request(&stream));
            // The client may leave first, e.g. at its idle limit.
            let _ = stream.write_all(&response);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        requests
    });
    (port, thread)
}

/// Reads one request; empty when the client left without one.
pub fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return text;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        text.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

/// An HTTP response that ends with the connection.
pub fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
}

/// A stream of events.
pub fn events(payloads: &[&str]) -> Vec<u8> {
    let body: String = payloads
        .iter()
        .map(|payload| format!("data: {payload}\n\n"))
        .collect();
    http("200 OK", "content-type: text/event-stream\r\n", &body)
}
