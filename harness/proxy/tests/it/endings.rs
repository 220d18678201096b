//! Ends, cuts and resets of one side reach the other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use timeslip_wire::connection::Timed;

use crate::support::{
    Proxy, SOON, end, post, read_all, read_exactly, read_head, read_request, serve_one,
};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const WORD: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Resets a connection.
fn reset(stream: TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        Timed::new(stream).probe().reset().unwrap();
    });
}

#[test]
fn an_answer_that_is_cut_is_cut_for_the_client() {
    for (name, framing, by_reset) in [
        ("chunks, FIN", "transfer-encoding: chunked\r\n\r\n", false),
        ("chunks, RST", "transfer-encoding: chunked\r\n\r\n", true),
        ("length, FIN", "content-length: 5000\r\n\r\n", false),
        ("no length, RST", "\r\n", true),
    ] {
        let word = match framing.contains("chunked") {
            true => chunk(WORD),
            false => WORD.to_owned(),
        };
        let answer = format!("{STREAM}{framing}{word}");
        let sent = answer.clone();
        let request = post("/v1/chat/completions", r#"{"stream":true}"#);
        let (address, server) = serve_one(move |mut stream: TcpStream| {
            read_request(&stream);
            stream.write_all(sent.as_bytes()).unwrap();
            // The bytes are there before the end is.
            std::thread::sleep(Duration::from_millis(50));
            match by_reset {
                true => reset(stream),
                false => {
                    end(&stream);
                    read_all(&stream);
                }
            }
        });
        let proxy = Proxy::before(address);
        let mut client = proxy.connect();
        client.write_all(request.as_bytes()).unwrap();
        let (heard, clean) = read_all(&client);
        assert_eq!(heard, answer.as_bytes(), "{name}");
        assert_eq!(clean, !by_reset, "{name}: ended as the upstream did");
        drop(client);
        server.join().unwrap();
        let seen = proxy.stop();
        let exchange = seen[0].exchange.as_ref().unwrap();
        assert_eq!(exchange.events.as_slice().len(), 1, "{name}");
        let error = exchange.error.as_deref().unwrap();
        assert!(
            error.starts_with("the stream ended early"),
            "{name}: {error}"
        );
        assert_eq!(by_reset, error.contains("broke off"), "{name}: {error}");
        assert_eq!(exchange.usage, None);
    }
}

/// Whoever leaves in the middle is noticed by the upstream, and the record says so.
#[test]
fn a_client_that_leaves_stops_the_answer() {
    for by_reset in [false, true] {
        let request = post("/v1/chat/completions", r#"{"stream":true}"#);
        let (address, server) = serve_one(move |mut stream: TcpStream| {
            read_request(&stream);
            let head = format!("{STREAM}transfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(chunk(WORD).as_bytes()).unwrap();
            // What the proxy has to tell is all that comes.
            let told = stream.read(&mut [0; 64]);
            matches!(told, Ok(0) | Err(_))
        });
        let proxy = Proxy::before(address);
        let mut client = proxy.connect();
        client.write_all(request.as_bytes()).unwrap();
        read_head(&client);
        read_exactly(&client, chunk(WORD).len());
        match by_reset {
            true => reset(client),
            false => drop(client),
        }
        let left = std::time::Instant::now();
        assert!(server.join().unwrap(), "the server hears of it");
        assert!(left.elapsed() < SOON / 2, "at once");
        let seen = proxy.next();
        assert!(seen.client.left.is_some(), "{seen:?}");
        let exchange = seen.exchange.unwrap();
        assert_eq!(exchange.events.as_slice().len(), 1);
        assert!(exchange.error.is_some());
    }
}

#[test]
fn an_early_answer_comes_before_the_request_has_ended() {
    let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    let (address, server) = serve_one(move |mut stream: TcpStream| {
        let head = read_head(&stream);
        stream.write_all(answer.as_bytes()).unwrap();
        end(&stream);
        (head, read_all(&stream).0.len())
    });
    let proxy = Proxy::before(address);
    let mut client = proxy.connect();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc";
    client.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_all(&client).0, answer.as_bytes());
    drop(client);
    let (_, rest) = server.join().unwrap();
    assert_eq!(rest, 3);
    let seen = proxy.stop();
    assert_eq!(
        (seen[0].status, &seen[0].request.bytes[..]),
        (Some(413), &b"abc"[..])
    );
    assert_eq!(seen[0].response.bytes, b"no");
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let request = post("/anything", "{}");
    let (address, server) = serve_one(move |mut stream: TcpStream| {
        read_all(&stream);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let proxy = Proxy::before(address);
    let mut client = proxy.connect();
    client.write_all(request.as_bytes()).unwrap();
    end(&client);
    assert_eq!(read_all(&client).0, answer.as_bytes());
    server.join().unwrap();
    let seen = proxy.stop();
    assert_eq!(
        (seen[0].status, seen[0].exchange.is_some()),
        (Some(200), false)
    );
}

#[test]
fn an_upstream_that_is_not_there_is_told_to_the_client() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = Proxy::before(address);
    let mut client = proxy.connect();
    client
        .write_all(post("/v1/messages", "{}").as_bytes())
        .unwrap();
    let (said, _) = read_all(&client);
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with("HTTP/1.1 502"), "{said}");
    assert!(said.contains("cannot connect"), "{said}");
    drop(client);
    let seen = proxy.stop();
    assert_eq!(
        (seen[0].own_status, seen[0].status),
        (Some(502), None),
        "{seen:?}"
    );
    assert!(seen[0].problem.as_ref().unwrap().contains("cannot connect"));
}

#[test]
fn heads_have_no_body_and_connections_are_kept() {
    let (address, server) = serve_one(|mut stream: TcpStream| {
        for _ in 0..2 {
            read_head(&stream);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n")
                .unwrap();
        }
        read_head(&stream);
        stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").unwrap();
        read_all(&stream).1
    });
    let proxy = Proxy::before(address);
    let mut client = proxy.connect();
    for (method, status) in [("HEAD", 200), ("HEAD", 200), ("GET", 204)] {
        let request = format!("{method} /x HTTP/1.1\r\nhost: y\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        assert!(read_head(&client).contains(&status.to_string()));
        let seen = proxy.next();
        assert_eq!((seen.connection, seen.status), (1, Some(status)));
        assert_eq!((seen.method.as_str(), seen.problem), (method, None));
    }
    drop(client);
    assert!(server.join().unwrap());
}
