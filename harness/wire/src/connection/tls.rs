//! TLS: one configuration for the process and what is spoken inside, so that sessions
//! can be resumed.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::client::TlsStream;

use super::{Application, Timed};

/// The name of HTTP/2 in a handshake.
const HTTP2: &[u8] = b"h2";

/// Encrypts a connection to `host`, on which `application` is to be spoken.
pub(super) async fn connect(
    host: &str,
    application: Application,
    stream: Timed,
) -> Result<TlsStream<Timed>, String> {
    static HTTP1: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static HTTP2: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = match application {
        Application::Http1 => &HTTP1,
        Application::Http2 => &HTTP2,
    };
    let config = config.get_or_init(|| {
        let roots = webpki_roots::TLS_SERVER_ROOTS.into();
        Arc::new(configuration(rustls::RootCertStore { roots }, application))
    });
    handshake(Arc::clone(config), host, application, stream).await
}

fn configuration(roots: rustls::RootCertStore, application: Application) -> ClientConfig {
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    if application == Application::Http2 {
        config.alpn_protocols = vec![HTTP2.to_vec()];
    }
    config
}

async fn handshake<S>(
    config: Arc<ClientConfig>,
    host: &str,
    application: Application,
    stream: S,
) -> Result<TlsStream<S>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let without_http2 = || format!("{host} does not speak HTTP/2 over TLS; use transport http-sse");
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| {
            // A server may refuse what it does not know instead of passing over it.
            let alert = error.get_ref().and_then(|inner| inner.downcast_ref());
            match alert {
                Some(rustls::Error::AlertReceived(
                    rustls::AlertDescription::NoApplicationProtocol,
                )) => without_http2(),
                _ => format!("TLS handshake with {host} failed: {error}"),
            }
        })?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if application == Application::Http2 && agreed != Some(HTTP2) {
        return Err(without_http2());
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{RootCertStore, ServerConfig};

    /// The outcome of a handshake that asks for HTTP/2 with a server that offers `alpn`.
    async fn ask_for_http2(alpn: &[&[u8]]) -> Result<(), String> {
        let own = rcgen::generate_simple_self_signed(["host.test".to_owned()]).unwrap();
        let certificate = own.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let (near, far) = tokio::io::duplex(64 << 10);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let client = configuration(roots, Application::Http2);
        let client = handshake(Arc::new(client), "host.test", Application::Http2, near);
        let (client, _server) = tokio::join!(client, acceptor.accept(far));
        client.map(|_| ())
    }

    #[tokio::test]
    async fn a_server_without_http2_is_a_failure_that_says_what_to_do() {
        assert_eq!(ask_for_http2(&[b"h2", b"http/1.1"]).await, Ok(()));
        for other in [&[][..], &[&b"http/1.1"[..]]] {
            let problem = ask_for_http2(other).await.unwrap_err();
            assert!(problem.contains("use transport http-sse"), "{problem}");
        }
    }
}
