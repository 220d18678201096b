//! Helpers shared by the integration tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use timeslip::connection::Target;
use timeslip::exchange::Endpoint;
use timeslip::{protocols, transports};

/// A profile that is quick enough for tests and still has every stage.
pub const QUICK_PROFILE: &str = r#"
model = "quick"
decode_tokens_per_second = 20000.0
resolve_rate = 1.0
prefill_tokens_per_second = 200000.0
cached_tokens_per_second = 2000000.0
tokens_per_event = 2
jitter = 0.1
queue_slots = 8
request_overhead_ms = 2.0
link_round_trip_ms = 3.0
"#;

/// Writes a configuration with a fast and a slower quick endpoint. Tests share their
/// machine, so a client that lags is no reason to fail.
pub fn quick_config(folder: &Path) -> std::path::PathBuf {
    let slow = QUICK_PROFILE
        .replace("20000.0", "2000.0")
        .replace("resolve_rate = 1.0", "resolve_rate = 0.0");
    std::fs::write(folder.join("fast.toml"), QUICK_PROFILE).unwrap();
    std::fs::write(folder.join("slow.toml"), slow).unwrap();
    let config = folder.join("timeslip.toml");
    let text = format!(
        "[run]\nendpoints = [\"fast\", \"slow\"]\ndirectory = {runs:?}\n\
         [limits]\nclient_lag_ms = 2000.0\n\
         [endpoint.fast]\nsimulate = {fast:?}\ntransport = \"websocket\"\n\
         [endpoint.slow]\nsimulate = {slow:?}\ntransport = \"http-sse\"\n",
        runs = folder.join("runs"),
        fast = folder.join("fast.toml"),
        slow = folder.join("slow.toml"),
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// The `timeslip` command.
pub fn timeslip() -> assert_cmd::Command {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_timeslip"))
}

/// An endpoint at a local port that speaks Responses.
pub fn endpoint(port: u16, transport: transports::Kind) -> Endpoint {
    endpoint_of("responses", port, transport)
}

/// An endpoint at a local port that speaks the given protocol.
pub fn endpoint_of(protocol: &str, port: u16, transport: transports::Kind) -> Endpoint {
    let protocol = protocols::by_name(protocol).unwrap();
    let url = format!("http://127.0.0.1:{port}{}", protocol.base_path());
    Endpoint {
        name: "test".into(),
        target: Target::parse(&url).unwrap(),
        model: "m".into(),
        protocol,
        transport,
        prewarm: false,
        deflate: false,
        shared: None,
        key: None,
        headers: Vec::new(),
        secrets: Vec::new(),
        extra: serde_json::Map::new(),
        idle_timeout: Duration::from_secs(5),
        max_retries: 2,
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
