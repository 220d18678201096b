//! The embedded simulated endpoint: a real server on a real socket that plays
//! recorded task solutions at a profile's speed and knows when it truly sent what.

mod engine;
mod http;
mod link;
mod model;
mod profile;
mod responses;
mod tokens;
mod websocket;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use engine::Emission;
pub use model::{KnownTask, Model};
pub use profile::Profile;

use crate::console::say;
use engine::Engine;

/// Everything a connection needs.
#[derive(Debug)]
struct Service {
    engine: Engine,
    model: Model,
    log: Option<mpsc::Sender<Emission>>,
}

impl Service {
    fn log(&self, emission: Emission) {
        if let Some(log) = &self.log {
            // The writer is gone only when the server is being stopped.
            let _ = log.send(emission);
        }
    }
}

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

/// Starts a server on its own thread, so that pacing shares nothing with the client.
/// With `log`, every response's true emission times are appended there as JSON lines.
///
/// # Errors
/// When the address cannot be bound or the log cannot be opened.
pub fn start(
    address: SocketAddr,
    profile: Profile,
    seed: u64,
    model: Model,
    log: Option<&Path>,
) -> io::Result<Running> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (log, writer) = match log {
        Some(path) => {
            let (sender, thread) = log_writer(path)?;
            (Some(sender), Some(thread))
        }
        None => (None, None),
    };
    let service = Arc::new(Service {
        engine: Engine::new(profile, seed),
        model,
        log,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = std::thread::Builder::new()
        .name("timeslip-server".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    result = accept(listener, service) => {
                        if let Err(error) = result {
                            say(&format!("timeslip server: {error}"));
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
        if one_way > 0 {
            // Without a timer left, this one connection is refused.
            if let Ok(delayed) = link::delay(socket, one_way) {
                tokio::spawn(http::serve(delayed, service));
            }
        } else {
            tokio::spawn(http::serve(socket, service));
        }
    }
}

/// Appends emissions on a thread of its own: pacing never waits for a disk.
fn log_writer(path: &Path) -> io::Result<(mpsc::Sender<Emission>, JoinHandle<()>)> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)?;
    drop_torn_line(&mut file)?;
    let (sender, receiver) = mpsc::channel::<Emission>();
    let thread = std::thread::Builder::new()
        .name("timeslip-server-log".into())
        .spawn(move || {
            for emission in receiver {
                let written = serde_json::to_vec(&emission)
                    .map_err(io::Error::from)
                    .and_then(|mut line| {
                        line.push(b'\n');
                        file.write_all(&line)
                    });
                if let Err(error) = written {
                    say(&format!(
                        "timeslip server: cannot write the emission log: {error}"
                    ));
                    return;
                }
            }
        })?;
    Ok((sender, thread))
}

/// Cuts off the line that a killed process did not finish.
fn drop_torn_line(file: &mut std::fs::File) -> io::Result<()> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let whole = content
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if whole < content.len() {
        file.set_len(whole as u64)?;
    }
    Ok(())
}
