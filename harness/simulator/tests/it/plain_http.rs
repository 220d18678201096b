//! Requests without our own client, and what truly came back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// A response, as far as it came.
pub struct Reply {
    pub status: u16,
    /// Status line and headers, in small letters.
    pub head: String,
    pub body: String,
    /// How the connection ended, when not as it should.
    pub error: Option<ErrorKind>,
}

impl Reply {
    /// The body as one JSON value; it must have come to its end.
    pub fn json(&self) -> Value {
        assert_eq!(self.error, None, "{}", self.head);
        let body = &self.body;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}{body}", self.head))
    }
}

/// Sends a request over a connection of its own. `headers` end with a line break each.
pub fn ask(server: SocketAddr, line: &str, headers: &str, body: &str) -> Reply {
    let mut stream = TcpStream::connect(server).unwrap();
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.0\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Reply {
        status: status.unwrap_or(0),
        head: head.to_lowercase(),
        body: body.to_owned(),
        error: error.map(|error| error.kind()),
    }
}

/// Posts a JSON value.
pub fn post(server: SocketAddr, path: &str, body: &Value) -> Reply {
    ask(server, &format!("POST {path}"), "", &body.to_string())
}
