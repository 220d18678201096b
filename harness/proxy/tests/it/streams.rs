//! HTTP/2: trailers come through, and what resets one side resets the other.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use hyper::{Request, Response};

use crate::support::{Proxy, SOON};

/// What a server does with the one stream it gets; it tells how the stream ended.
#[derive(Clone, Copy)]
enum Then {
    Trailers,
    Reset,
    Wait,
}

/// A server for one stream, which tells of its end.
fn server(then: Then) -> (SocketAddr, Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            let work = async move {
                let head = request.uri().to_string();
                let body = all(request.into_body()).await;
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream
                    .send_data(Bytes::from_static(b"data: 1\n\n"), false)
                    .unwrap();
                let ended = match then {
                    Then::Trailers => {
                        let mut trailers = hyper::HeaderMap::new();
                        trailers.insert("x-sum", "7".parse().unwrap());
                        stream.send_trailers(trailers).unwrap();
                        format!("{head} {body:?}")
                    }
                    Then::Reset => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                        String::new()
                    }
                    Then::Wait => reset(&mut stream).await,
                };
                tell.send(ended).unwrap();
            };
            let driving = async { while connection.accept().await.is_some() {} };
            tokio::join!(work, driving);
        });
    });
    (address, told)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn reset(stream: &mut SendStream<Bytes>) -> String {
    let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    format!("{reset:?}")
}

/// A body, its trailer, and how it was reset.
async fn all(mut body: RecvStream) -> (String, Option<String>, Option<Reason>) {
    let mut text = String::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
            Err(error) => return (text, None, error.reason()),
        }
    }
    let trailers = body.trailers().await.ok().flatten();
    let sum = trailers.map(|trailers| trailers["x-sum"].to_str().unwrap().to_owned());
    (text, sum, None)
}

async fn ask(address: SocketAddr) -> RecvStream {
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{address}/v1/chat/completions"));
    let request = request.body(()).unwrap();
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    stream
        .send_data(Bytes::from_static(br#"{"stream":true}"#), true)
        .unwrap();
    response.await.unwrap().into_body()
}

#[test]
fn trailers_and_resets_come_through() {
    for then in [Then::Trailers, Then::Reset, Then::Wait] {
        let (address, told) = server(then);
        let proxy = Proxy::before(address);
        let answer = runtime().block_on(async {
            let mut body = ask(proxy.address()).await;
            match then {
                Then::Trailers | Then::Reset => Some(all(body).await),
                Then::Wait => {
                    body.data().await.unwrap().unwrap();
                    // A stream that is dropped before its end is cancelled.
                    drop(body);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    None
                }
            }
        });
        let ended = told.recv_timeout(SOON).unwrap();
        let seen = proxy.next();
        assert_eq!(seen.request.bytes, br#"{"stream":true}"#);
        let error = seen
            .exchange
            .as_ref()
            .unwrap()
            .error
            .clone()
            .unwrap_or_default();
        let data = || "data: 1\n\n".to_owned();
        match then {
            Then::Trailers => {
                assert_eq!(answer, Some((data(), Some("7".into()), None)));
                let asked = format!(
                    r#"http://{address}/v1/chat/completions ("{{\"stream\":true}}", None, None)"#
                );
                assert_eq!(ended, asked);
                assert!(error.contains("no terminal event"), "{error}");
            }
            Then::Reset => {
                assert_eq!(
                    answer,
                    Some((data(), None, Some(Reason::ENHANCE_YOUR_CALM)))
                );
                assert!(error.contains("broke off"), "{error}");
            }
            Then::Wait => {
                assert_eq!(ended, "Ok(CANCEL)");
                assert!(seen.client.left.is_some() && error.contains("the client left"));
            }
        }
    }
}

#[test]
fn an_upstream_that_is_not_there_is_told_to_the_client() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = Proxy::before(address);
    let status = runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(proxy.address())
            .await
            .unwrap();
        let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(format!("http://{}/v1/models", proxy.address()));
        let (response, _) = sender
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        response.await.unwrap().status()
    });
    assert_eq!(status, 502);
    let seen = proxy.next();
    assert_eq!(
        (seen.own_status, seen.target.as_str()),
        (Some(502), "/v1/models")
    );
    assert!(seen.problem.unwrap().contains("cannot connect"));
}
