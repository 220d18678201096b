//! Listening, and what every connection is given.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use timeslip_datasets::run::journal::StampSource;
use timeslip_wire::Measuring;
use timeslip_wire::connection::Timed;
use timeslip_wire::measuring;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::recording::{self, Recording};
use crate::seen::Seen;
use crate::told::Teller;
use crate::upstream::Upstream;
use crate::way::Way;
use crate::{http1, http2};

/// Connections of clients at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// How much is kept of what is passed on. What is beyond is passed on all the same, and
/// counted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body, its encoding undone, or of one message.
    pub body: usize,
    /// Bytes of all that is being recorded.
    pub all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 32 << 20,
            all: 512 << 20,
        }
    }
}

/// What a proxy is started with.
#[derive(Debug)]
pub struct Options {
    /// Where clients connect to. A listener may come from another network namespace.
    pub listeners: Vec<TcpListener>,
    /// The server it stands before.
    pub upstream: Upstream,
    /// What all times are relative to, on [`timeslip_wire::clock::now`].
    pub origin: u64,
    /// How much is kept.
    pub limits: Limits,
    /// Where it is told what was seen. While nobody takes it from there, less and less is
    /// kept.
    pub seen: SyncSender<Seen>,
}

/// A running proxy. Dropped, it ends its connections; what was seen of them until then has
/// been told when that is over.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, in the order of its listeners.
    pub addresses: Vec<SocketAddr>,
    measuring: Option<Measuring>,
    recorder: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its connections go with it, and with them what tells of them.
        drop(self.measuring.take());
        if let Some(recorder) = self.recorder.take() {
            // A panic over there has been printed already.
            let _ = recorder.join();
        }
    }
}

/// What all connections have in common.
#[derive(Debug)]
struct Common {
    upstream: Arc<Upstream>,
    teller: Teller,
    connections: AtomicU64,
    room: Arc<Semaphore>,
}

/// Starts a proxy on a measuring thread of its own: one that captures packets lets what comes
/// lie for a while where much does, which would delay what is passed on.
///
/// # Errors
/// When there is no thread to be had, or a listener cannot be used.
pub fn start(options: Options) -> io::Result<Running> {
    let measuring = Measuring::start_relaying(StampSource::Receive)?;
    let (events, told) = mpsc::channel();
    let budget = Budget::new(options.limits.all);
    let common = Arc::new(Common {
        upstream: Arc::new(options.upstream),
        teller: Teller::new(events, budget.clone()),
        connections: AtomicU64::new(0),
        room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    });
    let mut addresses = Vec::new();
    for listener in options.listeners {
        addresses.push(listener.local_addr()?);
        listener.set_nonblocking(true)?;
        let runtime = measuring.handle().enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(runtime);
        measuring
            .handle()
            .spawn(accept(listener, Arc::clone(&common)));
    }
    let recording = Recording::new(options.origin, options.limits.body, budget, options.seen);
    let recorder = std::thread::Builder::new()
        .name("timeslip-record".into())
        .spawn(move || {
            measuring::give_way();
            recording::run(recording, &told);
        })?;
    Ok(Running {
        addresses,
        measuring: Some(measuring),
        recorder: Some(recorder),
    })
}

async fn accept(listener: tokio::net::TcpListener, common: Arc<Common>) {
    loop {
        let Ok(room) = Arc::clone(&common.room).acquire_owned().await else {
            return;
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) if socket.set_nodelay(true).is_ok() => socket,
            _ => {
                // Out of descriptors, or a client that left at once: both pass.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let common = Arc::clone(&common);
        tokio::spawn(async move {
            serve(socket, &common).await;
            drop(room);
        });
    }
}

async fn serve(socket: TcpStream, common: &Common) {
    let mut client = Timed::new(socket);
    let way = Way::new(
        Arc::clone(&common.upstream),
        common.teller.clone(),
        client.probe(),
        common.connections.fetch_add(1, Relaxed) + 1,
    );
    let mut first = BytesMut::with_capacity(http1::READ);
    loop {
        match client.read_buf(&mut first).await {
            // One that says nothing asks for nothing.
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let begun = first.len().min(http2::PREFACE.len());
        if first[..begun] != http2::PREFACE[..begun] {
            return http1::serve(&way, client, first).await;
        }
        if begun == http2::PREFACE.len() {
            return http2::serve(way, client, first).await;
        }
    }
}
