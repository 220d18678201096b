//! Heads of HTTP/1.1: what matters of them, and the request's with another host and path.

use crate::messages::Following;
use crate::seen::Headers;
use crate::upstream::Upstream;

/// Most header lines that are read of one head.
const MAX_LINES: usize = 512;

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub method: String,
    /// Path and query, as the client asked for them.
    pub target: String,
    pub headers: Headers,
    pub following: Following,
    /// It asks for a WebSocket.
    pub upgrades: bool,
}

impl RequestHead {
    /// What stands for a request that cannot be read.
    pub fn unread() -> Self {
        RequestHead {
            method: String::new(),
            target: String::new(),
            headers: Headers::new(),
            following: Following::Foreign,
            upgrades: false,
        }
    }
}

/// A response without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub headers: Headers,
    pub following: Following,
}

/// Reads the head of a request.
///
/// # Errors
/// Why it is none.
pub fn request(raw: &[u8]) -> Result<RequestHead, &'static str> {
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
    let mut head = httparse::Request::new(&mut lines);
    head.parse(raw).map_err(|_| "it is no HTTP")?;
    let (Some(method), Some(target)) = (head.method, head.path) else {
        return Err("it is no HTTP");
    };
    let headers = owned(head.headers);
    let following = match framing(&headers) {
        // What is asked for is a tunnel, if anything.
        _ if method == "CONNECT" => Following::Foreign,
        Some(following) => following?,
        None => Following::Length(0),
    };
    let upgrade = value(&headers, "upgrade");
    Ok(RequestHead {
        upgrades: upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")),
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        following,
    })
}

/// Reads the head of the response to a request that asks for a head alone or not.
///
/// # Errors
/// Why it is none.
pub fn response(raw: &[u8], to_head: bool) -> Result<ResponseHead, &'static str> {
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_LINES];
    let mut head = httparse::Response::new(&mut lines);
    let mut lenient = httparse::ParserConfig::default();
    lenient.allow_spaces_after_header_name_in_responses(true);
    lenient.ignore_invalid_headers_in_responses(true);
    lenient
        .parse_response(&mut head, raw)
        .map_err(|_| "it is no HTTP")?;
    let status = head.code.ok_or("it is no HTTP")?;
    let headers = owned(head.headers);
    let following = match (status, framing(&headers)) {
        (101, _) => Following::Foreign,
        (100..=199, _) => Following::Head,
        (204 | 304, _) => Following::Length(0),
        _ if to_head => Following::Length(0),
        (_, Some(following)) => following?,
        (_, None) => Following::UntilClose,
    };
    Ok(ResponseHead {
        status,
        headers,
        following,
    })
}

/// The value of the first header of this name.
pub fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    Some(value)
}

fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = headers.iter();
    headers
        .map(|header| (header.name.to_owned(), text(header.value)))
        .collect()
}

/// What the headers say of the length of a body.
fn framing(headers: &Headers) -> Option<Result<Following, &'static str>> {
    if let Some(encodings) = value(headers, "transfer-encoding") {
        let last = encodings.rsplit(',').next().unwrap_or_default().trim();
        return Some(match last.eq_ignore_ascii_case("chunked") {
            true => Ok(Following::Chunks),
            false => Err("its body has no length"),
        });
    }
    let length = value(headers, "content-length")?.trim();
    let length = length.parse().map(Following::Length);
    Some(length.map_err(|_| "its length is no number"))
}

/// The head of a request as it goes on: another path and host, the headers that the upstream
/// is given in the place of the client's, and every other byte as it was.
pub fn rewritten(raw: &[u8], head: &RequestHead, upstream: &Upstream) -> Vec<u8> {
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let resource = upstream.resource(&head.target);
    let authority = upstream.target.authority();
    let mut out = Vec::with_capacity(raw.len() + resource.len() + authority.len());
    let after_method = first.iter().position(|byte| *byte == b' ');
    let version = first.iter().rposition(|byte| *byte == b' ');
    let (Some(after_method), Some(version)) = (after_method, version) else {
        return raw.to_vec();
    };
    out.extend_from_slice(&first[..=after_method]);
    out.extend_from_slice(resource.as_bytes());
    out.extend_from_slice(&first[version..]);
    if value(&head.headers, "host").is_none() {
        out.extend_from_slice(format!("Host: {authority}\r\n").as_bytes());
    }
    for (name, value) in upstream.own_headers() {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    for line in lines {
        let name = line.iter().position(|byte| *byte == b':');
        match name.map(|end| line.split_at(end)) {
            Some((name, _)) if upstream.replaces(&String::from_utf8_lossy(name)) => {}
            Some((name, rest)) if name.eq_ignore_ascii_case(b"host") => {
                let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(authority.as_bytes());
                out.extend_from_slice(end.map_or(&b"\r\n"[..], |end| &rest[end..]));
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_wire::Secret;
    use timeslip_wire::connection::Target;

    #[test]
    fn only_host_and_path_are_another() {
        let upstream = Upstream {
            target: Target::parse("https://host.test/api").unwrap(),
            mount: "/v1".into(),
            headers: None,
        };
        for (raw, expected) in [
            (
                "POST /v1/messages?beta=true HTTP/1.1\r\nX-b: 1\r\nhOST:127.0.0.1:1\r\nx-A:  2 \r\nX-b: 3\r\n\r\n",
                "POST /api/messages?beta=true HTTP/1.1\r\nX-b: 1\r\nhOST: host.test\r\nx-A:  2 \r\nX-b: 3\r\n\r\n",
            ),
            (
                "GET http://127.0.0.1:1/v1 HTTP/1.0\n\n",
                "GET /api HTTP/1.0\nHost: host.test\r\n\n",
            ),
        ] {
            let head = request(raw.as_bytes()).unwrap();
            let out = rewritten(raw.as_bytes(), &head, &upstream);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn credentials_are_the_upstreams_own() {
        let own = |name: &str, value: &str| (name.to_owned(), Secret(value.to_owned()));
        let mut upstream = Upstream::at_its_own_path(Target::parse("http://host.test").unwrap());
        upstream.headers = Some(vec![own("x-api-key", "k1"), own("X-Team", "a")]);
        let raw = "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer placeholder\r\nx-team: b\r\nX-Api-Key: p\r\nAccept: */*\r\n\r\n";
        let head = request(raw.as_bytes()).unwrap();
        let out = rewritten(raw.as_bytes(), &head, &upstream);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET / HTTP/1.1\r\nx-api-key: k1\r\nX-Team: a\r\nHost: host.test\r\nAccept: */*\r\n\r\n"
        );
        upstream.headers = Some(Vec::new());
        let out = rewritten(raw.as_bytes(), &head, &upstream);
        let expected = "GET / HTTP/1.1\r\nHost: host.test\r\nx-team: b\r\nAccept: */*\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_follows_a_head_is_said_by_it() {
        let chunked = "Transfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n";
        for (status, to_head, headers, expected) in [
            (200, false, "content-length: 3\r\n", Following::Length(3)),
            (200, true, "content-length: 3\r\n", Following::Length(0)),
            (204, false, "content-length: 3\r\n", Following::Length(0)),
            (304, false, chunked, Following::Length(0)),
            (101, false, "", Following::Foreign),
            (103, false, "", Following::Head),
            (200, false, chunked, Following::Chunks),
            (200, false, "", Following::UntilClose),
        ] {
            let raw = format!("HTTP/1.1 {status} X\r\n{headers}\r\n");
            let head = response(raw.as_bytes(), to_head).unwrap();
            assert_eq!(head.following, expected, "{raw}");
        }
        for bad in [
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "hello\r\n\r\n",
        ] {
            response(bad.as_bytes(), false).unwrap_err();
        }
        let post = request(b"POST / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(post.following, Following::Length(0));
        request(b"\x16\x03\x01\x00\r\n\r\n").unwrap_err();
    }
}
