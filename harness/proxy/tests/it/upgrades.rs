//! Refused upgrades, and WebSockets that end in all the ways they can.

use std::io::Write;
use std::net::TcpStream;

use crate::support::{Proxy, end, read_all, read_exactly, read_head, serve_one};

const ASK: &str = "GET /v1/responses HTTP/1.1\r\nhost: proxy.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate; client_max_window_bits\r\nauthorization: Bearer sk-Secret0123456789\r\n\r\n";
const ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A text message; a client's is masked by zeros.
fn text(from_client: bool, text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    let mask = if from_client { 0x80 } else { 0 };
    match u8::try_from(text.len()).ok().filter(|length| *length < 126) {
        Some(length) => frame.push(mask | length),
        None => {
            frame.push(mask | 126);
            frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    if from_client {
        frame.extend([0; 4]);
    }
    frame.extend(text.as_bytes());
    frame
}

const CREATE: &str = r#"{"type":"response.create","model":"m","input":[]}"#;
const CREATED: &str = r#"{"type":"response.created","response":{"id":"r1"}}"#;
const DELTA: &str = r#"{"type":"response.output_text.delta","delta":"word"}"#;
const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"r1","output":[],"usage":{"input_tokens":9,"output_tokens":2}}}"#;

#[test]
fn what_refuses_the_websocket_is_refused_as_codex_understands_it() {
    for (answer, expected) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope",
            426,
        ),
        (
            "HTTP/1.1 405 Method Not Allowed\r\ntransfer-encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n",
            426,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", 426),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", 426),
        (
            "HTTP/1.1 401 Unauthorized\r\nX-Why: key sk-Secret0123456789\r\ncontent-length: 30\r\n\r\nwrong key sk-Secret0123456789 !",
            401,
        ),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            429,
        ),
    ] {
        let (address, server) = serve_one(move |mut stream: TcpStream| {
            let head = read_head(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
            end(&stream);
            head
        });
        let proxy = Proxy::before(address);
        let mut client = proxy.connect();
        client.write_all(ASK.as_bytes()).unwrap();
        let (said, _) = read_all(&client);
        let said = String::from_utf8(said).unwrap();
        let status = answer[9..12].parse().unwrap();
        if expected == 426 {
            assert!(
                said.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
                "{said}"
            );
            assert!(said.contains(&format!("it answered {status}")), "{said}");
        } else {
            assert!(
                answer.starts_with(&said) && said.len() >= answer.len() - 1,
                "{said}"
            );
        }
        let head = server.join().unwrap();
        assert_eq!(head, ASK.replace("proxy.test", &address.to_string()));
        drop(client);
        let seen = proxy.stop();
        assert_eq!(seen.len(), 1, "{answer}");
        assert_eq!(seen[0].status, Some(status));
        assert_eq!(seen[0].own_status, (expected == 426).then_some(426));
        let told = format!(
            "{:?} {}",
            seen[0],
            String::from_utf8_lossy(&seen[0].response.bytes)
        );
        assert!(!told.contains("sk-Secret"), "{told}");
        if status == 404 || status == 405 {
            assert_eq!(seen[0].response.bytes, b"nope");
        }
    }
}

/// What a server says after a request, how it ends then, and what is seen.
#[test]
fn sockets_end_as_they_were_ended() {
    let close = [0x88, 2, 0x03, 0xf3];
    let whole = [
        text(false, CREATED),
        text(false, DELTA),
        text(false, COMPLETED),
    ]
    .concat();
    let half = [text(false, CREATED), text(false, DELTA)].concat();
    for (name, said, error) in [
        ("FIN after the answer", whole.clone(), None),
        ("close after it", [&whole[..], &close].concat(), None),
        ("FIN in it", half.clone(), Some("connection ended")),
        (
            "close in it",
            [&half[..], &close].concat(),
            Some("closed by the server: 1011"),
        ),
    ] {
        let expected = said.clone();
        let (address, server) = serve_one(move |mut stream: TcpStream| {
            read_head(&stream);
            stream.write_all(ACCEPT.as_bytes()).unwrap();
            let request = text(true, CREATE);
            assert_eq!(read_exactly(&stream, request.len()), request);
            for byte in said.chunks(3) {
                stream.write_all(byte).unwrap();
            }
            end(&stream);
            read_all(&stream)
        });
        let proxy = Proxy::before(address);
        let mut client = proxy.connect();
        client.write_all(ASK.as_bytes()).unwrap();
        assert_eq!(read_head(&client), ACCEPT);
        client.write_all(&text(true, CREATE)).unwrap();
        let (heard, clean) = read_all(&client);
        assert_eq!((heard, clean), (expected, true), "{name}");
        end(&client);
        let (_, clean) = server.join().unwrap();
        assert!(clean, "{name}: the client's end is passed on as one");
        let seen = proxy.stop();
        assert_eq!(seen.len(), 2, "{name}");
        assert!(seen[0].upgrade.is_some() && seen[0].status == Some(101));
        let exchange = seen[1].exchange.as_ref().unwrap();
        assert_eq!(exchange.events.as_slice().len(), 1, "{name}");
        match error {
            None => assert_eq!(exchange.error, None, "{name}"),
            Some(error) => assert!(exchange.error.as_ref().unwrap().contains(error), "{name}"),
        }
        assert_eq!(exchange.usage.is_some(), error.is_none(), "{name}");
    }
}

#[test]
fn fragments_pings_and_other_messages_have_their_places() {
    let (address, server) = serve_one(|mut stream: TcpStream| {
        read_head(&stream);
        stream.write_all(ACCEPT.as_bytes()).unwrap();
        let request = text(true, CREATE).len() + text(true, r#"{"type":"response.steer"}"#).len();
        read_exactly(&stream, request);
        let mut fragments = text(false, &CREATED[..20]);
        fragments[0] = 0x01;
        fragments.extend([0x89, 1, b'!']);
        let mut rest = text(false, &CREATED[20..]);
        rest[0] = 0x80;
        fragments.extend(rest);
        fragments.extend(text(false, r#"{"type":"codex.rate_limits"}"#));
        fragments.extend(text(false, DELTA));
        fragments.extend(text(false, COMPLETED));
        // Nobody asked for this one.
        fragments.extend(text(false, &CREATED.replace("r1", "r2")));
        fragments.extend(text(false, &COMPLETED.replace("r1", "r2")));
        stream.write_all(&fragments).unwrap();
        end(&stream);
        read_all(&stream);
    });
    let proxy = Proxy::before(address);
    let mut client = proxy.connect();
    client.write_all(ASK.as_bytes()).unwrap();
    read_head(&client);
    client.write_all(&text(true, CREATE)).unwrap();
    client
        .write_all(&text(true, r#"{"type":"response.steer"}"#))
        .unwrap();
    read_all(&client);
    end(&client);
    server.join().unwrap();
    let seen = proxy.stop();
    let ids: Vec<Option<&str>> = seen
        .iter()
        .map(|seen| {
            seen.exchange
                .as_ref()
                .and_then(|one| one.response_id.as_deref())
        })
        .collect();
    assert_eq!(ids, [None, None, Some("r1"), Some("r2")]);
    assert_eq!(seen[1].request.bytes, br#"{"type":"response.steer"}"#);
    let first = seen[2].exchange.as_ref().unwrap();
    assert_eq!(
        (first.shape.keep_alives, first.events.as_slice().len()),
        (1, 1)
    );
    assert_eq!(first.shape.payloads, 4);
    assert!(seen[3].method.is_empty() && seen[3].request.bytes.is_empty());
}
