//! Server-sent events over HTTP/2, against servers that do what a script says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use h2::server::SendResponse;
use hyper::Response;
use hyper::body::Bytes;
use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::protocols::{Answer, Item};
use timeslip_wire::{Endpoint, Failure, Session};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::support::{endpoint, events};

const DELTA: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hello\"}\n\n";
const DONE: &str =
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[]}}\n\n";

/// What one request is answered by.
#[derive(Clone)]
enum Say {
    /// Data frames, each this long after the one before it.
    Stream(Vec<(Duration, String)>),
    /// The same, but the stream is reset instead of ended.
    /// A whole answer, and then bytes without end; tells when it was cancelled.
    Endless(Arc<AtomicBool>),
    Reset(Vec<(Duration, String)>),
    /// A status, a header and a body.
    Refuse(u16, (&'static str, &'static str), &'static str),
}

fn answer() -> Say {
    Say::Stream(vec![
        (Duration::ZERO, DELTA.into()),
        (Duration::ZERO, DONE.into()),
    ])
}

/// A server that plays one list for each connection and closes the connection after it.
async fn server(script: Vec<Vec<Say>>, read_body_after: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for connection in script {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut requests = h2::server::handshake(stream).await.unwrap();
                let mut left = connection.len();
                let mut script = connection.into_iter();
                while let Some(Ok((request, respond))) = requests.accept().await {
                    let mut body = request.into_body();
                    let say = script.next().unwrap();
                    left -= 1;
                    let play = async move {
                        sleep(read_body_after).await;
                        while let Some(data) = body.data().await {
                            let count = data.unwrap().len();
                            body.flow_control().release_capacity(count).unwrap();
                        }
                        play(respond, say).await;
                    };
                    if left == 0 {
                        // The connection goes on only as long as this answer.
                        tokio::select! {
                            () = async { play.await; sleep(Duration::from_millis(20)).await } => return,
                            _ = std::future::poll_fn(|cx| requests.poll_closed(cx)) => return,
                        }
                    }
                    tokio::spawn(play);
                }
            });
        }
    });
    port
}

async fn play(mut respond: SendResponse<Bytes>, say: Say) {
    let (frames, reset) = match say {
        Say::Refuse(status, (name, value), body) => {
            let head = Response::builder().status(status).header(name, value);
            let mut stream = respond
                .send_response(head.body(()).unwrap(), false)
                .unwrap();
            stream
                .send_data(Bytes::from_static(body.as_bytes()), true)
                .unwrap();
            return;
        }
        Say::Endless(cancelled) => {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            let mut data = Bytes::from(format!("{DELTA}{DONE}"));
            while stream.send_data(data, false).is_ok() {
                sleep(Duration::from_millis(5)).await;
                data = Bytes::from_static(b"\n");
            }
            cancelled.store(true, Relaxed);
            return;
        }
        Say::Stream(frames) => (frames, false),
        Say::Reset(frames) => (frames, true),
    };
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    for (pause, text) in frames {
        if !pause.is_zero() {
            sleep(pause).await;
        }
        stream.send_data(text.into(), false).unwrap();
    }
    if reset {
        sleep(Duration::from_millis(10)).await;
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    } else {
        stream.send_data(Bytes::new(), true).unwrap();
    }
}

struct Talk {
    session: Session,
    prompt: Vec<Item>,
    exchanges: Vec<Exchange>,
}

impl Talk {
    fn new(endpoint: &Endpoint) -> Self {
        Talk {
            session: Session::new(endpoint, "key#1".into(), clock::now()),
            prompt: vec![Item::User("do it".into())],
            exchanges: Vec::new(),
        }
    }

    async fn ask(&mut self) -> Result<Answer, Failure> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let exchanges = &mut self.exchanges;
        self.session
            .ask(1, "i", &[], &self.prompt, deadline, |exchange| {
                exchanges.push(exchange);
            })
            .await
    }
}

#[tokio::test]
async fn turns_share_a_connection_and_pings_give_its_round_trip() {
    let slow = Say::Stream(vec![
        (Duration::from_millis(30), DELTA.into()),
        (Duration::from_millis(1), DONE.into()),
    ]);
    let port = server(vec![vec![slow.clone(), slow, answer()]], Duration::ZERO).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    for _ in 0..2 {
        talk.ask().await.unwrap();
    }
    let [first, second] = &talk.exchanges[..] else {
        panic!("{:?}", talk.exchanges)
    };
    assert_eq!(first.transport, "http2-sse");
    assert!(first.marks.tcp.is_some() && !first.reused_connection);
    assert!(second.marks.tcp.is_none() && second.reused_connection);
    for exchange in [first, second] {
        let marks = &exchange.marks;
        assert!(marks.start < marks.sent.unwrap());
        assert!(marks.sent < marks.first_byte && marks.first_byte <= marks.first_token);
        let ping = exchange.ping_ns.unwrap();
        assert!(
            (1_000..20_000_000).contains(&ping),
            "the pong does not wait for the answer: {ping}"
        );
    }
}

/// Settings, window updates and pings are written after a request, too, and a request
/// larger than the server's window is sent when the server lets it be.
#[tokio::test]
async fn sent_is_when_the_requests_last_frame_went_out() {
    let late = Duration::from_millis(80);
    let slow = Say::Stream(vec![(late, DELTA.into()), (Duration::ZERO, DONE.into())]);
    let port = server(vec![vec![slow.clone(), slow, answer()]], late).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    talk.ask().await.unwrap();
    talk.prompt.push(Item::User("x".repeat(200_000)));
    talk.ask().await.unwrap();
    let sending = |index: usize| {
        let marks = &talk.exchanges[index].marks;
        Duration::from_nanos(marks.sent.unwrap() - marks.start)
    };
    assert!(sending(0) < late, "{:?}", sending(0));
    assert!((late..late * 2).contains(&sending(1)), "{:?}", sending(1));
    assert!(talk.exchanges[1].request_bytes > Some(200_000));
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_cancelled_while_tools_run() {
    let cancelled = Arc::<AtomicBool>::default();
    let script = vec![Say::Endless(Arc::clone(&cancelled)), answer()];
    let port = server(vec![script], Duration::ZERO).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    talk.ask().await.unwrap();
    talk.session.during(sleep(Duration::from_millis(500))).await;
    assert!(cancelled.load(Relaxed));
    talk.ask().await.unwrap();
    assert!(talk.exchanges[1].reused_connection, "only the stream ended");
}

#[tokio::test]
async fn a_payload_is_stamped_with_the_read_that_brought_it() {
    let gap = Duration::from_millis(25);
    let (head, tail) = DELTA.split_at(20);
    let spaced = Say::Stream(vec![
        (Duration::ZERO, DELTA.into()),
        (gap, DELTA.into()),
        (gap, head.into()),
        (gap, tail.into()),
        (gap, format!("{DELTA}{DELTA}{DELTA}")),
        (gap, DONE.into()),
    ]);
    let port = server(vec![vec![spaced, answer()]], Duration::ZERO).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    talk.ask().await.unwrap();
    let exchange = &talk.exchanges[0];
    let at: Vec<u64> = exchange.events.as_slice().iter().map(|e| e.at).collect();
    assert_eq!((at.len(), exchange.shape.output_reads), (6, 4));
    let gaps: Vec<u64> = at
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1_000_000)
        .collect();
    assert!(gaps[0] >= 20 && gaps[1] >= 45 && gaps[2] >= 20, "{gaps:?}");
    assert_eq!(gaps[3..], [0, 0]);
}

#[tokio::test]
async fn every_bad_ending_has_a_name() {
    for (say, expected) in [
        (
            Say::Stream(vec![(Duration::ZERO, DELTA.into())]),
            "no terminal event",
        ),
        (
            Say::Stream(vec![(Duration::ZERO, "data: {oops\n\n".into())]),
            "broken event",
        ),
        (
            Say::Reset(vec![(Duration::ZERO, DELTA.into())]),
            "the stream ended early",
        ),
        (
            Say::Refuse(401, ("x-a", "b"), "{\"error\":{\"message\":\"nope\"}}"),
            "HTTP 401: nope",
        ),
    ] {
        let port = server(vec![vec![say]], Duration::ZERO).await;
        let mut endpoint = endpoint(port, "http2-sse");
        endpoint.options.retries = 0;
        let error = Talk::new(&endpoint).ask().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let busy = Say::Refuse(429, ("retry-after-ms", "300"), "slow down");
    let port = server(vec![vec![busy], vec![answer()]], Duration::ZERO).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    talk.ask().await.unwrap();
    let first = &talk.exchanges[0];
    assert_eq!(first.error.as_deref(), Some("HTTP 429: slow down"));
    assert!(first.backoff_until.unwrap() - first.marks.done >= 300_000_000);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_backoff() {
    for tended in [true, false] {
        let port = server(vec![vec![answer()], vec![answer()]], Duration::ZERO).await;
        let mut endpoint = endpoint(port, "http2-sse");
        endpoint.options.retries = 0;
        let mut talk = Talk::new(&endpoint);
        talk.ask().await.unwrap();
        let pause = sleep(Duration::from_millis(100));
        if tended {
            talk.session.during(pause).await;
        } else {
            pause.await;
        }
        talk.ask().await.unwrap();
        assert_eq!(talk.exchanges.len(), if tended { 2 } else { 3 });
        let last = talk.exchanges.last().unwrap();
        assert!(!last.reused_connection && last.marks.tcp.is_some());
    }
}

#[tokio::test]
async fn a_server_of_http1_only_is_a_failure_and_not_a_hang() {
    let response = events(&["{}"]);
    let (port, _) = crate::support::canned(vec![response]);
    let mut endpoint = endpoint(port, "http2-sse");
    endpoint.options.retries = 0;
    endpoint.idle_timeout = Duration::from_secs(2);
    let failure = Talk::new(&endpoint).ask().await.unwrap_err();
    assert!(!failure.retryable(), "{failure}");
    assert!(failure.to_string().contains("use transport http-sse"));
}

/// Thousands of small frames must not look like an attack.
#[tokio::test]
async fn a_long_answer_of_small_frames_comes_through() {
    let mut frames = vec![(Duration::ZERO, DELTA.to_owned()); 20_000];
    frames.push((Duration::ZERO, DONE.into()));
    let port = server(vec![vec![Say::Stream(frames), answer()]], Duration::ZERO).await;
    let endpoint = endpoint(port, "http2-sse");
    let mut talk = Talk::new(&endpoint);
    talk.ask().await.unwrap();
    assert_eq!(talk.exchanges[0].events.as_slice().len(), 20_000);
}
