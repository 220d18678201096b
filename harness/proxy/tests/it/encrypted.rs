//! An upstream behind TLS, as every real one is.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use hyper::{Request, Response};
use rustls::pki_types::PrivatePkcs8KeyDer;
use timeslip_proxy::Limits;
use timeslip_wire::connection::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Proxy, end, post, read_all};

const EVENTS: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn answer() -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{EVENTS}")
}

/// A server's certificate, which `ca_file` vouches for, and the protocols it offers.
fn certified(ca_file: &Path, offered: &[&str]) -> rustls::ServerConfig {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let text = data_encoding::BASE64.encode(&certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(ca_file, pem).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let offered = offered.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = offered.collect();
    config
}

/// The target of a server at a port of this machine.
fn target(port: u16, ca_file: PathBuf) -> Target {
    let mut target = Target::parse(&format!("https://localhost:{port}/api")).unwrap();
    target.ca_file = Some(ca_file);
    target
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A server that answers once and ends the connection, by TLS's own end or without it; what
/// it was asked.
fn server(folder: &Path, ends: bool) -> (Target, JoinHandle<String>) {
    let ca_file = folder.join("ca.pem");
    let config = certified(&ca_file, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let mut stream = acceptor.accept(socket).await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"{}") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer().as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if ends {
                stream.shutdown().await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            String::from_utf8(asked).unwrap()
        })
    });
    (target(port, ca_file), thread)
}

/// A server of HTTP/2, where that is among what it offers: it answers each stream with the
/// stream's own path.
fn streams(folder: &Path, offered: &'static [&str]) -> Target {
    let ca_file = folder.join("ca.pem");
    let config = certified(&ca_file, offered);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let Ok(stream) = acceptor.accept(socket).await else {
                return;
            };
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                let response = Response::builder().header("content-type", "text/event-stream");
                let response = response.body(()).unwrap();
                let mut body = respond.send_response(response, false).unwrap();
                let data = EVENTS.replacen("word", &path, 1);
                body.send_data(Bytes::from(data), false).unwrap();
                let mut trailers = hyper::HeaderMap::new();
                trailers.insert("x-sum", "7".parse().unwrap());
                body.send_trailers(trailers).unwrap();
            }
        });
    });
    target(port, ca_file)
}

/// What a stream of a client got: status, body, and a trailer.
async fn ask(
    sender: &mut h2::client::SendRequest<Bytes>,
    path: &str,
) -> (u16, String, Option<String>) {
    let request = Request::post(format!("http://proxy.test{path}"));
    let (response, mut body) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    body.send_data(Bytes::from_static(br#"{"stream":true}"#), true)
        .unwrap();
    let response = response.await.unwrap();
    let status = response.status().as_u16();
    let (mut body, mut text) = (response.into_body(), String::new());
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
    let trailers = body.trailers().await.unwrap();
    let sum = trailers.map(|trailers| trailers["x-sum"].to_str().unwrap().to_owned());
    (status, text, sum)
}

/// Asks twice at once over one connection.
fn ask_twice(proxy: &Proxy) -> [(u16, String, Option<String>); 2] {
    let address = proxy.address();
    runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let (mut one, mut other) = (sender.clone(), sender);
        let (path, again) = ("/api/1/chat/completions", "/api/2/chat/completions");
        let (one, other) = tokio::join!(ask(&mut one, path), ask(&mut other, again));
        [one, other]
    })
}

#[test]
fn streams_of_http2_come_through_from_behind_tls() {
    let folder = tempfile::tempdir().unwrap();
    let target = streams(folder.path(), &["h2", "http/1.1"]);
    let proxy = Proxy::to(target, Limits::default());
    for (answer, path) in ask_twice(&proxy).into_iter().zip(["1", "2"]) {
        let text = EVENTS.replacen("word", &format!("/api/{path}/chat/completions"), 1);
        assert_eq!(answer, (200, text, Some("7".to_owned())));
    }
    let seen = proxy.stop();
    assert_eq!(seen.len(), 2);
    let opened = seen.iter().filter(|seen| {
        let exchange = seen.exchange.as_ref().unwrap();
        assert_eq!(
            (&*exchange.transport, &exchange.error),
            ("http2-sse", &None)
        );
        assert_eq!(exchange.events.as_slice().len(), 1);
        exchange.marks.tls.is_some() && exchange.marks.tcp < exchange.marks.tls
    });
    assert_eq!(opened.count(), 1, "one connection carried both");
}

#[test]
fn a_server_without_http2_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let target = streams(folder.path(), &["http/1.1"]);
    let proxy = Proxy::to(target, Limits::default());
    for (status, text, _) in ask_twice(&proxy) {
        assert_eq!(status, 502, "{text}");
        assert!(text.contains("HTTP/2"), "{text}");
    }
    assert!(proxy.stop().iter().all(|seen| seen.own_status == Some(502)));
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
            assert_eq!(String::from_utf8(heard).unwrap(), answer());
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
