//! One request over HTTP, and its response.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use timeslip_datasets::run::journal::Marks;
use timeslip_wire::Recorder;
use timeslip_wire::connection::{Arrival, Counts};
use timeslip_wire::protocols::Protocol;
use timeslip_wire::transports::{Body as Stream, refusal};

use super::content::Content;
use super::credentials::Credentials;
use super::socket::Socket;
use super::{Keeping, NO_ROOM, finished, request};
use crate::budget::Held;
use crate::head::{self, ResponseHead};
use crate::seen::{ClientSide, Headers, Seen};
use crate::told::{Copied, Event, Id, Opened, Passed};

/// What becomes of an exchange.
pub enum Next {
    /// It goes on.
    Exchange(Box<Exchanging>),
    /// It has become a WebSocket.
    Socket(Box<Socket>),
    /// It has ended, and was told of.
    Over,
}

/// A request whose response has not ended.
pub struct Exchanging {
    id: Id,
    start: u64,
    transport: &'static str,
    opened: Option<Box<Opened>>,
    method: String,
    target: String,
    headers: Headers,
    request: Content,
    request_end: Option<Passed>,
    response: Content,
    head: Option<Box<ResponseHead>>,
    /// Found out when the response begins.
    protocol: Option<&'static dyn Protocol>,
    reading: Reading,
    response_end: Option<(Arrival, Option<Box<Counts>>)>,
    client: ClientSide,
    own_status: Option<u16>,
    problem: Option<String>,
    /// Room for all of it but the bodies.
    _held: Held,
}

/// What is made of a response.
enum Reading {
    /// No model's answer.
    Nothing,
    /// An answer that is read as it comes.
    Stream(Box<Streaming>),
    /// One document, which is read at its end, or a refusal.
    Whole(Box<Recorder>, &'static dyn Protocol),
}

struct Streaming {
    recorder: Recorder,
    /// Until the answer is whole or has failed.
    body: Option<Stream>,
    done: Option<u64>,
    failure: Option<String>,
}

impl Exchanging {
    /// A request has begun.
    pub fn begin(id: Id, event: Event, keeping: &Keeping) -> Option<Self> {
        let Event::Request {
            start,
            head,
            transport,
            opened,
            held,
        } = event
        else {
            return None;
        };
        let content = || Content::new(keeping.max_body, keeping.budget.place());
        let mut request = content();
        request.encoded(head::value(&head.headers, "content-encoding"));
        Some(Exchanging {
            id,
            start,
            transport,
            opened,
            method: head.method,
            target: head.target,
            headers: head.headers,
            request,
            request_end: None,
            response: content(),
            head: None,
            protocol: None,
            reading: Reading::Nothing,
            response_end: None,
            client: ClientSide::default(),
            own_status: None,
            problem: None,
            _held: held,
        })
    }

    /// Something happened to it.
    pub fn take(
        mut self: Box<Self>,
        event: Event,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) -> Next {
        match event {
            Event::Request { .. } => {}
            Event::RequestData(copied) => keep(&mut self.request, copied),
            Event::RequestEnd(passed) => {
                self.client.request_came = Some(keeping.offset(passed.arrival.at));
                self.request_end = Some(passed);
            }
            Event::Response(head, passed) => {
                self.handed_on(passed, keeping);
                if head.status == 101 {
                    let upgraded = passed.arrival.at;
                    let socket = self.into_socket(*head, upgraded, keeping, tell);
                    return Next::Socket(Box::new(socket));
                }
                self.respond(head, passed.arrival, keeping);
            }
            Event::ResponseData(copied, passed) => {
                self.handed_on(passed, keeping);
                self.read(copied, passed.arrival);
            }
            Event::ResponseEnd(passed, counts) => {
                self.response_end = Some((passed.arrival, counts));
            }
            Event::OwnAnswer(status) => self.own_status = Some(status),
            Event::Unread(problem) => {
                self.problem
                    .get_or_insert_with(|| format!("it cannot be read: {problem}"));
            }
            Event::Frames {
                from_client: true,
                copied,
                ..
            } => keep(&mut self.request, copied),
            Event::Frames { copied, passed, .. } => {
                self.handed_on(passed, keeping);
                keep(&mut self.response, copied);
            }
            Event::ClientLeft(at) => {
                self.client.left.get_or_insert(keeping.offset(at));
            }
            Event::Over { at, problem } => {
                if self.response_end.is_none() {
                    let problem = problem.unwrap_or_else(|| "the connection ended".into());
                    self.problem.get_or_insert(problem);
                }
                tell(self.finish(Some(at), keeping));
                return Next::Over;
            }
        }
        if self.response_end.is_some() && self.request_end.is_some() {
            tell(self.finish(None, keeping));
            return Next::Over;
        }
        Next::Exchange(self)
    }

    fn handed_on(&mut self, passed: Passed, keeping: &Keeping) {
        let at = keeping.offset(passed.handed_on);
        self.client.first_handed_on.get_or_insert(at);
        self.client.last_handed_on = Some(at);
    }

    /// A response has begun.
    fn respond(&mut self, head: Box<ResponseHead>, arrival: Arrival, keeping: &Keeping) {
        self.response
            .encoded(head::value(&head.headers, "content-encoding"));
        let body = self.request.bytes();
        self.protocol = request::protocol(&self.method, &self.target, &self.headers, body);
        if let Some(protocol) = self.protocol {
            let mut recorder =
                Recorder::begun_at(self.start, protocol.decoder(), keeping.origin, 0, 0);
            match &self.opened {
                Some(opened) => {
                    recorder.connected(opened.steps, None);
                    opened
                        .remark
                        .iter()
                        .for_each(|what| recorder.remark(what.clone()));
                }
                None => recorder.reuse_connection(),
            }
            recorder.responding(arrival);
            for (name, value) in &head.headers {
                recorder.header(&name.to_ascii_lowercase(), value);
            }
            let success = (200..300).contains(&head.status);
            self.reading = match success && is_stream(&head.headers) {
                true => Reading::Stream(Box::new(Streaming {
                    recorder,
                    body: Some(Stream::new(protocol)),
                    done: None,
                    failure: None,
                })),
                false => Reading::Whole(Box::new(recorder), protocol),
            };
        }
        self.head = Some(head);
    }

    /// A part of the response's body came.
    fn read(&mut self, copied: Copied, arrival: Arrival) {
        let Some((bytes, _held)) = copied.bytes else {
            self.response.pass_over(copied.size, NO_ROOM);
            return;
        };
        let added = self.response.take(&bytes);
        if let Reading::Stream(streaming) = &mut self.reading
            && !added.is_empty()
        {
            streaming.take(added, arrival);
        }
    }

    /// What was seen of it, now that it is over.
    fn finish(self, at: Option<u64>, keeping: &Keeping) -> Seen {
        let mut seen = Seen {
            connection: self.id.connection,
            status: self.head.as_ref().map(|head| head.status),
            client: self.client,
            own_status: self.own_status,
            problem: self.problem,
            ..Seen::default()
        };
        let ended = self.response_end.as_ref().map(|(arrival, _)| *arrival);
        let done = at.or(ended.map(|arrival| arrival.read)).unwrap_or_default();
        let cut = self.response.why_cut().map(str::to_owned);
        let read = match self.reading {
            Reading::Nothing => None,
            Reading::Stream(streaming) => {
                let Streaming {
                    mut recorder,
                    body,
                    done: whole,
                    mut failure,
                } = *streaming;
                let lost = || seen.problem.clone().or_else(|| cut.clone());
                if let (Some(body), Some(arrival)) = (body, ended) {
                    let end = body.end(arrival, &mut recorder);
                    failure = end.err().map(|error| lost().unwrap_or(error.to_string()));
                } else if whole.is_none() && failure.is_none() {
                    let lost = lost().unwrap_or_default();
                    failure = Some(format!("the stream ended early: {lost}"));
                }
                Some((recorder, whole, failure))
            }
            Reading::Whole(mut recorder, protocol) => {
                let head = self.head.as_deref();
                let body = self.response.bytes();
                let failure = whole(&mut recorder, protocol, head, body, ended).err();
                let lost = || seen.problem.clone().or_else(|| cut.clone());
                Some((*recorder, None, failure.map(|why| lost().unwrap_or(why))))
            }
        };
        seen.request = self.request.into_body();
        seen.response = self.response.into_body();
        if let Some((mut recorder, whole, failure)) = read {
            let size = usize::try_from(seen.request.wire_bytes).unwrap_or(usize::MAX);
            recorder.sending(size);
            recorder.sent(self.request_end.map(|passed| passed.handed_on));
            if let Some((_, Some(counts))) = self.response_end {
                recorder.take_counts(*counts);
            }
            seen.protocol = self.protocol.map(Protocol::name);
            let done = keeping.offset(whole.unwrap_or(done));
            let (exchange, answer) = finished(recorder, self.transport, done, failure);
            seen.exchange = Some(exchange);
            seen.answer = Some(answer);
        }
        let mut credentials = Credentials::default();
        seen.request_headers = credentials.headers(&self.headers);
        seen.target = credentials.target(&self.target);
        seen.method = self.method;
        if let Some(head) = self.head {
            seen.response_headers = credentials.headers(&head.headers);
        }
        credentials.clean(&mut seen);
        seen
    }

    /// It goes on as a WebSocket; the upgrade is told of.
    fn into_socket(
        self: Box<Self>,
        head: ResponseHead,
        upgraded: u64,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) -> Socket {
        let mut credentials = Credentials::default();
        let upgrade = Seen {
            connection: self.id.connection,
            method: self.method,
            target: credentials.target(&self.target),
            request_headers: credentials.headers(&self.headers),
            status: Some(head.status),
            response_headers: credentials.headers(&head.headers),
            client: self.client,
            ..Seen::default()
        };
        let offset = |at: Option<u64>| at.map(|at| keeping.offset(at));
        let steps = self.opened.as_ref().map(|opened| opened.steps);
        let steps = steps.unwrap_or_default();
        tell(Seen {
            upgrade: Some(Marks {
                start: keeping.offset(self.start),
                dns: offset(steps.dns),
                tcp: offset(steps.tcp),
                proxy: offset(steps.proxy),
                tls: offset(steps.tls),
                upgraded: offset(Some(upgraded)),
                done: keeping.offset(upgraded),
                ..Marks::default()
            }),
            ..upgrade.clone()
        });
        Socket::new(
            upgrade,
            credentials,
            self.opened,
            upgraded,
            &head.headers,
            keeping,
        )
    }
}

impl Streaming {
    fn take(&mut self, data: &[u8], arrival: Arrival) {
        let Some(body) = &mut self.body else {
            return;
        };
        match body.take(data, arrival, &mut self.recorder) {
            Ok(false) => return,
            Ok(true) => self.done = Some(arrival.read),
            Err(failure) => self.failure = Some(failure.to_string()),
        }
        self.body = None;
    }
}

/// Reads an answer that did not stream, or what the server said instead of one.
///
/// # Errors
/// Why there is none.
fn whole(
    recorder: &mut Recorder,
    protocol: &dyn Protocol,
    head: Option<&ResponseHead>,
    body: &[u8],
    ended: Option<Arrival>,
) -> Result<(), String> {
    let (Some(head), Some(arrival)) = (head, ended) else {
        return Err("the answer ended early".into());
    };
    if !(200..300).contains(&head.status) {
        let headers = header_map(&head.headers);
        return Err(refusal(protocol, head.status, &headers, body).to_string());
    }
    match recorder.whole(arrival, protocol, body) {
        Ok(true) => Ok(()),
        Ok(false) => Err("no answer is in it".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Keeps a copy, where there is one.
fn keep(content: &mut Content, copied: Copied) {
    match copied.bytes {
        Some((bytes, _held)) => {
            content.take(&bytes);
        }
        None => content.pass_over(copied.size, NO_ROOM),
    }
}

/// Whether a response is a stream: all but a document.
fn is_stream(headers: &Headers) -> bool {
    let media = head::value(headers, "content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    !media.eq_ignore_ascii_case("application/json")
}

/// Headers as the wire's own functions read them.
fn header_map(headers: &Headers) -> HeaderMap {
    let headers = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    // What is decoded already has no encoding any more.
    let mut map: HeaderMap = headers.collect();
    map.remove(hyper::header::CONTENT_ENCODING);
    map
}
