//! TLS: one configuration for the process, what is spoken inside and who is trusted, so
//! that sessions can be resumed.
//!
//! Trusted is whom the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` say where that is
//! written down), or else, on a system without any certificate, whom Mozilla does; and
//! whom an endpoint's own file names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::client::TlsStream;

use super::{Application, Timed};

/// The name of HTTP/2 in a handshake.
const HTTP2: &[u8] = b"h2";

/// What is spoken, and the file of whoever is trusted beside the usual ones.
type Wanted = (Application, Option<PathBuf>);

/// Encrypts a connection to `host`, on which `application` is to be spoken.
pub(super) async fn connect(
    host: &str,
    application: Application,
    ca_file: Option<&Path>,
    stream: Timed,
) -> Result<TlsStream<Timed>, String> {
    let config = known_configuration((application, ca_file.map(Path::to_owned)))?;
    handshake(config, host, application, stream).await
}

fn known_configuration(wanted: Wanted) -> Result<Arc<ClientConfig>, String> {
    static KNOWN: LazyLock<Mutex<HashMap<Wanted, Arc<ClientConfig>>>> =
        LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = known.get(&wanted) {
        return Ok(Arc::clone(config));
    }
    let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut roots = system_roots(named("SSL_CERT_FILE") || named("SSL_CERT_DIR"))?;
    if let Some(file) = &wanted.1 {
        add_file(&mut roots, file)?;
    }
    let config = Arc::new(configuration(roots, wanted.0));
    known.insert(wanted, Arc::clone(&config));
    Ok(config)
}

/// Whom the system trusts. `named`: the environment says where that is written down, and
/// nothing else may take its place.
fn system_roots(named: bool) -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    match (usable, named) {
        (0, false) => Ok(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.into(),
        }),
        (0, true) => {
            let why = found.errors.first().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "no certificate in it".into());
            Err(format!(
                "cannot read the certificates that SSL_CERT_FILE or SSL_CERT_DIR names: {why}"
            ))
        }
        _ => Ok(roots),
    }
}

/// Adds the certificates of a PEM file.
fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let bad = |why: String| {
        format!(
            "cannot read the certificates of ca_file {}: {why}",
            file.display()
        )
    };
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    let mut usable = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| bad(error.to_string()))?;
        usable += 1;
    }
    match usable {
        0 => Err(bad("no certificate in it; it has to be in PEM".into())),
        _ => Ok(()),
    }
}

fn configuration(roots: RootCertStore, application: Application) -> ClientConfig {
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
    use rustls::ServerConfig;
    use rustls::pki_types::PrivatePkcs8KeyDer;

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

    #[test]
    fn a_file_of_certificates_is_added_or_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["host.test".to_owned()]).unwrap();
        let good = folder.path().join("good.pem");
        let text = data_encoding::BASE64.encode(own.cert.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        std::fs::write(&good, pem).unwrap();
        let mut roots = RootCertStore::empty();
        assert_eq!(add_file(&mut roots, &good), Ok(()));
        assert_eq!(roots.len(), 1);
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for (file, expected) in [
            (&empty, "no certificate"),
            (&folder.path().join("x"), "ca_file"),
        ] {
            let problem = add_file(&mut roots, file).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
