//! HTTP/1.1, and the WebSockets made from it: a relay of bytes.
//!
//! Each connection of a client has one of its own to the upstream, so that whatever belongs
//! to a connection means the same on both sides: keep-alive, half-close, resets, trailers and
//! upgrades. All that is changed are the host and the path in the head of a request; a
//! library that takes messages apart would lose the order of headers, interim responses and
//! extensions of chunks.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use timeslip_wire::clock;
use timeslip_wire::connection::{Application, Arrival, Connection, Duplex, Probe, Timed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;

use crate::head::{self, RequestHead};
use crate::messages::{Following, Messages, Piece};
use crate::told::{Event, Id, Opened, Passed};
use crate::way::Way;

/// Bytes read at once.
pub const READ: usize = 16 << 10;
/// The transport, as the journal names it.
const TRANSPORT: &str = "http-sse";
/// Requests of one connection that wait for their answers; a client that sends more has to wait
/// itself.
const MAX_WAITING: usize = 64;
/// How long the end of one side waits for the other's.
const LINGER: Duration = Duration::from_secs(5);
/// What refuses a client's upgrade so that it goes on over HTTP at once.
const UPGRADE_REQUIRED: u16 = 426;
/// Refusals of an upgrade that are not of the WebSocket: who asks, or how often.
const OF_THE_CLIENT: [u16; 4] = [401, 403, 407, 429];
/// Most that is read of the body of a refusal which the client does not get.
const MAX_REFUSAL: usize = 64 << 10;

/// Passes on what a client says whose first bytes have been read.
pub async fn serve(way: &Way, client: Timed, first: BytesMut) {
    let opened = way.open(Application::Http1).await;
    let (from_client, to_client) = tokio::io::split(client);
    match opened {
        Ok(connection) => relay(way, from_client, to_client, first, connection).await,
        Err(problem) => refuse(way, from_client, to_client, &first, &problem).await,
    }
}

/// A request whose response has not ended.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: Id,
    to_head: bool,
    upgrades: bool,
}

/// What both directions know.
#[derive(Debug, Default)]
struct Between {
    waiting: VecDeque<Waiting>,
    /// The WebSocket that the connection has become.
    socket: Option<Id>,
}

/// How one direction ended.
enum Ended {
    /// It said all it had to.
    Well,
    /// The client is gone, and nobody waits for the rest.
    ClientGone(String),
    /// The upstream broke off.
    Cut(String),
    /// Nothing is left to be done.
    Done,
}

struct Relay<'a> {
    way: &'a Way,
    client: Arc<Probe>,
    upstream: Arc<Probe>,
    between: Mutex<Between>,
    /// A request was answered.
    answered: Notify,
}

async fn relay(
    way: &Way,
    from_client: ReadHalf<Timed>,
    to_client: WriteHalf<Timed>,
    first: BytesMut,
    connection: Connection,
) {
    let (from_upstream, mut to_upstream) = tokio::io::split(connection.stream);
    let relay = Relay {
        way,
        client: Arc::clone(&way.client),
        upstream: Arc::clone(&connection.probe),
        between: Mutex::default(),
        answered: Notify::new(),
    };
    let opened = Opened {
        steps: connection.steps,
        remark: connection.remark,
        probe: connection.probe,
    };
    let ended = {
        let mut up = pin!(relay.up(from_client, &mut to_upstream, first, opened));
        let mut down = pin!(relay.down(from_upstream, to_client));
        tokio::select! {
            ended = &mut up => match ended {
                // What nobody waits for is not waited for.
                Ended::Well if relay.is_idle() => {
                    let rest = tokio::time::timeout(LINGER, down).await;
                    rest.unwrap_or(Ended::Well)
                }
                Ended::Well => down.await,
                ended => ended,
            },
            ended = &mut down => {
                if let Ended::Well = ended {
                    // The client ends its side, too, unless it has nothing more to say.
                    let _ = tokio::time::timeout(LINGER, up).await;
                }
                ended
            }
        }
    };
    let unfinished = relay.over(&ended);
    if let Ended::Cut(_) = ended {
        // An end would say that this was all.
        let _ = relay.client.reset();
    }
    if unfinished || matches!(ended, Ended::ClientGone(_)) {
        // The upstream hears at once that nobody waits any more.
        let _ = relay.upstream.reset();
    } else {
        let _ = tokio::time::timeout(LINGER, to_upstream.shutdown()).await;
    }
}

impl Relay<'_> {
    fn between(&self) -> MutexGuard<'_, Between> {
        // Nothing in there can be left half done.
        self.between.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for anything.
    fn is_idle(&self) -> bool {
        let between = self.between();
        between.waiting.is_empty() && between.socket.is_none()
    }

    /// The connection is a WebSocket from here on.
    fn upgraded(&self, id: Id) {
        let mut between = self.between();
        between.waiting.pop_front();
        between.socket = Some(id);
        self.answered.notify_one();
    }

    fn tell(&self, id: Id, event: Event) {
        self.way.teller.tell(id, event);
    }

    /// Tells of what has not ended; true where there was any.
    fn over(&self, ended: &Ended) -> bool {
        let at = clock::now();
        let problem = match ended {
            Ended::Well | Ended::Done => None,
            Ended::ClientGone(problem) => Some(format!("the client left: {problem}")),
            Ended::Cut(problem) => Some(format!("the upstream broke off: {problem}")),
        };
        let mut between = self.between();
        let waiting = between.waiting.drain(..).map(|waiting| waiting.id);
        let waiting: Vec<Id> = waiting.collect();
        let unfinished = !waiting.is_empty();
        for id in waiting.into_iter().chain(between.socket.take()) {
            let problem = problem.clone();
            self.tell(id, Event::Over { at, problem });
        }
        unfinished
    }

    /// The requests, from the client to the upstream.
    async fn up(
        &self,
        mut from: ReadHalf<Timed>,
        to: &mut WriteHalf<Box<dyn Duplex>>,
        mut bytes: BytesMut,
        opened: Opened,
    ) -> Ended {
        let mut requests = Requests {
            relay: self,
            messages: Messages::new(),
            start: 0,
            current: None,
            opened: Some(opened),
        };
        loop {
            let arrival = self.client.arrival();
            let (out, after) = requests.take(&bytes, arrival);
            if let Err(error) = write(to, &out).await {
                // What the upstream has still to say decides.
                return self.drain(from, &error).await;
            }
            let handed_on = self.upstream.last_write().unwrap_or(arrival.read);
            let passed = Passed { arrival, handed_on };
            for (id, said) in after {
                self.tell(id, said.event(self, passed));
            }
            bytes.clear();
            while self.between().waiting.len() >= MAX_WAITING {
                self.answered.notified().await;
            }
            match read(&mut from, &mut bytes).await {
                Ok(true) => {}
                Ok(false) => {
                    self.client_left();
                    // It may only have ended its side, as it would with the upstream.
                    let _ = to.shutdown().await;
                    return Ended::Well;
                }
                Err(error) => {
                    self.client_left();
                    return Ended::ClientGone(error.to_string());
                }
            }
        }
    }

    /// Reads over what the upstream does not take any more: an answer may be on its way.
    async fn drain(&self, mut from: ReadHalf<Timed>, error: &io::Error) -> Ended {
        let mut bytes = BytesMut::new();
        loop {
            bytes.clear();
            match read(&mut from, &mut bytes).await {
                Ok(true) => {}
                Ok(false) => return Ended::Well,
                Err(_) => return Ended::ClientGone(error.to_string()),
            }
        }
    }

    fn client_left(&self) {
        let (between, at) = (self.between(), clock::now());
        let waiting = between.waiting.iter().map(|waiting| waiting.id);
        for id in waiting.chain(between.socket) {
            self.tell(id, Event::ClientLeft(at));
        }
    }

    /// The responses, from the upstream to the client.
    async fn down(&self, mut from: ReadHalf<Box<dyn Duplex>>, mut to: WriteHalf<Timed>) -> Ended {
        let mut messages = Messages::new();
        let mut bytes = BytesMut::new();
        loop {
            bytes.clear();
            match read(&mut from, &mut bytes).await {
                Ok(true) => {}
                Ok(false) => {
                    self.upstream_ended(&messages);
                    let _ = to.shutdown().await;
                    return Ended::Well;
                }
                Err(error) => return Ended::Cut(error.to_string()),
            }
            let arrival = self.upstream.arrival();
            if let Some(asked) = self.first().filter(|waiting| waiting.upgrades) {
                match self.upgrade(asked, &mut from, &mut to, &mut bytes).await {
                    Ok(true) => messages.follow(Following::Foreign),
                    Ok(false) => return Ended::Done,
                    Err(error) => return Ended::Cut(error.to_string()),
                }
                continue;
            }
            if let Err(error) = write(&mut to, &bytes).await {
                self.client_left();
                return Ended::ClientGone(error.to_string());
            }
            self.record(&mut messages, &bytes, self.passed_down(arrival));
        }
    }

    fn passed_down(&self, arrival: Arrival) -> Passed {
        let handed_on = self.client.last_write().unwrap_or(arrival.read);
        Passed { arrival, handed_on }
    }

    /// Tells of what was passed on to the client; of a body one event for each read, into
    /// however many chunks it is cut.
    fn record(&self, messages: &mut Messages, mut bytes: &[u8], passed: Passed) {
        let mut body = Vec::new();
        while let Some(piece) = messages.next(&mut bytes) {
            match piece {
                Piece::Data(part) => body.extend_from_slice(part),
                Piece::Framing(_) => self.tell_of_problem(messages),
                Piece::Head => self.response_head(messages, passed),
                Piece::End => {
                    self.tell_of_body(std::mem::take(&mut body), passed);
                    self.answered(passed);
                }
                Piece::Foreign(part) => {
                    let socket = self.between().socket;
                    match socket {
                        Some(id) => self.tell(id, Said::FromServer(part).event(self, passed)),
                        None => {
                            self.tell_of_problem(messages);
                            body.extend_from_slice(part);
                        }
                    }
                }
            }
        }
        self.tell_of_body(body, passed);
    }

    fn response_head(&self, messages: &mut Messages, passed: Passed) {
        let first = self.first();
        let to_head = first.is_some_and(|waiting| waiting.to_head);
        match head::response(messages.head(), to_head) {
            Ok(head) => {
                messages.follow(head.following);
                if let Some(Waiting { id, .. }) = first
                    && head.following != Following::Head
                {
                    self.tell(id, Event::Response(Box::new(head), passed));
                }
            }
            Err(problem) => messages.give_up(problem),
        }
        self.tell_of_problem(messages);
    }

    /// The request whose response comes next.
    fn first(&self) -> Option<Waiting> {
        self.between().waiting.front().copied()
    }

    fn tell_of_body(&self, body: Vec<u8>, passed: Passed) {
        if let (false, Some(Waiting { id, .. })) = (body.is_empty(), self.first()) {
            let copied = self.way.teller.copied(body);
            self.tell(id, Event::ResponseData(copied, passed));
        }
    }

    fn tell_of_problem(&self, messages: &Messages) {
        if let Some(problem) = messages.problem()
            && let Some(Waiting { id, .. }) = self.first()
        {
            self.tell(id, Event::Unread(problem));
        }
    }

    /// The first response has ended.
    fn answered(&self, passed: Passed) {
        let first = self.between().waiting.pop_front();
        self.answered.notify_one();
        if let Some(Waiting { id, .. }) = first {
            let counts = Box::new(self.upstream.counts());
            self.tell(id, Event::ResponseEnd(passed, Some(counts)));
        }
    }

    /// The upstream has ended its side, which ends a body without a length.
    fn upstream_ended(&self, messages: &Messages) {
        if messages.ends_with_connection() {
            let arrival = Arrival::read(clock::now());
            self.answered(self.passed_down(arrival));
        }
    }

    /// Reads the answer to an upgrade, of which `bytes` have come, and passes on what the
    /// client shall have of it; true where it is a WebSocket from here on.
    async fn upgrade(
        &self,
        asked: Waiting,
        from: &mut ReadHalf<Box<dyn Duplex>>,
        to: &mut WriteHalf<Timed>,
        bytes: &mut BytesMut,
    ) -> io::Result<bool> {
        let mut messages = Messages::new();
        let mut refused = None;
        let mut read_over = 0;
        loop {
            let arrival = self.upstream.arrival();
            let mut left = &bytes[..];
            while refused.is_none() && !left.is_empty() {
                let Some(piece) = messages.next(&mut left) else {
                    break;
                };
                if piece != Piece::Head {
                    if messages.is_foreign() {
                        let problem = messages.problem().unwrap_or("it is no HTTP");
                        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
                    }
                    continue;
                }
                let raw = messages.head().to_vec();
                let invalid = |problem| io::Error::new(io::ErrorKind::InvalidData, problem);
                let answer = head::response(&raw, false).map_err(invalid)?;
                let status = answer.status;
                let passes = status < 200 || OF_THE_CLIENT.contains(&status);
                messages.follow(answer.following);
                if passes {
                    to.write_all(&raw).await?;
                } else {
                    let why = format!(
                        "the server takes no WebSocket here (it answered {status}); use HTTP\n"
                    );
                    own_answer(to, "426 Upgrade Required", &why).await?;
                }
                let passed = self.passed_down(arrival);
                if answer.following == Following::Head {
                    continue;
                }
                self.tell(asked.id, Event::Response(Box::new(answer), passed));
                if !passes {
                    self.tell(asked.id, Event::OwnAnswer(UPGRADE_REQUIRED));
                }
                if status == 101 {
                    self.upgraded(asked.id);
                    write(to, left).await?;
                    let passed = self.passed_down(arrival);
                    self.tell(asked.id, Said::FromServer(left).event(self, passed));
                    return Ok(true);
                }
                refused = Some(passes);
            }
            if let Some(passes) = refused {
                if passes {
                    write(to, left).await?;
                }
                read_over += left.len();
                self.record(&mut messages, left, self.passed_down(arrival));
                let answered = self.between().waiting.is_empty();
                if answered || !passes && read_over > MAX_REFUSAL {
                    // The client begins anew: what it said after its upgrade was no HTTP.
                    to.shutdown().await?;
                    return Ok(false);
                }
            }
            bytes.clear();
            let more = match refused {
                // The client has its answer; what the upstream says is for the record.
                Some(false) => tokio::time::timeout(LINGER, read(from, bytes)).await,
                _ => Ok(read(from, bytes).await),
            };
            if !more.unwrap_or(Ok(false))? {
                self.upstream_ended(&messages);
                to.shutdown().await?;
                return Ok(false);
            }
        }
    }
}

/// The requests of a client, as they are read.
struct Requests<'a> {
    relay: &'a Relay<'a>,
    messages: Messages,
    /// When the first byte of the request came.
    start: u64,
    current: Option<Id>,
    /// The connection, until a request was told of.
    opened: Option<Opened>,
}

/// What was said, told of once it is passed on.
enum Said<'a> {
    RequestData(Vec<u8>),
    RequestEnd,
    FromClient(&'a [u8]),
    FromServer(&'a [u8]),
}

impl Said<'_> {
    fn event(self, relay: &Relay<'_>, passed: Passed) -> Event {
        let copy = |bytes| relay.way.teller.copy(bytes);
        let frames = |from_client, bytes| Event::Frames {
            from_client,
            copied: copy(bytes),
            passed,
        };
        match self {
            Said::RequestData(bytes) => Event::RequestData(relay.way.teller.copied(bytes)),
            Said::RequestEnd => Event::RequestEnd(passed),
            Said::FromClient(bytes) => frames(true, bytes),
            Said::FromServer(bytes) => frames(false, bytes),
        }
    }
}

impl Requests<'_> {
    /// Takes bytes as they came: what is written for them, and what is to be told then.
    fn take<'b>(
        &mut self,
        mut bytes: &'b [u8],
        arrival: Arrival,
    ) -> (Vec<u8>, Vec<(Id, Said<'b>)>) {
        let mut out = Vec::with_capacity(bytes.len() + 256);
        let mut after = Vec::new();
        loop {
            if self.messages.is_between() {
                self.start = arrival.at;
            }
            let Some(piece) = self.messages.next(&mut bytes) else {
                return (out, after);
            };
            match piece {
                Piece::Head => {
                    let raw = self.messages.head();
                    match head::request(raw) {
                        Ok(head) => {
                            let upstream = &self.relay.way.upstream;
                            out.extend(head::rewritten(raw, &head, upstream));
                            let following = match head.upgrades {
                                true => Following::Foreign,
                                false => head.following,
                            };
                            self.messages.follow(following);
                            self.begin(head);
                        }
                        Err(problem) => {
                            self.messages.give_up(problem);
                            self.foreign(&mut out);
                        }
                    }
                }
                Piece::Data(data) => {
                    out.extend_from_slice(data);
                    match (after.last_mut(), self.current) {
                        (Some((last, Said::RequestData(body))), Some(id)) if *last == id => {
                            body.extend_from_slice(data);
                        }
                        (_, Some(id)) => after.push((id, Said::RequestData(data.to_vec()))),
                        (_, None) => {}
                    }
                }
                Piece::Framing(framing) => {
                    out.extend_from_slice(framing);
                    if let (Some(problem), Some(id)) = (self.messages.problem(), self.current) {
                        self.relay.tell(id, Event::Unread(problem));
                    }
                }
                Piece::End => after.extend(self.current.take().map(|id| (id, Said::RequestEnd))),
                Piece::Foreign(data) => {
                    self.foreign(&mut out);
                    out.extend_from_slice(data);
                    after.extend(self.current.map(|id| (id, Said::FromClient(data))));
                }
            }
        }
    }

    /// Sends on what was held back of a request that is none.
    fn foreign(&mut self, out: &mut Vec<u8>) {
        let held = self.messages.take_head_back();
        if held.is_empty() {
            return;
        }
        out.extend(held);
        self.begin(RequestHead::unread());
        if let (Some(id), Some(problem)) = (self.current, self.messages.problem()) {
            self.relay.tell(id, Event::Unread(problem));
        }
    }

    /// A request begins.
    fn begin(&mut self, head: RequestHead) {
        let relay = self.relay;
        let id = relay.way.next();
        self.current = Some(id);
        let mut between = relay.between();
        if between.waiting.is_empty() {
            relay.upstream.arm();
        }
        between.waiting.push_back(Waiting {
            id,
            to_head: head.method == "HEAD",
            upgrades: head.upgrades,
        });
        drop(between);
        // Before it is passed on: its answer is told of later for certain.
        let (teller, opened) = (&relay.way.teller, self.opened.take());
        teller.request(id, self.start, head, TRANSPORT, opened);
    }
}

/// Answers a client that cannot be connected to the upstream.
async fn refuse(
    way: &Way,
    mut from: ReadHalf<Timed>,
    mut to: WriteHalf<Timed>,
    first: &[u8],
    problem: &str,
) {
    let id = way.next();
    let start = way.client.arrival().at;
    let whole = read_head(&mut from, first);
    let head = tokio::time::timeout(LINGER, whole).await.ok().flatten();
    let head = head.unwrap_or_else(RequestHead::unread);
    way.teller.request(id, start, head, TRANSPORT, None);
    let _ = own_answer(&mut to, "502 Bad Gateway", &format!("{problem}\n")).await;
    let _ = to.shutdown().await;
    let at = clock::now();
    let problem = Some(problem.to_owned());
    way.teller.tell(id, Event::OwnAnswer(502));
    way.teller.tell(id, Event::Over { at, problem });
    // Bytes that nobody reads would take the answer from the client.
    let rest = async {
        let mut bytes = BytesMut::new();
        while read(&mut from, &mut bytes).await.unwrap_or(false) {
            bytes.clear();
        }
    };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// Reads the head of a request that begins with `first`.
async fn read_head(from: &mut ReadHalf<Timed>, first: &[u8]) -> Option<RequestHead> {
    let mut messages = Messages::new();
    let mut bytes = BytesMut::from(first);
    loop {
        let mut left = &bytes[..];
        while let Some(piece) = messages.next(&mut left) {
            match piece {
                Piece::Head => return head::request(messages.head()).ok(),
                Piece::Framing(_) => {}
                Piece::Data(_) | Piece::End | Piece::Foreign(_) => return None,
            }
        }
        bytes.clear();
        if !read(from, &mut bytes).await.unwrap_or(false) {
            return None;
        }
    }
}

/// Writes an answer of the proxy's own, after which the connection ends.
async fn own_answer(to: &mut WriteHalf<Timed>, status: &str, why: &str) -> io::Result<()> {
    let length = why.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{why}"
    );
    write(to, answer.as_bytes()).await
}

/// Reads more; false at the end.
async fn read<S>(from: &mut ReadHalf<S>, into: &mut BytesMut) -> io::Result<bool>
where
    ReadHalf<S>: tokio::io::AsyncRead + Unpin,
{
    into.reserve(READ);
    Ok(from.read_buf(into).await? > 0)
}

/// Writes all of it, at once.
async fn write<S>(to: &mut WriteHalf<S>, bytes: &[u8]) -> io::Result<()>
where
    WriteHalf<S>: tokio::io::AsyncWrite + Unpin,
{
    to.write_all(bytes).await?;
    to.flush().await
}
