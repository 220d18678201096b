//! What passes is exact: any request, any response, however they are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Proxy, end, read_all, read_exactly, serve_one, write_parts};

/// How a body is framed.
#[derive(Clone, Debug)]
enum Framed {
    None,
    Length(Vec<u8>),
    Chunks(Vec<Vec<u8>>, bool),
    UntilClose(Vec<u8>),
}

impl Framed {
    /// Header lines and body, as they are sent.
    fn sent(&self) -> (String, Vec<u8>) {
        match self {
            Framed::None => (String::new(), Vec::new()),
            Framed::Length(body) => (format!("Content-LENGTH: {}\r\n", body.len()), body.clone()),
            Framed::Chunks(chunks, trailers) => {
                let mut sent = Vec::new();
                for (at, chunk) in chunks.iter().enumerate() {
                    let extension = if at % 2 == 0 { "" } else { ";x=\"y\"" };
                    sent.extend(format!("{:X}{extension}\r\n", chunk.len()).into_bytes());
                    sent.extend(chunk);
                    sent.extend(b"\r\n");
                }
                sent.extend(b"0\r\n");
                if *trailers {
                    sent.extend(b"X-Sum: 1\r\nx-b:\r\n");
                }
                sent.extend(b"\r\n");
                ("tRANSFER-encoding: chunked\r\n".into(), sent)
            }
            Framed::UntilClose(body) => (String::new(), body.clone()),
        }
    }

    fn content(&self) -> Vec<u8> {
        match self {
            Framed::None => Vec::new(),
            Framed::Length(body) | Framed::UntilClose(body) => body.clone(),
            Framed::Chunks(chunks, _) => chunks.concat(),
        }
    }
}

fn framed() -> impl Strategy<Value = Framed> {
    let body = || vec(any::<u8>(), 0..3000);
    prop_oneof![
        Just(Framed::None),
        body().prop_map(Framed::Length),
        (vec(vec(any::<u8>(), 1..300), 0..8), any::<bool>())
            .prop_map(|(chunks, trailers)| Framed::Chunks(chunks, trailers)),
    ]
}

fn response() -> impl Strategy<Value = Framed> {
    prop_oneof![
        4 => framed(),
        1 => vec(any::<u8>(), 0..3000).prop_map(Framed::UntilClose),
    ]
}

fn headers() -> impl Strategy<Value = String> {
    let line = ("[A-Za-z][A-Za-z0-9-]{0,12}", "[ -~]{0,20}");
    let line = line.prop_map(|(name, value)| format!("x{name}:{value}\r\n"));
    vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_as_it_was_sent(
        exchanges in vec((headers(), framed(), headers(), response()), 1..4),
        interim in any::<bool>(),
        cuts in vec(1_usize..900, 1..6),
    ) {
        // A body without a length is the last one.
        let last = exchanges.iter().position(|(.., body)| matches!(body, Framed::UntilClose(_)));
        let exchanges: Vec<_> = exchanges.into_iter().take(last.map_or(9, |last| last + 1)).collect();
        let requests: Vec<(String, String, Vec<u8>)> = exchanges.iter().map(|(headers, body, ..)| {
            let (framing, body) = body.sent();
            (headers.clone(), framing, body)
        }).collect();
        let responses: Vec<Vec<u8>> = exchanges.iter().map(|(.., headers, body)| {
            let length = match body {
                Framed::None => "content-length: 0\r\n",
                _ => "",
            };
            let (framing, body) = body.sent();
            let early = if interim { "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" } else { "" };
            let head = format!("{early}HTTP/1.1 200 Quite Fine\r\n{headers}{framing}{length}\r\n");
            [head.into_bytes(), body].concat()
        }).collect();
        let request = |host: &str, (headers, framing, body): &(String, String, Vec<u8>)| {
            let head = format!("PUT /a/b?c=d HTTP/1.1\r\n{headers}HOST: {host}\r\n{framing}\r\n");
            [head.into_bytes(), body.clone()].concat()
        };
        let (to_server, from_test) = std::sync::mpsc::channel::<Vec<usize>>();
        let plan: Vec<(Vec<u8>, Vec<usize>)> =
            responses.iter().map(|response| (response.clone(), cuts.clone())).collect();
        let (address, server) = serve_one(move |stream| {
            let lengths = from_test.recv().unwrap();
            let mut found = Vec::new();
            for (length, (response, cuts)) in lengths.into_iter().zip(plan) {
                found.push(read_exactly(&stream, length));
                write_parts(&stream, &response, &cuts);
            }
            end(&stream);
            (found, read_all(&stream).0)
        });
        let authority = address.to_string();
        let expected: Vec<Vec<u8>> = requests.iter().map(|one| request(&authority, one)).collect();
        let lengths = expected.iter().map(Vec::len).collect();
        to_server.send(lengths).unwrap();
        let proxy = Proxy::before(address);
        let client = proxy.connect();
        for (one, response) in requests.iter().zip(&responses) {
            write_parts(&client, &request("client.test:1", one), &cuts);
            let answered = read_exactly(&client, response.len());
            prop_assert_eq!(String::from_utf8_lossy(&answered), String::from_utf8_lossy(response));
        }
        let (rest, clean) = read_all(&client);
        prop_assert!(rest.is_empty() && clean);
        end(&client);
        let (found, rest) = server.join().unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(String::from_utf8_lossy(found), String::from_utf8_lossy(expected));
        }
        prop_assert!(rest.is_empty());
        let seen = proxy.stop();
        prop_assert_eq!(seen.len(), exchanges.len());
        for (seen, (_, asked, _, answered)) in seen.iter().zip(&exchanges) {
            prop_assert_eq!(&seen.request.bytes, &asked.content());
            prop_assert_eq!(&seen.response.bytes, &answered.content());
            prop_assert_eq!((seen.status, &seen.problem), (Some(200), &None));
            prop_assert_eq!(&seen.target, "/a/b?c=d");
        }
    }
}
