//! Whatever either side does, what is kept stays within its bounds, and the proxy goes on.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use proptest::collection::vec;
use proptest::prelude::*;
use timeslip_proxy::Limits;

use crate::support::{Proxy, end, post, read_all, read_exactly, read_head, serve_one, write_parts};

const LIMITS: Limits = Limits {
    body: 1 << 20,
    all: 8 << 20,
};

/// Passes `request` and then `response`, each in parts; what both sides got.
fn pass(request: Vec<u8>, response: Vec<u8>, cut: usize) -> (Proxy, Vec<u8>, Vec<u8>) {
    let (address, server) = serve_one(move |stream: TcpStream| {
        let writer = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || read_all(&stream).0);
        write_parts(&writer, &response, &[cut]);
        end(&writer);
        reading.join().unwrap()
    });
    let proxy = Proxy::with(address, LIMITS);
    let client = proxy.connect();
    let writer = client.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        write_parts(&writer, &request, &[cut]);
        end(&writer);
    });
    let heard = read_all(&client).0;
    writing.join().unwrap();
    drop(client);
    (proxy, server.join().unwrap(), heard)
}

#[test]
fn endless_heads_bodies_and_garbage_pass() {
    let long = vec![b'a'; 300 << 10];
    let large = vec![b'x'; 3 << 20];
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let head = [b"GET / HTTP/1.1\r\nh: ", &long[..]].concat();
    let answer = [b"HTTP/1.1 200 OK\r\nh: ", &long[..]].concat();
    let body = [
        b"POST / HTTP/1.1\r\ncontent-length: 3145728\r\n\r\n",
        &large[..],
    ]
    .concat();
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n", &large[..]].concat();
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    for (name, request, response) in [
        ("a request without an end of its head", head, ok.clone()),
        ("a response without an end of its head", get.clone(), answer),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n more".to_vec(),
            vec![21; 7],
        ),
        ("a long request", body, ok.clone()),
        ("a long response", get.clone(), endless),
    ] {
        let (proxy, asked, heard) = pass(request.clone(), response.clone(), 8 << 10);
        assert!(heard == response, "{name}");
        assert!(asked.len() >= request.len(), "{name}");
        let seen = proxy.stop();
        assert_eq!(seen.len(), 1, "{name}");
        for seen in seen {
            assert!(seen.request.bytes.len() <= LIMITS.body, "{name}");
            assert!(seen.response.bytes.len() <= LIMITS.body, "{name}");
            assert!(seen.exchange.is_none(), "{name}");
            if name.contains("long") {
                let cut = [seen.request.cut, seen.response.cut];
                assert_eq!(cut.iter().flatten().count(), 1, "{name}");
                let sizes = [seen.request.wire_bytes, seen.response.wire_bytes];
                assert!(sizes.contains(&(3 << 20)), "{name}: {sizes:?}");
            }
        }
    }
}

/// All connections together keep no more than they may, and what is not kept passes.
#[test]
fn what_there_is_no_room_for_passes_and_is_counted() {
    const ALL: usize = 256 << 10;
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &vec![b'x'; 2 << 20][..]].concat();
    let said = answer.clone();
    let (address, server) = serve_one(move |stream: TcpStream| {
        read_head(&stream);
        write_parts(&stream, &said, &[16 << 10]);
        end(&stream);
        read_all(&stream);
    });
    let limits = Limits { all: ALL, ..LIMITS };
    let proxy = Proxy::with(address, limits);
    let mut client = proxy.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert!(read_all(&client).0 == answer);
    drop(client);
    server.join().unwrap();
    let seen = proxy.next();
    assert!(
        seen.response.bytes.len() <= ALL,
        "{}",
        seen.response.bytes.len()
    );
    assert_eq!(seen.response.wire_bytes, 2 << 20);
    assert_eq!(
        seen.response.cut.as_deref(),
        Some("there is no room for more")
    );
}

#[test]
fn compressed_answers_are_read_and_bombs_are_not() {
    let events = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let bomb = "x".repeat(64 << 20);
    let request = post("/v1/chat/completions", r#"{"stream":true}"#);
    for (text, is_bomb) in [(events, false), (&*bomb, true)] {
        for (encoding, body) in [("gzip", gzip(text)), ("zstd", zstd(text))] {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let response = [head.as_bytes(), &body].concat();
            let (proxy, _, heard) = pass(request.clone().into(), response.clone(), 4 << 10);
            assert_eq!(heard, response, "passed on as it came");
            let seen = proxy.stop().remove(0);
            assert_eq!(seen.response.wire_bytes, body.len() as u64);
            let exchange = seen.exchange.unwrap();
            if is_bomb {
                assert_eq!(seen.response.bytes.len(), LIMITS.body);
                assert!(seen.response.cut.is_some() && exchange.error.is_some());
            } else {
                assert_eq!(seen.response.bytes, events.as_bytes(), "{encoding}");
                assert_eq!(exchange.error, None);
                assert_eq!(exchange.events.as_slice().len(), 1);
            }
        }
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

#[test]
fn ten_thousand_tiny_frames_and_a_broken_one() {
    let ask = "GET /v1/responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let frames = [
        b"\x81\x01x".repeat(10_000),
        b"\xff\xff\xff".to_vec(),
        vec![7; 100_000],
    ]
    .concat();
    let said = frames.clone();
    let (address, server) = serve_one(move |mut stream: TcpStream| {
        read_head(&stream);
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            .unwrap();
        write_parts(&stream, &said, &[3]);
        end(&stream);
        read_all(&stream).1
    });
    let proxy = Proxy::with(address, LIMITS);
    let mut client = proxy.connect();
    client.write_all(ask.as_bytes()).unwrap();
    read_head(&client);
    assert_eq!(read_exactly(&client, frames.len()), frames);
    drop(client);
    server.join().unwrap();
    let seen = proxy.stop();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].problem.as_ref().unwrap().contains("cannot be read"));
}

/// Many that say a little and then nothing keep nobody waiting.
#[test]
fn slow_clients_keep_nobody_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                if !read_head(&stream).is_empty() {
                    let _ = stream.write_all(b"HTTP/1.1 204 None\r\n\r\n");
                }
            });
        }
    });
    let proxy = Proxy::with(address, LIMITS);
    let slow: Vec<TcpStream> = (0..100)
        .map(|at| {
            let mut client = proxy.connect();
            let part = &b"POST /v1/messages HTTP/1.1\r\nx: "[..1 + at % 30];
            client.write_all(part).unwrap();
            client
        })
        .collect();
    let mut client = proxy.connect();
    client
        .write_all(b"GET /x HTTP/1.1\r\nhost: y\r\n\r\n")
        .unwrap();
    assert!(read_head(&client).starts_with("HTTP/1.1 204"));
    drop(slow);
    let seen = proxy.stop();
    assert_eq!(seen.len(), 1, "what was never asked is none");
    assert_eq!(seen[0].status, Some(204));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Anything at all, cut anywhere, in answer to a model's request.
    #[test]
    fn any_answer_passes(
        start in prop_oneof![
            Just("HTTP/1.1 200 OK\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\n\r\n"),
            Just("HTTP/1.1 101 Switching\r\n\r\n"),
            Just("HTTP/1.1 400 Bad\r\ncontent-length: 10\r\n\r\n"),
            Just(""),
        ],
        rest in vec(any::<u8>(), 0..4000),
        cut in 1_usize..500,
    ) {
        let response = [start.as_bytes(), &rest].concat();
        let request = post("/v1/messages", r#"{"stream":true}"#);
        let (proxy, _, heard) = pass(request.into(), response.clone(), cut);
        prop_assert!(heard == response, "{} of {} bytes", heard.len(), response.len());
        let seen = proxy.stop();
        prop_assert!(!seen.is_empty());
    }
}
