//! A connection that knows when its bytes moved.
//!
//! [`Timed`] sits directly on the socket, below TLS and below HTTP, and notes the
//! time of every read and write; [`open`] takes the marks of each connection step.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use timeslip_datasets::journal::TcpSample;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::{clock, kernel};

/// Where to connect, taken from a base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Encrypt with TLS.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the base URL, without a slash at its end.
    pub path: String,
}

impl Target {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// A sentence on what is wrong with the URL.
    pub fn parse(base_url: &str) -> Result<Self, String> {
        let uri: hyper::Uri = base_url
            .parse()
            .map_err(|error| format!("not a URL: {error}"))?;
        let scheme = uri
            .scheme_str()
            .ok_or("not a whole URL; write http://… or https://…")?;
        let tls = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            other => {
                return Err(format!(
                    "scheme '{other}' is not supported; use http or https"
                ));
            }
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(
                "a URL must not carry credentials; name an environment variable in `api_key_env`"
                    .into(),
            );
        }
        if uri.query().is_some() {
            return Err("a base URL must not carry a query".into());
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or("no host")?;
        Ok(Target {
            tls,
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Times and byte counts of one connection, shared between the stream and its user.
#[derive(Debug)]
pub struct Probe {
    socket: Option<OwnedFd>,
    last_read: AtomicU64,
    last_write: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl Probe {
    fn new(socket: Option<OwnedFd>) -> Self {
        let zero = AtomicU64::default;
        Probe {
            socket,
            last_read: zero(),
            last_write: zero(),
            bytes_read: zero(),
            bytes_written: zero(),
        }
    }

    /// Forgets the previous exchange: counts begin at 0.
    pub fn arm(&self) {
        for field in [&self.last_write, &self.bytes_read, &self.bytes_written] {
            field.store(0, Relaxed);
        }
    }

    /// Time of the latest read: when the bytes now being parsed came out of the kernel.
    #[must_use]
    pub fn last_read(&self) -> u64 {
        self.last_read.load(Relaxed)
    }

    /// Time the latest write since [`Probe::arm`] was handed to the kernel.
    #[must_use]
    pub fn last_write(&self) -> Option<u64> {
        Some(self.last_write.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Bytes read and written since [`Probe::arm`].
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (
            self.bytes_read.load(Relaxed),
            self.bytes_written.load(Relaxed),
        )
    }

    /// The kernel's view of the connection.
    #[must_use]
    pub fn tcp(&self) -> Option<TcpSample> {
        kernel::tcp_info(self.socket.as_ref()?.as_fd())
    }
}

/// A stream that stamps its reads and writes.
#[derive(Debug)]
pub struct Timed<S> {
    inner: S,
    probe: Arc<Probe>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            let now = clock::now();
            let probe = &self.probe;
            probe.last_read.store(now, Relaxed);
            probe.bytes_read.fetch_add(read as u64, Relaxed);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note_write(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note_write(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S> Timed<S> {
    fn note_write(&self, poll: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(written)) = poll {
            self.probe.last_write.store(clock::now(), Relaxed);
            self.probe.bytes_written.fetch_add(*written as u64, Relaxed);
        }
    }
}

/// What both plain and encrypted streams can do.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Ends of the connection steps, on [`clock::now`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Name resolved; absent for a literal address.
    pub dns: Option<u64>,
    /// TCP connected.
    pub tcp: Option<u64>,
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

/// Opens a connection with `TCP_NODELAY`, trying each resolved address in turn.
///
/// # Errors
/// The last system error, with the step and the address it belongs to.
pub async fn open(target: &Target) -> Result<Connection, String> {
    let Target { host, port, .. } = target;
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
    let probe = Arc::new(Probe::new(socket.as_fd().try_clone_to_owned().ok()));
    let timed = Timed {
        inner: socket,
        probe: Arc::clone(&probe),
    };
    let stream: Box<dyn Duplex> = if target.tls {
        let name =
            ServerName::try_from(host.clone()).map_err(|error| format!("{host}: {error}"))?;
        let stream = tls_connector()
            .connect(name, timed)
            .await
            .map_err(|error| format!("TLS handshake with {host} failed: {error}"))?;
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

/// One configuration for the process, so that sessions can be resumed.
fn tls_connector() -> tokio_rustls::TlsConnector {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(tls_config)).into()
}

fn tls_config() -> Arc<rustls::ClientConfig> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.into(),
    };
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let target = Target::parse("https://api.example.org/v1/").unwrap();
        assert_eq!(
            (target.tls, target.port, target.path.as_str()),
            (true, 443, "/v1")
        );
        assert_eq!(target.authority(), "api.example.org");
        assert_eq!(
            Target::parse("http://[::1]:8080/v1").unwrap().authority(),
            "[::1]:8080"
        );
        for (bad, why) in [
            ("ftp://x/", "scheme"),
            ("https://key@x/v1", "credentials"),
            ("x", "not a whole URL"),
            ("http://a b/", "not a URL"),
            ("http://x/v1?a=b", "query"),
        ] {
            let error = Target::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
