//! A proxy before a server of the test's own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use timeslip_proxy::{Limits, Options, Running, Seen, Upstream};
use timeslip_wire::clock;
use timeslip_wire::connection::Target;

/// How long anything may take.
pub const SOON: Duration = Duration::from_secs(10);

/// A proxy, and what it has seen.
pub struct Proxy {
    pub running: Option<Running>,
    pub seen: Receiver<Seen>,
    pub origin: u64,
}

impl Proxy {
    /// Before a server that listens on this machine at `address`, with its paths.
    pub fn before(address: SocketAddr) -> Self {
        Proxy::with(address, Limits::default())
    }

    pub fn with(address: SocketAddr, limits: Limits) -> Self {
        let target = Target::parse(&format!("http://{address}")).unwrap();
        Proxy::to(target, limits)
    }

    pub fn to(target: Target, limits: Limits) -> Self {
        let (seen, told) = sync_channel(4096);
        let origin = clock::now();
        let running = timeslip_proxy::start(Options {
            listeners: vec![TcpListener::bind("127.0.0.1:0").unwrap()],
            upstream: Upstream::at_its_own_path(target),
            origin,
            limits,
            seen,
        })
        .unwrap();
        Proxy {
            running: Some(running),
            seen: told,
            origin,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses[0]
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// What was seen next.
    pub fn next(&self) -> Seen {
        self.seen.recv_timeout(SOON).expect("seen in time")
    }

    /// All that was seen until the proxy was stopped.
    pub fn stop(mut self) -> Vec<Seen> {
        drop(self.running.take());
        self.seen.iter().collect()
    }
}

/// A server that does something with its first connection.
pub fn serve_one<T: Send + 'static>(
    work: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        work(stream)
    });
    (address, thread)
}

/// Reads so many bytes.
pub fn read_exactly(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => filled += more,
        }
    }
    bytes.truncate(filled);
    bytes
}

/// Reads a head.
pub fn read_head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads a body in chunks.
pub fn read_chunks(stream: &TcpStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(read_exactly(stream, 1));
        }
        let size = std::str::from_utf8(&size).unwrap().trim().to_owned();
        let size = usize::from_str_radix(&size, 16).unwrap();
        body.extend(read_exactly(stream, size));
        read_exactly(stream, 2);
        if size == 0 {
            return body;
        }
    }
}

/// Reads a request whose length is in its head.
pub fn read_request(stream: &TcpStream) -> String {
    let head = read_head(stream);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let body = read_exactly(stream, length.unwrap_or("0").parse().unwrap());
    head + &String::from_utf8(body).unwrap()
}

/// Reads to the end; whether that was a clean one.
pub fn read_all(mut stream: &TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let clean = stream.read_to_end(&mut bytes).is_ok();
    (bytes, clean)
}

/// Writes bytes in parts that are sent one by one.
pub fn write_parts(mut stream: &TcpStream, bytes: &[u8], sizes: &[usize]) {
    let mut left = bytes;
    let mut sizes = sizes.iter().cycle();
    while !left.is_empty() {
        let size = sizes
            .next()
            .map_or(left.len(), |size| (*size).clamp(1, left.len()));
        let (part, rest) = left.split_at(size);
        if stream.write_all(part).is_err() {
            return;
        }
        left = rest;
        std::thread::yield_now();
    }
}

/// A request with a JSON body.
pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: proxy.test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Ends one side.
pub fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}
