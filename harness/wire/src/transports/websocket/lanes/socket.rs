//! A shared WebSocket: written by its lanes in turn, read by one task that stamps what
//! comes and hands it to the lane it names.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::body::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message;

use super::lock;
use crate::clock;
use crate::connection::{Arrival, Probe};
use crate::failure::Failure;
use crate::protocols::{Addressee, Lanes, StreamError};
use crate::recorder::Recorder;
use crate::transports::websocket::upgrade::{self, MESSAGE_COST, Messages, Opening};
use crate::transports::{Endpoint, MAX_RESPONSE_MIB};

const PREFIX: &str = "lane-";
/// Most bytes of a connection that may wait for its lanes to take them.
const MAX_WAITING: usize = MAX_RESPONSE_MIB << 20;
/// Most messages that belong to no answer between two that do.
const MAX_IDLE_MESSAGES: usize = 100_000;

/// The name of a lane.
pub(super) fn name(lane: usize) -> String {
    format!("{PREFIX}{lane}")
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// What came for a lane.
pub(super) enum Incoming {
    /// An event, and when it was read.
    Event(Arrival, Bytes),
    /// The answer to the lane's ping: when it was read, and when the ping was sent.
    Pong(Arrival, u64),
    /// The server's own ping, which is the whole connection's.
    Ping,
    /// Nothing more will come.
    Failed(Failure),
}

/// An open shared WebSocket.
pub(super) struct Socket {
    writer: tokio::sync::Mutex<SplitSink<Messages, Message>>,
    routes: Arc<Mutex<Routes>>,
    opening: Opening,
    reader: AbortHandle,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Socket {
    pub(super) async fn open(
        lanes: Lanes,
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> Result<Self, Failure> {
        let (messages, opening) = upgrade::open(endpoint, recorder).await?;
        let (writer, reader) = messages.split();
        let routes = Arc::new(Mutex::new(Routes::new(lanes)));
        let reading = read(reader, Arc::clone(&routes), Arc::clone(&opening.probe));
        Ok(Socket {
            writer: writer.into(),
            routes,
            opening,
            reader: tokio::spawn(reading).abort_handle(),
        })
    }

    pub(super) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Whether it is open and may stay so.
    pub(super) fn is_usable(&self) -> bool {
        lock(&self.routes).ended.is_none() && !self.opening.is_old()
    }

    /// Takes no further request; answers that are on their way still come.
    pub(super) fn retire(&self, why: &Failure) {
        let mut routes = lock(&self.routes);
        routes.ended.get_or_insert_with(|| why.clone());
    }

    /// What comes for a lane from now on.
    pub(super) fn listen(&self, lane: usize) -> Result<Events, Failure> {
        let mut routes = lock(&self.routes);
        if let Some(failure) = &routes.ended {
            return Err(failure.clone());
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let pinging = Arc::<AtomicBool>::default();
        routes.lanes[lane] = Some(Route {
            sender,
            bytes: 0,
            pinging: Arc::clone(&pinging),
            pinged: None,
        });
        Ok(Events {
            receiver,
            pinging,
            waiting: Arc::clone(&routes.waiting),
        })
    }

    /// Hands nothing more to a lane.
    pub(super) fn forget(&self, lane: usize) {
        lock(&self.routes).lanes[lane] = None;
    }

    /// Sends a lane's request, and a ping after it.
    pub(super) async fn send(
        &self,
        lane: usize,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> Result<(), Failure> {
        let text = String::from_utf8(body)
            .map_err(|_| Failure::Connect("the request is not UTF-8".into()))?;
        let mut writer = self.writer.lock().await;
        let request = Message::text(text);
        writer.send(request).await.map_err(upgrade::closed)?;
        // No other lane writes before the lock is given back. The reader may, when it
        // answers a ping just now: a matter of microseconds.
        recorder.sent(self.opening.probe.last_write());
        let pinged = clock::now();
        if let Some(route) = &mut lock(&self.routes).lanes[lane] {
            route.pinged = Some(pinged);
        }
        let mut ping = pinged.to_be_bytes().to_vec();
        ping.extend(u8::try_from(lane));
        let ping = Message::Ping(ping.into());
        writer.send(ping).await.map_err(upgrade::closed)
    }
}

/// What comes for one lane.
pub(super) struct Events {
    receiver: UnboundedReceiver<Incoming>,
    pinging: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
}

impl Events {
    /// The next thing for the lane; `None` when nothing more will come.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        let incoming = self.receiver.recv().await?;
        self.taken(&incoming);
        Some(incoming)
    }

    fn taken(&self, incoming: &Incoming) {
        if matches!(incoming, Incoming::Ping) {
            self.pinging.store(false, Relaxed);
        }
        self.waiting.fetch_sub(incoming.cost(), Relaxed);
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.receiver.close();
        while let Ok(incoming) = self.receiver.try_recv() {
            self.taken(&incoming);
        }
    }
}

impl Incoming {
    /// What it costs while it waits, however short it is.
    fn cost(&self) -> usize {
        let bytes = match self {
            Incoming::Event(_, data) => data.len(),
            Incoming::Pong(..) | Incoming::Ping | Incoming::Failed(_) => 0,
        };
        bytes.max(MESSAGE_COST)
    }
}

/// Who listens.
struct Routes {
    addressee: fn(&[u8]) -> Addressee<'_>,
    lanes: Vec<Option<Route>>,
    ended: Option<Failure>,
    /// Bytes that wait to be taken, of all lanes together.
    waiting: Arc<AtomicUsize>,
    /// Messages since the last one that was a lane's.
    idle_messages: usize,
}

struct Route {
    sender: UnboundedSender<Incoming>,
    /// Bytes handed over, which bounds an answer.
    bytes: usize,
    /// A ping of the server waits to be taken: further ones say the same.
    pinging: Arc<AtomicBool>,
    /// When the lane's ping was sent, until its pong came.
    pinged: Option<u64>,
}

impl Route {
    fn send(&self, waiting: &AtomicUsize, incoming: Incoming) {
        let cost = incoming.cost();
        waiting.fetch_add(cost, Relaxed);
        // A lane that stopped listening is about to say so.
        if self.sender.send(incoming).is_err() {
            waiting.fetch_sub(cost, Relaxed);
        }
    }
}

/// Reads until the connection ends, which then ends every lane.
async fn read(mut reader: SplitStream<Messages>, routes: Arc<Mutex<Routes>>, probe: Arc<Probe>) {
    let failure = loop {
        let message = match reader.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => break upgrade::closed(error),
            None => break upgrade::closed_by_server(None),
        };
        let arrival = probe.arrival();
        tokio::task::coop::consume_budget().await;
        if lock(&routes).is_flooded() {
            break Failure::TooLarge(MAX_RESPONSE_MIB);
        }
        match message {
            Message::Text(text) => lock(&routes).event(arrival, text.into()),
            Message::Binary(data) => lock(&routes).event(arrival, data),
            Message::Pong(data) => lock(&routes).pong(arrival, &data),
            Message::Close(frame) => break upgrade::closed_by_server(frame.as_ref()),
            Message::Ping(_) => lock(&routes).ping(),
            Message::Frame(_) => {}
        }
    };
    let mut routes = lock(&routes);
    routes.fail_all(&failure);
    routes.ended = Some(failure);
}

impl Routes {
    fn new(lanes: Lanes) -> Self {
        Routes {
            addressee: lanes.addressee,
            lanes: std::iter::repeat_with(|| None).take(lanes.count).collect(),
            ended: None,
            waiting: Arc::default(),
            idle_messages: 0,
        }
    }

    fn event(&mut self, arrival: Arrival, data: Bytes) {
        match ((self.addressee)(&data), self.only_listener()) {
            (Addressee::Lane(name), _) => {
                if let Some(lane) = number(&name) {
                    self.hand(lane, arrival, data);
                }
            }
            // With one conversation there is no doubt whom anything is for.
            (_, Some(lane)) => self.hand(lane, arrival, data),
            (Addressee::Everyone, None) => {
                for lane in 0..self.lanes.len() {
                    self.hand(lane, arrival, data.clone());
                }
            }
            (Addressee::Unknown, None) => {
                let problem = "names no lane, and several answers are on their way";
                self.fail_all(&Failure::Stream(StreamError::Malformed {
                    event: "event of a shared connection".into(),
                    problem: problem.into(),
                }));
            }
            (Addressee::Nobody, None) => {}
        }
    }

    fn only_listener(&self) -> Option<usize> {
        let lanes = self.lanes.iter().enumerate();
        let mut listening = lanes.filter_map(|(lane, route)| route.as_ref().map(|_| lane));
        let first = listening.next()?;
        listening.next().is_none().then_some(first)
    }

    /// Whether the connection says more that is no answer than any honest one.
    fn is_flooded(&mut self) -> bool {
        self.idle_messages += 1;
        self.idle_messages > MAX_IDLE_MESSAGES
    }

    /// Hands an event to a lane.
    fn hand(&mut self, lane: usize, arrival: Arrival, data: Bytes) {
        let Some(place) = self.lanes.get_mut(lane) else {
            return;
        };
        let Some(route) = place else {
            return;
        };
        self.idle_messages = 0;
        let incoming = Incoming::Event(arrival, data);
        let cost = incoming.cost();
        route.bytes += cost;
        let waiting = self.waiting.load(Relaxed) + cost;
        if route.bytes > MAX_RESPONSE_MIB << 20 || waiting > MAX_WAITING {
            let failure = Failure::TooLarge(MAX_RESPONSE_MIB);
            route.send(&self.waiting, Incoming::Failed(failure));
            *place = None;
        } else {
            route.send(&self.waiting, incoming);
        }
    }

    /// Hands a lane the answer to its ping, once.
    fn pong(&mut self, arrival: Arrival, data: &[u8]) {
        if let Some((pinged, [lane])) = data.split_first_chunk::<8>()
            && let Some(Some(route)) = self.lanes.get_mut(usize::from(*lane))
        {
            let pinged = u64::from_be_bytes(*pinged);
            if route.pinged.take_if(|own| *own == pinged).is_some() {
                route.send(&self.waiting, Incoming::Pong(arrival, pinged));
            }
        }
    }

    fn ping(&mut self) {
        for route in self.lanes.iter().flatten() {
            if !route.pinging.swap(true, Relaxed) {
                route.send(&self.waiting, Incoming::Ping);
            }
        }
    }

    fn fail_all(&mut self, failure: &Failure) {
        for route in self.lanes.iter_mut().filter_map(Option::take) {
            route.send(&self.waiting, Incoming::Failed(failure.clone()));
        }
    }
}
