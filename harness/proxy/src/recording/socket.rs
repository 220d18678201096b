//! A WebSocket: which message asks, and which answers it.

use std::collections::HashMap;

use timeslip_wire::Recorder;
use timeslip_wire::connection::Arrival;
use timeslip_wire::framing::MessageReader;
use timeslip_wire::protocols::{self, Addressee, Protocol, WebSocketForm};
use timeslip_wire::transports::Earlier;
use tokio_tungstenite::tungstenite::Message;

use super::content::Content;
use super::credentials::Credentials;
use super::{Keeping, finished};
use crate::budget::Held;
use crate::head;
use crate::seen::{Body, ClientSide, Headers, Seen};
use crate::told::{Copied, Event, Opened, Passed};

/// Requests of one connection in flight that are recorded; servers allow fewer.
const MAX_IN_FLIGHT: usize = 64;

/// A WebSocket whose bytes are read as they come.
pub struct Socket {
    /// What is known of the upgrade.
    upgrade: Seen,
    credentials: Credentials,
    opened: Option<Box<Opened>>,
    upgraded: u64,
    compressed: bool,
    protocol: Option<(&'static dyn Protocol, WebSocketForm)>,
    client: MessageReader,
    server: MessageReader,
    /// Room for what the two keep.
    held: Held,
    /// When the message began that is not whole.
    begun: Option<u64>,
    /// Bytes that either side sent since the latest message.
    sent: u64,
    received: u64,
    asked: Vec<Asked>,
    /// By lane.
    earlier: HashMap<Option<String>, Earlier>,
    /// Why nothing more is read of it.
    unread: Option<String>,
}

/// A message that asks, and what has come of its answer.
struct Asked {
    lane: Option<String>,
    method: &'static str,
    request: Body,
    recorder: Recorder,
    response: Content,
    response_bytes: u64,
    client: ClientSide,
    done: Option<u64>,
}

impl Socket {
    pub fn new(
        upgrade: Seen,
        credentials: Credentials,
        opened: Option<Box<Opened>>,
        upgraded: u64,
        headers: &Headers,
        keeping: &Keeping,
    ) -> Self {
        let path = upgrade.target.split('?').next().unwrap_or_default();
        let protocol = protocols::PROTOCOLS.iter().find_map(|protocol| {
            let form = protocol.websocket()?;
            path.ends_with(form.path).then_some((*protocol, form))
        });
        let extensions = head::value(headers, "sec-websocket-extensions");
        Socket {
            compressed: extensions.is_some_and(|chosen| chosen.contains("permessage-deflate")),
            upgrade,
            credentials,
            opened,
            upgraded,
            protocol,
            client: MessageReader::new(true, keeping.max_body),
            server: MessageReader::new(false, keeping.max_body),
            held: keeping.budget.place(),
            begun: None,
            sent: 0,
            received: 0,
            asked: Vec::new(),
            earlier: HashMap::new(),
            unread: None,
        }
    }

    /// Something happened to it; false once it is over.
    pub fn take(&mut self, event: Event, keeping: &Keeping, tell: &mut dyn FnMut(Seen)) -> bool {
        match event {
            Event::Frames {
                from_client,
                copied,
                passed,
            } => self.frames(from_client, copied, passed, keeping, tell),
            Event::ClientLeft(at) => {
                let at = keeping.offset(at);
                for asked in &mut self.asked {
                    asked.client.left.get_or_insert(at);
                }
            }
            Event::Over { at, problem } => {
                let problem = problem.unwrap_or_else(|| "the connection ended".into());
                self.fail(
                    &format!("the stream ended early: {problem}"),
                    at,
                    keeping,
                    tell,
                );
                return false;
            }
            // All else belongs to HTTP, which is past.
            Event::Request { .. }
            | Event::RequestData(_)
            | Event::RequestEnd(_)
            | Event::Response(..)
            | Event::ResponseData(..)
            | Event::ResponseEnd(..)
            | Event::OwnAnswer(_)
            | Event::Unread(_) => {}
        }
        true
    }

    fn frames(
        &mut self,
        from_client: bool,
        copied: Copied,
        passed: Passed,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) {
        let (reader, bytes) = match from_client {
            true => (&mut self.client, &mut self.sent),
            false => (&mut self.server, &mut self.received),
        };
        *bytes += copied.size as u64;
        if self.unread.is_some() {
            return;
        }
        if from_client && reader.unread() == 0 {
            self.begun = Some(passed.arrival.at);
        }
        let mut messages = Vec::new();
        let read = match &copied.bytes {
            Some((bytes, _held)) => reader.feed(bytes, |message| messages.push(message)),
            None => Err("there was no room for it".into()),
        };
        for message in messages {
            match from_client {
                true => self.said_by_client(&message, passed, keeping, tell),
                false => self.said_by_server(&message, passed, keeping, tell),
            }
        }
        let kept = self.client.unread() + self.server.unread();
        let problem = read.err().or_else(|| {
            let room = self.held.resize(kept);
            (!room).then(|| "there was no room for it".into())
        });
        if let Some(problem) = problem {
            let problem = format!("what was said cannot be read: {problem}");
            self.fail(&problem, passed.arrival.read, keeping, tell);
            tell(Seen {
                problem: Some(problem.clone()),
                method: String::new(),
                ..self.upgrade.clone()
            });
            self.unread = Some(problem);
        }
    }

    fn said_by_client(
        &mut self,
        message: &Message,
        passed: Passed,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) {
        let Some(data) = data(message) else {
            return;
        };
        let at = passed.arrival.at;
        let begun = self.begun.replace(at).unwrap_or(at);
        let wire_bytes = std::mem::take(&mut self.sent);
        let request = self.body(data, wire_bytes);
        let asks = self.protocol.and_then(|(_, form)| (form.asks)(data));
        let lane = asks.map(|asks| asks.lane.map(|lane| lane.into_owned()));
        let room = self.asked.len() < MAX_IN_FLIGHT;
        let asked = lane
            .filter(|_| room)
            .and_then(|lane| self.ask(lane, begun, request.clone(), keeping));
        let Some(mut asked) = asked else {
            // Something else that a client says, such as to steer.
            let mut seen = Seen {
                request,
                protocol: self.protocol.map(|(protocol, _)| protocol.name()),
                ..self.upgrade.clone()
            };
            seen.client.request_came = Some(keeping.offset(at));
            self.credentials.clean(&mut seen);
            tell(seen);
            return;
        };
        if self.asked.is_empty()
            && let Some(opened) = &self.opened
        {
            // Nothing else is said: what the kernel counts belongs to this.
            opened.probe.arm();
            self.received = 0;
        }
        asked.client.request_came = Some(keeping.offset(at));
        asked
            .recorder
            .sending(usize::try_from(wire_bytes).unwrap_or(usize::MAX));
        asked.recorder.sent(Some(passed.handed_on));
        self.asked.push(asked);
    }

    fn body(&self, data: &[u8], wire_bytes: u64) -> Body {
        Body {
            bytes: data.to_vec(),
            wire_bytes,
            cut: None,
        }
    }

    /// A response is asked for.
    fn ask(
        &mut self,
        lane: Option<String>,
        begun: u64,
        request: Body,
        keeping: &Keeping,
    ) -> Option<Asked> {
        let (protocol, _) = self.protocol?;
        let mut recorder = Recorder::begun_at(begun, protocol.decoder(), keeping.origin, 0, 0);
        match &self.opened {
            // The first to ask has waited for the connection, if it has.
            Some(opened) => recorder.join_connection(opened.steps, self.upgraded),
            None => recorder.reuse_connection(),
        }
        recorder.set_compressed(self.compressed);
        if let Some(lane) = &lane {
            recorder.set_lane(lane);
        }
        if self.earlier.len() >= MAX_IN_FLIGHT {
            self.earlier.clear();
        }
        self.earlier
            .entry(lane.clone())
            .or_default()
            .tell(&mut recorder);
        Some(Asked {
            lane,
            method: "GET",
            request,
            recorder,
            response: Content::new(keeping.max_body, keeping.budget.place()),
            response_bytes: 0,
            client: ClientSide::default(),
            done: None,
        })
    }

    fn said_by_server(
        &mut self,
        message: &Message,
        passed: Passed,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) {
        if let Message::Ping(_) = message {
            for asked in &mut self.asked {
                asked.recorder.keep_alive();
            }
        }
        if let Message::Close(frame) = message {
            let said = frame.as_ref().map_or(String::new(), |frame| {
                format!(": {} {}", u16::from(frame.code), frame.reason)
            });
            let problem = format!("the stream ended early: closed by the server{said}");
            self.fail(&problem, passed.arrival.read, keeping, tell);
        }
        let Some(data) = data(message) else {
            return;
        };
        let received = std::mem::take(&mut self.received);
        for at in self
            .addressees(data, passed.arrival, keeping)
            .into_iter()
            .rev()
        {
            let asked = &mut self.asked[at];
            asked.response_bytes += received;
            if let Some(failure) = asked.hear(data, passed, keeping) {
                let asked = self.asked.remove(at);
                self.answered(asked, failure, passed.arrival.read, keeping, tell);
            }
        }
    }

    /// Whom a message is for, in order.
    fn addressees(&mut self, data: &[u8], arrival: Arrival, keeping: &Keeping) -> Vec<usize> {
        let alone = (self.asked.len() == 1).then_some(0);
        let Some((_, form)) = self.protocol else {
            return Vec::new();
        };
        let Some(lanes) = form.lanes else {
            return alone.into_iter().collect();
        };
        let of = |lane: Option<&str>| {
            let mut asked = self.asked.iter();
            asked.position(|asked| asked.lane.as_deref() == lane)
        };
        let (found, lane) = match (lanes.addressee)(data) {
            Addressee::Everyone => return (0..self.asked.len()).collect(),
            Addressee::Nobody => return alone.into_iter().collect(),
            Addressee::Lane(lane) => (of(Some(&lane)), Some(lane.into_owned())),
            Addressee::Unknown => (of(None).or(alone), None),
        };
        if let Some(found) = found {
            return vec![found];
        }
        // A server may answer without being asked, as after it was steered.
        if self.asked.len() < MAX_IN_FLIGHT
            && let Some(mut unasked) = self.ask(lane, arrival.at, Body::default(), keeping)
            && unasked.recorder.message(arrival, data) == Ok(false)
            && unasked.recorder.is_admitted()
        {
            let lane = unasked.lane.take();
            if let Some(mut unasked) = self.ask(lane, arrival.at, Body::default(), keeping) {
                unasked.method = "";
                self.asked.push(unasked);
                return vec![self.asked.len() - 1];
            }
        }
        Vec::new()
    }

    /// Ends all that has not been answered.
    fn fail(&mut self, problem: &str, at: u64, keeping: &Keeping, tell: &mut dyn FnMut(Seen)) {
        for asked in std::mem::take(&mut self.asked) {
            self.answered(asked, Some(problem.to_owned()), at, keeping, tell);
        }
    }

    fn answered(
        &mut self,
        asked: Asked,
        failure: Option<String>,
        at: u64,
        keeping: &Keeping,
        tell: &mut dyn FnMut(Seen),
    ) {
        let Asked {
            lane,
            mut recorder,
            response,
            ..
        } = asked;
        if let Some(earlier) = self.earlier.get_mut(&lane) {
            earlier.answered(&recorder);
        }
        if self.asked.is_empty()
            && lane.is_none()
            && let Some(opened) = &self.opened
        {
            recorder.take_counts(opened.probe.counts());
        }
        let done = keeping.offset(asked.done.unwrap_or(at));
        let (mut exchange, answer) = finished(recorder, "websocket", done, failure);
        let own = lane.is_none();
        exchange.request_bytes = Some(asked.request.wire_bytes).filter(|_| own);
        exchange.response_bytes = Some(asked.response_bytes).filter(|_| own);
        let mut response = response.into_body();
        response.wire_bytes = asked.response_bytes;
        let mut seen = Seen {
            method: asked.method.to_owned(),
            request: asked.request,
            protocol: self.protocol.map(|(protocol, _)| protocol.name()),
            response,
            exchange: Some(exchange),
            answer: Some(answer),
            client: asked.client,
            ..self.upgrade.clone()
        };
        self.credentials.clean(&mut seen);
        tell(seen);
    }
}

impl Asked {
    /// A message came for it; with what it ends, once it does.
    fn hear(&mut self, data: &[u8], passed: Passed, keeping: &Keeping) -> Option<Option<String>> {
        let at = keeping.offset(passed.handed_on);
        self.client.first_handed_on.get_or_insert(at);
        self.client.last_handed_on = Some(at);
        self.response.take(data);
        self.response.take(b"\n");
        self.recorder.responding(passed.arrival);
        match self.recorder.message(passed.arrival, data) {
            Ok(false) => None,
            Ok(true) => {
                self.done = Some(passed.arrival.read);
                Some(None)
            }
            Err(failure) => Some(Some(failure.to_string())),
        }
    }
}

/// What a message says, where it does.
fn data(message: &Message) -> Option<&[u8]> {
    match message {
        Message::Text(text) => Some(text.as_bytes()),
        Message::Binary(data) => Some(data),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => None,
    }
}
