//! How well the embedded server keeps its pace. A measurement, not a test of a bound:
//! `cargo test --release --test simulated_pacing -- --ignored --nocapture`

use std::time::{Duration, Instant};

use timeslip_simulator::{Emission, Model, Options, Profile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TOKENS: u64 = 3000;

fn profile() -> Profile {
    Profile {
        decode_tokens_per_second: 1000.0,
        prefill_tokens_per_second: 1e6,
        jitter: 0.0,
        queue_slots: 256,
        request_overhead_ms: 100.0,
        link_round_trip_ms: 0.0,
        ..Profile::load("spark-sim").unwrap()
    }
}

/// Reads a whole response and throws it away.
async fn read(address: std::net::SocketAddr) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body =
        format!(r#"{{"model":"steady","stream":true,"input":"x","max_output_tokens":{TOKENS}}}"#);
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 16 << 10];
    while stream.read(&mut buffer).await.unwrap() > 0 {}
}

/// Time on a processor of the server's thread, in nanoseconds.
fn server_cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| task.unwrap().path())
        .filter(|task| std::fs::read_to_string(task.join("comm")).unwrap() == "timeslip-server\n")
        .map(|task| {
            let text = std::fs::read_to_string(task.join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

/// With streams that start `apart` from each other, so that their events are not all due
/// at the same moment.
async fn measure(streams: u32, apart: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let running = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(profile(), Model::new(Vec::new(), "p", 1, 1.0))
    })
    .unwrap();
    let (wall, cpu) = (Instant::now(), server_cpu_ns());
    let readers: Vec<_> = (0..streams)
        .map(|stream| {
            let address = running.address;
            tokio::spawn(async move {
                tokio::time::sleep(apart * stream).await;
                read(address).await;
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap();
    }
    let cpu =
        Duration::from_nanos(server_cpu_ns() - cpu).as_secs_f64() / wall.elapsed().as_secs_f64();
    drop(running);
    let log = std::fs::read_to_string(&log).unwrap();
    let mut late_us = Vec::new();
    let mut writes = 0;
    for line in log.lines() {
        let truth: Emission = serde_json::from_str(line).unwrap();
        assert!(truth.complete && truth.events_ns.len() as u64 == TOKENS);
        let first_due = truth.received_ns + truth.queue_ns + 100_000_000 + truth.prefill_ns;
        for (due, at) in std::iter::zip(1.., &truth.events_ns) {
            late_us.push((*at as f64 - (first_due + due * 1_000_000) as f64) / 1e3);
        }
        let mut times = truth.events_ns;
        times.dedup();
        writes += times.len();
    }
    late_us.sort_by(f64::total_cmp);
    let quantile = |q: f64| late_us[((late_us.len() - 1) as f64 * q) as usize];
    println!(
        "{streams:>3} streams × 1,000 tokens/s, {apart:?} apart: late by {:.0} µs (median), {:.0} (p90), {:.0} (p99), {:.0} (max); {:.2} cores; {:.3} events a write",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(1.0),
        cpu,
        late_us.len() as f64 / writes as f64,
    );
}

#[tokio::test]
#[ignore = "a measurement of half a minute, not a check"]
async fn pacing() {
    for streams in [1, 32, 128] {
        for apart in [Duration::ZERO, Duration::from_micros(5_031)] {
            measure(streams, apart).await;
        }
    }
}
