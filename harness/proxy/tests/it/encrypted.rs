//! An upstream behind TLS, as every real one is.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::PrivatePkcs8KeyDer;
use timeslip_proxy::Limits;
use timeslip_wire::connection::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Proxy, end, post, read_all};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A server that answers once and ends the connection, by TLS's own end or without it; what
/// it was asked.
fn server(folder: &Path, ends: bool) -> (Target, JoinHandle<String>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let text = data_encoding::BASE64.encode(&certificate);
    let ca_file = folder.join("ca.pem");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(&ca_file, pem).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut target = Target::parse(&format!("https://localhost:{port}/api")).unwrap();
    target.ca_file = Some(ca_file);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let mut stream = acceptor.accept(socket).await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"{}") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if ends {
                stream.shutdown().await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            String::from_utf8(asked).unwrap()
        })
    });
    (target, thread)
}

#[test]
fn an_end_without_tls_end_is_a_cut() {
    for ends in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (target, server) = server(folder.path(), ends);
        let authority = target.authority();
        let proxy = Proxy::to(target, Limits::default());
        let mut client = proxy.connect();
        let request = post("/api/v1/chat/completions", "{}");
        client.write_all(request.as_bytes()).unwrap();
        let (heard, clean) = read_all(&client);
        assert_eq!(
            clean, ends,
            "a body without a length ends by the connection's end"
        );
        if ends {
            assert_eq!(String::from_utf8(heard).unwrap(), ANSWER);
        }
        end(&client);
        drop(client);
        assert_eq!(
            server.join().unwrap(),
            request.replace("proxy.test", &authority)
        );
        let seen = proxy.stop();
        let exchange = seen[0].exchange.as_ref().unwrap();
        assert_eq!(exchange.error, None, "its terminal event came");
        let marks = exchange.marks;
        assert!(marks.tcp < marks.tls && marks.tls.unwrap() <= marks.sent.unwrap());
        assert!(marks.sent <= marks.first_token && marks.first_token.is_some());
        assert_eq!(seen[0].problem.is_none(), ends);
    }
}
