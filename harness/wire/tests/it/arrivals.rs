//! Who says when bytes arrived, and how exactly, of reads that come late.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use timeslip_datasets::run::journal::StampSource;
use timeslip_wire::clock;
use timeslip_wire::connection::{self, Application, Arrival, Target};
use timeslip_wire::measuring::Measuring;
use tokio::io::AsyncReadExt;

/// Parts that are sent, some time apart.
const PARTS: usize = 5;
const LENGTH: usize = 100;
/// The largest step of a clock that stamps survive.
const STEP_NS: u64 = 1_000_000;

/// How many bytes came at once, and when.
type Parts = Vec<(usize, Arrival)>;

/// What one late read of all parts brought, and when each part was sent; `None` where this
/// source is not to be had.
fn late_read(source: StampSource) -> Option<(Parts, Vec<u64>)> {
    let measuring = Measuring::start(source).unwrap();
    if measuring.arrivals() != source {
        eprintln!("SKIPPED: no arrivals by {} here", source.name());
        return None;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let sent = (0..PARTS).map(|_| {
            let at = clock::now();
            socket.write_all(&[b'x'; LENGTH]).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            at
        });
        sent.collect::<Vec<u64>>()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let reading = measuring.handle().spawn(async move {
        let mut connection = connection::open(&target, Application::Http1).await.unwrap();
        let sent = server.join().unwrap();
        let mut buffer = [0; 16 << 10];
        let mut parts = Vec::new();
        while parts.iter().map(|(length, _)| length).sum::<usize>() < PARTS * LENGTH {
            let length = connection.stream.read(&mut buffer).await.unwrap();
            assert!(length > 0 && buffer[..length].iter().all(|byte| *byte == b'x'));
            parts.push((length, connection.probe.arrival()));
        }
        assert_eq!(connection.probe.bytes().0, (PARTS * LENGTH) as u64);
        assert_eq!(connection.probe.reads(), 1, "{parts:?}");
        (parts, sent)
    });
    Some(runtime.block_on(reading).unwrap())
}

#[test]
fn a_late_read_of_captured_packets_dates_every_part() {
    let Some((parts, sent)) = late_read(StampSource::Capture) else {
        return;
    };
    assert_eq!(parts.len(), PARTS);
    for ((length, arrival), sent) in parts.iter().zip(&sent) {
        assert_eq!((*length, arrival.source), (LENGTH, StampSource::Capture));
        // The wall clock, by which packets are stamped, may be put right meanwhile.
        assert!(
            arrival.at + STEP_NS >= *sent && arrival.at <= arrival.read,
            "sent {sent}, {arrival:?}"
        );
    }
    // However late the read, the first part is known to be as old as it is.
    let lag = parts[0].1.lag_ns().unwrap();
    assert!(lag >= 18_000_000 * (PARTS as u32 - 1), "{lag}");
}

#[test]
fn a_late_read_with_a_stamp_has_the_time_of_its_youngest_part() {
    let Some((parts, sent)) = late_read(StampSource::Receive) else {
        return;
    };
    let [(length, arrival)] = parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!(
        (length, arrival.source),
        (PARTS * LENGTH, StampSource::Receive)
    );
    assert!(arrival.at + STEP_NS >= sent[PARTS - 1] && arrival.at <= arrival.read);
}

#[test]
fn without_a_stamp_the_read_is_all_that_is_known() {
    let (parts, _) = late_read(StampSource::Read).unwrap();
    let [(_, arrival)] = parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!((arrival.at, arrival.lag_ns()), (arrival.read, None));
}
