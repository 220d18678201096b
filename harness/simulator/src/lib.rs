//! The embedded simulated endpoint: a real server on a real socket that plays
//! recorded task solutions at a profile's speed and knows when it truly sent what.
//!
//! ```text
//! http, websocket ─► dialect ─► ModelRequest ─► model ─► outputs ─► schedule ─► playback ─► socket
//!                                                                           └────► emission log
//! ```
//!
//! A dialect reads requests and lends its voice to the answer; what is said, and when,
//! is the same in all of them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod background;
mod catalogue;
mod dialect;
mod dialects;
mod emission;
mod engine;
mod faults;
mod free_prompt;
mod http;
mod lanes;
mod line;
mod link;
mod model;
mod output;
mod output_limit;
mod places;
mod playback;
mod profile;
mod scenario;
mod schedule;
mod service;
mod steering;
mod tokens;
mod tools;
mod truth;
mod websocket;
mod wire;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use emission::on_our_clock;
pub use model::{KnownTask, Model};
pub use profile::{Faults, Profile, ProfileError};
pub use scenario::{Moment, Scenario, ScenarioEvent};
pub use timeslip_datasets::run::emissions::{DecodeStop, Emission, Fault, StopCause};

use engine::Engine;
use faults::FaultPlan;
use line::Line;
use service::{Peer, Received, Service};
use timeslip_wire::connection::Timed;
use timeslip_wire::measuring;

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Running {
    /// The base URL clients use.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in [self.server.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            // A panic over there has been printed already.
            let _ = thread.join();
        }
    }
}

/// What a server is started with.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 chooses one.
    pub address: SocketAddr,
    /// How fast it is.
    pub profile: Profile,
    /// Seeds the jitter.
    pub seed: u64,
    /// What it says.
    pub model: Model,
    /// Every response's [`Emission`] is appended to this file, as JSON lines.
    pub log: Option<PathBuf>,
    /// Where there is no such file, every response's [`Emission`] is told here.
    pub told: Option<mpsc::Sender<Emission>>,
    /// How long a WebSocket lives before it must be opened anew.
    pub websocket_lifetime: Duration,
    /// Any model name is answered; otherwise one that is not known is refused, as
    /// providers do.
    pub any_model: bool,
}

impl Options {
    /// A server on a free port of this machine, without a log.
    #[must_use]
    pub fn new(profile: Profile, model: Model) -> Self {
        Options {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            profile,
            seed: 1,
            model,
            log: None,
            told: None,
            websocket_lifetime: Duration::from_secs(60 * 60),
            any_model: true,
        }
    }
}

/// Starts a server on its own thread, so that pacing shares nothing with the client.
///
/// # Errors
/// When the address cannot be bound or the log cannot be opened.
pub fn start(options: Options) -> io::Result<Running> {
    let listener = TcpListener::bind(options.address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (log, writer) = match &options.log {
        Some(path) => {
            let (sender, thread) = emission::writer(path)?;
            (Some(sender), Some(thread))
        }
        None => (options.told, None),
    };
    let service = Arc::new(Service {
        faults: FaultPlan::new(options.profile.faults.clone(), options.seed),
        engine: Engine::new(options.profile, options.seed),
        background: background::Background::default(),
        model: options.model,
        any_model: options.any_model,
        started_at: time::OffsetDateTime::now_utc(),
        log,
        websocket_lifetime: options.websocket_lifetime,
        clock_origin_ns: emission::clock_origin_ns(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = std::thread::Builder::new()
        .name("timeslip-server".into())
        .spawn(move || {
            // It is on time, or else its own log says by how much it was not.
            let _ = measuring::go_first();
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    result = accept(listener, service) => {
                        if let Err(error) = result {
                            complain(&format!("cannot accept connections: {error}"));
                        }
                    }
                }
            });
        })?;
    Ok(Running {
        address,
        stop: Some(stop),
        server: Some(server),
        writer,
    })
}

/// Tells people of a problem that ends no request. A reader that is gone must not end the
/// server.
fn complain(problem: &str) {
    let _ = writeln!(io::stderr(), "simulated endpoint: {problem}");
}

async fn accept(listener: TcpListener, service: Arc<Service>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) if socket.set_nodelay(true).is_ok() => socket,
            _ => {
                // Out of descriptors, or a peer that left at once: both pass.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        let one_way = service.engine.profile().one_way_ns();
        let service = Arc::clone(&service);
        let line = Line::of(&socket, service.engine.profile());
        if one_way > 0 {
            // Without a timer left, this one connection is refused.
            if let Ok(delayed) = link::delay(socket, one_way) {
                let peer = Peer::new(Received::WhenRead, line);
                tokio::spawn(http::serve(delayed, peer, service));
            }
        } else {
            let socket = Timed::new(socket);
            let peer = Peer::new(Received::ByProbe(socket.probe()), line);
            tokio::spawn(http::serve(socket, peer, service));
        }
    }
}
