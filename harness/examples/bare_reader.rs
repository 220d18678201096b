//! The least that a client of streams can do: a thread a stream that asks, and calls `recv`
//! until the answer has ended. What it costs is the measure of what else costs.
//!
//! ```text
//! bare_reader 127.0.0.1:8077 STREAMS EXCHANGES TOKENS
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// How a chunked body ends.
const END: &[u8] = b"\r\n0\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, streams, exchanges, tokens] = arguments.as_slice() else {
        return Err("usage: bare_reader ADDRESS STREAMS EXCHANGES TOKENS".into());
    };
    let address: SocketAddr = address.parse()?;
    let (streams, exchanges): (u32, u32) = (streams.parse()?, exchanges.parse()?);
    let body = format!(
        r#"{{"model":"steady","stream":true,"max_tokens":{tokens},"messages":[{{"role":"user","content":"Go."}}]}}"#
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let threads: Vec<_> = (0..streams)
        .map(|_| {
            let request = request.clone();
            std::thread::spawn(move || read(address, &request, exchanges))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a reader crashed")??;
    }
    Ok(())
}

fn read(address: SocketAddr, request: &str, exchanges: u32) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; 16 << 10];
    for _ in 0..exchanges {
        socket.write_all(request.as_bytes())?;
        loop {
            let length = socket.read(&mut buffer)?;
            if length == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if buffer[..length].ends_with(END) || &buffer[..length] == b"0\r\n\r\n" {
                break;
            }
        }
    }
    Ok(())
}
