//! A path between two TUN devices that takes its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{read, write};
use timeslip_wire::clock;
use tun_rs::SyncDevice;

use crate::punctual;

/// The devices are made with an MTU of 1,500.
const PACKET: usize = 2048;
/// How soon a stopped relay notices, and how far ahead of a packet it sleeps at most.
const LONGEST_SLEEP_NS: u64 = 20_000_000;
/// The last stretch before a packet is due is waited out awake, because waking takes
/// about that long.
const SPIN_NS: u64 = 60_000;

/// One packet's stay in the relay.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// Taken from the first device, which is the client's, or from the second.
    pub from_client: bool,
    /// When it came, on [`clock::now`].
    pub came_ns: u64,
    /// How long it stayed.
    pub ns: u64,
}

/// A running relay.
pub struct Relay {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Hold>>,
}

impl Relay {
    /// Carries packets both ways, each `one_way_ns` late.
    pub fn start(client: SyncDevice, server: SyncDevice, one_way_ns: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || carry(&[client, server], one_way_ns, &stopped))
            .unwrap();
        Relay { stop, thread }
    }

    /// Stops it and hands over how long each packet was really held.
    pub fn stop(self) -> Vec<Hold> {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

struct Packet {
    from: usize,
    came_ns: u64,
    bytes: Vec<u8>,
}

fn carry(devices: &[SyncDevice; 2], one_way_ns: u64, stop: &AtomicBool) -> Vec<Hold> {
    punctual(2);
    for device in devices {
        device.set_nonblocking(true).unwrap();
    }
    let mut waiting: VecDeque<Packet> = VecDeque::new();
    let mut holds = Vec::new();
    let mut buffer = [0; PACKET];
    while !stop.load(Relaxed) {
        for (from, device) in devices.iter().enumerate() {
            while let Ok(length) = read(device, &mut buffer[..]) {
                waiting.push_back(Packet {
                    from,
                    came_ns: clock::now(),
                    bytes: buffer[..length].to_vec(),
                });
            }
        }
        // All wait equally long, so they leave in the order in which they came.
        while let Some(packet) = waiting.front() {
            let stayed = clock::now() - packet.came_ns;
            if stayed < one_way_ns {
                break;
            }
            // A full or closed device loses packets, as a network does.
            let _ = write(&devices[1 - packet.from], &packet.bytes);
            holds.push(Hold {
                from_client: packet.from == 0,
                came_ns: packet.came_ns,
                ns: stayed,
            });
            waiting.pop_front();
        }
        let left = waiting.front().map_or(LONGEST_SLEEP_NS, |packet| {
            (packet.came_ns + one_way_ns).saturating_sub(clock::now())
        });
        let sleep = left.min(LONGEST_SLEEP_NS).saturating_sub(SPIN_NS);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: sleep as _,
        };
        let mut readable = [
            PollFd::new(&devices[0], PollFlags::IN),
            PollFd::new(&devices[1], PollFlags::IN),
        ];
        let _ = poll(&mut readable, Some(&timeout));
    }
    holds
}
