//! Stage attribution against the truth, across a path that really takes its time:
//! two kernel TCP stacks, in two network namespaces, and a relay between them that
//! holds every packet for half a round trip. The truth about the path is the relay's
//! own record, the truth about the server its emission log.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cell;
mod measured;
mod namespace;
mod relay;
#[path = "../../wire/tests/it/support.rs"]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

use cell::Cell;
use measured::Measured;
use relay::{Hold, Relay};
use timeslip_simulator::{Model, Options, Profile, Running};
use tun_rs::SyncDevice;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// No link of its own, because the relay is the link; one slot, so that requests
/// queue; a prefill that can be told from the path at every delay, and none for what is
/// cached, because a fit over uncached tokens leaves that in the residue.
fn profile() -> Profile {
    Profile {
        model: "path".into(),
        decode_tokens_per_second: 5_000.0,
        prefill_tokens_per_second: 5_000.0,
        cached_tokens_per_second: 1e9,
        jitter: 0.0,
        queue_slots: 1,
        request_overhead_ms: 2.0,
        link_round_trip_ms: 0.0,
        ..Profile::load("gpu-sim").unwrap()
    }
}

/// Asks for the calling thread, and those it starts, to be woken on time whatever else
/// the machine does: what is examined is the attribution, not the machine. Where that
/// is refused, the measured times show what became of it.
fn punctual(priority: u8) {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let thread = rustix::thread::gettid().to_string();
    let _ = Command::new("chrt")
        .args(["--fifo", "--pid", &priority.to_string(), &thread])
        .output();
}

/// Runs `work` on a thread in a namespace of its own; its device comes back first.
fn elsewhere<T: Send + 'static>(
    address: Ipv4Addr,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<(
    SyncDevice,
    mpsc::Sender<()>,
    std::thread::JoinHandle<Option<T>>,
)> {
    let (devices, device) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        punctual(1);
        devices.send(namespace::enter(address)).unwrap();
        // Without the other end of the path there is nothing to do.
        wait.recv().ok().map(|()| work())
    });
    Ok((device.recv().unwrap()?, go, thread))
}

fn serve(log: PathBuf) -> Running {
    let model = Model::new(Vec::new(), "path", 1, 1.0);
    timeslip_simulator::start(Options {
        address: SocketAddr::from((SERVER, 0)),
        log: Some(log),
        ..Options::new(profile(), model)
    })
    .unwrap()
}

/// Everything measured across one path, and how long the path really held packets.
/// `None` when the machine permits no namespaces.
fn across(round_trip_ns: u64) -> Option<(Vec<Measured>, Vec<Hold>)> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("emissions.jsonl");
    let path = log.clone();
    let (running, started) = mpsc::channel();
    let far = elsewhere(SERVER, move || running.send(serve(path)).unwrap());
    let near = elsewhere(CLIENT, move || {
        let server: Running = started.recv().unwrap();
        let measured: Vec<_> = Cell::all()
            .map(|cell| cell.measure(server.address))
            .collect();
        (server, measured)
    });
    let ((server_device, serve, _), (client_device, ask, client)) = match (far, near) {
        (Ok(far), Ok(near)) => (far, near),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!(
                "SKIPPED, nothing was checked: no network namespaces or TUN devices here ({error}); run as root"
            );
            return None;
        }
    };
    let relay = Relay::start(client_device, server_device, round_trip_ns / 2);
    serve.send(()).unwrap();
    ask.send(()).unwrap();
    let (server, measured) = client.join().unwrap().unwrap();
    // Stopping the server writes its log to the end.
    drop(server);
    let holds = relay.stop();
    let emissions = cell::emissions(&log);
    let attributed = measured
        .into_iter()
        .map(|taken| taken.attribute(&emissions, &holds))
        .collect();
    Some((attributed, holds))
}

/// A busy machine can spoil a measurement but hardly make a wrong one right, so what
/// is too far from the truth is measured again before it counts.
const TRIES: u32 = 3;

fn check(round_trip_ms: u64) {
    let mut wrong = Vec::new();
    for _ in 0..TRIES {
        let Some((measured, holds)) = across(round_trip_ms * 1_000_000) else {
            return;
        };
        println!("{round_trip_ms} ms, {} packets held", holds.len());
        println!("{}", Measured::HEADING);
        for one in &measured {
            println!("{one}");
        }
        wrong = measured.iter().flat_map(Measured::wrong).collect();
        if wrong.is_empty() {
            return;
        }
        println!("too far from the truth: {}", wrong.join(", "));
    }
    panic!("{}", wrong.join("\n"));
}

#[test]
fn five_milliseconds() {
    check(5);
}

#[test]
fn twenty_milliseconds() {
    check(20);
}

#[test]
fn eighty_milliseconds() {
    check(80);
}
