//! A connection that knows when its bytes moved.
//!
//! [`Timed`] sits directly on the socket, below TLS and below HTTP, and notes the
//! time of every read and write; [`open`] takes the marks of each connection step.

pub mod arrivals;
mod no_proxy;
mod proxy;
mod target;
mod timed;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

pub use target::Target;
pub use timed::{Arrival, Counts, Probe, Timed};

use crate::clock;
use arrivals::Watched;
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
    /// What was unusual on the way.
    pub remark: Option<String>,
}

/// What is to be spoken on a connection; with TLS the server has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// HTTP/1.1, from which a WebSocket can be made.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How long an address is tried alone before the next one is tried beside it (RFC 8305,
/// "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// A connected socket, and what is captured of it.
type Connected = (TcpStream, Option<Watched>);

/// Connects to one address.
async fn connect_to(address: SocketAddr) -> io::Result<Connected> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    let watched = arrivals::expect(&socket, address);
    Ok((socket.connect(address).await?, watched))
}

/// Connects to whichever address answers first; one is tried after the other, `head_start`
/// apart, or at once when the one before has failed. With the connection comes what is to
/// be said of addresses that did not answer in time; the error is the last one, none when
/// there was no address.
async fn connect(
    addresses: &[SocketAddr],
    head_start: Duration,
) -> Result<(Connected, Option<String>), Option<String>> {
    let mut waiting = addresses.iter().copied();
    let mut racing = FuturesUnordered::new();
    let mut tried = Vec::new();
    let mut problem = None;
    loop {
        if let Some(address) = waiting.next() {
            tried.push(address);
            racing.push(async move { (address, connect_to(address).await) });
        }
        let more = waiting.len() > 0;
        let Ok(outcome) = first_of(&mut racing, head_start, more).await else {
            continue;
        };
        match outcome {
            Some((address, Ok(socket))) => {
                tried.retain(|other| *other != address);
                return Ok((socket, unanswered(&tried, address)));
            }
            Some((address, Err(error))) => {
                tried.retain(|other| *other != address);
                problem = Some(format!("cannot connect to {address}: {error}"));
            }
            None if more => {}
            None => return Err(problem),
        }
    }
}

/// The first of some futures to end, within `head_start` where there are `more` to try.
async fn first_of<F: Future>(
    racing: &mut FuturesUnordered<F>,
    head_start: Duration,
    more: bool,
) -> Result<Option<F::Output>, tokio::time::error::Elapsed> {
    match more {
        true => tokio::time::timeout(head_start, racing.next()).await,
        false => Ok(racing.next().await),
    }
}

/// What is to be said of addresses that were still silent when another one answered.
fn unanswered(silent: &[SocketAddr], answered: SocketAddr) -> Option<String> {
    let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
    (!silent.is_empty()).then(|| {
        let silent = silent.join(", ");
        format!("no answer from {silent} within its head start; connected to {answered}")
    })
}

/// The addresses in the order to try them: the resolver's, but its families in turn, so that
/// one family without a route costs one head start.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let longest = first.len().max(second.len());
    let pairs = (0..longest).flat_map(|at| [first.get(at), second.get(at)]);
    pairs.flatten().copied().collect()
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

/// Opens a connection with `TCP_NODELAY` to the first resolved address that answers,
/// through the proxy that the environment names for it.
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
    let ((socket, watched), remark) = connect(&in_turn(addresses), HEAD_START)
        .await
        .map_err(|problem| problem.unwrap_or_else(|| format!("{host} has no address")))?;
    steps.tcp = Some(clock::now());
    socket
        .set_nodelay(true)
        .map_err(|error| format!("cannot set TCP_NODELAY: {error}"))?;
    let mut timed = Timed::new(socket).watched(watched);
    if let Some(proxy) = &proxy {
        proxy.tunnel(&mut timed, target).await?;
        steps.proxy = Some(clock::now());
    }
    let probe = timed.probe();
    let stream: Box<dyn Duplex> = if target.tls {
        let stream =
            tls::connect(&target.host, application, target.ca_file.as_deref(), timed).await?;
        steps.tls = Some(clock::now());
        Box::new(stream)
    } else {
        Box::new(timed)
    };
    Ok(Connection {
        stream,
        probe,
        steps,
        remark,
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
        let began = std::time::Instant::now();
        let ((socket, _), remark) = connect(&[silent, heard], limit).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), heard);
        assert!(remark.unwrap().contains(&silent.to_string()));
        assert!(began.elapsed() >= limit && began.elapsed() < limit * 4);
        let refused = "127.0.0.1:1".parse().unwrap();
        let (_, remark) = connect(&[refused, heard], limit).await.unwrap();
        assert_eq!(remark, None, "a refusal costs nothing");
        let problem = connect(&[refused], limit).await.unwrap_err();
        assert!(problem.unwrap().contains("127.0.0.1:1"));
        assert_eq!(connect(&[], limit).await.unwrap_err(), None);
    }

    #[test]
    fn families_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"];
        let addresses = addresses.map(|address| address.parse().unwrap()).to_vec();
        let order = in_turn(addresses).into_iter();
        let order: Vec<String> = order.map(|address| address.to_string()).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }
}
