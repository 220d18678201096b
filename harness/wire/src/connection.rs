//! A connection that knows when its bytes moved.
//!
//! [`Timed`] sits directly on the socket, below TLS and below HTTP, and notes the
//! time of every read and write; [`open`] takes the marks of each connection step.

mod no_proxy;
mod proxy;
mod target;
mod timed;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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

/// How long an address is tried while there is another one: long enough for a lost
/// packet to be sent again.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Connects to the first address that answers, each but the last within `limit`. The
/// error is the last one; none when there was no address.
async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, Option<String>> {
    let mut problem = None;
    for (index, address) in addresses.iter().enumerate() {
        let last = index + 1 == addresses.len();
        let opening = TcpStream::connect(address);
        let opened = match last {
            true => Ok(opening.await),
            false => tokio::time::timeout(limit, opening).await,
        };
        let why = match opened {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        problem = Some(format!("cannot connect to {address}: {why}"));
    }
    Err(problem)
}

/// The URL of the proxy that the environment names for a target, for clients of one's own.
/// It may hold a password and must not be printed.
///
/// # Errors
/// The name of a variable whose value is not a proxy.
pub fn proxy(target: &Target) -> Result<Option<String>, String> {
    let proxy = Proxy::of(target, |name| std::env::var(name).ok())?;
    Ok(proxy.map(Proxy::into_url))
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
    let addresses: Vec<SocketAddr> = match literal {
        Some(address) => vec![(address, *port).into()],
        None => tokio::net::lookup_host((host.as_str(), *port))
            .await
            .map_err(|error| format!("cannot resolve {host}: {error}"))?
            .collect(),
    };
    if literal.is_none() {
        steps.dns = Some(clock::now());
    }
    let socket = connect(&addresses, ADDRESS_TIMEOUT)
        .await
        .map_err(|problem| problem.unwrap_or_else(|| format!("{host} has no address")))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener without room for another connection drops what asks for one.
    #[tokio::test]
    async fn an_address_that_is_silent_does_not_keep_from_the_next() {
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let limit = Duration::from_millis(200);
        let mut waiting = Vec::new();
        while let Ok(Ok(one)) = tokio::time::timeout(limit, TcpStream::connect(silent)).await {
            waiting.push(one);
        }
        let heard = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard = heard.local_addr().unwrap();
        let socket = connect(&[silent, heard], limit).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), heard);
        let refused = "127.0.0.1:1".parse().unwrap();
        let problem = connect(&[silent, refused], limit).await.unwrap_err();
        assert!(problem.unwrap().contains("127.0.0.1:1"));
        assert_eq!(connect(&[], limit).await.unwrap_err(), None);
    }
}
