//! What the proxy adds: streams of a paced server, read directly and through the proxy in one
//! run, each event's arrival held against the server's own log.
//!
//! ```text
//! cargo run --release -p timeslip-proxy --example added_latency
//! ```
//!
//! Directly and through the proxy take turns, so that whatever else the machine does meets
//! both alike. An event's delay is from its emission by the server's log to its read by the
//! client; what the proxy adds is the difference of the two distributions. The server, the
//! proxy and the client are a thread each, and go before all others.

use std::collections::HashMap;
use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use timeslip_proxy::{Limits, Options, Upstream};
use timeslip_simulator::{Emission, Model, Profile};
use timeslip_wire::connection::Target;
use timeslip_wire::timer::Timer;
use timeslip_wire::{clock, measuring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Streams at once, and tokens a second of each. The last load takes all that two cores have:
/// a server, a proxy and a client each spend 15 to 20 µs in the kernel on an event there.
const LOADS: [(u32, f64); 4] = [(1, 1000.0), (32, 100.0), (32, 300.0), (32, 1000.0)];
/// Within what time streams begin.
const SPREAD_NS: f64 = 100e6;
/// Tokens of one answer.
const TOKENS: u32 = 200;
/// Answers that each stream reads one after another, in each round.
const ANSWERS: u32 = 3;
/// Rounds, each directly and through the proxy.
const ROUNDS: u32 = 3;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What one answer looked like to the client, on the process's clock.
struct ReadAnswer {
    id: String,
    is_first: bool,
    asked: u64,
    first_byte: u64,
    events: Vec<u64>,
}

/// Delays in nanoseconds.
#[derive(Default)]
struct Delays {
    events: Vec<u64>,
    /// From asking to the server's having all of it, and from its first event to our first
    /// byte; of the first request of a connection apart, which has to be opened upstream.
    requests: Vec<u64>,
    first: Vec<u64>,
}

fn main() -> Outcome<()> {
    for (streams, rate) in LOADS {
        let mut direct = Delays::default();
        let mut proxied = Delays::default();
        for _ in 0..ROUNDS {
            for (through, delays) in [(false, &mut direct), (true, &mut proxied)] {
                round(streams, rate, through, delays)?;
            }
        }
        println!("{streams} x {rate} tokens/s, in µs");
        let rows = [
            ("event", &mut direct.events, &mut proxied.events),
            (
                "request, there and back",
                &mut direct.requests,
                &mut proxied.requests,
            ),
            (
                "the same on a new connection",
                &mut direct.first,
                &mut proxied.first,
            ),
        ];
        for (name, direct, proxied) in rows {
            compare(name, direct, proxied);
        }
    }
    Ok(())
}

fn quantile(sorted: &[u64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .map_or(0.0, |ns| *ns as f64 / 1e3)
}

/// Prints median and 99th percentile of both, and their differences.
fn compare(name: &str, direct: &mut [u64], proxied: &mut [u64]) {
    direct.sort_unstable();
    proxied.sort_unstable();
    for (share, words) in [(0.5, "median"), (0.99, "p99")] {
        let (direct, proxied) = (quantile(direct, share), quantile(proxied, share));
        let added = proxied - direct;
        println!(
            "  {name:30} {words:6}  direct {direct:8.1}  proxied {proxied:8.1}  added {added:8.1}"
        );
    }
}

fn round(streams: u32, rate: f64, through: bool, delays: &mut Delays) -> Outcome<()> {
    let (told, emissions) = channel();
    let profile = Profile {
        decode_tokens_per_second: rate,
        request_overhead_ms: 5.0,
        link_round_trip_ms: 0.0,
        jitter: 0.05,
        tokens_per_event: 1,
        queue_slots: streams,
        ..Profile::load("spark-sim")?
    };
    let server = timeslip_simulator::start(timeslip_simulator::Options {
        told: Some(told),
        ..timeslip_simulator::Options::new(profile, Model::new(Vec::new(), "latency", 1, 1.0))
    })?;
    let (seen, told) = sync_channel(1024);
    let listening = thread::spawn(move || told.iter().count());
    let proxy = timeslip_proxy::start(Options {
        listeners: vec![TcpListener::bind("127.0.0.1:0")?],
        upstream: Upstream::at_its_own_path(Target::parse(&format!("http://{}", server.address))?),
        origin: 0,
        limits: Limits::default(),
        seen,
    })?;
    let address = match through {
        true => proxy.addresses[0],
        false => server.address,
    };
    let answers = read_all(address, streams)?;
    drop(proxy);
    drop(server);
    let seen = listening.join().map_err(|_| "the listener panicked")?;
    let expected = if through { answers.len() } else { 0 };
    assert_eq!(seen, expected, "every request is seen once");
    let truth: HashMap<String, Emission> = emissions
        .iter()
        .map(|emission| (emission.response_id.clone(), emission))
        .collect();
    for answer in answers {
        let truth = truth.get(&answer.id).ok_or("an answer that nobody sent")?;
        assert_eq!(
            truth.events_ns.len(),
            answer.events.len(),
            "every event comes once"
        );
        let events = answer.events.iter().zip(&truth.events_ns);
        delays
            .events
            .extend(events.map(|(read, sent)| read.saturating_sub(*sent)));
        let there = truth.received_ns.saturating_sub(answer.asked);
        let back = answer.first_byte.saturating_sub(truth.events_ns[0]);
        match answer.is_first {
            true => delays.first.push(there + back),
            false => delays.requests.push(there + back),
        }
    }
    Ok(())
}

/// Bytes and when they were read.
type Pieces = Vec<(u64, Vec<u8>)>;

/// Reads all streams on one thread, which looks into nothing before all is over.
fn read_all(address: SocketAddr, streams: u32) -> Outcome<Vec<ReadAnswer>> {
    let reading = thread::spawn(move || {
        let _ = measuring::go_first();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            // One after the other, in no step with the tokens: all at once would be one burst.
            let now = clock::now();
            let begin = |at: u32| now + (f64::from(at) * 0.618_034 % 1.0 * SPREAD_NS) as u64;
            let streams = (0..streams).map(|at| tokio::spawn(read(address, begin(at))));
            let mut answers = Vec::new();
            for stream in streams.collect::<Vec<_>>() {
                answers.extend(stream.await??);
            }
            Outcome::Ok(answers)
        })
    });
    let answers = reading.join().map_err(|_| "the client panicked")??;
    answers
        .into_iter()
        .enumerate()
        .map(|(at, (asked, pieces))| parse((at as u32).is_multiple_of(ANSWERS), asked, pieces))
        .collect()
}

/// Asks over one connection, again and again.
async fn read(address: SocketAddr, begin: u64) -> Outcome<Vec<(u64, Pieces)>> {
    let mut timer = Timer::new()?;
    std::future::poll_fn(|cx| timer.poll_until(cx, begin)).await?;
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = format!(
        r#"{{"model":"steady","stream":true,"max_completion_tokens":{TOKENS},"messages":[{{"role":"user","content":"x"}}]}}"#
    );
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answers = Vec::new();
    for _ in 0..ANSWERS {
        let asked = clock::now();
        stream.write_all(request.as_bytes()).await?;
        let mut pieces = Pieces::with_capacity(2 * TOKENS as usize);
        while pieces
            .last()
            .is_none_or(|(_, piece)| !piece.ends_with(b"0\r\n\r\n"))
        {
            let mut piece = Vec::with_capacity(4 << 10);
            if stream.read_buf(&mut piece).await? == 0 {
                return Err("the answer was cut".into());
            }
            pieces.push((clock::now(), piece));
        }
        answers.push((asked, pieces));
    }
    Ok(answers)
}

/// Finds the events in what was read.
fn parse(is_first: bool, asked: u64, pieces: Pieces) -> Outcome<ReadAnswer> {
    let mut answer = ReadAnswer {
        id: String::new(),
        is_first,
        asked,
        first_byte: pieces.first().map_or(0, |(at, _)| *at),
        events: Vec::new(),
    };
    let mut line = Vec::new();
    for (at, piece) in pieces {
        for byte in piece {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let data = line.strip_prefix(b"data: ").unwrap_or_default();
            if let Ok(event) = serde_json::from_slice::<serde_json::Value>(data) {
                if let Some(id) = event["id"].as_str() {
                    id.clone_into(&mut answer.id);
                }
                let delta = &event["choices"][0]["delta"];
                if delta["content"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
                {
                    answer.events.push(at);
                }
            }
            line.clear();
        }
    }
    Ok(answer)
}
