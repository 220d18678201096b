//! Stands in for the recording proxy.

use std::io;
use std::net::TcpListener;
use std::sync::mpsc::SyncSender;

use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::protocols::Answer;
use timeslip_wire::{clock, connection::Target};

#[derive(Default)]
pub struct Seen {
    pub exchange: Option<Exchange>,
    pub answer: Option<Answer>,
    pub client: ClientSide,
}
#[derive(Default)]
pub struct ClientSide {
    pub request_came: Option<u64>,
}
pub struct Upstream {
    pub target: Target,
    pub mount: String,
}
#[derive(Default)]
pub struct Limits;
pub struct Options {
    pub listeners: Vec<TcpListener>,
    pub upstream: Upstream,
    pub origin: u64,
    pub limits: Limits,
    pub seen: SyncSender<Seen>,
}
pub struct Running(tokio::task::JoinHandle<()>);
impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub fn start(options: Options) -> io::Result<Running> {
    let listener = options
        .listeners
        .into_iter()
        .next()
        .ok_or(io::ErrorKind::Other)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let target = options.upstream.target.authority();
    let (seen, origin) = (options.seen, options.origin);
    Ok(Running(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = seen.send(Seen {
                exchange: Some(Exchange::default()),
                answer: None,
                client: ClientSide {
                    request_came: Some(clock::now() - origin),
                },
            });
            let target = target.clone();
            tokio::spawn(async move {
                if let Ok(mut up) = tokio::net::TcpStream::connect(&*target).await {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut up).await;
                }
            });
        }
    })))
}
