//! An agent that is a server of HTTP itself.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use timeslip_wire::clock;
use timeslip_wire::framing::{Splitter, StreamFormat};
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{Arrived, What, payloads};

/// How long it may take to answer for the first time.
const START: Duration = Duration::from_secs(60);

/// How long one try of that may take: early ones can hang.
const TRY: Duration = Duration::from_secs(1);

/// How long is waited before another one.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 1 << 20;

/// Where it tells whether it is there, and where it tells what happens.
const HEALTH: &str = "/global/health";
const EVENTS: &str = "/event";

type Connection = SendRequest<Full<Bytes>>;

/// The way to a server.
#[derive(Debug)]
pub(super) struct Server {
    connections: Arc<Connections>,
    measuring: Handle,
    arrived: mpsc::Sender<Arrived>,
}

/// Connections that nothing is asked over, and sockets for new ones.
#[derive(Debug)]
struct Connections {
    address: SocketAddr,
    sockets: Mutex<Vec<OwnedFd>>,
    idle: Mutex<VecDeque<Connection>>,
}

impl Server {
    /// Waits until it is there, and listens to its events on the thread of `measuring`.
    pub async fn reach(
        address: SocketAddr,
        sockets: Vec<OwnedFd>,
        measuring: Handle,
        arrived: mpsc::Sender<Arrived>,
    ) -> io::Result<Self> {
        let connections = Arc::new(Connections {
            address,
            sockets: Mutex::new(sockets),
            idle: Mutex::default(),
        });
        let server = Server {
            connections: Arc::clone(&connections),
            measuring: measuring.clone(),
            arrived: arrived.clone(),
        };
        let begun = measuring.spawn(async move {
            let deadline = Instant::now() + START;
            loop {
                match timeout(TRY, connections.get(HEALTH)).await {
                    Ok(Ok(())) => break,
                    _ if Instant::now() > deadline => {
                        let why = format!("its server at {address} does not answer");
                        return Err(io::Error::other(why));
                    }
                    _ => sleep(PAUSE).await,
                }
            }
            let mut connection = connections.take().await?;
            let asked = connection.send_request(request(Method::GET, EVENTS, Bytes::new())?);
            let events = asked.await.map_err(io::Error::other)?;
            // The connection lives as long as the task that reads from it.
            tokio::spawn(async move {
                let why = follow(events, &arrived).await;
                let over = Arrived {
                    at: clock::now(),
                    what: What::Over(why),
                };
                let _ = arrived.send(over).await;
                drop(connection);
            });
            Ok(())
        });
        begun.await.map_err(io::Error::other)??;
        Ok(server)
    }

    /// Asks for something; the answer arrives like everything else.
    pub fn post(&self, call: u64, path: &str, body: &Value) {
        let connections = Arc::clone(&self.connections);
        let arrived = self.arrived.clone();
        let asked = request(Method::POST, path, Bytes::from(body.to_string()));
        self.measuring.spawn(async move {
            let answer = match asked {
                Ok(asked) => connections.ask(asked).await,
                Err(error) => Err(error),
            };
            let (status, body) = answer.unwrap_or_else(|error| {
                let why = serde_json::json!({"message": error.to_string()});
                (599, Bytes::from(why.to_string()))
            });
            let arrival = Arrived {
                at: clock::now(),
                what: What::Answer {
                    call,
                    status,
                    body: body.to_vec(),
                },
            };
            let _ = arrived.send(arrival).await;
        });
    }
}

impl Connections {
    async fn get(&self, path: &str) -> io::Result<()> {
        let (status, _) = self.ask(request(Method::GET, path, Bytes::new())?).await?;
        match status {
            200 => Ok(()),
            status => Err(io::Error::other(format!("status {status}"))),
        }
    }

    async fn ask(&self, asked: Request<Full<Bytes>>) -> io::Result<(u16, Bytes)> {
        let mut connection = self.take().await?;
        let answer = connection.send_request(asked).await;
        let answer = answer.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
        let body = body.await.map_err(io::Error::other)?.to_bytes();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back(connection);
        Ok((status, body))
    }

    /// A connection that can be asked over: one that was used before, or a new one.
    async fn take(&self) -> io::Result<Connection> {
        loop {
            let idle = &mut self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            match idle.pop_back() {
                Some(connection) if connection.is_ready() => return Ok(connection),
                Some(_) => {}
                None => break,
            }
        }
        let socket = {
            let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.pop()
        };
        let socket = socket.ok_or_else(|| io::Error::other("there are no more sockets to it"))?;
        let again = socket.try_clone()?;
        let stream = TcpSocket::from_std_stream(socket.into());
        let stream = match stream.connect(self.address).await {
            Ok(stream) => stream,
            Err(error) => {
                // It was refused, and can be tried again.
                let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
                sockets.push(again);
                return Err(error);
            }
        };
        stream.set_nodelay(true)?;
        let (connection, work) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(work);
        Ok(connection)
    }
}

fn request(method: Method, path: &str, body: Bytes) -> io::Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(io::Error::other)
}

/// Tells every event; comes back with why there are no more.
async fn follow(events: Response<Incoming>, arrived: &mpsc::Sender<Arrived>) -> String {
    let mut splitter = Splitter::new(StreamFormat::ServerSentEvents);
    let mut body = events.into_body();
    loop {
        let frame = body.frame().await;
        let at = clock::now();
        let bytes = match frame {
            None => return "its stream of events ended".to_owned(),
            Some(Err(error)) => return format!("its stream of events: {error}"),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let mut came = Vec::new();
        let more = splitter.feed(&bytes, payloads(at, &mut came));
        for one in came {
            if arrived.send(one).await.is_err() {
                return String::new();
            }
        }
        if more.is_err() {
            return "an event of its server is too long".to_owned();
        }
    }
}
