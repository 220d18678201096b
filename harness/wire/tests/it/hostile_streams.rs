//! Servers that break the rules, over real sockets, in every protocol: each ends in a
//! failure with a name or in the whole answer, none in a panic, none in a hang.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime};

use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::framing::{self, StreamFormat};
use timeslip_wire::protocols::{self, Answer, Item, PROTOCOLS};
use timeslip_wire::{Endpoint, Failure, Session};
use tokio::time::Instant;

use crate::recorded;
use crate::support::{canned, endpoint_of, http};

/// Far more than any of these takes; a hang, not slowness, runs into it.
const MAX_TIME: Duration = Duration::from_secs(60);

/// A protocol and a whole, honest response body of it.
struct Subject {
    protocol: &'static str,
    body: String,
}

impl Subject {
    fn all() -> impl Iterator<Item = Subject> {
        PROTOCOLS.iter().map(|protocol| Subject {
            protocol: protocol.name(),
            body: recorded::with_calls(*protocol).0,
        })
    }

    fn has_events(&self) -> bool {
        let protocol = protocols::by_name(self.protocol).unwrap();
        protocol.format() == StreamFormat::ServerSentEvents
    }

    /// One payload in the protocol's framing.
    fn payload(&self, payload: &str) -> String {
        if self.has_events() {
            format!("data: {payload}\n\n")
        } else {
            format!("{payload}\n")
        }
    }

    /// The events of the honest body.
    fn events(&self) -> Vec<&str> {
        let end = if self.has_events() { "\n\n" } else { "\n" };
        self.body.split_inclusive(end).collect()
    }

    fn endpoint(&self, port: u16) -> Endpoint {
        let mut endpoint = endpoint_of(self.protocol, port, "http-sse");
        endpoint.options.retries = 0;
        endpoint.idle_timeout = Duration::from_secs(10);
        endpoint
    }

    /// What comes of a response with this body, and without a length.
    async fn answers(&self, body: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
        let mut response = http("200 OK", "content-type: text/event-stream\r\n", "");
        response.extend(body.into());
        self.says(response).await
    }

    /// What comes of these bytes.
    async fn says(&self, response: Vec<u8>) -> Result<Answer, Failure> {
        let (port, _) = canned(vec![response]);
        ask(&self.endpoint(port)).await.0
    }

    /// What comes of a server that does this with its connection.
    async fn serves(
        &self,
        behaviour: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Result<Answer, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || behaviour(listener.accept().unwrap().0));
        let mut endpoint = self.endpoint(port);
        endpoint.idle_timeout = Duration::from_millis(400);
        ask(&endpoint).await.0
    }

    async fn honest(&self) -> Answer {
        self.answers(self.body.as_str()).await.unwrap()
    }
}

async fn ask(endpoint: &Endpoint) -> (Result<Answer, Failure>, Vec<Exchange>) {
    let mut exchanges = Vec::new();
    let items = [Item::User("do it".into())];
    let mut session = Session::new(endpoint, "key#1".into(), clock::now());
    let asked = session.ask(
        1,
        "instructions",
        &[],
        &items,
        Instant::now() + MAX_TIME,
        |exchange| exchanges.push(exchange),
    );
    let answer = tokio::time::timeout(MAX_TIME, asked).await;
    let answer = answer.expect("it hangs");
    assert_ne!(answer.as_ref().err(), Some(&Failure::Deadline), "it hangs");
    let last = exchanges.last().unwrap();
    assert_eq!(last.error.is_none(), answer.is_ok());
    (answer, exchanges)
}

fn read_some(stream: &mut TcpStream) {
    let mut buffer = [0; 64 << 10];
    let _ = stream.read(&mut buffer).unwrap();
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

#[tokio::test]
async fn what_is_only_unusual_gives_the_whole_answer() {
    for subject in Subject::all() {
        println!("{}", subject.protocol);
        let honest = subject.honest().await;
        let windows = subject.body.replace('\n', "\r\n");
        assert_eq!(subject.answers(windows).await.unwrap(), honest);
        let unended = subject.body.trim_end();
        assert_eq!(
            subject.answers(unended).await.unwrap(),
            honest,
            "no end of the last line"
        );

        let followed = subject.body.clone() + &subject.payload("{not json") + "\u{0}\u{1}";
        assert_eq!(subject.answers(followed).await.unwrap(), honest);

        let html = http("200 OK", "content-type: text/html\r\n", &subject.body);
        assert_eq!(subject.says(html).await.unwrap(), honest, "mislabelled");

        let body = subject.body.clone();
        let dripped = subject.serves(move |mut stream| {
            read_some(&mut stream);
            stream.set_nodelay(true).unwrap();
            stream.write_all(HEAD.as_bytes()).unwrap();
            for drop in body.as_bytes().chunks(5) {
                stream.write_all(drop).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        assert_eq!(dripped.await.unwrap(), honest, "drop by drop");
    }
}

/// What came of it, without what differs from run to run.
fn outcome(result: Result<Answer, Failure>) -> String {
    match result {
        Ok(answer) => format!(
            "an answer: {:?}, {} calls, {:?}",
            answer.text,
            answer.calls.len(),
            answer.incomplete
        ),
        Err(failure) => failure.to_string(),
    }
}

#[tokio::test]
async fn every_broken_stream_has_an_outcome() {
    let mut table = String::new();
    for subject in Subject::all() {
        writeln!(table, "{}", subject.protocol).unwrap();
        let events = subject.events();
        let reversed: String = events.iter().rev().copied().collect();
        let half = subject.body.len() / 2;
        let nested = "[".repeat(100_000);
        let invalid: Vec<u8> = subject
            .payload(r#"{"type":"?","id":"?","responseId":"?","model":"?"}"#)
            .bytes()
            .map(|byte| if byte == b'?' { 0xff } else { byte })
            .collect();
        let bodies: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("an end without a beginning", events[events.len() - 1].into()),
            ("only the beginning", events[0].into()),
            ("wrong order", reversed.into()),
            ("cut in the middle", subject.body[..half].into()),
            ("cut before the last two events", events[..events.len() - 2].concat().into()),
            ("invalid UTF-8", invalid),
            ("a lone surrogate", subject.payload(r#"{"type":"\ud83d","id":"\ud83d","responseId":"\ud83d","model":"\ud83d"}"#).into()),
            ("no JSON", subject.payload("{not json").into()),
            ("a number", subject.payload("7").into()),
            ("null", subject.payload("null").into()),
            ("endless nesting", subject.payload(&format!(r#"{{"error":{nested}"#)).into()),
            ("an endless number", subject.payload(r#"{"type":"ping","usage":{"prompt_tokens":1e999},"usageMetadata":{"promptTokenCount":1e999},"eval_count":1e999}"#).into()),
            ("a giant line", format!("data: {}", "x".repeat(framing::MAX_PAYLOAD + 1)).into()),
            ("a page", b"<html><body>Bad gateway</body></html>\n".into()),
            ("an error instead of a stream", br#"{"error":{"message":"no such model","type":"not_found_error","code":"model_not_found"}}"#.into()),
        ];
        for (name, body) in bodies {
            let outcome = outcome(subject.answers(body).await);
            writeln!(table, "  {name}: {outcome}").unwrap();
        }
        for (name, response) in [
            ("no HTTP", b"220 mail.example.org ESMTP\r\n".to_vec()),
            (
                "broken chunks",
                format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
                    subject.body
                )
                .into(),
            ),
            (
                "less than announced",
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{}",
                    events[0]
                )
                .into(),
            ),
            (
                "endless headers",
                format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(200_000)).into(),
            ),
            (
                "too many requests",
                http(
                    "429 Too Many Requests",
                    "retry-after: 5\r\n",
                    r#"{"error":{"message":"slow down"}}"#,
                ),
            ),
            ("overloaded", http("529 Overloaded", "", "")),
            ("a redirect", http("302 Found", "location: /\r\n", "")),
        ] {
            let outcome = outcome(subject.says(response).await);
            writeln!(table, "  {name}: {outcome}").unwrap();
        }
    }
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("outcomes", table);
    });
}

#[tokio::test]
async fn a_server_that_stops_is_given_up_and_one_that_resets_is_noticed() {
    for subject in Subject::all() {
        println!("{}", subject.protocol);
        let half = subject.body[..subject.body.len() / 2].to_owned();
        let silent = half.clone();
        let stopped = subject.serves(move |mut stream| {
            read_some(&mut stream);
            stream.write_all(HEAD.as_bytes()).unwrap();
            stream.write_all(silent.as_bytes()).unwrap();
            // Open, and silent, until the client has gone.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(
            stopped.await.unwrap_err(),
            Failure::Idle(Duration::from_millis(400))
        );

        let reset = subject.serves(move |mut stream| {
            // What is closed with something unread is reset.
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(HEAD.as_bytes()).unwrap();
            let _ = stream.write_all(half.as_bytes());
        });
        let failure = reset.await.unwrap_err();
        assert!(matches!(failure, Failure::Closed(_)), "{failure:?}");

        let deaf = subject.serves(|stream| {
            std::thread::sleep(Duration::from_secs(2));
            drop(stream);
        });
        assert!(matches!(deaf.await.unwrap_err(), Failure::Idle(_)));
    }
}

/// What is known of the tokens of an answer that was cut off is of another answer: of
/// its beginning, or of one that was never read.
#[tokio::test]
async fn an_answer_that_was_cut_off_has_no_usage() {
    for subject in Subject::all() {
        let events = subject.events();
        let cut = [HEAD, &events[..events.len() / 2].concat()].concat();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = subject.endpoint(listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_some(&mut stream);
            stream.write_all(cut.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut exchanges = Vec::new();
        let items = [Item::User("do it".into())];
        let deadline = Instant::now() + Duration::from_millis(500);
        let failure = Session::new(&endpoint, "key#1".into(), clock::now())
            .ask(1, "", &[], &items, deadline, |exchange| {
                exchanges.push(exchange)
            })
            .await
            .unwrap_err();
        assert_eq!(failure, Failure::Deadline);
        let [exchange] = exchanges.as_slice() else {
            panic!("{exchanges:?}");
        };
        assert!(exchange.marks.first_token.is_some(), "{}", subject.protocol);
        assert_eq!(exchange.usage, None, "{}", subject.protocol);
    }
}

/// Gemini tells in the body how long to wait, and says much else there.
#[tokio::test]
async fn a_wait_that_only_the_body_asks_for_is_honoured() {
    let details = format!(
        r#"[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{}"}}]}},
            {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7.5s"}}]"#,
        "x".repeat(3_000)
    );
    let body = format!(
        r#"{{"error":{{"code":429,"message":"You exceeded your quota.","status":"RESOURCE_EXHAUSTED","details":{details}}}}}"#
    );
    let words = r#"{"error":{"message":"Rate limit reached. Please try again in 1m2.5s.","code":"rate_limit_exceeded"}}"#;
    for (protocol, body, message, wait) in [
        ("gemini", body.as_str(), "You exceeded your quota.", 7_500),
        (
            "chat-completions",
            words,
            "Rate limit reached. Please try again in 1m2.5s.",
            62_500,
        ),
    ] {
        let subject = Subject::all().find(|subject| subject.protocol == protocol);
        let response = http("429 Too Many Requests", "", body);
        let failure = subject.unwrap().says(response).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("HTTP 429: {message}"));
        assert_eq!(failure.retry_after(), Some(Duration::from_millis(wait)));
    }
}

#[tokio::test]
async fn comments_without_end_do_not_fill_the_memory() {
    let subject = Subject::all().find(|subject| subject.protocol == "chat-completions");
    let comments = ": still here, and still nothing to say\n".repeat(900_000);
    assert!(matches!(
        subject.unwrap().answers(comments).await.unwrap_err(),
        Failure::TooLarge(_)
    ));
}

#[tokio::test]
async fn a_date_to_come_back_at_is_honoured() {
    for subject in Subject::all() {
        let at = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
        let header = format!("retry-after: {at}\r\n");
        let busy = http("503 Service Unavailable", &header, "busy");
        let honest = http("200 OK", "", &subject.body);
        let (port, _) = canned(vec![busy, honest]);
        let mut endpoint = subject.endpoint(port);
        endpoint.options.retries = 1;
        let (answer, exchanges) = ask(&endpoint).await;
        answer.unwrap();
        let waited = exchanges[0].backoff_until.unwrap() - exchanges[0].marks.done;
        // The date has whole seconds.
        assert!((500_000_000..3_000_000_000).contains(&waited), "{waited}");
    }
}
