//! A connection that knows when its bytes moved.
//!
//! [`Timed`] sits directly on the socket, below TLS and below HTTP, and notes the
//! time of every read and write; [`open`] takes the marks of each connection step.

mod proxy;
mod target;
mod timed;
mod tls;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use target::Target;
pub use timed::{Arrival, Probe, Timed};

use crate::clock;
use proxy::Proxy;

/// What both plain and encrypted streams can do.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Ends of the connection steps, on [`clock::now`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Name resolved; absent for a literal address.
    pub dns: Option<u64>,
    /// TCP connected, to the proxy where there is one.
    pub tcp: Option<u64>,
    /// A proxy opened the tunnel; absent on a direct way.
    pub proxy: Option<u64>,
    /// TLS handshake done.
    pub tls: Option<u64>,
}

/// An open connection.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn Duplex>,
    /// Their times.
    pub probe: Arc<Probe>,
    /// How it came to be.
    pub steps: Steps,
}

/// What is to be spoken on a connection; with TLS the server has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// HTTP/1.1, from which a WebSocket can be made.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Opens a connection with `TCP_NODELAY`, trying each resolved address in turn, through
/// the proxy that the environment names for it.
///
/// # Errors
/// The last system error, with the step and the address it belongs to.
pub async fn open(target: &Target, application: Application) -> Result<Connection, String> {
    let proxy = Proxy::of(target, |name| std::env::var(name).ok())?;
    let (host, port) = match &proxy {
        Some(proxy) => (&proxy.host, &proxy.port),
        None => (&target.host, &target.port),
    };
    let mut steps = Steps::default();
    let literal = host.parse::<std::net::IpAddr>().ok();
    let addresses: Vec<std::net::SocketAddr> = match literal {
        Some(address) => vec![(address, *port).into()],
        None => tokio::net::lookup_host((host.as_str(), *port))
            .await
            .map_err(|error| format!("cannot resolve {host}: {error}"))?
            .collect(),
    };
    if literal.is_none() {
        steps.dns = Some(clock::now());
    }
    let mut socket = Err(format!("{host} has no address"));
    for address in addresses {
        socket = TcpStream::connect(address)
            .await
            .map_err(|error| format!("cannot connect to {address}: {error}"));
        if socket.is_ok() {
            break;
        }
    }
    let socket = socket?;
    steps.tcp = Some(clock::now());
    socket
        .set_nodelay(true)
        .map_err(|error| format!("cannot set TCP_NODELAY: {error}"))?;
    let mut timed = Timed::new(socket);
    if let Some(proxy) = &proxy {
        proxy.tunnel(&mut timed, target).await?;
        steps.proxy = Some(clock::now());
    }
    let probe = timed.probe();
    let stream: Box<dyn Duplex> = if target.tls {
        let stream = tls::connect(&target.host, application, timed).await?;
        steps.tls = Some(clock::now());
        Box::new(stream)
    } else {
        Box::new(timed)
    };
    Ok(Connection {
        stream,
        probe,
        steps,
    })
}
