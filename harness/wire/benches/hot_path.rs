//! What one core can do with a stream: events per second taken apart and marked, in
//! every protocol, from memory and from a socket, the latter beside a reader that only
//! reads.
//!
//! All times are processor time of the reading thread: what a core can do, whatever
//! else the machine is doing.
//!
//! `cargo bench -p timeslip-wire --bench hot_path`
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/it/recorded.rs"]
mod recorded;
#[path = "../tests/it/support.rs"]
mod support;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};
use timeslip_datasets::run::journal::{EventKind, StampSource};
use timeslip_wire::clock;
use timeslip_wire::connection::Arrival;
use timeslip_wire::framing::{Piece, Splitter, StreamFormat};
use timeslip_wire::protocols::{Item, PROTOCOLS, Protocol};
use timeslip_wire::{Recorder, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

const TOKENS: usize = 20_000;
/// What a busy socket gives a reader at once.
const LARGE_READ: usize = 16 << 10;

/// A response of [`TOKENS`] text deltas, as the servers of a protocol send it.
struct Stream {
    protocol: &'static dyn Protocol,
    events: Vec<String>,
}

impl Stream {
    /// A recorded stream whose first delta of text comes [`TOKENS`] times.
    fn new(protocol: &'static dyn Protocol) -> Self {
        let streams = recorded::files(protocol).into_iter();
        let mut streams = streams.filter_map(|file| {
            let stream = std::fs::read_to_string(file).unwrap();
            let events = events(protocol.format(), &stream);
            Some((first_text(protocol, &events)?, events))
        });
        let Some((delta, mut events)) = streams.next() else {
            panic!("no whole stream of {} has text", protocol.name());
        };
        let repeated = vec![events[delta].clone(); TOKENS];
        events.splice(delta..=delta, repeated);
        Stream { protocol, events }
    }

    fn bytes(&self) -> Vec<u8> {
        self.events.concat().into_bytes()
    }

    /// Takes the stream apart and marks it, read by read.
    fn mark<'a>(&self, reads: impl Iterator<Item = &'a [u8]>, arrival: Arrival) {
        let mut splitter = Splitter::new(self.protocol.format());
        let mut recorder = Recorder::new(self.protocol.decoder(), 0, 1, 0);
        let mut done = false;
        for read in reads {
            let fed = splitter.feed(read, |piece| {
                if let Piece::Payload(payload) = piece {
                    done |= recorder.payload(arrival, payload).unwrap();
                }
            });
            assert!(fed.is_ok());
        }
        done |= recorder.end();
        let (exchange, _) = black_box(recorder.finish("http-sse"));
        assert!(done && exchange.events.as_slice().len() >= TOKENS);
    }
}

/// The events of a stream with what separates them.
fn events(format: StreamFormat, stream: &str) -> Vec<String> {
    let end = match format {
        StreamFormat::ServerSentEvents => "\n\n",
        StreamFormat::JsonLines => "\n",
    };
    let events = stream.split_inclusive(end);
    events.map(str::to_owned).collect()
}

/// Which event is the first delta of text and nothing else, in a stream that is whole.
fn first_text(protocol: &dyn Protocol, events: &[String]) -> Option<usize> {
    let mut splitter = Splitter::new(protocol.format());
    let mut decoder = protocol.decoder();
    let (mut found, mut whole) = (None, false);
    for (at, event) in events.iter().enumerate() {
        let fed = splitter.feed(event.as_bytes(), |piece| {
            if let Piece::Payload(payload) = piece
                && let Ok(meaning) = decoder.payload(payload)
            {
                whole |= meaning.done;
                if meaning.outputs().eq([(EventKind::Text, meaning.text)]) && !meaning.done {
                    found.get_or_insert(at);
                }
            }
        });
        fed.ok()?;
    }
    found.filter(|_| whole || decoder.may_end())
}

/// Processor time of this thread.
struct ProcessorTime;

impl ProcessorTime {
    fn now() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap(),
            u32::try_from(time.tv_nsec).unwrap(),
        )
    }
}

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn from_memory(criterion: &mut Criterion<ProcessorTime>, streams: &[Stream]) {
    let arrival = Arrival {
        read: 2,
        at: 1,
        source: StampSource::Receive,
    };
    let mut group = criterion.benchmark_group("from memory");
    for stream in streams {
        let name = stream.protocol.name();
        let bytes = stream.bytes();
        group.throughput(Throughput::Elements(stream.events.len() as u64));
        group.bench_function(BenchmarkId::new("one event a read", name), |bencher| {
            bencher.iter(|| stream.mark(stream.events.iter().map(String::as_bytes), arrival));
        });
        group.bench_function(BenchmarkId::new("16 KiB a read", name), |bencher| {
            bencher.iter(|| stream.mark(bytes.chunks(LARGE_READ), arrival));
        });
    }
    group.finish();
}

/// A server that answers every request with the same stream, one write an event.
fn serve(stream: &Stream) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let events = stream.events.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let events = events.clone();
            std::thread::spawn(move || answer(socket.unwrap(), &events));
        }
    });
    port
}

fn head(length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Answers until the client leaves.
fn answer(mut socket: TcpStream, events: &[String]) {
    socket.set_nodelay(true).unwrap();
    let head = head(events.iter().map(String::len).sum());
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    loop {
        let mut length = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        socket.write_all(head.as_bytes()).unwrap();
        for event in events {
            if socket.write_all(event.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Asks and only reads; the time of `count` responses.
async fn read_bare(port: u16, length: usize, count: u64) -> Duration {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let length = length + head(length).len();
    let mut buffer = vec![0; LARGE_READ];
    let start = ProcessorTime::now();
    for _ in 0..count {
        let request = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
        socket.write_all(request).await.unwrap();
        let mut left = length;
        while left > 0 {
            left -= socket.read(&mut buffer).await.unwrap();
        }
    }
    ProcessorTime::now() - start
}

/// Asks as a trial does; the time of `count` responses.
async fn read_marked(protocol: &'static dyn Protocol, port: u16, count: u64) -> Duration {
    let mut endpoint = support::endpoint_of(protocol.name(), port, "http-sse");
    endpoint.options.retries = 0;
    let items = [Item::User("go".into())];
    let mut session = Session::new(&endpoint, "key".into(), clock::now());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let start = ProcessorTime::now();
    for _ in 0..count {
        let answer = session.ask(1, "i", &[], &items, deadline, |exchange| {
            assert!(exchange.events.as_slice().len() >= TOKENS);
        });
        black_box(answer.await.unwrap());
    }
    ProcessorTime::now() - start
}

fn from_a_socket(criterion: &mut Criterion<ProcessorTime>, streams: &[Stream], runtime: &Runtime) {
    let mut ratios = Vec::new();
    let mut group = criterion.benchmark_group("from a socket");
    for stream in streams {
        let name = stream.protocol.name();
        let port = serve(stream);
        let length = stream.bytes().len();
        group.throughput(Throughput::Elements(stream.events.len() as u64));
        let (mut bare, mut marked) = (Vec::new(), Vec::new());
        group.bench_function(BenchmarkId::new("bare read", name), |bencher| {
            bencher.iter_custom(|count| {
                let took = runtime.block_on(read_bare(port, length, count));
                bare.push(took / u32::try_from(count).unwrap());
                took
            });
        });
        group.bench_function(
            BenchmarkId::new("taken apart and marked", name),
            |bencher| {
                bencher.iter_custom(|count| {
                    let took = runtime.block_on(read_marked(stream.protocol, port, count));
                    marked.push(took / u32::try_from(count).unwrap());
                    took
                });
            },
        );
        ratios.push((name, bare, marked));
    }
    group.finish();
    for (name, bare, marked) in ratios {
        // Medians: a reader that was kept from running finds much in one read, and then
        // looks quicker than it is.
        if let (Some(bare), Some(marked)) = (median(bare), median(marked)) {
            let ratio = bare.as_secs_f64() / marked.as_secs_f64();
            println!("{name}: {ratio:.2} of the speed of a bare read");
        }
    }
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let streams: Vec<Stream> = PROTOCOLS.iter().copied().map(Stream::new).collect();
    let mut criterion = Criterion::default()
        .with_measurement(ProcessorTime)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    from_memory(&mut criterion, &streams);
    from_a_socket(&mut criterion, &streams, &runtime);
    criterion.final_summary();
}
