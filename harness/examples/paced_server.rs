//! A server to hold the instrument against that shares no code with the embedded ones:
//! blocking sockets, a thread a connection, one write an event, all of them before whatever
//! else runs on this machine. It answers chat completions over HTTP with as many tokens as
//! it is asked for, and logs when its kernel received a request and when it truly sent what.
//!
//! ```text
//! cargo run --release --example paced_server -- 8077 emissions.jsonl &
//! timeslip calibrate --protocol chat-completions --with-tools --streams 32 \
//!   --base-url http://127.0.0.1:8077/v1 --emissions emissions.jsonl
//! ```

use std::error::Error;
use std::io::{IoSliceMut, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use rustix::time::ClockId;
use timeslip_datasets::run::emissions::{Emission, Writer};
use timeslip_wire::{clock, measuring};

/// From the request to the first token, in nanoseconds.
const TTFT: u64 = 50_000_000;
/// From one token to the next, in nanoseconds.
const GAP: u64 = 1_000_000;

static RESPONSES: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, log] = arguments.as_slice() else {
        return Err("usage: paced_server PORT LOG".into());
    };
    let log = Arc::new(Mutex::new(Writer::open(Path::new(log))?));
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    // Connections inherit it; the first one finds the stamps already on.
    setsockopt(&listener, sockopt::ReceiveTimestampns, &true)?;
    eprintln!("priority {}", measuring::go_first());
    for connection in listener.incoming() {
        let (connection, log) = (connection?, Arc::clone(&log));
        std::thread::spawn(move || {
            let _ = measuring::go_first();
            if let Err(error) = serve(&connection, &log) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// Answers one request after another.
fn serve(connection: &TcpStream, log: &Mutex<Writer>) -> Result<(), Box<dyn Error>> {
    connection.set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some((tokens, received_ns)) = request(connection, &mut unread)? {
        let emission = answer(connection, tokens, received_ns)?;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.append(&emission)?;
    }
    Ok(())
}

/// How many tokens the next request asks for, and when the kernel received the last of it;
/// `None` when there is no further one.
fn request(
    connection: &TcpStream,
    unread: &mut Vec<u8>,
) -> Result<Option<(usize, u64)>, Box<dyn Error>> {
    let mut received_ns = 0;
    loop {
        if let Some(head) = unread.windows(4).position(|end| end == b"\r\n\r\n") {
            let headers = std::str::from_utf8(&unread[..head])?.to_ascii_lowercase();
            let mut lines = headers.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length:"));
            let end = head + 4 + length.unwrap_or("0").trim().parse::<usize>()?;
            if unread.len() >= end {
                let body: serde_json::Value = serde_json::from_slice(&unread[head + 4..end])?;
                unread.drain(..end);
                let asked = ["max_completion_tokens", "max_tokens"];
                let asked = asked.iter().find_map(|name| body[*name].as_u64());
                let tokens = asked.unwrap_or(512).clamp(2, 65_536) as usize;
                return Ok(Some((tokens, received_ns)));
            }
        }
        let mut bytes = [0; 16 << 10];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let message = recvmsg::<()>(
            connection.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let length = message.bytes;
        // A segment that came just when stamping began has none.
        received_ns = now();
        for stamp in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(at) = stamp {
                let wall = Duration::from(at).as_nanos() as u64;
                let age = clock::system(ClockId::Realtime).saturating_sub(wall);
                received_ns = now().saturating_sub(age);
            }
        }
        if length == 0 {
            return Ok(None);
        }
        unread.extend_from_slice(&bytes[..length]);
    }
}

fn now() -> u64 {
    clock::system(ClockId::Monotonic)
}

fn answer(
    connection: &TcpStream,
    tokens: usize,
    received_ns: u64,
) -> Result<Emission, Box<dyn Error>> {
    let number = RESPONSES.fetch_add(1, Ordering::Relaxed);
    let id = format!("paced-{}-{number}", std::process::id());
    let write = |bytes: &[u8]| {
        let mut connection = connection;
        connection.write_all(bytes)
    };
    let send = |data: &str| {
        let event = format!("data: {data}\n\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        let at = now();
        write(chunk.as_bytes()).map(|()| at)
    };
    let mut events_ns = Vec::with_capacity(tokens);
    for token in 0..tokens {
        let due = received_ns + TTFT + GAP * token as u64;
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
        if token == 0 {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            write(head.as_bytes())?;
        }
        events_ns.push(send(&format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"word "}}}}]}}"#
        ))?);
    }
    send(&format!(
        r#"{{"id":"{id}","object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":{tokens},"total_tokens":{}}}}}"#,
        tokens + 9
    ))?;
    let done_ns = send("[DONE]")?;
    write(b"0\r\n\r\n")?;
    Ok(Emission {
        response_id: id,
        protocol: "chat-completions".into(),
        transport: "http-sse".into(),
        clock_origin_ns: Some(0),
        received_ns,
        queue_ns: 0,
        prefill_ns: 0,
        kinds: "t".repeat(tokens),
        tokens: vec![1; tokens],
        events_ns,
        done_ns: Some(done_ns),
        complete: true,
        fault: None,
        stop: None,
    })
}
