//! A recording between a client and a server that both mean it ill stays within its memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::record;

/// What a recording may take: the 512 MiB that the proxy keeps of all that waits to be read, what
/// is read just then, and the program itself.
const MOST_MIB: u64 = 768;
/// For how long something is said that has no end; a test must end.
const ENDLESS: Duration = Duration::from_secs(3);

/// The most that a process has had in memory.
fn peak_mib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap()
        >> 10
}

/// Says something again and again, until there is enough of it or nobody listens.
fn repeat(mut stream: &TcpStream, what: &[u8]) {
    let block = what.repeat((64_usize << 10).div_ceil(what.len()));
    let begun = Instant::now();
    while begun.elapsed() < ENDLESS && stream.write_all(&block).is_ok() {}
}

/// What a client asks and a server answers, each from beginning to end; `true` where the server
/// first waits for the request's head.
struct Peers {
    name: &'static str,
    ask: fn(&TcpStream),
    answer: fn(&TcpStream),
}

fn say(mut stream: &TcpStream, what: &[u8]) {
    let _ = stream.write_all(what);
}

fn model_call(stream: &TcpStream) {
    let body = br#"{"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    say(stream, head.as_bytes());
    say(stream, body);
}

fn begin(stream: &TcpStream, headers: &str) {
    read_head(stream);
    say(
        stream,
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(),
    );
}

fn read_head(mut stream: &TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
}

fn upgrade(stream: &TcpStream) {
    say(
        stream,
        b"GET /v1/responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
          sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          sec-websocket-extensions: permessage-deflate\r\n\r\n",
    );
}

fn upgraded(stream: &TcpStream, extensions: &str) {
    read_head(stream);
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extensions}\r\n"
    );
    say(stream, head.as_bytes());
}

/// Gigabytes of zeros, compressed again and again.
fn bomb(stream: &TcpStream, encoding: &str) {
    begin(
        stream,
        &format!("content-type: text/event-stream\r\ncontent-encoding: {encoding}\r\n"),
    );
    let zeros = vec![0; 8 << 20];
    let once = match encoding {
        "zstd" => zstd::encode_all(&*zeros, 3).unwrap(),
        _ => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&zeros).unwrap();
            encoder.finish().unwrap()
        }
    };
    repeat(stream, &once);
}

const PEERS: &[Peers] = &[
    Peers {
        name: "a request's head without end",
        ask: |stream| {
            say(stream, b"GET / HTTP/1.1\r\nx: ");
            repeat(stream, b"a");
        },
        answer: |_| {},
    },
    Peers {
        name: "a request's body without a line's end",
        ask: |stream| {
            say(stream, b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n");
            repeat(stream, b"a");
        },
        answer: |_| {},
    },
    Peers {
        name: "requests that nobody answers",
        ask: |stream| repeat(stream, b"GET / HTTP/1.1\r\n\r\n"),
        answer: |_| {},
    },
    Peers {
        name: "requests of nothing but objects",
        ask: |stream| {
            let body = format!("{{\"messages\":[{}{{}}]}}", "{\"a\":{}},".repeat(1 << 18));
            for _ in 0..2 {
                let head = format!(
                    "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                say(stream, head.as_bytes());
                say(stream, body.as_bytes());
            }
        },
        answer: |stream| {
            for _ in 0..2 {
                begin(stream, "content-length: 0\r\n");
                let _ = (&mut &*stream).take(10 << 20);
            }
        },
    },
    Peers {
        name: "an answer's head without end",
        ask: model_call,
        answer: |stream| {
            say(stream, b"HTTP/1.1 200 OK\r\nx: ");
            repeat(stream, b"a");
        },
    },
    Peers {
        name: "an event without end",
        ask: model_call,
        answer: |stream| {
            begin(stream, "content-type: text/event-stream\r\n");
            repeat(stream, b"data: a");
        },
    },
    Peers {
        name: "events without end",
        ask: model_call,
        answer: |stream| {
            begin(stream, "content-type: text/event-stream\r\n");
            repeat(stream, b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
        },
    },
    Peers {
        name: "chunks of one byte",
        ask: model_call,
        answer: |stream| {
            begin(
                stream,
                "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n",
            );
            repeat(stream, b"1\r\n:\r\n");
        },
    },
    Peers {
        name: "interim answers without end",
        ask: model_call,
        answer: |stream| {
            read_head(stream);
            repeat(stream, b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        },
    },
    Peers {
        name: "a document of nothing but objects",
        ask: model_call,
        answer: |stream| {
            begin(
                stream,
                "content-type: application/json\r\ncontent-length: 33554432\r\n",
            );
            say(stream, "[{\"a\":{}}".as_bytes());
            repeat(stream, b",{\"a\":{}}");
        },
    },
    Peers {
        name: "a bomb of gzip",
        ask: model_call,
        answer: |stream| bomb(stream, "gzip"),
    },
    Peers {
        name: "a bomb of zstd",
        ask: model_call,
        answer: |stream| bomb(stream, "zstd"),
    },
    Peers {
        name: "a message without end",
        ask: upgrade,
        answer: |stream| {
            upgraded(stream, "");
            say(stream, b"\x81\x7f\x00\x00\x7f\xff\xff\xff\xff\xff");
            repeat(stream, b"a");
        },
    },
    Peers {
        name: "frames without end",
        ask: upgrade,
        answer: |stream| {
            upgraded(stream, "");
            repeat(stream, b"\x01\x01a");
        },
    },
    Peers {
        name: "a compressed message that is a bomb",
        ask: upgrade,
        answer: |stream| {
            upgraded(stream, "sec-websocket-extensions: permessage-deflate\r\n");
            let mut encoder =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![0; 64 << 20]).unwrap();
            let bomb = encoder.finish().unwrap();
            let length = (bomb.len() as u64).to_be_bytes();
            say(stream, &[&b"\xc1\x7f"[..], &length, &bomb].concat());
        },
    },
];

/// Lets all of them at the recording at once, four of each kind.
#[test]
fn whatever_peers_say_without_end_the_recording_stays_within_its_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let (mut recording, proxy) = record(folder.path(), &[], &upstream);
    let recording = &mut recording.0;
    let mut most = peak_mib(recording);
    for peers in PEERS {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let client = TcpStream::connect(proxy).unwrap();
                    client
                        .set_write_timeout(Some(Duration::from_secs(2)))
                        .unwrap();
                    client
                        .set_read_timeout(Some(Duration::from_secs(2)))
                        .unwrap();
                    let mut reader = client.try_clone().unwrap();
                    let reading = std::thread::spawn(move || {
                        let mut buffer = vec![0; 1 << 16];
                        while matches!(reader.read(&mut buffer), Ok(1..)) {}
                    });
                    (peers.ask)(&client);
                    let _ = reading.join();
                });
                scope.spawn(|| {
                    let (server, _) = listener.accept().unwrap();
                    server
                        .set_write_timeout(Some(Duration::from_secs(2)))
                        .unwrap();
                    server
                        .set_read_timeout(Some(Duration::from_secs(1)))
                        .unwrap();
                    let mut reader = server.try_clone().unwrap();
                    (peers.answer)(&server);
                    let mut buffer = vec![0; 1 << 16];
                    while matches!(reader.read(&mut buffer), Ok(1..)) {}
                });
            }
        });
        let now = peak_mib(recording);
        eprintln!("{}: peak {now} MiB after {:?}", peers.name, begun.elapsed());
        assert!(
            recording.try_wait().unwrap().is_none(),
            "{}: it ended",
            peers.name
        );
        assert!(
            now <= MOST_MIB,
            "{}: {most} MiB before, {now} MiB now",
            peers.name
        );
        most = now;
    }
    kill_process(Pid::from_child(recording), Signal::INT).unwrap();
    assert!(recording.wait().unwrap().success());
    let journal = folder.path().join("runs/latest/journal.jsonl");
    assert!(std::fs::metadata(journal).unwrap().len() > 0);
}
